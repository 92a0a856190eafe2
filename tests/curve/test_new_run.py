"""The interval of a new run: as wide as y is noisy where it lies."""

from __future__ import annotations

import numpy as np
import pytest

from isoflop.curve import new_run

X = np.tile(np.geomspace(1.0, 1e4, 40), 10)
CURVE = np.log(0.6 * X**-0.4)
TRIALS = np.full(X.shape, 2000.0)


def counted(misfit: float) -> np.ndarray:
    generator = np.random.default_rng(0)
    share = np.exp(CURVE + generator.normal(0, misfit, X.shape))
    return np.log(generator.binomial(2000, share) / 2000)


def test_under_counts_the_interval_widens_where_errors_are_few() -> None:
    scatter = new_run.about(counted(0.03), CURVE, TRIALS, 2)
    at = np.log([0.6, 0.015])
    expected = np.sqrt(0.03**2 + (1 - np.exp(at)) / (2000 * np.exp(at)))
    assert scatter.deviation(at) == pytest.approx(expected, rel=0.15)
    assert scatter.standard.std() == pytest.approx(1.0, rel=0.1)
    low, high = new_run.new_run(np.tile(at, (4000, 1)), scatter, 400, 2, seed=0)
    assert high - low == pytest.approx(2 * 1.96 * expected, rel=0.2)


def test_without_counts_residuals_are_as_they_were() -> None:
    noise = np.random.default_rng(1).normal(0, 0.07, X.shape)
    scatter = new_run.about(CURVE + noise, CURVE, None, 2)
    assert np.array_equal(scatter.standard, CURVE + noise - CURVE)
    low, high = new_run.new_run(np.zeros((4000, 3)), scatter, 400, 2, seed=0)
    assert high - low == pytest.approx(2 * 1.96 * 0.07, rel=0.1)
    assert len(set(high)) == 1, "one residual a curve: the band is smooth"
