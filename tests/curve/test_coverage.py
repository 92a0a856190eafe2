"""Do the 95% intervals hold the truth about as often as they say? A small, seeded simulation."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from isoflop.curve import bootstrap, coverage, law_names
from isoflop.curve.laws import LAWS, PLAIN
from isoflop.curve.observations import Observations

RESAMPLES = 150


@pytest.mark.parametrize(
    ("law", "configs", "e", "simulations"),
    [("power_law_ols", 8, 0.0, 300), ("power_law_floor", 12, 0.05, 60)],
)
def test_the_interval_of_the_curve_at_x_max_covers_the_truth(law, configs, e, simulations):
    generator = np.random.default_rng(0)
    x = np.geomspace(1, 1e4, configs)
    z = np.log(x / x.max())
    truth = e + 0.6 * x**-0.3
    covered = narrow = 0
    for _ in range(simulations):
        y = truth * np.exp(0.04 * generator.standard_normal(configs))
        weights = bootstrap.resample(configs, RESAMPLES, generator)
        observed = Observations(x, y, np.arange(configs), np.ones(configs), None, None)
        parameters = LAWS[law].fit(observed, weights, PLAIN, None)
        curve = LAWS[law].predict(parameters, z[-1:])[1:, 0]
        low, high = bootstrap.interval(curve, configs, LAWS[law].free_parameters)
        covered += low <= truth[-1] <= high
        plain = np.quantile(curve, [0.025, 0.975])
        narrow += plain[0] <= truth[-1] <= plain[1]
    standard_error = np.sqrt(0.95 * 0.05 / simulations)
    assert abs(covered / simulations - 0.95) < 0.02 + 2 * standard_error
    assert narrow < covered


def test_the_table_in_the_package_is_the_stored_result():
    stored = pd.read_csv(Path(__file__).parents[2] / "results/coverage-simulated/coverage.csv")
    usual = stored[(stored["seeds"] == 3) & (stored["case"].str.count("-") == 3)]
    expected: dict[Any, Any] = {}
    for row in usual.itertuples():
        key = (law_names.current(str(row.law)), row.frontier, row.configurations)
        expected.setdefault(key, {})[row.quantity] = (row.coverage, row.intervals)
    assert expected == coverage.MEASURED


def test_a_warning_is_given_only_if_the_coverage_is_not_95_percent(monkeypatch):
    measured = {("power_law", False, 8): {"b": (0.91, 1000), "y at x_max": (0.95, 1000), "E": (0.98, 1000)}}
    monkeypatch.setattr(coverage, "MEASURED", measured)
    like = coverage.Fitted(configs=7, frontier=False, noise=0.05, repeats=3.0)
    assert "91% of 1,000" in coverage.warning("power_law", "b", like)
    assert "98% of 1,000" in coverage.warning("power_law", "E", like)
    assert coverage.warning("power_law", "y at x_max", like) is None
    assert coverage.warning("power_law", "b", dataclasses.replace(like, configs=30)) is None
    assert coverage.warning("m4", "b", like) is None


@pytest.mark.parametrize(
    "change",
    [{"configs": 5}, {"noise": 0.02}, {"noise": 0.2}, {"repeats": 1.0}, {"level": 0.9}, {"usual": False}],
    ids=str,
)
def test_no_warning_where_no_simulated_sweep_resembles_the_data(monkeypatch, change):
    monkeypatch.setattr(coverage, "MEASURED", {("power_law", False, 8): {"b": (0.91, 1000)}})
    like = coverage.Fitted(configs=8, frontier=False, noise=0.058, repeats=3.0)
    assert coverage.warning("power_law", "b", like) is not None
    assert coverage.warning("power_law", "b", dataclasses.replace(like, **change)) is None
