"""What follows from joules is as good as their grade: in fits, comparisons and joint laws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isoflop.config import costs
from isoflop.curve import graded, points
from isoflop.curve.joint import resources
from isoflop.table import pricing

ENERGY, HOURS, FLOPS = costs.load(["us_2023"]), costs.load(["aws_h100_2023"]), costs.load(["paper"])


@pytest.fixture
def table() -> pd.DataFrame:
    """Eight runs, the fifth of which has joules of grade D."""
    x = np.logspace(0, 3, 8)
    return pd.DataFrame(
        {
            "run_id": [f"r{i}" for i in range(8)],
            "config_id": [f"c{i}" for i in range(8)],
            "train_gflops": x,
            "energy_joules": 100 * x,
            "own_joules": 99 * x,
            "train_seconds": 10 * x,
            "energy_grade": ["A", "A", "A", "A", "D", "A", "A", "A"],
            "test_error": 0.5 * x**-0.2,
        }
    )


@pytest.mark.parametrize("x", ["energy_joules", "own_joules", "dollars", "grams_co2"])
def test_a_grade_that_excludes_a_run_from_joules_excludes_it_from_their_price(
    table: pd.DataFrame, x: str
) -> None:
    chosen = points.select(pricing.price_rows(table, ENERGY), x, "test_error")
    assert [(each.run_id, each.reason) for each in chosen.excluded] == [("r4", "energy graded D, below C")]
    every = points.select(pricing.price_rows(table, ENERGY), x, "test_error", least_energy_grade="D")
    assert len(every.run_ids) == 8


@pytest.mark.parametrize("prices", [HOURS, FLOPS])
def test_a_price_of_hours_or_flops_has_no_grade(table: pd.DataFrame, prices: costs.Prices) -> None:
    assert points.select(pricing.price_rows(table, prices), "dollars", "test_error").excluded == ()


def test_a_price_that_is_calculated_with_keeps_its_grade(table: pd.DataFrame) -> None:
    priced = pricing.price_rows(table, ENERGY)
    assert graded.of_energy(priced.assign(**{"dollars * 2": 1.0}), "dollars * 2").all()


def test_prices_that_differ_between_runs_are_no_one_axis(table: pd.DataFrame) -> None:
    halves = (pricing.price_rows(table[:4], ENERGY), pricing.price_rows(table[4:], HOURS))
    mixed = pd.concat(halves, ignore_index=True)
    with pytest.raises(ValueError, match=r"mixed prices .*Price them alike by --cost"):
        points.select(mixed, "dollars", "test_error")
    assert len(points.select(mixed, "train_gflops", "test_error").run_ids) == 8


def test_runs_of_several_machines_have_one_price_by_flops_only(table: pd.DataFrame) -> None:
    two = table.assign(device=["a", "b"] * 4, energy_grade="A")
    assert len(points.select(pricing.price_rows(two, FLOPS), "dollars", "test_error").run_ids) == 8
    with pytest.raises(ValueError, match="mixed devices"):
        points.select(pricing.price_rows(two, HOURS), "dollars", "test_error")


def test_a_joint_law_takes_no_price_of_joules(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    table.to_csv(path, index=False)
    options = {"n": "train_gflops", "d": "train_seconds", "compute": "dollars", "y": "test_error"}
    with pytest.raises(ValueError, match="dollars is priced by joules, which are graded"):
        resources.read_resources(path, ("n", "d"), options, prices=ENERGY)
