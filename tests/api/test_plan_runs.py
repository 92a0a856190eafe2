"""Plans of a sweep, of a table and of nothing: their runs, their files, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import isoflop
from isoflop import extras
from isoflop import record as records
from isoflop.api import planned_shapes, sweeping
from isoflop.api.plan_runs import PlannedSweep
from isoflop.cli import main
from isoflop.plan import recipe, sweep_file
from isoflop.plan.proposal import PlannedRuns
from isoflop.sweep import grid

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "results/digits-cpu"


@pytest.fixture(scope="module")
def digits() -> PlannedSweep:
    return isoflop.plan_runs(DIGITS, budget="1cpumin", resamples=100)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """loss = 1.7 + 8 (C / 1e17)^-0.3 at nine computes, two seeds each."""
    flops = np.repeat(np.geomspace(1e17, 1e20, 9), 2)
    noise = np.random.default_rng(0).standard_normal(18)
    return pd.DataFrame(
        {
            "flops": flops,
            "loss": (1.7 + 8 * (flops / 1e17) ** -0.3) * np.exp(0.01 * noise),
            "params": (flops / 120) ** 0.5,
            "tokens": (flops / 6 * 20) ** 0.5,
            "lane": [f"c{i // 2}" for i in range(18)],
        }
    )


OWN: dict[str, Any] = {"x": "flops", "x_unit": "FLOP", "y": "loss", "group": "lane", "resamples": 100}


def test_the_plan_is_within_its_budget_and_better_than_its_rivals(digits: PlannedSweep) -> None:
    result = digits.result
    planned, *rivals = result.designs
    assert result.budget_amount == 60.0
    assert 0 < planned.amount <= 60.0
    assert planned.amount == pytest.approx(sum(each.amount for each in result.runs))
    assert planned.runs == sum(len(each.seeds) for each in result.runs)
    assert [each.design for each in rivals] == ["uniform grid", "own grid again", "largest runs"]
    assert planned.width_ratio is not None
    for rival in rivals:
        assert rival.amount <= 60.0 * (1 + 1e-9)
        assert rival.width_ratio is not None
        assert planned.width_ratio < rival.width_ratio <= 1.0
    before, after = result.before, planned.after
    assert before is not None
    assert after is not None
    assert (after.high - after.low) / (before.high - before.low) == pytest.approx(planned.width_ratio)


def test_costs_of_seeds_are_those_that_were_measured(digits: PlannedSweep) -> None:
    rows = isoflop.load(DIGITS)
    checked = 0
    for each in digits.result.runs:
        same = rows[(rows.width == each.width) & (rows.depth == each.depth)]
        if same.empty:
            continue
        checked += 1
        seen = each.examples[-1]
        assert seen is not None
        per_example = (same.train_gflops / same.examples_seen).median()
        assert each.train_gflops[-1] / seen == pytest.approx(per_example, rel=1e-6)
        seconds = (same.train_seconds / same.examples_seen).median()
        assert each.amount / len(each.seeds) / seen == pytest.approx(seconds, rel=0.5)
        assert each.new or not set(each.seeds) & set(same.seed)
    assert checked


def test_the_sweep_file_has_the_recipe_of_the_source(digits: PlannedSweep, tmp_path: Path) -> None:
    paths = digits.save(tmp_path)
    assert paths[0].name == "next.yaml"
    known = {records.read(path).config_id for path in (DIGITS / "records").glob("[!.]*.json")}
    planned = [each for each in digits.result.runs if not each.lr_factors]
    runs = grid.expand(sweeping.compose_sweep(["sweep=next"], str(tmp_path)))
    assert len(runs) == sum(len(each.seeds) for each in planned)
    again = {each.config_id for run in runs if (each := run.config).config_id in known}
    assert len(again) == sum(not each.new for each in planned)
    assert not {run.run_id for run in runs} & {path.stem for path in (DIGITS / "records").iterdir()}


def test_shapes_whose_rate_is_searched_stand_in_a_file_with_the_grid(tmp_path: Path) -> None:
    rows = isoflop.load(DIGITS)
    made = recipe.of_folder(DIGITS, list(rows["run_id"]))
    runs = PlannedRuns("", 32, 1, 1.0, None, None, (), (), (0, 1), recipe.FACTORS, True, 0.0)
    text = sweep_file.text(made, [(runs, 0)], "wide", "isoflop sweep", ())
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/wide.yaml").write_text(text)
    composed = sweeping.compose_sweep(["sweep=wide"], str(tmp_path))
    assert composed.sweep.lr_grid == recipe.FACTORS
    assert [(run.config.model.width, run.config.seed) for run in grid.expand(composed)] == [(32, 0), (32, 1)]


def test_a_table_gets_amounts_of_compute(table: pd.DataFrame) -> None:
    made = isoflop.plan_runs(table, budget="5e19flop", goal="loss=2", **OWN)
    assert made.result.files == ()
    assert made.result.kind == "train_gflops"
    assert made.runs["train_gflops"].sum() <= 5e10
    assert made.runs["amount"].sum() == pytest.approx(made.designs["amount"][0])
    assert json.loads(made.to_json())["designs"][0]["design"] == "planned"
    nearer = isoflop.plan_runs(table, budget="5e20flop", goal="loss=2", **OWN)
    assert nearer.result.designs[0].width_ratio < made.result.designs[0].width_ratio


def test_the_command_says_the_same(
    digits: PlannedSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["plan", str(DIGITS), "--budget", "1cpumin", "--resamples", "100"]
    assert main.main([*arguments, "--json", "-"]) == 0
    said = json.loads(capsys.readouterr().out)
    ours = json.loads(digits.to_json())
    assert said["designs"] == ours["designs"]
    assert said["runs"] == ours["runs"]
    assert not (DIGITS / "plan").exists()
    assert main.main([*arguments, "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert f"--config-dir {tmp_path} sweep=next" in shown
    assert (tmp_path / "sweep/next.yaml").is_file()
    assert all(
        len(line) <= 120 for line in shown.splitlines() if not line.startswith(("note", "train", "written"))
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--budget", "0gpuh"], "--budget 0gpuh: it buys no run: give a number above 0"),
        (["--budget", "5parsec"], "--budget 5parsec: unknown unit parsec"),
        (["--budget", "1e-6cpuh"], "it buys no run: the cheapest takes"),
        (["--budget", "5usd"], "no price was chosen"),
        ([], "give --budget, such as --budget 20gpuh, or --minutes"),
        (["--minutes", "0"], "--minutes 0: it buys no run"),
        (["--minutes", "1", "--goal", "slope"], "--goal slope: give exponent, irreducible_error"),
        (["--minutes", "1", "--goal", "error=1.5"], "--goal error=1.5: an error is a fraction below 1"),
        (["--minutes", "1", "--goal", "error=0.001"], "--goal error=0.001: below the irreducible error"),
        (["--minutes", "1", "--device", "zx81"], "--device zx81: no run was on it"),
        (["--minutes", "1", "data=cifar10"], "have their own recipe"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["plan", str(DIGITS), "--resamples", "100", *arguments]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert not (DIGITS / "plan").exists()


def test_one_scale_is_no_source(table: pd.DataFrame) -> None:
    one = table[table["lane"] == "c3"]
    with pytest.raises(ValueError, match=r"scale|distinct"):
        isoflop.plan_runs(one, budget="1e19flop", **OWN)
    with pytest.raises(ValueError, match="overrides"):
        isoflop.plan_runs(table, budget="1e19flop", overrides=["data=digits"], **OWN)


def test_a_first_sweep_needs_a_rate_and_no_curve(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["plan", "data=cifar10", "--minutes", "10", "--goal", "error=0.1"]) == 2
    assert "without a run there is no curve" in capsys.readouterr().err


def test_a_first_sweep_is_made_of_counted_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def count(_: recipe.Recipe, shapes: Sequence[recipe.Shape]) -> dict[recipe.Shape, tuple[float, float]]:
        return {(w, d): (1e-6 * (w + (d or 0) * w**2), 896.0) for w, d in shapes}

    monkeypatch.setattr(planned_shapes, "count", count)
    monkeypatch.setattr(extras, "check", lambda *_: None)
    made = isoflop.plan_runs(minutes=0.05, device="h100", overrides=["data=digits"])
    result = made.result
    assert result.before is None
    assert result.designs[0].amount <= 3.0
    assert result.designs[0].deviation < result.designs[2].deviation
    made.save(tmp_path)
    runs = grid.expand(sweeping.compose_sweep(["sweep=first-digits"], str(tmp_path)))
    assert len(runs) == result.designs[0].runs
