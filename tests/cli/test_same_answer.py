"""Text and JSON show one object: whatever the JSON says of the data, the text says too, and the reverse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isoflop.cli import main, output

CASE = Path(__file__).parents[2] / "../shared/cases/notes_lost_in_json.csv"
FEW = ("--resamples", "100")
SAID = ("warnings", "notes", "excluded", "dropped", "unfitted")


def table(path: Path) -> Path:
    """Thirteen runs, three of them crashed, one twice, and a row of totals; x is called a logarithm."""
    lines = ["Name,State,seed,log_flops,N,D,loss,params"]
    for i in range(13):
        n, d = 10 ** (6 + 0.25 * i), 10 ** (8 + 0.5 * (i % 4))
        state = "crashed" if i in (0, 5, 10) else "finished"
        loss = 1.7 + 400 * n**-0.34 + 410 * d**-0.28
        lines.append(f'r{i},{state},{i % 2},{6 * n * d},{n},{d},{loss},"1,000,{100 + i}"')
    path.write_text("\n".join([*lines, lines[-1], "Total,,,1e30,,,40,"]) + "\n")
    return path


def sentences(value: Any) -> Iterator[str]:
    """Yield each sentence of a result about its data: warnings, notes, and reasons for what is left out."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name in SAID:
                for entry in part:
                    yield entry if isinstance(entry, str) else entry["reason"]
            else:
                yield from sentences(part)
    elif isinstance(value, list):
        for part in value:
            yield from sentences(part)


def ask(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[str, Any]:
    """Return the text, in full where a verb shows less, and the JSON of one command."""
    assert main.main([*command, *(("--full",) if command[0] == "fit" else ())]) == output.DONE
    text = capsys.readouterr().out
    assert main.main([*command, "--json", "-"]) == output.DONE
    return text, json.loads(capsys.readouterr().out)


JOINT = ("--law", "chinchilla", "--n", "N", "--d", "D", "--y", "loss")


@pytest.mark.parametrize(
    "options",
    [
        ("fit", "--x", "log_flops", "--y", "loss"),
        pytest.param(("fit", *JOINT), marks=pytest.mark.slow),
        ("check", "--x", "log_flops", "--y", "loss", "--width", "N"),
    ],
    ids=" ".join,
)
def test_every_note_of_a_table_is_in_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    path = table(tmp_path / "runs.csv")
    verb, *rest = options
    text, result = ask(capsys, verb, str(path), *rest, *FEW)
    said = list(sentences(result))
    for sentence in said:
        assert sentence in text
    in_json = " ".join(said)
    for note in ("rows repeat an earlier one", "a row of totals", "runs that did not finish", "--seed seed"):
        assert note in in_json, note
    excluded = (result["reports"][0] if "reports" in result else result)["excluded"]
    assert [each["run_id"] for each in excluded] == ["r12, row 14", "row 15"]
    for line in text.splitlines():
        kind, _, rest_of_line = line.partition(": ")
        if kind in ("note", "left out"):
            said_there = rest_of_line.partition(": ")[2] or rest_of_line
            assert any(said_there in sentence or sentence in rest_of_line for sentence in said), line


def test_a_fit_says_what_it_cannot_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, result = ask(capsys, "fit", str(table(tmp_path / "r.csv")), "--x", "log_flops", "--y", "loss", *FEW)
    warnings = result["reports"][0]["warnings"]
    assert "log_flops sounds like a logarithm: the laws need the amount itself" in warnings
    (unused,) = [warning for warning in warnings if "params holds text" in warning]
    assert "1000100" in unused, "the number that the cell means"


def test_a_y_that_rises_is_said_of_each_law(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{10.0**i},{1 + 0.1 * i}" for i in range(8)]
    (tmp_path / "up.csv").write_text("\n".join(["flops,score", *rows]))
    laws = ("--laws", "power_law_ols")
    text, result = ask(capsys, "fit", str(tmp_path / "up.csv"), "--x", "flops", "--y", "score", *laws, *FEW)
    (law,) = result["reports"][0]["fits"]
    (note,) = [warning for warning in law["warnings"] if "y does not fall with x" in warning]
    assert f"note: power_law_ols: {note}" in text
    assert "score rises with flops" in " ".join(result["reports"][0]["warnings"])


def test_the_shared_case(capsys: pytest.CaptureFixture[str]) -> None:
    if not CASE.is_file():
        pytest.skip("no notes_lost_in_json.csv in ../shared/cases")
    text, result = ask(capsys, "fit", str(CASE), "--x", "log_flops", "--y", "loss", *FEW)
    (report,) = result["reports"]
    assert [each["run_id"] for each in report["excluded"]] == ["r13, row 15"]
    assert len(report["warnings"]) >= 4
    for sentence in sentences(result):
        assert sentence in text


def test_a_law_is_pointed_to_the_option_that_takes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(table(tmp_path / "runs.csv"))
    for name in ("chinchilla", "rosenfeld", "width_depth_data"):
        assert main.main(["fit", path, "--x", "log_flops", "--y", "loss", "--laws", name]) == output.INPUT
        assert f"say --law {name}" in capsys.readouterr().err
    assert main.main(["fit", path, "--law", "power_law", "--y", "loss"]) == output.INPUT
    assert "say --laws power_law" in capsys.readouterr().err
