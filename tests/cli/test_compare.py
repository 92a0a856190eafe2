"""isoflop compare: sweeps and files, its files and JSON, and one line for what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.cli import main, output

RESULTS = Path(__file__).parents[2] / "results"
FEW = ("--resamples", "100")
OWN = ("--x", "flops", "--y", "loss", "--seed", "seed", *FEW)


def write(path: Path, recipes: dict[str, float], scale: float = 1.0) -> None:
    """Five sizes and two seeds of each recipe, whose loss is the scale times y = 3 x^-b."""
    generator = np.random.default_rng(0)
    rows = [
        {
            "recipe": recipe,
            "width": 8 * 2**i,
            "seed": seed,
            "flops": 10.0 ** (12 + i),
            "loss": scale * 300 * 10 ** (-b * (12 + i)) * np.exp(0.01 * generator.normal()),
        }
        for recipe, b in recipes.items()
        for i in range(5)
        for seed in (0, 1)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)


@pytest.fixture
def runs(here: Path) -> Path:
    write(here / "runs.csv", {"old": 0.12, "new": 0.15})
    return here


def result(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_file_split_by_a_column(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = ("compare", "runs.csv", "--by", "recipe", "--baseline", "old", *OWN)
    assert main.main(split) == output.DONE
    text = " ".join(capsys.readouterr().out.split())
    assert "new against old" in text
    assert "the exponent b moves" in text
    assert {"could", "seen"} <= set(text.split()), "the last column is wrapped and not cut"
    assert main.main([*split, "--json", "-"]) == output.DONE
    found = result(capsys)
    assert [arm["name"] for arm in found["arms"]] == ["old", "new"]
    (contrast,) = found["contrasts"]
    assert contrast["moved"] == "exponent"
    assert contrast["pairing"]["paired_runs"] == 10
    assert all(sentence in text for sentence in contrast["verdict"])
    assert {path.name for path in runs.iterdir()} == {"runs.csv"}


def test_the_baseline_is_the_least_value_without_being_named(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["compare", "runs.csv", "--by", "recipe", *OWN, "--json", "-"]) == output.DONE
    assert [arm["name"] for arm in result(capsys)["arms"]] == ["new", "old"]


def test_numbers_name_arms_with_their_column(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_csv("runs.csv").assign(precision=lambda t: (t["recipe"] == "new") * 8 + 8)
    table.drop(columns="recipe").to_csv("p.csv", index=False)
    assert main.main(["compare", "p.csv", "--by", "precision", *OWN, "--json", "-"]) == output.DONE
    assert [arm["name"] for arm in result(capsys)["arms"]] == ["precision=8", "precision=16"]


def test_a_group_that_holds_the_column_pairs_by_the_rest(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = ("--group", "recipe,width")
    split = ("compare", "runs.csv", "--by", "recipe", *group, *OWN, "--json", "-")
    assert main.main(split) == output.DONE
    assert result(capsys)["contrasts"][0]["pairing"]["paired_configurations"] == 5


def test_rows_of_an_unknown_arm_are_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_csv("runs.csv")
    table.loc[3, "recipe"] = None
    table.to_csv("gap.csv", index=False)
    assert main.main(["compare", "gap.csv", "--by", "recipe", *OWN]) == output.DONE
    assert "left out: row 4: unknown recipe, by which the runs are split" in capsys.readouterr().out


@pytest.mark.slow
def test_rows_and_level_are_chosen(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(runs / "three.csv", {"bad": 0.05, "old": 0.12, "new": 0.15})
    chosen = ("--where", 'recipe != "bad" and width < 128', "--level", "90", "--json", "-")
    assert main.main(["compare", "three.csv", "--by", "recipe", "--baseline", "old", *chosen, *OWN]) == 0
    found = result(capsys)
    assert [(arm["name"], arm["runs"]) for arm in found["arms"]] == [("old", 8), ("new", 8)]
    assert found["level"] == pytest.approx(0.9)
    said = '--where recipe != "bad" and width < 128: 8 of 10 rows'
    assert [note for note in found["warnings"] if "--where" in note] == [f"old: {said}", f"new: {said}"]
    assert main.main(["compare", "runs.csv", "three.csv", "--where", 'recipe == "old"', *OWN]) == 0
    shown = capsys.readouterr().out
    assert 'runs.csv: --where recipe == "old": 10 of 20 rows' in shown
    assert 'three.csv: --where recipe == "old": 10 of 30 rows' in shown


def test_at_a_lower_level_intervals_are_narrower(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    widths = []
    for level in ("95", "60"):
        split = ("compare", "runs.csv", "--by", "recipe", "--level", level, *OWN)
        assert main.main([*split, "--json", "-"]) == output.DONE
        ends = result(capsys)["contrasts"][0]["differences"][0]["interval"]
        widths.append(ends["high"] - ends["low"])
    assert widths[1] < 0.6 * widths[0]
    assert main.main([*split]) == output.DONE
    assert "gain (60%)" in capsys.readouterr().out


def test_axes_may_be_calculated(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    axes = ("--x", "flops / 1e3", "--y", "loss - 0.1", "--seed", "seed", *FEW)
    assert main.main(["compare", "runs.csv", "--by", "recipe", *axes, "--json", "-"]) == output.DONE
    found = result(capsys)
    assert (found["x"], found["y"]) == ("flops / 1e3", "loss - 0.1")
    assert found["arms"][0]["x_max"] == pytest.approx(1e13)


@pytest.mark.slow
def test_rows_and_axes_of_a_sweep(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(RESULTS / "digits-cpu/records", here / "d/records")
    chosen = ("--where", "depth < 3", "--x", "2 * train_gflops", *FEW, "--json", "-")
    assert main.main(["compare", "d", "--by", "depth", *chosen]) == output.DONE
    found = result(capsys)
    assert [arm["name"] for arm in found["arms"]] == ["depth=1", "depth=2"]
    assert found["x"] == "2 * train_gflops"


def test_two_files_and_the_figures(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(runs / "a.csv", {"x": 0.12})
    write(runs / "b.csv", {"x": 0.15})
    both = ("compare", "a.csv", "b.csv", *OWN, "--group", "width")
    assert main.main([*both, "-o", "made/here", "--figure", "gain.pdf"]) == output.DONE
    assert "made/here/comparison.json" in capsys.readouterr().out
    assert {path.name for path in (runs / "made/here").iterdir()} == {
        *("comparison.csv", "comparison.json", "comparison.png", "comparison.svg")
    }
    assert (runs / "gain.pdf").read_bytes().startswith(b"%PDF")
    assert main.main([*both, "--json", "-"]) == output.DONE
    assert result(capsys) == json.loads((runs / "made/here/comparison.json").read_text())


@pytest.mark.slow
def test_a_sweep_against_its_own_table_by_depth(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(RESULTS / "digits-cpu/records", here / "d/records")
    assert main.main(["compare", "d", "--by", "depth", *FEW, "--json", "-"]) == output.DONE
    found = result(capsys)
    assert [arm["name"] for arm in found["arms"]] == ["depth=1", "depth=2", "depth=3"]
    assert found["contrasts"][0]["pairing"]["paired_configurations"] == 5
    assert found["y"] == "test_error"


@pytest.mark.slow
def test_a_folder_and_a_table_of_isoflop(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(RESULTS / "digits-cpu/records", here / "d/records")
    table = pd.read_csv(RESULTS / "digits-cpu/table.csv")
    table["test_error"] = np.round(table["test_error"] * 0.8 * table["test_n"]) / table["test_n"]
    table.to_csv(here / "better.csv", index=False)
    assert main.main(["compare", "d", "better.csv", *FEW, "--json", "-"]) == output.DONE
    found = result(capsys)
    assert found["contrasts"][0]["pairing"]["paired_runs"] == 45
    share = next(each for each in found["contrasts"][0]["differences"] if each["quantity"] == "ln y")
    assert share["value"] == pytest.approx(np.log(0.8), abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("runs.csv",), "runs.csv: one curve is no comparison: give a second sweep or file, or --by"),
        (("runs.csv", "none.csv"), "none.csv: no such folder or file"),
        (("runs.csv", "runs.csv", "--by", "recipe"), "--by splits one sweep or file: leave out runs.csv"),
        (("runs.csv", "runs.csv", "--baseline", "a"), "--baseline names a value of --by"),
        (("runs.csv", "--by", "recip"), "runs.csv: --by recip: no such column: did you mean recipe?"),
        (("runs.csv", "--by", "loss"), "--by loss: the column has 20 values: give one with at most 8"),
        (("runs.csv", "--by", "recipe", "--baseline", "olde"), "recipe is one of new, old"),
        (("runs.csv", "--by", "recipe", "--group", "recipe"), "--group recipe is the column of --by"),
        (
            ("runs.csv", "--by", "recipe", "--figure", "a.txt"),
            "--figure a.txt: give a name that ends in .png",
        ),
        (("runs.csv", "--by", "recipe", "--figure", "no/a.png"), "a folder that exists"),
        (("runs.csv", "--by", "recipe", "-o", "runs.csv"), "-o runs.csv: this is a file"),
        (("runs.csv", "--by", "recipe", "--json", "no/a.json"), "a folder that exists"),
        (("runs.csv", "--by", "recipe", "--law", "m4"), "law is m4: curves are compared by power_law or"),
        (("runs.csv", "--by", "recipe", "--level", "40"), "--level 40: give per cent above 50 and below 100"),
        (("runs.csv", "--by", "recipe", "--level", "99.9"), "a 99.9% interval needs at least 2000"),
        (
            ("runs.csv", "--by", "recipe", "--where", "flops < 0"),
            "runs.csv: --where flops < 0: no row is left",
        ),
        (("runs.csv", "one.csv", "--where", "recipe == 1"), "runs.csv: --where recipe == 1"),
        (("runs.csv", "--by", "recipe", "--where", "recip == 1"), "recip"),
        (("runs.csv", "--by", "recipe", "--resamples", "9"), "--resamples 9: an interval needs"),
        (("runs.csv", "--by", "recipe", "--chance", "2"), "--chance 2: give the error of guessing"),
        (("runs.csv", "one.csv"), "one.csv: loss against flops: 1 distinct compute scales"),
        (("runs.csv", "flat.csv"), "flat.csv: loss is 2 in every run"),
        (("one.csv", "--by", "recipe"), "--by recipe: the column has only the value old"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    runs: Path, error_line: Callable[[], str], arguments: tuple[str, ...], message: str
) -> None:
    table = pd.read_csv("runs.csv")
    table.head(2).to_csv("one.csv", index=False)
    table.assign(loss=2.0).to_csv("flat.csv", index=False)
    before = {path.name for path in runs.iterdir()}
    resamples = () if "--resamples" in arguments else FEW
    own = ("--x", "flops", "--y", "loss", "--seed", "seed", *resamples)
    assert main.main(["compare", *arguments, *own]) == output.INPUT
    assert message in error_line()
    assert {path.name for path in runs.iterdir()} == before


def test_options_of_a_file_are_refused_for_sweeps(here: Path, error_line: Callable[[], str]) -> None:
    (here / "a").mkdir()
    (here / "b").mkdir()
    assert main.main(["compare", "a", "b", "--group", "width"]) == output.INPUT
    assert "--group is for a table of your own" in error_line()


def test_axes_that_differ_are_refused(runs: Path, error_line: Callable[[], str]) -> None:
    shutil.copytree(RESULTS / "digits-cpu/records", runs / "d/records")
    table = pd.read_csv("runs.csv").rename(columns={"flops": "C"})[["C", "loss"]]
    table.assign(N=1.0, D=1.0).to_csv("cnd.csv", index=False)
    assert main.main(["compare", "d", "cnd.csv", *FEW]) == output.INPUT
    assert "x is train_gflops in d and C in cnd.csv: say --x" in error_line()
