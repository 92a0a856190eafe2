import numpy as np
import pytest
from scipy import stats

from isoflop.curve import bootstrap


def test_the_first_row_is_the_sample_and_every_unit_stays_in_every_resample():
    weights = bootstrap.resample(8, 500, np.random.default_rng(0))
    assert weights.shape == (501, 8)
    assert np.all(weights[0] == 1)
    assert np.all(weights > 0)
    assert weights.mean(axis=1) == pytest.approx(1.0)


def test_weights_vary_as_those_of_the_bayesian_bootstrap():
    weights = bootstrap.resample(8, 40_000, np.random.default_rng(0))[1:]
    assert weights.var() == pytest.approx(7 / 9, rel=0.02)


def test_the_same_seed_gives_the_same_resamples():
    first, second = (bootstrap.resample(8, 50, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)


def test_a_mean_of_few_normal_values_gets_the_interval_of_student():
    values = np.random.default_rng(1).standard_normal(6)
    weights = bootstrap.resample(6, 200_000, np.random.default_rng(0))[1:]
    low, high = bootstrap.interval(weights @ values / 6, 6, 1)
    half = stats.t.ppf(0.975, 5) * values.std(ddof=1) / np.sqrt(6)
    assert high - low == pytest.approx(2 * half, rel=0.05)


def test_stretched_on_a_log_scale_what_is_above_0_stays_there():
    draws = np.random.default_rng(0).lognormal(0.0, 1.0, 999)
    assert bootstrap.interval(draws, 5, 2)[0] < 0
    low, high = bootstrap.interval(draws, 5, 2, logarithm=True)
    plain = bootstrap.interval(np.log(draws), 5, 2)
    assert (low, high) == pytest.approx(tuple(np.exp(plain)))


def test_many_configurations_need_no_stretch():
    assert bootstrap.stretch(10**6, 2) == pytest.approx(1.0, abs=1e-4)
    low, high = bootstrap.interval(np.arange(1.0, 1000.0), 10**6, 2)
    assert (low, high) == pytest.approx((25.0, 975.0), rel=1e-3)


def test_three_configurations_tell_nothing():
    assert not bootstrap.enough_configs(3, 2)
    assert bootstrap.enough_configs(4, 2)
    assert not bootstrap.enough_configs(3, 3)
    assert bootstrap.stretch(3, 2) == 1.0
