"""summary.md of a campaign: the verdict on the recipe, what each phase did and left out, results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from isoflop import record as records
from isoflop.sweep.campaign import journal
from isoflop.sweep.campaign.journal import PhaseReport
from isoflop.sweep.campaign.recipe_check import ALLOWED_RATIO, Comparison, Decision
from isoflop.table import aggregate, held_out, target
from isoflop.table.target import Target

FILE = "summary.md"
RECIPE_FOLDER = "recipe"
AFTERWARDS = {
    False: "The same command goes on with them.",
    True: "Sweeps have begun under this decision, which therefore stays; a new folder searches anew.",
}
"""What becomes of a search that time cut off, by whether a sweep has begun."""


def write(directory: Path) -> str:
    """Write DIR/summary.md from what the folder holds, and return its text.

    Raises:
        ConfigError: recipe.json is damaged.
        OSError: a file cannot be read or written.
    """
    decision = journal.read_decision(directory)
    begun = bool(begun_sweeps(directory))
    parts = [f"# {directory.name}", _recipe(decision, begun=begun), _phases(journal.read_phases(directory))]
    for folder in sweep_folders(directory):
        parts.append(_results(folder))
    text = "\n\n".join(part for part in parts if part) + "\n"
    records.write_bytes(directory / FILE, text.encode())
    return text


def sweep_folders(directory: Path) -> tuple[Path, ...]:
    """Return the folders of a campaign that hold points of a curve: not that of the recipe's trials."""
    found = (path.parent for path in sorted(directory.glob("*/records")) if any(path.glob("[!.]*.json")))
    return tuple(folder for folder in found if folder.name != RECIPE_FOLDER)


def begun_sweeps(directory: Path) -> tuple[Path, ...]:
    """Return the folders of sweeps that are bound to the recipe: with a record, or with runs held out."""
    declared = {path.parent for path in directory.glob(f"*/{held_out.FILE}")}
    return tuple(sorted(declared | set(sweep_folders(directory))))


def _recipe(decision: Decision | None, *, begun: bool) -> str:
    if decision is None:
        return "**Recipe**: the shipped one; no trial was made in this campaign."
    lines = [f"**Recipe**: {decision.message}."]
    if decision.overrides:
        lines.append(f"The sweeps take `{' '.join(decision.overrides)}`.")
    if decision.untried:
        lines.append(f"Time cut the search off: {decision.untried} trials were not made. {AFTERWARDS[begun]}")
    lines.extend(f"- {_comparison(each)}" for each in decision.comparisons)
    lines.extend(f"- rejected before it: {each}" for each in decision.rejected)
    rows = [
        (str(each.recipe), f"w{each.width} d{each.depth}", _number(each.train_loss, ".4g"))
        for each in decision.losses
    ]
    return "\n".join(lines) + "\n\n" + _table(("trial", "shape", "training loss"), rows)


def _comparison(each: Comparison) -> str:
    (small_width, small_depth), (width, depth) = each.smaller, each.larger
    pair = f"w{width} d{depth} beside w{small_width} d{small_depth}"
    if each.ratio is None:
        return f"{pair}: not trained"
    passed = "passed" if each.passed else "failed"
    return f"{pair}: training loss x {each.ratio:.3g}, allowed x {ALLOWED_RATIO:.2f}: {passed}"


def _phases(reports: Sequence[PhaseReport]) -> str:
    rows = [
        (
            each.phase,
            each.state,
            f"{each.done} of {each.runs}" if each.runs else "",
            _number(each.predicted_seconds, ".0f"),
            f"{each.seconds:.0f}",
            f"{each.limit_seconds:.0f}",
            each.message or "",
        )
        for each in reports
    ]
    names = ("phase", "state", "runs", "predicted training s", "took s", "limit s", "")
    notes = [f"- failed in {each.phase}: {line}" for each in reports for line in each.failures]
    notes += [
        f"- left out of {each.phase}: {part.what}: {part.why}" for each in reports for part in each.left_out
    ]
    return "\n\n".join(part for part in (_table(names, rows), "\n".join(notes)) if part)


def _results(folder: Path) -> str:
    """Return the table of one sweep: a line a shape and horizon, means over seeds."""
    rows = aggregate.aggregate(folder).rows
    if rows.empty:
        return f"**{folder.name}**: no finished run."
    spent = [records.read(records.path_of(folder, run_id)).spent for run_id in rows["run_id"]]
    joules = [each.joules for each in spent if each.joules is not None]
    energy = f"{sum(joules):,.0f} J" if len(joules) == len(spent) else "joules unknown"
    total = f"{len(rows)} points, {energy}, {sum(each.seconds for each in spent):,.0f} s"
    judged_on = target.of(rows, folder)
    numbers = _numbers(judged_on)
    lines = [_line(seeds, numbers) for _, seeds in rows.groupby("place_id", sort=False)]
    y = judged_on.quantity.title.lower()
    names = ("shape", judged_on.examples, "seeds", "GFLOPs", y, "training loss", "J", "s")
    return f"**{folder.name}**: {total}\n\n{_table(names, lines)}"


def _line(seeds: pd.DataFrame, numbers: Mapping[str, str]) -> tuple[str, ...]:
    means = {name: float(seeds[name].mean()) for name in numbers}
    return (
        str(seeds["label"].iloc[0]),
        *(_number(means[name], style) for name, style in numbers.items() if name == "train_n"),
        str(len(seeds)),
        *(_number(means[name], style) for name, style in numbers.items() if name != "train_n"),
    )


def _numbers(judged_on: Target) -> dict[str, str]:
    """Return column -> how its mean is written."""
    return {
        "train_n": ",.0f",
        "train_gflops": ".3g",
        judged_on.y: ".2%" if judged_on.quantity.unit == "%" else ".3f",
        "train_loss": ".3g",
        "energy_joules": ".4g",
        "train_seconds": ".3g",
    }


def _number(value: float | None, style: str) -> str:
    """Return a number in this style; one of thousands or millions is written out, not as a power of ten."""
    if value is None or math.isnan(value):
        return "unknown"
    return format(value, ",.0f" if style.endswith("g") and 1000 <= value < 1e7 else style)


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; nothing without rows."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(names) + " |", "|" + "---|" * len(names), *lines])
