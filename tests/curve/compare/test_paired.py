"""The differences of paired configurations, against scipy's t test and regression."""

import numpy as np
import pytest
from scipy import stats

from isoflop.curve.compare import arms, paired
from isoflop.curve.compare.arms import ArmRuns


def power(x):
    return x**-0.3


def arm(name, table):
    return arms.select(ArmRuns(name, table, "train_gflops", "test_loss"), least_energy_grade="C", mixed=False)


def differences(first, second, level=0.9):
    return paired.paired(arm("old", first), arm("new", second), level)


def log_ratio(first, second):
    means = [
        np.log(each["test_loss"].groupby(each["config_id"]).mean().to_numpy()) for each in (first, second)
    ]
    return means[1] - means[0]


def test_mean_and_slope_are_those_of_the_t_test_and_the_regression(sweep):
    first, second = sweep(power, seed=0, sizes=6), sweep(lambda x: 0.9 * x**-0.35, seed=1, sizes=6)
    ratio, log_x = log_ratio(first, second), np.log(np.geomspace(1, 1e3, 6))
    mean, slope = differences(first, second)
    test = stats.ttest_1samp(ratio, 0.0)
    interval = test.confidence_interval(0.9)
    assert (mean.quantity, mean.given) == ("ln y", "6 pairs")
    assert mean.value == pytest.approx(ratio.mean())
    assert (mean.interval.low, mean.interval.high) == pytest.approx((interval.low, interval.high))
    assert mean.p == pytest.approx(test.pvalue)
    line = stats.linregress(log_x, ratio)
    half = stats.t.ppf(0.95, 4) * line.stderr
    assert (slope.quantity, slope.given) == ("slope of ln y", "6 pairs")
    assert slope.value == pytest.approx(line.slope)
    assert (slope.interval.low, slope.interval.high) == pytest.approx((line.slope - half, line.slope + half))
    assert slope.p == pytest.approx(line.pvalue)
    assert (mean.unit, slope.unit) == ("ln of a ratio of y", "ln of a ratio of y per ln of x")


@pytest.mark.parametrize(("sizes", "count"), [(3, 1), (4, 2)])
def test_three_pairs_have_a_mean_and_four_a_slope(sweep, sizes, count):
    found = differences(sweep(power, seed=0, sizes=sizes), sweep(power, seed=1, sizes=sizes))
    assert len(found) == count


def test_two_pairs_have_nothing(sweep):
    first, second = (sweep(power, seed=i, sizes=3) for i in (0, 1))
    second["width"] = second["width"].replace(8.0, 9.0)
    assert differences(first, second) == ()


def test_differences_that_do_not_vary_are_certain(sweep):
    first = sweep(power, seed=0, sizes=3, noise=0.0)
    assert [each.p for each in differences(first, first)] == [1.0]
    (half,) = differences(first, first.assign(test_loss=first["test_loss"] / 2))
    assert half.value == pytest.approx(-np.log(2))
    assert half.p == pytest.approx(0.0, abs=1e-12)


def test_pairs_at_another_compute_say_by_what_factor(sweep):
    first, second = sweep(power, seed=0), sweep(power, seed=1)
    near, far = (second.assign(train_gflops=second["train_gflops"] * by) for by in (1.009, 3.0))
    assert differences(first, near)[0].given == "5 pairs"
    assert differences(first, far)[0].given == "5 pairs, x 3-fold"
    # The slope is over the geometric mean of both computes: a common factor does not change it.
    assert differences(first, far)[1].value == pytest.approx(differences(first, second)[1].value)


def test_configurations_of_several_horizons_are_not_paired(sweep):
    first, second = (sweep(power, seed=i) for i in (0, 1))
    for table in (first, second):
        table["place_id"] = table["config_id"]
        table["config_id"] = table["config_id"].map(lambda name: f"{name[:2]}{int(name[2:]) // 2}")
    assert differences(first, second) == ()
