"""The trade of steps for examples: recovered, covered by its intervals, and its limits named."""

import numpy as np
import numpy.typing as npt
import pytest

from isoflop.curve.batch import hyperbola
from isoflop.curve.estimate import Interval

Array = npt.NDArray[np.float64]
BATCHES: Array = np.array([4.0, 8, 16, 32, 64, 128, 256, 512])


def steps_of(critical: float) -> Array:
    return np.asarray(40 * (1 + critical / BATCHES), np.float64)


@pytest.mark.parametrize("critical", [6.0, 64.0, 400.0])
def test_steps_without_noise_give_the_curve_itself(critical: float) -> None:
    fit = hyperbola.fit(BATCHES, steps_of(critical), 0.95)
    assert fit.side is None
    assert fit.critical_batch == pytest.approx(critical, rel=1e-5)
    assert fit.steps_min == pytest.approx(40, rel=1e-5)
    steps = np.array([fit.steps(batch) for batch in BATCHES])
    product = (steps / fit.steps_min - 1) * (BATCHES * steps / fit.examples_min - 1)
    assert product == pytest.approx(np.ones(8), rel=1e-9), "McCandlish et al. 2018"


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    held = np.zeros(3)
    truth = (64.0, 40.0, 64.0 * 40.0)
    for _ in range(200):
        noisy = steps_of(64.0) * np.exp(0.1 * random.standard_normal(8))
        fit = hyperbola.fit(BATCHES, noisy, 0.95)
        intervals = (fit.critical_interval, fit.steps_interval, fit.examples_interval)
        held += [_holds(each, value) for each, value in zip(intervals, truth, strict=True)]
    # 95% of 200 is 190 with a standard deviation of 3.1: 0.90 to 0.995 is more than three of them each way.
    assert (held >= 180).all()
    assert (held <= 199).all(), "intervals that always hold are too wide"


def _holds(interval: Interval, value: float) -> bool:
    return (interval.low or 0.0) <= value <= (interval.high or np.inf)


def test_the_interval_is_that_of_the_profile() -> None:
    """At its ends the best sum of squares is least (1 + F / (m - 2)), also for S_min with B_crit refitted."""
    noisy = steps_of(64.0) * np.exp(0.1 * np.array([1.0, -1, 0.5, -0.5, 1, -1, 0.3, -0.3]))
    fit = hyperbola.fit(BATCHES, noisy, 0.95)
    least = sum(each**2 for each in fit.residuals)
    most = least * (1 + 5.987378 / 6)  # F(0.95; 1, 6)
    ln_b, ln_s = np.log(BATCHES), np.log(noisy)

    def squares(ln_critical: Array, ln_min: float | None) -> Array:
        left = ln_s - np.logaddexp(0, ln_critical[:, None] - ln_b)
        at = left.mean(axis=1) if ln_min is None else np.full(len(left), ln_min)
        return np.asarray(((left - at[:, None]) ** 2).sum(axis=1), np.float64)

    for end in (fit.critical_interval.low, fit.critical_interval.high):
        assert end is not None
        assert squares(np.log([end]), None)[0] == pytest.approx(most, rel=1e-3)
    for end in (fit.steps_interval.low, fit.steps_interval.high):
        assert end is not None
        assert squares(np.log(np.geomspace(5, 500, 4000)), np.log(end)).min() == pytest.approx(most, rel=1e-2)


def test_steps_that_fall_as_one_over_the_batch_only_bound_the_critical_size_from_below() -> None:
    wobble = np.exp(0.02 * np.array([1.0, -1, 1, -1, -1, 1, -1, 1]))
    fit = hyperbola.fit(BATCHES, 1e4 / BATCHES * wobble, 0.95)
    assert fit.side == "above"
    assert fit.critical_interval.high is None
    assert fit.critical_interval.low is not None
    assert fit.critical_interval.low > 512
    assert fit.steps_interval.low is None
    assert fit.examples_interval.low is not None
    assert fit.examples_min == pytest.approx(1e4, rel=0.02), "examples are known even so"


def test_steps_that_do_not_fall_only_bound_it_from_above() -> None:
    wobble = np.exp(0.02 * np.array([1.0, -1, 1, -1, -1, 1, -1, 1]))
    fit = hyperbola.fit(BATCHES, 50 * wobble, 0.95)
    assert fit.side == "below"
    assert fit.critical_interval.low is None
    assert fit.critical_interval.high is not None
    assert fit.critical_interval.high < 4
    assert fit.examples_interval.low is None
    assert fit.steps_min == pytest.approx(50, rel=0.02)


def test_two_batch_sizes_give_the_curve_through_them_without_an_interval() -> None:
    fit = hyperbola.fit(BATCHES[[0, 6]], steps_of(64.0)[[0, 6]], 0.95)
    assert fit.critical_batch == pytest.approx(64, rel=1e-4)
    assert fit.critical_interval == fit.steps_interval == fit.examples_interval == Interval(None, None)


def test_a_wider_level_gives_a_wider_interval() -> None:
    noisy = steps_of(64.0) * np.exp(0.1 * np.array([1.0, -1, 0.5, -0.5, 1, -1, 0.3, -0.3]))
    narrow, wide = (hyperbola.fit(BATCHES, noisy, level).critical_interval for level in (0.8, 0.99))
    assert wide.low is not None
    assert wide.high is not None
    assert narrow.low is not None
    assert narrow.high is not None
    assert wide.low < narrow.low < narrow.high < wide.high
