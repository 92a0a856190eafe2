"""isoflop check: findings of a sweep's folder or of anybody's table, and fits without undertrained points."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.cli import main, output

COLUMNS = ("--x", "flops", "--y", "err", "--group", "w,d", "--seed", "s", "--width", "w", "--depth", "d")


def write_table(path: Path, factor: float = 1.0) -> None:
    """Five widths, two depths, three seeds; the largest shape is worse than it should be by `factor`."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("w", "d", "s", "flops", "err", "train_loss"))
        for w in (8, 16, 32, 64, 128):
            for d in (1, 2):
                for s in range(3):
                    flops = 1e9 * w**2 * d
                    luck = 1 + 0.01 * (s - 1) + 0.002 * ((w * d) % 7 - 3)
                    of_recipe = factor if (w, d) == (128, 2) else 1.0
                    loss = luck * of_recipe * (flops / 1e9) ** -0.25
                    rows.writerow((w, d, s, flops, 0.5 * of_recipe * luck * (flops / 1e9) ** -0.2, loss))


def test_a_table_from_elsewhere_is_checked_and_says_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.csv"
    write_table(path, factor=2.0)
    assert main.main(["check", str(path), *COLUMNS]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 fault" in shown
    assert "Undertrained shape: w128 d2: training loss" in shown
    assert "(runs row 28, row 29, row 30)" in shown
    assert "not checked Learning rate: needs lr" in shown
    assert "not checked Points near chance: needs chance_error (--chance)" in shown


def test_healthy_rows_are_not_faulted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "runs.csv"
    write_table(path)
    assert main.main(["check", str(path), *COLUMNS, "--json", "-"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    outcomes = {each["check"]: each for each in result["check"]["outcomes"]}
    assert "falls with size over 35 pairs" in outcomes["undertrained"]["passed"]
    assert not any(each["findings"] for each in outcomes.values())
    assert result["fit"] is None


@pytest.mark.slow
def test_exclude_fits_without_the_undertrained_points(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.csv"
    write_table(path, factor=2.0)
    exclude = ("--exclude", "undertrained", "--resamples", "100")
    assert main.main(["check", str(path), *COLUMNS, *exclude, "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["fit"]["points"], result["fit_without"]["points"]) == (30, 27)
    assert {e["run_id"] for e in result["fit_without"]["excluded"]} == {"row 28", "row 29", "row 30"}
    assert main.main(["fit", str(path), *COLUMNS[:8], *exclude, "--json", "-"]) == output.INPUT
    assert "not checked: needs width or depth" in capsys.readouterr().err
    named = path.read_text().replace("w,d,s", "width,depth,s")
    path.write_text(named)
    columns = ("--x", "flops", "--y", "err", "--group", "width,depth", "--seed", "s")
    assert main.main(["fit", str(path), *columns, *exclude, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["reports"][0]["points"] == 27
    assert main.main(["fit", str(path), *columns, "--resamples", "100"]) == 0
    shown = capsys.readouterr().out
    assert "undertrained: w128 d2 (3 runs): training loss rose with size. Without them" in shown
    assert "isoflop check" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "nowhere"], "nowhere: no such file or folder"),
        (["check", "runs.csv"], "say --x"),
        (["check", "runs.csv", *COLUMNS, "--train-loss", "train_los"], "did you mean train_loss"),
        (["check", "runs.csv", *COLUMNS, "--json", "/none/here.json"], "a folder that exists"),
        (["check", ".", "--width", "w"], "--width is for a table of your own"),
        (["check", "."], "no records folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, here: Path, error_line: Callable[[], str]
) -> None:
    write_table(here / "runs.csv")
    assert main.main(arguments) == output.INPUT
    assert message in error_line()


def test_a_sweeps_folder_is_checked_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = Path(__file__).parents[2] / "results" / "digits-cpu"
    before = sorted(path.name for path in directory.iterdir())
    assert main.main(["check", str(directory)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "45 runs of 15 configurations" in shown
    assert "compute grows by size alone" in shown
    assert "not checked Thermal drift: needs an anchor" in shown
    assert sorted(path.name for path in directory.iterdir()) == before


@pytest.mark.slow
def test_laws_in_several_resources_leave_them_out_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("N", "D", "width", "depth", "s", "loss", "train_loss"))
        for w, d in ((8, 1), (8, 2), (32, 1), (32, 2), (128, 1), (128, 2)):
            for examples in (1e6, 3e6, 1e7):
                for s in range(3):
                    of_recipe = 1.5 if (w, d) == (128, 2) else 1.0
                    luck = 1 + 0.004 * (s - 1) + 0.001 * (w * d % 3 - 1)
                    loss = (0.3 + 5 * (w * w * d) ** -0.4 + 30 * examples**-0.35) * of_recipe * luck
                    rows.writerow((w * w * d, examples, w, d, s, loss, loss))
    command = ["fit", str(path), "--law", "chinchilla", "--n", "N", "--d", "D", "--y", "loss", "--seed", "s"]
    assert main.main([*command, "--exclude", "undertrained"]) == output.INPUT
    assert "not checked: needs train_gflops" in capsys.readouterr().err
    named = path.read_text().splitlines()
    with_compute = [f"{named[0]},flops"]
    for line in named[1:]:
        size, seen, *_ = line.split(",")
        with_compute.append(f"{line},{6 * float(size) * float(seen)}")
    path.write_text("\n".join(with_compute))
    command += ["--compute", "flops", "--resamples", "100"]
    assert main.main([*command, "--exclude", "undertrained"]) == 0
    shown = capsys.readouterr().out
    assert "note: left out: row 46" in shown
    assert "45 rows of 15 configurations" in shown
