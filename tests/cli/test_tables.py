"""Tables as they are: conditions, expressions, groups, levels, held parameters, draws, and a first screen."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.cli import main, output
from isoflop.cli.terminal import console

FEW = ("--resamples", "100", "--laws", "power_law,power_law_floor")
EXPONENT = {"c4": 0.12, "pile": 0.2}


@pytest.fixture
def table(tmp_path: Path) -> str:
    """Two data sets with exponents of their own, two seeds a size, one outlier, and one unknown data set."""
    rows: list[tuple[object, ...]] = []
    noise = np.random.default_rng(0).standard_normal(100)
    for data, b in EXPONENT.items():
        for i, params in enumerate(np.geomspace(1e6, 1e9, 10)):
            for seed in (0, 1):
                wrong = 0.5 * 10 ** (-0.6 * i * b) * math.exp(0.02 * noise[len(rows)])
                rows.append((f"r{len(rows)}", data, params, 20 * params, 1 - wrong, seed, len(rows) == 3))
    rows.append(("last", "", 1e6, 2e7, 0.5, 0, False))
    frame = pd.DataFrame(rows, columns=["name", "data set", "params", "tokens", "acc1", "seed", "outlier"])
    path = tmp_path / "runs.csv"
    frame.to_csv(path, index=False)
    return str(path)


AXES = ("--x", "6 * params * tokens", "--y", "1 - acc1", "--seed", "seed")
GROUPED = (*AXES, "--group", "params,data set")


@pytest.fixture
def fitted(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """fitted(*command) -> the JSON of isoflop fit."""

    def run(*command: str) -> Any:
        assert main.main(["fit", *command, "--json", "-"]) == output.DONE
        return json.loads(capsys.readouterr().out)

    return run


def exponent(report: dict[str, Any]) -> dict[str, Any]:
    """The exponent b of the power law."""
    (law,) = [fit for fit in report["fits"] if fit["law"] == "power_law"]
    (b,) = [each for each in law["parameters"] if each["name"] == "b"]
    found: dict[str, Any] = b
    return found


def test_where_and_expressions_fit_one_part_of_a_table(table: str, fitted: Callable[..., Any]) -> None:
    (report,) = fitted(table, *AXES, *FEW, "--where", "`data set` == 'c4' and not outlier")["reports"]
    assert (report["x"], report["y"], report["points"]) == ("6 * params * tokens", "1 - acc1", 19)
    assert exponent(report)["value"] == pytest.approx(
        0.9 * EXPONENT["c4"], rel=0.05
    )  # C grows by 10^(2/3) a step
    assert report["warnings"][0] == (
        "--where `data set` == 'c4' and not outlier: 19 of 41 rows; "
        "1 without a value that decides are left out"
    )


def test_by_fits_each_group_alone_and_names_what_is_in_none(table: str, fitted: Callable[..., Any]) -> None:
    result = fitted(table, *AXES, *FEW, "--by", "data set")
    assert [(each["value"], each["rows"]) for each in result["groups"]] == [("c4", 20), ("pile", 20)]
    first, second = (exponent(each["fit"]["reports"][0]) for each in result["groups"])
    assert first["interval"]["high"] < second["interval"]["low"]
    assert result["excluded"][-1] == {"run_id": "last", "reason": "data set is unknown: it is in no group"}
    alone = fitted(table, *AXES, *FEW, "--where", "`data set` == 'pile'")["reports"][0]
    assert exponent(alone) == second


def test_a_group_that_where_empties_is_named(table: str, fitted: Callable[..., Any]) -> None:
    result = fitted(table, *AXES, *FEW, "--by", "data set", "--where", "`data set` != 'pile'")
    assert [each["value"] for each in result["groups"]] == ["c4"]
    assert result["unfitted"] == [{"run_id": "data set pile", "reason": "no row of it is left"}]


def test_groups_are_compared_on_the_terminal(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["fit", table, *AXES, *FEW, "--by", "data set"]) == output.DONE
    text = capsys.readouterr().out
    assert "2 groups of data set: 1 - acc1 against 6 * params * tokens" in text
    assert [line.split()[0] for line in text.splitlines() if " power_law " in line] == ["c4", "pile"]


def test_the_level_of_intervals_is_what_is_asked_for(
    table: str, fitted: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    command = (table, *AXES, *FEW, "--where", "`data set` == 'c4'")
    usual, narrow = (fitted(*command, *more)["reports"][0] for more in ((), ("--level", "80")))
    assert (usual["level"], narrow["level"]) == (0.95, 0.8)
    wide, less = (exponent(report)["interval"] for report in (usual, narrow))
    assert wide["low"] < less["low"] < less["high"] < wide["high"]
    assert main.main(["fit", *command, "--level", "80"]) == output.DONE
    text = capsys.readouterr().out
    assert "b (80%)" in text
    assert "95%" not in text.replace("95% intervals", "")


def test_draws_hold_what_the_report_says(table: str, tmp_path: Path, fitted: Callable[..., Any]) -> None:
    file = tmp_path / "draws.csv"
    (report,) = fitted(table, *AXES, *FEW, "--where", "`data set` == 'c4'", "--draws", str(file))["reports"]
    draws = pd.read_csv(file)
    b = draws[(draws["law"] == "power_law") & (draws["name"] == "b")]
    assert b["draw"].tolist() == list(range(101))
    assert b["value"].iloc[0] == exponent(report)["value"]
    of_law = draws[draws["law"] == "power_law"].set_index("name")
    residual, predicted = (of_law[of_law["kind"] == kind]["value"] for kind in ("residual", "prediction"))
    assert len(residual) == len(predicted) == report["points"]
    rmse = float((residual / math.log(10)).pow(2).mean()) ** 0.5
    assert rmse == pytest.approx(report["fits"][0]["log10_rmse"])
    assert predicted["r0"] * math.exp(residual["r0"]) == pytest.approx(1 - pd.read_csv(table)["acc1"][0])


def test_a_frontier_is_judged_on_what_was_held_out_of_it(table: str, fitted: Callable[..., Any]) -> None:
    (report,) = fitted(
        *(
            table,
            *GROUPED,
            *FEW,
            "--frontier",
            "--hold-out",
            "params > 1.5e8",
            "--where",
            "`data set` == 'c4'",
        )
    )["reports"]
    held = report["held_out"]
    assert (held["law"], held["runs"]) == ("power_law_floor", 6)
    assert held["log_rmse"] < 0.1


def test_the_first_screen_has_24_lines_of_80_columns(
    table: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.OUT, "width", 80)
    assert main.main(["fit", table, *AXES, "--resamples", "100"]) == output.DONE
    lines = capsys.readouterr().out.splitlines()
    assert sum(max(1, math.ceil(len(line) / 80)) for line in lines) < 24
    assert lines[1].startswith("bends: no single exponent describes it")
    assert any(line.startswith("forecast at 10x: ") for line in lines)
    assert any(line.startswith("note: ") for line in lines)
    assert "--full: alpha, errors, rows left out" in lines[-2]
    assert lines[-1].startswith("check: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--where", "params > 1e12"), "no row is left: params is from 1e+06 to 1e+09"),
        (("--where", "nope == 1"), "--where nope == 1: no column nope"),
        (("--where", "log10(params) > 7"), "a call is not taken"),
        (("--where", "params.real > 7"), "an attribute is not taken"),
        (("--by", "nope"), "--by nope: no such column"),
        (("--by", "name"), "--by name: none of 41 groups can be fitted"),
        (("--level", "0.9"), "--level 0.9: give per cent above 50 and below 100"),
        (("--level", "99.9"), "a 99.9% interval needs at least 2000"),
        (("--fix", "E"), "--fix E: give NAME=NUMBER"),
        (("--fix", "E=x"), "--fix E=x: give NAME=NUMBER"),
        (("--fix", "E=0.9"), "--fix E=0.9: outside its bounds, 0 to below"),
        (("--fix", "Q=1"), "--fix Q=1: no such parameter: what can be fixed is"),
        (("--draws", "draws.txt"), "--draws draws.txt: give a file that ends in .csv or .parquet"),
        (("--hold-out", "params > 1e12"), "no row is held out: params is from"),
    ],
)
def test_bad_input_is_one_line(
    table: str, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["fit", table, *AXES, *FEW, *options]) == output.INPUT
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([0.5] * 6, "error is 0.5 in every run: there is no fall to fit"),
        ([0.9] * 6, "at chance (0.9)"),
        ([0.5, 0.4], "2 distinct compute scales in 2 usable runs"),
    ],
)
def test_errors_that_do_not_differ_or_are_at_chance_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[float], message: str
) -> None:
    path = tmp_path / "flat.csv"
    pd.DataFrame({"flops": 10.0 ** np.arange(len(wrong)), "error": wrong}).to_csv(path, index=False)
    assert main.main(["fit", str(path), "--x", "flops", "--y", "error", "--chance", "0.9"]) == output.INPUT
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("rows", [3, 4, 5])
def test_three_to_five_rows_are_fitted_and_said_to_be_few(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: int
) -> None:
    path = tmp_path / "few.csv"
    x = 10.0 ** np.arange(rows)
    pd.DataFrame({"flops": x, "loss": 3 * x**-0.1}).to_csv(path, index=False)
    assert main.main(["fit", str(path), "--x", "flops", "--y", "loss", "--resamples", "100"]) == output.DONE
    assert f"{rows} configurations, under 10" in capsys.readouterr().out
