"""Words that the glossary of CONTRIBUTING.md retired stay out of the code and the configuration."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
RETIRED = {
    r"crew": "worker pool",
    r"vigil": "watchdog",
    r"chief": "main process",
    r"standing": "training state",
    r"course": "trajectory",
    r"witness(?:es)?": "counter, cross-check",
    r"signs? of life": "heartbeat",
    r"cells?": "run",
    r"boards?": "GPU",
    r"nobody's": "unknown, with the reason",
    r"cool-downs?": "cooldown branch",
}
WORD = re.compile(r"(?<![A-Za-z])(?:" + "|".join(RETIRED) + r")(?![A-Za-z])", re.IGNORECASE)
CELLS_OF_A_TABLE = {
    "src/isoflop/cli/terminal/levers_table.py",
    "src/isoflop/report/text/lever_lines.py",
    "src/isoflop/cli/terminal/console.py",
    "src/isoflop/paper/facts.py",
    "src/isoflop/paper/pages/implications.py",
    "src/isoflop/paper/pages/page.html.j2",
    "src/isoflop/plan/cost_panel.py",
    "src/isoflop/plan/firm_text.py",
    "src/isoflop/report/cost_dials.js",
    "src/isoflop/report/costs.js",
    "src/isoflop/report/costs.py",
    "src/isoflop/report/page.html.j2",
    "src/isoflop/report/page.js",
    "src/isoflop/table/columns.py",
    "src/isoflop/table/csv_text.py",
    "src/isoflop/table/external.py",
    "src/isoflop/table/formats.py",
    "src/isoflop/table/number_text.py",
    "src/isoflop/table/totals.py",
}
STORED = {
    "src/isoflop/cli/run.py": "--cells, the option of an earlier release",
    "src/isoflop/config/keys.py": "keys of an earlier release",
    "src/isoflop/meter/energy/sampler.py": "a key of polls.jsonl",
    "src/isoflop/paper/claims_published.py": "a field of growth.json",
    "src/isoflop/paper/growth.py": "a field of growth.json",
    "src/isoflop/paper/pages/growth.py": "a field of growth.json",
    "src/isoflop/parallel/shapes.py": "a field of the record",
    "src/isoflop/plan/recipe.py": "a field of the record",
    "src/isoflop/record/migrations.py": "a field of the record",
    "src/isoflop/record/schema.py": "a field of the record",
    "src/isoflop/runner/assemble.py": "a field of the record",
    "src/isoflop/runner/provenance.py": "a field of the record",
    "src/isoflop/runner/recorder/record_of.py": "a field of the record",
    "src/isoflop/sweep/recorded.py": "a field of the record",
    "src/isoflop/sweep/slurm/submission.py": "keys of DIR/slurm/*.json",
    "src/isoflop/sweep/step_costs.py": "a field of the record",
    "src/isoflop/table/loss_curves.py": "a field of the record",
    "src/isoflop/table/rate_search.py": "a field of the record",
    "src/isoflop/table/aggregate.py": "a field of the record",
    "src/isoflop/table/text_columns.py": "a field of the record",
    "src/isoflop/sweep/status.py": "a key of isoflop status --json",
    "src/isoflop/track/lines.py": "a key of DIR/lines/*.jsonl",
    "src/isoflop/track/from_records.py": "a field of the record",
}
OTHER_SENSE = {
    "src/isoflop/meter/flops/handles.py": "torch's recurrent cells",
    "src/isoflop/meter/device/peaks.py": "NVIDIA's reference board",
    "src/isoflop/paper/implications.py": "a datasheet's board power",
}
"""Files in which a word stands in another sense, or under the name that it is stored by."""


def test_retired_words_stay_out_of_the_code() -> None:
    allowed = CELLS_OF_A_TABLE | STORED.keys() | OTHER_SENSE.keys()
    hits: dict[str, list[str]] = {}
    for folder in ("src", "conf"):
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix not in (".py", ".yaml", ".j2", ".js", ".css"):
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                # "of course" and NVIDIA's board power are ordinary English.
                text = re.sub(r"of course|board power", "", line)
                if WORD.search(text):
                    hits.setdefault(name, []).append(f"{name}:{number}: {line.strip()}")
    new = [line for name, lines in hits.items() if name not in allowed for line in lines]
    assert not new, "retired words (see the glossary in CONTRIBUTING.md):\n" + "\n".join(new)
    unused = sorted(allowed - hits.keys())
    assert not unused, f"no longer in need of an exception: {unused}"


def test_the_glossary_names_what_replaces_each_retired_word() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(use.split(",")[0] in text for use in RETIRED.values() if "unknown" not in use)
