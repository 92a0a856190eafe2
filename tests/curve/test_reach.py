"""Where a law comes to a target, against the laws themselves."""

import math

import numpy as np
import pytest

from isoflop.curve import reach
from isoflop.curve.result import Band, Estimate, FitReport, Interval, LawFit

X = tuple(np.geomspace(1.0, 1e4, 41))
X_MAX = 1e3


def band(y) -> Band:
    low, high = (tuple(np.asarray(y) * share) for share in (0.9, 1.1))
    return Band(X, tuple(y), low, high, low, high)


def made(law: str, y, b: float) -> tuple[FitReport, LawFit]:
    """A report of one law whose curve is y, with b good to a tenth."""
    slope = Estimate("b", b, Interval(0.9 * b, 1.1 * b), "")
    fit = LawFit(law, "", "", (slope,), None, None, None, 1.0, "", 0.0, band(y), (), None, ())
    report = FitReport(
        x="flops",
        y="error",
        of="all",
        quantile=None,
        points=5,
        configs=5,
        scales=5,
        forecast=None,
        forecast_reason=None,
        held_out=None,
        x_min=1.0,
        x_max=X_MAX,
        frontier_run_ids=(),
        fits=(fit,),
        excluded=(),
        warnings=(),
        resamples=100,
        resampling="configurations",
        bootstrap_seed=0,
    )
    return report, fit


def test_a_power_law_reaches_its_target_where_it_says():
    """y = 0.5 x^-0.1 is 0.05 at 10^10."""
    report, fit = made("power_law_ols", 0.5 * np.array(X) ** -0.1, 0.1)
    found = reach.of_line(report, fit, 0.05)
    assert found.log10_x == pytest.approx(10.0)
    assert found.interval is not None
    # From y 10% lower at the end and b 10% larger to the reverse: 3 + log10(y_max / 0.05) / b.
    y_max = 0.5 * X_MAX**-0.1
    ends = (math.log10(0.9 * y_max / 0.05) / 0.11, math.log10(1.1 * y_max / 0.05) / 0.09)
    assert (found.interval.low, found.interval.high) == pytest.approx([3 + end for end in ends])


def test_the_exponential_reaches_its_target_where_it_says():
    """1/y = 1 + 2 log10 x is 20 at log10 x = 9.5."""
    report, fit = made("exponential", 1 / (1 + 2 * np.log10(X)), 2.0)
    assert reach.of_line(report, fit, 0.05).log10_x == pytest.approx(9.5, abs=0.01)


def test_what_does_not_fall_reaches_nothing():
    report, fit = made("power_law_ols", np.full(len(X), 0.5), -0.1)
    found = reach.of_line(report, fit, 0.05)
    assert (found.log10_x, found.interval) == (None, None)
    assert found.reason == "the fitted curve does not fall"


def test_a_curve_is_read_off_within_its_band():
    curve = band(0.5 * np.array(X) ** -0.1)
    found = reach.of_band("forecast", curve, 0.25)
    assert found.log10_x == pytest.approx(10 * math.log10(2), abs=0.01)
    assert found.interval is not None
    low, high = (10 * math.log10(2 * share) for share in (0.9, 1.1))
    assert (found.interval.low, found.interval.high) == pytest.approx([low, high], abs=0.01)
    assert reach.of_band("forecast", curve, 0.1).log10_x is None


@pytest.mark.parametrize(
    ("least", "targets"),
    [(0.152, (0.1, 0.05)), (2.08, (1.0, 0.5)), (0.11, (0.05, 0.02)), (0.112, (0.1, 0.05))],
)
def test_targets_are_the_next_round_values(least, targets):
    assert reach.round_targets(least) == targets


@pytest.mark.parametrize(
    ("value", "kept"), [(399.9, 399.9), (400.0, None), (-500.0, -500.0), (math.inf, None), (math.nan, None)]
)
def test_amounts_beyond_ten_to_400_are_unbounded(value, kept):
    assert reach.finite(value) == kept


def test_what_is_reached_beyond_ten_to_400_is_not_reached():
    report, fit = made("power_law_ols", 0.5 * np.array(X) ** -0.001, 0.001)
    found = reach.of_line(report, fit, 0.1)
    assert (found.log10_x, found.reason) == (None, "not at any x below 10^400")


def test_a_target_above_the_curve_is_reached_at_its_first_point():
    curve = band(0.5 * np.array(X) ** -0.1)
    found = reach.of_band("forecast", curve, 0.6)
    assert found.log10_x == 0.0
    missed = reach.of_band("forecast", curve, 0.01)
    assert missed.reason == "not within 1e+04, where its band ends"
    assert (missed.law, missed.target) == ("forecast", 0.01)


def test_a_target_is_at_most_nine_tenths_of_the_end():
    assert reach.round_targets(0.1) == (0.05, 0.02)
    assert reach.round_targets(1 / 0.9 + 1e-9) == (1.0, 0.5)
    assert reach.round_targets(1 / 0.9 - 1e-6) == (0.5, 0.2)
    assert reach.round_targets(0.3, 4) == (0.2, 0.1, 0.05, 0.02)


def test_the_end_is_that_of_the_forecast_else_of_the_first_law():
    report, _ = made("power_law_ols", 0.5 * np.array(X) ** -0.1, 0.1)
    assert reach.end_of(report) == pytest.approx(0.5 * X_MAX**-0.1)
