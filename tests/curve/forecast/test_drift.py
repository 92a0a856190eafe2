"""The drift's likelihood, filter and smoother against the same normal distribution written out in full."""

import numpy as np
import pytest
from scipy import stats

from isoflop.curve.forecast import drift

LOG_X = np.array([-5.0, -4.2, -4.1, -2.5, -1.0, -0.9, 0.0])
NOISE = np.linspace(1, 2, 7)


def covariance(log_x, size):
    """Of the integral from the first point of an Ornstein-Uhlenbeck process of standard deviation `size`."""
    s, m = log_x - log_x[0], drift.MEMORY
    one, other = s[:, None], s[None]
    decays = np.exp(-one / m) + np.exp(-other / m) - 1 - np.exp(-np.abs(one - other) / m)
    return size**2 * m**2 * (2 * np.minimum(one, other) / m + decays)


@pytest.fixture
def points():
    generator = np.random.default_rng(3)
    size, unit = np.array([0.2, 0.6]), np.array([0.05, 0.02])
    return generator.standard_normal((2, 7)) * 0.3, size, unit


def test_the_likelihood_is_that_of_the_whole_covariance(points):
    residual, size, unit = points
    value = drift.drifting(residual, drift.modes(LOG_X, NOISE), unit, size)
    for i in range(2):
        whole = covariance(LOG_X, size[i]) + np.diag((unit[i] * NOISE) ** 2)
        expected = stats.multivariate_normal(cov=whole).logpdf(residual[i]) + 3.5 * np.log(2 * np.pi)
        assert value[i] == pytest.approx(expected, rel=1e-9)


def test_the_smoothed_path_is_the_conditional_distribution(points):
    residual, size, unit = points
    variance = (unit[:, None] * NOISE) ** 2
    path = drift.smoothed(drift.filtered(residual, LOG_X, variance, size), LOG_X, size)
    for i in range(2):
        prior = covariance(LOG_X, size[i])
        gain = prior @ np.linalg.inv(prior + np.diag(variance[i]))
        np.testing.assert_allclose(path.level[:, i], gain @ residual[i], atol=1e-9)
        np.testing.assert_allclose(path.level_variance[:, i], np.diag(prior - gain @ prior), atol=1e-9)


def test_steps_add_up():
    """Two steps are one of both lengths: keep and reach compose, and so do the variances."""
    one, two, both = drift.step(np.array([0.3])), drift.step(np.array([0.9])), drift.step(np.array([1.2]))
    assert both.keep == pytest.approx(one.keep * two.keep)
    assert both.reach == pytest.approx(one.reach + one.keep * two.reach)
    assert both.slope == pytest.approx(two.keep**2 * one.slope + two.slope)
    carried = one.level + 2 * two.reach * one.cross + two.reach**2 * one.slope
    assert both.level == pytest.approx(carried + two.level)


def test_a_wild_point_costs_no_more_than_its_share():
    clean = np.zeros((1, 5))
    wild = clean.copy()
    wild[0, 2] = 8.0**2
    fall = drift.independent(clean) - drift.independent(wild)
    assert 3 * fall < 32, "under a normal distribution it would cost 32"
    expected = np.log(1 - drift.OUTLIERS + drift.OUTLIERS / drift.OUTLIER) - np.log(
        (1 - drift.OUTLIERS) * np.exp(-32) + drift.OUTLIERS / drift.OUTLIER * np.exp(-32 / drift.OUTLIER**2)
    )
    assert fall == pytest.approx(expected)
