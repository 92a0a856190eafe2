"""The compute-equivalent gain against closed forms, and what is marked or unknown."""

import math

import numpy as np
import pytest

from isoflop.curve.compare import gain
from isoflop.curve.compare.gain import Curves
from isoflop.curve.compare.interval import Spread
from isoflop.curve.observations import Observations

SPREAD = Spread(1.0, 20.0, 0.95)


def curves(name, x, floor, scale, b, spread=0.0):
    """y = floor + scale x^-b at x (n,), with 200 resamples that scatter in ln scale."""
    x = np.asarray(x, dtype=float)
    noise = np.r_[0.0, spread * np.random.default_rng(0).normal(size=200)]
    log_falling = math.log(scale) - b * math.log(x.max()) + noise
    index = np.arange(len(x))
    observed = Observations(x, floor + scale * x**-b, index, np.ones(len(x)), None, None)
    return Curves(name, np.full(201, floor), log_falling, np.full(201, b), observed, index, 2)


def test_the_gain_of_power_laws_depends_on_scale():
    first = curves("old", np.geomspace(1, 1e3, 8), 0.0, 1.0, 0.3)
    second = curves("new", np.geomspace(1, 1e3, 8), 0.0, 1.0, 0.4)
    found, reason = gain.gain(first, second, SPREAD)
    assert reason is None
    for row in found.rows:
        assert row.x_baseline == pytest.approx(row.y ** (-1 / 0.3))
        assert row.x_other == pytest.approx(row.y ** (-1 / 0.4))
        assert row.gain == pytest.approx(row.y ** (1 / 0.4 - 1 / 0.3))
    assert found.rows[0].y > found.rows[-1].y


def test_a_shifted_curve_with_a_floor_has_one_gain():
    first = curves("old", np.geomspace(1, 1e3, 8), 0.1, 1.0, 0.3)
    second = curves("new", np.geomspace(1, 1e3, 8), 0.1, 4.0**-0.3, 0.3)
    found, _ = gain.gain(first, second, SPREAD)
    assert [row.gain for row in found.rows] == pytest.approx([4.0] * len(found.rows))


def test_what_lies_beyond_the_runs_of_one_is_marked():
    first = curves("old", np.geomspace(1, 1e3, 8), 0.0, 1.0, 0.3)
    second = curves("new", np.geomspace(10, 1e4, 8), 0.0, 1.0, 0.3)
    found, _ = gain.gain(first, second, SPREAD)
    low, high = 1e3**-0.3, 10**-0.3
    assert sum(row.inside for row in found.rows) == gain.ROWS
    for row in (*found.rows, *found.curve):
        assert row.inside == (low * (1 - 1e-8) <= row.y <= high * (1 + 1e-8))
    assert [row.inside for row in found.rows] == [False, True, True, True, True, True, False]
    least, most = 1e4**-0.3, 1.0
    assert (found.rows[0].y, found.rows[-1].y) == pytest.approx((most, least))


def test_an_error_below_the_other_s_floor_is_out_of_reach():
    first = curves("old", np.geomspace(1, 1e3, 8), 0.2, 1.0, 0.3)
    second = curves("new", np.geomspace(1, 1e3, 8), 0.0, 1.0, 0.3)
    row = gain.gain(first, second, SPREAD)[0].rows[-1]
    assert not row.inside
    assert row.y == pytest.approx(1e3**-0.3)
    assert (row.x_baseline, row.gain, row.interval.high) == (None, None, None)
    assert row.x_other == pytest.approx(1e3)


def test_the_interval_is_that_of_the_resamples():
    x = np.geomspace(1, 1e3, 8)
    first, second = curves("old", x, 0.0, 1.0, 0.5), curves("new", x, 0.0, 0.9, 0.5, spread=0.1)
    row = gain.gain(first, second, SPREAD)[0].rows[3]
    half = 1.96 * 0.1 / 0.5
    assert math.log(row.interval.high / row.interval.low) == pytest.approx(2 * half, rel=0.25)
    assert row.interval.low < row.gain < row.interval.high


def test_no_common_error_has_no_gain():
    first = curves("old", np.geomspace(1, 10, 8), 0.0, 1.0, 0.3)
    second = curves("new", np.geomspace(1e3, 1e4, 8), 0.0, 1.0, 0.3)
    found, reason = gain.gain(first, second, SPREAD)
    assert found is None
    assert reason == (
        "no y lies within both: old goes from 1 down to 0.5012, new from 0.1259 to 0.0631. Train larger runs "
        "of one, or smaller of the other"
    )


def test_a_flat_curve_has_no_gain():
    first = curves("old", np.geomspace(1, 1e3, 8), 0.5, 1e-9, 0.3)
    second = curves("new", np.geomspace(1, 1e3, 8), 0.0, 1.0, 0.3)
    assert "the curve of old does not fall" in gain.gain(first, second, SPREAD)[1]


def test_resamples_that_rise_are_no_number():
    rising = curves("old", np.geomspace(1, 1e3, 8), 0.0, 1.0, 0.3)
    rising.exponent[1:] = -0.1
    assert np.isnan(rising.log_x(np.array([0.5]))[1:]).all()
    assert np.isfinite(rising.log_x(np.array([0.5]))[0])


def test_a_gain_is_the_sample_s_and_its_interval_that_of_the_resamples():
    """Resamples that lie far from the sample: the interval is theirs, and holds the sample's value."""
    x = np.geomspace(1, 1e3, 8)
    first, second = curves("old", x, 0.0, 1.0, 0.5), curves("new", x, 0.0, 0.9, 0.5, spread=0.01)
    second.log_falling[1:] -= 0.5
    row = gain.gain(first, second, SPREAD)[0].rows[2]
    assert row.gain == pytest.approx(0.9**-2)
    assert row.x_baseline == pytest.approx(row.y**-2)
    assert row.x_other == pytest.approx((row.y / 0.9) ** -2)
    assert row.interval.low == pytest.approx(row.gain)
    assert row.interval.high == pytest.approx(row.gain * np.e, rel=0.2)
