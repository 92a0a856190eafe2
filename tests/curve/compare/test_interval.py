"""The smallest difference that could have been seen, against closed forms and against a simulated test."""

import numpy as np
import pytest
from scipy import stats

from isoflop.curve.compare import interval
from isoflop.curve.compare.interval import Spread
from isoflop.curve.compare.pairing import Units
from isoflop.curve.observations import Observations
from isoflop.curve.result import Interval


def test_a_test_of_known_noise_sees_2_80_standard_errors():
    assert interval.smallest_difference(1.0) == pytest.approx(1.95996 + 0.84162, abs=1e-5)


def test_students_t_needs_more():
    expected = stats.t.ppf(0.975, 4) + stats.t.ppf(0.8, 4)
    assert interval.smallest_difference(0.5, 4) == pytest.approx(0.5 * expected)


def test_four_sizes_of_three_seeds_over_two_decades_at_3_percent():
    # Sum of squares of ln x about its mean: (2 ln 10)^2 x (1/4 + 1/36) x 2 = 11.78 at each of three seeds.
    squares = (2 * np.log(10)) ** 2 * (1 / 4 + 1 / 36) * 2
    error = np.sqrt(2) * 0.03 / np.sqrt(3 * squares)
    assert error == pytest.approx(0.00714, abs=1e-5)
    planned = interval.planned(np.geomspace(1, 100, 4), seeds=3, noise=0.03)
    assert planned == pytest.approx(2.8016 * error, rel=1e-4)
    assert planned == pytest.approx(0.0200, abs=5e-5)


def test_the_planned_difference_is_seen_in_80_percent_of_simulated_pairs():
    x, generator = np.geomspace(1, 100, 4), np.random.default_rng(0)
    change = interval.planned(x, seeds=3, noise=0.03)
    log_x = np.log(x) - np.log(x).mean()
    means = 0.03 / np.sqrt(3) * generator.normal(size=(20_000, 2, 4))
    slopes = means @ log_x / (log_x @ log_x)
    error = np.sqrt(2) * 0.03 / np.sqrt(3 * log_x @ log_x)
    seen = np.abs(change + slopes[:, 1] - slopes[:, 0]) > 1.95996 * error
    assert seen.mean() == pytest.approx(0.8, abs=0.01)


def test_an_interval_of_normal_draws_is_theirs_times_the_factor():
    draws = stats.norm.ppf((np.arange(9999) + 0.5) / 9999)
    found = Spread(2.0, 10.0, 0.95).interval(draws, 0.0)
    assert (found.low, found.high) == pytest.approx((-3.92, 3.92), abs=0.01)


def test_another_level_is_narrower():
    draws = stats.norm.ppf((np.arange(9999) + 0.5) / 9999)
    found = Spread(1.0, 10.0, 0.8).interval(draws, 0.0)
    assert found.high == pytest.approx(1.2816, abs=0.01)


@pytest.mark.parametrize(
    ("bad", "bounded"),
    [(np.inf, (True, False)), (-np.inf, (False, True)), (np.nan, (False, False))],
)
def test_resamples_that_cannot_be_inverted_are_unbounded(bad, bounded):
    draws = np.r_[np.linspace(-1, 1, 95), np.full(5, bad)]
    found = Spread(1.0, 10.0, 0.95).interval(draws, 0.0)
    assert (found.low is not None, found.high is not None) == bounded


def test_few_that_cannot_be_inverted_leave_it_bounded():
    draws = np.r_[np.linspace(-1, 1, 199), np.inf]
    found = Spread(1.0, 10.0, 0.95).interval(draws, 0.0)
    assert found.high is not None
    assert found.high < 1.1


def test_without_enough_units_there_is_no_interval_and_nothing_to_see():
    spread = Spread(None, 1.0, 0.95)
    assert spread.interval(np.linspace(-1, 1, 99), 0.0) == Interval(None, None)
    assert spread.smallest_seen(Interval(None, None)) is None


def test_the_smallest_difference_follows_from_the_interval():
    spread = Spread(1.0, 10.0, 0.95)
    expected = (stats.t.ppf(0.975, 10) + stats.t.ppf(0.8, 10)) / stats.t.ppf(0.975, 10)
    assert spread.smallest_seen(Interval(-1.0, 3.0)) == pytest.approx(2 * expected)


def units(of_arm, count):
    """Units of which as many are pairs as the counts say; the points themselves say nothing of a spread."""
    points = Observations(np.ones(1), np.ones(1), np.zeros(1, dtype=int), np.ones(1), None, None)
    index = np.zeros(1, dtype=int)
    return Units("runs", "", (points, points), (index, index), count, of_arm, 0, 0)


@pytest.mark.parametrize(
    ("of_arm", "count", "parameters", "freedom"),
    [((6, 6), 6, 2, 4.0), ((6, 9), 15, 2, 11.0), ((4, 4), 4, 3, 1.0)],
)
def test_the_factor_is_student_s_over_the_arm_with_fewer_units(of_arm, count, parameters, freedom):
    made = interval.spread(units(of_arm, count), parameters, 0.9)
    longer = stats.t.ppf(0.95, freedom) / stats.norm.ppf(0.95)
    fewest = min(of_arm)
    assert made.factor == pytest.approx(longer * np.sqrt((fewest + 1) / (fewest - parameters)))
    assert made.freedom == pytest.approx(freedom)
    assert made.level == 0.9


@pytest.mark.parametrize("of_arm", [(3, 8), (2, 2)])
def test_too_few_units_have_no_factor_and_at_least_one_degree_of_freedom(of_arm):
    made = interval.spread(units(of_arm, max(of_arm)), 2, 0.9)
    assert made.factor is None
    assert made.freedom == max(units(of_arm, max(of_arm)).freedom(2), 1.0)
    assert interval.spread(units((2, 2), 2), 2, 0.9).freedom == 1.0
