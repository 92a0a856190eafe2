"""isoflop levers: table, sentences, JSON and figure of a file, the same in Python, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
from rich.console import Console
from tests import lever_sweep
from tests.lever_sweep import Arm

import isoflop
from isoflop.cli import main, output
from isoflop.cli.terminal import levers_table
from isoflop.report.text import lever_lines

ARMS = {
    "distillation": Arm(gain=2.0, prior=3.0),
    "pruning": Arm(settings="rounds=3", density=0.2),
    "quantization": Arm(seconds=0.5),
    "tiny": Arm(sizes=2),
}
FEW = ("--resamples", "320")


@pytest.fixture(scope="module")
def found() -> isoflop.Levers:
    return isoflop.levers(lever_sweep.rows(ARMS, sizes=5), resamples=320)


@pytest.fixture
def runs(here: Path) -> Path:
    lever_sweep.rows(ARMS, sizes=5).to_csv(here / "runs.csv", index=False)
    return here


@pytest.mark.slow
def test_the_table_has_a_row_a_lever_in_80_columns(found: isoflop.Levers) -> None:
    with (out := Console(width=80, highlight=False)).capture() as shown:
        levers_table.show(found.result, out)
    printed = shown.get()
    assert max(map(len, printed.splitlines()[1:])) <= 80
    assert "…" not in printed
    for name in ("distillation", "pruning", "quantization", "tiny"):
        assert any(line.startswith(name) for line in printed.splitlines()), name
    words = " ".join(printed.split())
    assert "not compared: tiny: too few runs: 2 configurations in common with the baseline" in words
    assert "b seen from: the smallest change of b that would have been seen with 80% power" in words
    assert len(lever_lines.rows(found.result)) == 4


@pytest.mark.slow
def test_three_to_six_sentences_say_what_the_table_says(found: isoflop.Levers) -> None:
    said = found.sentences
    assert 3 <= len(said) <= 6
    text = " ".join(said)
    assert "With prior work counted in, the gain of distillation falls from" in text
    assert ", a loss (3.0 times its own work)" in text
    assert "quantization ran the baseline's own FLOPs in 0." in text
    assert "no time is saved by distillation and pruning" in text
    expected = "the weights of pruning that are not zero (20%) would take 0.20 of the baseline's FLOPs"
    assert f"{expected}, and 1.00 are run" in text
    assert text.count("How many learning rates were tried is not known here") == 1


@pytest.mark.slow
def test_the_data_frame_has_gains_exponents_and_ratios(found: isoflop.Levers) -> None:
    table: Any = found.table.set_index("lever")
    assert table.loc["distillation", "own_gain"] == pytest.approx(2, rel=0.1)
    assert table.loc["distillation", "total_gain"] == pytest.approx(0.5, rel=0.1)
    assert table.loc["distillation", "own_low"] < 2 < table.loc["distillation", "own_high"]
    assert table.loc["pruning", "settings"] == "rounds=3"
    assert table.loc["pruning", "nominal_inference_gflops_per_example_ratio"] == pytest.approx(0.2)
    assert table.loc["quantization", "inference_seconds_per_example_ratio_high"] < 0.6
    assert pd.isna(table.loc["tiny", "own_gain"])
    assert table.loc["tiny", "reason"].startswith("too few runs")
    assert "4 levers against the baseline" in repr(found)


@pytest.mark.slow
def test_json_is_what_python_gives(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some = ("--where", "lever != 'tiny' and lever != 'quantization'")
    command = ["levers", "runs.csv", *FEW, *some, "--level", "90", "--json", "-"]
    assert main.main(command) == output.DONE
    printed: Any = json.loads(capsys.readouterr().out)
    ours = isoflop.levers("runs.csv", where=some[1], level=0.9, resamples=320)
    assert printed == json.loads(ours.to_json())
    assert [each["name"] for each in printed["levers"]] == ["distillation", "pruning"]
    assert printed["level"] == 0.9
    frame = isoflop.levers(pd.read_csv("runs.csv"), where=some[1], level=0.9, resamples=320)
    assert frame.result.levers == ours.result.levers
    assert [path.name for path in Path().iterdir()] == ["runs.csv"], "nothing is written"


@pytest.mark.slow
def test_the_figure_and_its_data(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["levers", "runs.csv", *FEW, "--where", "lever != 'tiny'", "--plot", "levers.svg"]
    assert main.main(command) == output.DONE
    assert capsys.readouterr().out.endswith("written: levers.svg\n")
    assert Path("levers.svg").read_text().startswith("<?xml")
    data = pd.read_csv("levers.csv")
    assert {"baseline", "distillation", "pruning", "quantization"} <= set(data["series"].dropna())
    assert set(data["panel"]) == {1, 2, 3}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv"], "none.csv: no such folder or file"),
        (["runs.csv", "--plot", "runs.gif"], "--plot runs.gif: give a name that ends in"),
        (
            ["runs.csv", "--plot", "runs.svg"],
            "--plot runs.svg: its data would replace runs.csv, which is read",
        ),
        (["runs.csv", "--y", "loss"], "runs.csv: --y loss: no such column"),
        (["runs.csv", "--where", "lever == 'none'"], "runs.csv: no run has a lever: train some"),
        (["runs.csv", "--where", "lever != 'none'"], "runs.csv: no run of the baseline (lever=none) is done"),
        (["runs.csv", "--where", "width > 1e9"], "runs.csv: --where width > 1e9: no row is left"),
        (
            ["runs.csv", "--resamples", "120"],
            "--resamples 120: with 4 levers a test at 5% needs at least 320",
        ),
        (["runs.csv", "--resamples", "9"], "--resamples 9: an interval needs at least 100"),
        (["runs.csv", "--level", "40"], "--level 40: give per cent above 50"),
        (["runs.csv", "--law", "m4"], "law is m4: curves are compared by power_law or power_law_floor"),
        (["other.csv"], "other.csv: no column run_id: give the folder of a sweep with levers"),
        (["."], ".: no records folder here"),
    ],
)
def test_what_it_refuses_is_one_line(
    runs: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.DataFrame({"x": [1.0], "y": [2.0]}).to_csv("other.csv", index=False)
    assert main.main(["levers", *arguments]) == output.INPUT
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("isoflop: ")
    assert said.err.count("\n") == 1
    assert message in said.err


def test_python_names_its_own_arguments(runs: Path) -> None:
    with pytest.raises(ValueError, match=r"^resamples= 120: with 4 levers"):
        isoflop.levers("runs.csv", resamples=120)
    with pytest.raises(ValueError, match=r"this is a int"):
        isoflop.levers(cast("str", 3))
