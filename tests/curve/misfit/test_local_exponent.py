import numpy as np
import pytest

from isoflop.curve import fit
from isoflop.curve.misfit.local_exponent import local_exponent, mixture


def floored(x):
    return 0.05 + 0.6 * x**-0.3


def straight(slopes):
    """A curve with one draw a slope; the sample has the first."""
    return lambda z: -np.asarray(slopes)[:, None] * z[None]


def test_of_straight_lines_it_is_their_slope_with_the_spread_of_the_draws():
    slopes = np.r_[0.2, np.linspace(0.15, 0.25, 401)]
    seen = local_exponent(straight(slopes), 40, ("power_law",))
    assert seen.exponent.value == pytest.approx(0.2)
    assert seen.exponent.interval.low == pytest.approx(0.15, abs=0.01)
    assert seen.exponent.interval.high == pytest.approx(0.25, abs=0.01)
    assert seen.alpha.value == pytest.approx(5)
    assert seen.alpha.interval.low == pytest.approx(1 / seen.exponent.interval.high)


def test_a_curve_that_does_not_fall_has_no_alpha_and_one_that_may_not_fall_is_unbounded():
    assert local_exponent(straight(np.full(50, -0.1)), 40, ()).alpha is None
    seen = local_exponent(straight(np.r_[0.1, np.linspace(-0.05, 0.25, 201)]), 40, ())
    assert seen.alpha.interval.high is None


def test_few_configurations_give_no_interval():
    seen = local_exponent(straight(np.r_[0.2, np.linspace(0.15, 0.25, 99)]), 3, ())
    assert (seen.exponent.interval.low, seen.exponent.interval.high) == (None, None)


def test_a_mixture_averages_the_samples_and_deals_the_draws_by_weight():
    steep, flat = straight(np.full(1001, 0.4)), straight(np.full(1001, 0.1))
    curves = mixture([steep, flat], [3.0, 1.0])(np.array([0.0, 1.0]))
    assert curves[0, 1] == pytest.approx(-(0.75 * 0.4 + 0.25 * 0.1))
    assert np.mean(np.isclose(curves[1:, 1], -0.4)) == pytest.approx(0.75, abs=0.01)


def test_a_bending_curve_has_the_slope_of_its_end(make_sweep):
    method = fit.Method(laws=("power_law", "power_law_floor"), resamples=100)
    report = fit.fit_table(make_sweep(floored, noise=0.005), x="x", y="y", method=method)
    # -d ln y / d ln x of 0.05 + 0.6 x^-0.3 at 1000.
    falling = 0.6 * 1e3**-0.3
    truth = 0.3 * falling / (0.05 + falling)
    seen = report.local_exponent
    assert seen.exponent.value == pytest.approx(truth, abs=0.015)
    assert seen.exponent.interval.low < truth < seen.exponent.interval.high
    # It is the forecast's, which averages all laws that may bend, whichever laws are asked for.
    weighty = {member.law for member in report.forecast.members if member.weight >= 0.01}
    assert set(seen.laws) == weighty
    assert "power_law_floor" in weighty
    assert "power_law" not in weighty
    straight_only = fit.Method(laws=("power_law",), resamples=60, forecast=False)
    assert fit.fit_table(make_sweep(floored), x="x", y="y", method=straight_only).local_exponent is None
