"""Trends with size: recovered from known ones, bounded, and wider where nothing was measured."""

import numpy as np
import pytest

from isoflop.plan.trend import power_trend, rate_trend

SIZES = np.geomspace(1e-2, 1e2, 9)
MOST, OVERHEAD = 400.0, 0.01
RATES = 1 / (1 / MOST + OVERHEAD / SIZES)


def test_a_line_in_logarithms_is_recovered_and_widens_away_from_its_points() -> None:
    x = np.geomspace(1.0, 1e6, 12)
    noise = 0.1 * np.random.default_rng(0).standard_normal(12)
    found = power_trend(x, 3.0 * x**0.5 * np.exp(noise), 0.95)
    assert found is not None
    assert found.slope == pytest.approx(0.5, abs=0.02)
    near, far = found.at(1e3), found.at(1e12)
    assert near.low is not None
    assert near.high is not None
    assert far.low is not None
    assert far.high is not None
    assert near.low < 3.0 * 1e3**0.5 < near.high
    assert far.high / far.low > near.high / near.low
    assert power_trend(x[:2], x[:2], 0.95) is None


def test_the_overhead_and_the_rate_of_large_models_are_recovered() -> None:
    found = rate_trend(SIZES, RATES, None, 0.95)
    assert found is not None
    assert (found.most, found.overhead) == pytest.approx((MOST, OVERHEAD), rel=1e-3)
    assert found.at(1e4).value == pytest.approx(1 / (1 / MOST + OVERHEAD / 1e4), rel=1e-3)


def test_no_rate_exceeds_the_ceiling_and_beyond_the_largest_size_the_interval_reaches_it() -> None:
    rising = 3.0 * SIZES**0.8  # not saturating within the sizes
    found = rate_trend(SIZES, rising, 200.0, 0.95)
    assert found is not None
    far = found.at(1e9)
    assert far.value is not None
    assert far.low is not None
    assert far.value <= 200.0
    assert far.high == pytest.approx(200.0)
    largest = found.at(float(SIZES[-1])).value
    assert largest is not None
    assert far.low <= largest


def test_runs_of_one_size_count_once_and_unknown_ones_not() -> None:
    size = np.r_[SIZES, SIZES[0], SIZES[0], 5.0]
    rate = np.r_[RATES, RATES[0], RATES[0], np.nan]
    one, many = rate_trend(SIZES, RATES, None, 0.95), rate_trend(size, rate, None, 0.95)
    assert one is not None
    assert many is not None
    assert many.sizes == len(SIZES)
    assert many.most == pytest.approx(one.most)
    assert rate_trend(np.array([1.0]), np.array([np.nan]), None, 0.95) is None


@pytest.mark.parametrize("sizes", [(2.0, 2.0), (2.0, 3.0)])
def test_under_three_sizes_give_their_rate_with_no_interval_but_the_bound(sizes: tuple[float, float]) -> None:
    for bound in (50.0, None):
        found = rate_trend(np.array(sizes), np.array([10.0, 10.0]), bound, 0.95)
        assert found is not None
        for size in (2.0, 20.0):
            at = found.at(size)
            assert (at.value, at.low, at.high) == (pytest.approx(10.0), None, bound)


def test_another_device_has_the_same_share_of_its_peak() -> None:
    found = rate_trend(SIZES, RATES, 500.0, 0.95)
    assert found is not None
    twice = found.scaled(2.0)
    for size in (1e-3, 1.0, 1e3):
        here, there = found.at(size), twice.at(size)
        assert here.value is not None
        assert there.value is not None
        assert there.value == pytest.approx(2 * here.value)
    assert twice.bound == 1000.0


def test_an_end_that_no_number_holds_is_open() -> None:
    """Four sizes about a line that they hardly follow: far away the interval is wider than any number."""
    trend = power_trend(np.array([1.0, 1.01, 1.02, 1.03]), np.array([1.0, 9.0, 0.2, 5.0]), 0.95)
    assert trend is not None
    far = trend.at(1e6)
    assert (far.low, far.high) == (None, None)
    assert trend.at(1.015).low is not None
