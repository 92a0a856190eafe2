import numpy as np
import pytest
from scipy import stats

from isoflop.curve import bootstrap


def one_scale_each(scale):
    return scale[:, None] == np.unique(scale)


def test_a_configuration_with_several_horizons_brings_all_its_scales():
    has_scale = np.array([[True, True, True, False], [False, False, False, True]])
    counts, redrawn = bootstrap.resample(has_scale, 200, np.random.default_rng(0))
    assert np.all(counts[:, 0] > 0), "the second configuration alone has one scale"
    assert redrawn > 0


def test_each_resample_draws_as_many_configurations_as_there_are_and_sees_three_scales():
    scale = np.array([0, 0, 0, 0, 1, 2])
    counts, redrawn = bootstrap.resample(one_scale_each(scale), 500, np.random.default_rng(0))
    assert np.all(counts.sum(axis=1) == 6)
    seen = np.stack([counts[:, scale == s].sum(axis=1) > 0 for s in range(3)])
    assert seen.all()
    assert redrawn > 0


def test_scales_need_not_be_numbered_in_the_order_of_the_configurations():
    scale = np.array([2, 0, 1, 2, 0, 1, 0])
    counts, _ = bootstrap.resample(one_scale_each(scale), 300, np.random.default_rng(1))
    assert all(len(set(scale[row > 0])) == 3 for row in counts)


def test_the_same_seed_gives_the_same_resamples():
    scale = np.arange(8)
    first, second = (
        bootstrap.resample(one_scale_each(scale), 50, np.random.default_rng(3))[0] for _ in range(2)
    )
    assert np.array_equal(first, second)


def test_the_tail_of_few_configurations_is_that_of_the_expanded_percentile():
    expected = stats.norm.cdf(-stats.t.ppf(0.975, 8) * np.sqrt(10 / 8))
    assert bootstrap.tail(10, 2) == pytest.approx(expected, rel=1e-9)
    assert bootstrap.tail(10**6, 2) == pytest.approx(0.025, rel=1e-4)


def test_three_configurations_tell_nothing():
    assert not bootstrap.tells(3, 2)
    assert bootstrap.tells(4, 2)
    assert not bootstrap.tells(3, 3)
