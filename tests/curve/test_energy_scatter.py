"""Joules are fitted without weights: what that costs, by simulation, and where the fit says so."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isoflop.curve import energy_scatter, points

N, SIMULATIONS = 24, 4000
LOG_X = np.linspace(0, math.log(1000), N)  # three decades
GRADES = ["A", "C"] * (N // 2)
BOUND = np.array([energy_scatter.BOUNDS[grade] for grade in GRADES])


def slopes(b: float, scatter: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exponents of simulated sweeps without and with the best weights; standard errors of the first."""
    rng = np.random.default_rng(3)
    x = LOG_X + rng.uniform(-1, 1, (SIMULATIONS, N)) * BOUND
    y = -b * LOG_X + scatter * rng.standard_normal((SIMULATIONS, N))
    weights = 1 / (scatter**2 + b**2 * BOUND**2 / 3)
    equal, best = (
        -np.array([np.polyfit(*xy, 1, w=w)[0] for xy in zip(x, y, strict=True)])
        for w in (None, np.sqrt(weights))
    )
    d = x - x.mean(axis=1, keepdims=True)
    residuals = y - y.mean(axis=1, keepdims=True) + equal[:, None] * d
    errors = np.sqrt((residuals**2).sum(axis=1) / (N - 2) / (d**2).sum(axis=1))
    return equal, best, errors


@pytest.mark.parametrize("b", [0.1, 0.3])
@pytest.mark.parametrize("scatter", [0.03, 0.1])
def test_beside_the_scatter_of_real_sweeps_weights_are_a_trifle(b: float, scatter: float) -> None:
    equal, best, errors = slopes(b, scatter)
    assert equal.std() < 1.05 * best.std()
    assert equal.mean() == pytest.approx(b, rel=0.002), "errors of x flatten the slope, by next to nothing"
    covered = np.abs(equal - b) < 2.074 * errors  # Student's t with 22 degrees of freedom
    assert covered.mean() == pytest.approx(0.95, abs=0.01), "the residuals hold the error of x"


def test_where_the_law_is_steep_and_nothing_scatters_weights_would_matter() -> None:
    equal, best, _ = slopes(0.5, 0.004)
    assert equal.std() > 1.5 * best.std()


@pytest.mark.parametrize(("b", "scatter"), [(0.1, 0.03), (0.3, 0.03), (0.3, 0.01), (0.5, 0.01)])
def test_the_widening_is_that_of_the_simulation(b: float, scatter: float) -> None:
    equal, best, _ = slopes(b, scatter)
    rng = np.random.default_rng(5)
    y = -b * LOG_X + rng.standard_normal((300, N)) * np.sqrt(scatter**2 + b**2 * BOUND**2 / 3)
    computed = np.median([energy_scatter.widening(LOG_X, each, BOUND / math.sqrt(3)) for each in y])
    assert computed == pytest.approx(equal.std() / best.std(), rel=0.08)


def test_without_errors_of_x_or_with_equal_ones_weights_change_nothing() -> None:
    y = -0.3 * LOG_X + 0.02 * np.random.default_rng(1).standard_normal(N)
    for errors in (0.0, 0.05):
        assert energy_scatter.widening(LOG_X, y, np.full(N, errors)) == pytest.approx(1)
    exact = -0.3 * LOG_X
    assert energy_scatter.widening(LOG_X, exact, np.zeros(N)) == 1
    assert energy_scatter.widening(LOG_X, exact, np.array([0.0] * 12 + [0.05] * 12)) == math.inf


def test_the_standard_errors_are_those_of_the_normal_equations() -> None:
    """Errors of the largest x alone, so that weights move the mean; residuals that are those errors only."""
    errors = np.where(LOG_X > 4, 0.06, 0.02)
    line = np.column_stack([np.ones(N), LOG_X])
    signs = np.random.default_rng(4).choice([-1.0, 1.0], N)
    y = -0.5 * LOG_X + 0.03 * signs
    b = -np.linalg.lstsq(line, y, rcond=None)[0][1]
    residuals = y - line @ np.linalg.lstsq(line, y, rcond=None)[0]
    v = residuals @ residuals / (N - 2) - b**2 * (errors**2).mean() + b**2 * errors**2
    inverse = np.linalg.inv(line.T @ line)
    equal = (inverse @ (line.T * v) @ line @ inverse)[1, 1]
    best = np.linalg.inv((line.T / v) @ line)[1, 1]
    assert energy_scatter.widening(LOG_X, y, errors) == pytest.approx(math.sqrt(equal / best), rel=1e-9)
    assert equal > 1.05 * best


def noisy(scatter: float) -> np.ndarray:
    return -0.5 * LOG_X + scatter * np.random.default_rng(2).standard_normal(N)


def test_the_fit_says_where_low_grades_could_matter() -> None:
    (warning,) = energy_scatter.warnings(LOG_X, noisy(0.004), GRADES)
    assert "joules of grade C may be off by 10%" in warning
    assert warning.endswith("compare with --energy-grade A")
    factor = energy_scatter.widening(LOG_X, noisy(0.004), BOUND / math.sqrt(3))
    assert f"may be {factor:.2g} times that of a weighted fit" in warning
    assert energy_scatter.widening(LOG_X, noisy(0.04), BOUND) > energy_scatter.MATTERS
    assert energy_scatter.warnings(LOG_X, noisy(0.04), GRADES) == [], "a bound is no standard error"
    assert energy_scatter.warnings(LOG_X, noisy(0.1), GRADES) == []
    assert energy_scatter.warnings(LOG_X, noisy(0.004), ["A", "B"] * 12) == [], "one bound"
    assert energy_scatter.warnings(LOG_X, noisy(0.004), ["C"] * N) == [], "nothing to compare with"
    assert energy_scatter.warnings(LOG_X, noisy(0.004), ["C", ""] * 12) == [], "not of a record"
    (warning,) = energy_scatter.warnings(LOG_X, noisy(0.1), ["B", "D"] * 12)
    assert "50% of the runs have joules of grade D, whose error has no bound" in warning


def test_only_an_axis_of_joules_has_it(make_table):
    x = np.exp(LOG_X)
    table = make_table(x, 0.5 * x**-0.5).assign(
        energy_joules=x * (1 + BOUND * np.tile([0, 0, 1, -1], N // 4))
    )
    table = table.assign(energy_grade=GRADES)
    assert any(
        "grade C may be off" in w for w in points.select(table, "energy_joules", "test_error").warnings
    )
    assert not any("grade C" in w for w in points.select(table, "train_gflops", "test_error").warnings)
