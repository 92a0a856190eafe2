import json
from typing import Any

import msgspec
import numpy as np
import pytest

from isoflop import record
from isoflop.curve import result
from isoflop.curve.fit import DEFAULT_AXES, FURTHER_LAWS, Method, fit_all, fit_table
from isoflop.curve.laws import LAWS

X = np.geomspace(1, 1e5, 16)
FLOORED = 0.04 + 0.7 * X**-0.3
POWER = 0.8 * X**-0.12


CLASSICAL = ("power_law_ols", "exponential", "power_law_floor")


def fitted(table, x="train_gflops", y="test_error", **options):
    """fit_table with the laws that are quick, unless the test names others."""
    settings: dict[str, Any] = {"laws": CLASSICAL, "forecast": False} | options
    return fit_table(table, x=x, y=y, method=Method(**settings))


def _parameters(fit):
    return {p.name: p for p in fit.parameters}


def _fit(report, law):
    return next(f for f in report.fits if f.law == law)


def test_a_known_alpha_lies_within_its_interval_and_near_the_estimate(make_table):
    report = fitted(make_table(X, POWER, seeds=3, noise=0.02), resamples=300)
    alpha = _fit(report, "power_law_ols").paper_alpha
    assert alpha.interval.low < 1 / 0.12 < alpha.interval.high
    assert alpha.value == pytest.approx(1 / 0.12, rel=0.05)
    assert alpha.interval.high - alpha.interval.low < 2


def test_a_known_floor_and_exponent_lie_within_their_intervals(make_table):
    report = fitted(make_table(X, FLOORED, seeds=3, noise=0.02), laws=("power_law_floor",), resamples=300)
    parameters = _parameters(report.fits[0])
    local = 0.3 * 0.7 * 1e5**-0.3 / FLOORED[-1]
    for name, truth in (("E", 0.04), ("b", 0.3), ("A", 0.7), ("local_alpha_at_x_max", 1 / local)):
        assert parameters[name].interval.low < truth < parameters[name].interval.high
        assert parameters[name].value == pytest.approx(truth, rel=0.2)
    assert report.fits[0].paper_alpha is None
    assert "depends on compute" in report.fits[0].paper_alpha_reason
    assert not any("floor not identified" in warning for warning in report.fits[0].warnings)


def test_r_squared_and_rmse_are_those_of_the_stated_scale(make_table):
    table = make_table(X, POWER, seeds=2, noise=0.1)
    report = fitted(table, resamples=40)
    log_x, log_y = np.log10(table["train_gflops"]), -np.log10(table["test_error"])
    fit = _fit(report, "power_law_ols")
    assert fit.r_squared == pytest.approx(np.corrcoef(log_x, log_y)[0, 1] ** 2, rel=1e-9)
    rest = log_y - np.polyval(np.polyfit(log_x, log_y, 1), log_x)
    assert fit.log10_rmse == pytest.approx(np.sqrt(np.mean(rest**2)), rel=1e-9)
    exponential = _fit(report, "exponential")
    assert exponential.r_squared_of == "1/y"
    assert exponential.r_squared == pytest.approx(
        np.corrcoef(log_x, 1 / table["test_error"])[0, 1] ** 2, rel=1e-9
    )


@pytest.mark.parametrize("factor", [1e9, 1e-9, 3.6e6, 7.3e-4])
@pytest.mark.parametrize("y", [FLOORED, POWER], ids=["floor", "power_law"])
def test_the_unit_of_x_does_not_change_a_prediction(make_table, factor, y):
    table = make_table(X, y, seeds=3, noise=0.05)
    scaled = table.assign(train_gflops=table["train_gflops"] * factor)
    first, second = (fitted(t, resamples=100) for t in (table, scaled))
    for one, other in zip(first.fits, second.fits, strict=True):
        np.testing.assert_allclose(np.array(other.band.x), np.array(one.band.x) * factor, rtol=1e-9)
        np.testing.assert_allclose(other.band.y, one.band.y, rtol=1e-9)
        np.testing.assert_allclose(other.band.low, one.band.low, rtol=1e-6)
        np.testing.assert_allclose(other.band.high, one.band.high, rtol=1e-6)
        assert _parameters(other)["b"].value == pytest.approx(_parameters(one)["b"].value, rel=1e-9)


def test_the_order_of_rows_does_not_change_the_point_estimates(make_table):
    table = make_table(X, FLOORED, seeds=3, noise=0.05)
    shuffled = table.sample(frac=1, random_state=0)
    for one, other in zip(fitted(table, resamples=40).fits, fitted(shuffled, resamples=40).fits, strict=True):
        np.testing.assert_allclose(other.band.y, one.band.y, rtol=1e-9)


def test_the_same_seed_gives_the_same_report_and_another_does_not(make_table):
    table = make_table(X, FLOORED, seeds=2, noise=0.05)
    first, again, other = (fitted(table, resamples=60, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first.fits[0].band.low != other.fits[0].band.low


def test_seeds_are_resampled_with_their_configuration(make_table):
    """Copies of the same runs under the same configurations add no information: intervals stay."""
    table = make_table(X, POWER, noise=0.1)
    copies = make_table(X, table["test_error"], seeds=4)
    one, many = (_fit(fitted(t, resamples=200), "power_law_ols").paper_alpha for t in (table, copies))
    assert many.value == pytest.approx(one.value, rel=1e-9)
    assert many.interval.low == pytest.approx(one.interval.low, rel=1e-9)
    assert many.interval.high == pytest.approx(one.interval.high, rel=1e-9)


def test_the_band_spans_from_x_min_to_beyond_x_max_and_holds_the_curve(make_table):
    report = fitted(make_table(X, FLOORED, seeds=2, noise=0.05), resamples=200)
    for fit in report.fits:
        band = fit.band
        assert len(band.x) == len(band.y) == len(band.low) == len(band.high)
        assert band.x[0] == pytest.approx(report.x_min)
        assert band.x[-1] == pytest.approx(10 * report.x_max)
        assert all(low <= y <= high for low, y, high in zip(band.low, band.y, band.high, strict=True))


def test_a_slope_that_may_be_zero_leaves_alpha_unbounded_above(make_table):
    y = 0.5 * X**-0.002
    fit = _fit(fitted(make_table(X, y, noise=0.05, seed=3), resamples=300), "power_law_ols")
    assert fit.paper_alpha.interval.high is None
    assert fit.paper_alpha.interval.low > 0
    assert any("unbounded" in warning for warning in fit.warnings)


def test_errors_that_rise_have_no_alpha_but_a_warning(make_table):
    report = fitted(make_table(X, 0.1 * X**0.1, noise=0.01), resamples=60)
    fit = _fit(report, "power_law_ols")
    assert fit.paper_alpha is None
    assert "does not fall" in fit.paper_alpha_reason
    assert any("at a bound" in warning for warning in _fit(report, "power_law_floor").warnings)
    assert record.problem(report, "report") is None


def test_a_pure_power_law_has_no_identified_floor(make_table):
    report = fitted(make_table(X, POWER, seeds=2, noise=0.05), laws=("power_law_floor",), resamples=200)
    assert any("floor not identified" in warning for warning in report.fits[0].warnings)


def test_three_configurations_give_no_interval_rather_than_a_false_one(make_table):
    report = fitted(make_table(X[::6], FLOORED[::6], seeds=3, noise=0.02), resamples=60)
    for fit in report.fits:
        assert all(p.interval == result.Interval(None, None) for p in fit.parameters)
        assert any("no interval" in warning for warning in fit.warnings)
    assert any("under 10" in warning for warning in report.warnings)


def test_the_frontier_names_all_runs_of_the_efficient_configurations(make_table):
    y = POWER.copy()
    y[5] = 0.85
    report = fitted(make_table(X, y, seeds=2), laws=("power_law_ols",), resamples=40)
    assert set(report.frontier_run_ids) == {f"run{i}" for i in range(32)} - {"run10", "run11"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"laws": ("polynomial",)}, "^unknown law polynomial: it is now called power_law_ols$"),
        ({"laws": ("broken",)}, "^unknown law broken: it is now called broken_power_law$"),
        ({"laws": ("power_law_old",)}, r"^unknown law power_law_old: did you mean power_law_ols\?$"),
        ({"laws": ()}, "no law to fit"),
        ({"resamples": 10}, "at least 40"),
        ({"x": "train_flops"}, "did you mean train_gflops"),
        ({"x": "dollars"}, "dollars.*0 distinct compute scales"),
        ({"quantile": 1.0}, "quantile is 1: give a number between 0 and 1"),
        ({"chance": 0.0}, "chance is 0: give the error of guessing"),
        ({"wild": True, "of_frontier": True}, "cannot choose the frontier anew"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(make_table, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        fitted(make_table(X, POWER), **options)
    assert "\n" not in str(caught.value)


def test_fit_all_fits_the_known_axes_and_names_the_others(make_table, tmp_path):
    table = make_table(X, FLOORED, seeds=2, noise=0.02)
    table = table.assign(test_loss=2 * table["test_error"], train_seconds=3 * table["train_gflops"] ** 0.8)
    fits = fit_all(table, source="toy", method=Method(resamples=60))
    assert [(r.x, r.y) for r in fits.reports] == [
        DEFAULT_AXES[0],
        DEFAULT_AXES[1],
        ("train_seconds", "test_error"),
    ]
    assert not any(e.reason.startswith(e.run_id) for e in fits.unfitted), "the axes are named once"
    assert [e.run_id for e in fits.unfitted] == ["test_error against energy_joules"], "none of dollars"
    assert [f.law for f in fits.reports[0].fits] == list(LAWS)
    assert [f.law for f in fits.reports[1].fits] == list(FURTHER_LAWS)
    result.write_fits(fits, tmp_path / "fit.json")
    assert result.read_fits(tmp_path / "fit.json") == fits
    json.loads(msgspec.json.encode(fits))


def test_fit_all_fails_with_its_first_axes(make_table):
    with pytest.raises(ValueError, match="test_error against train_gflops: 2 distinct"):
        fit_all(make_table(X[:2], POWER[:2]), source="toy")
    with pytest.raises(ValueError, match="no axes"):
        fit_all(make_table(X, POWER), source="toy", axes=[])


def test_loss_is_fitted_like_error_with_nats_as_its_unit(make_table):
    table = make_table(X, FLOORED).assign(test_loss=1.7 + 4 * X**-0.3)
    report = fitted(table, y="test_loss", laws=("power_law_floor",), resamples=40)
    parameters = _parameters(report.fits[0])
    assert parameters["E"].value == pytest.approx(1.7, rel=1e-6)
    assert parameters["A"].value == pytest.approx(4, rel=1e-6)
    assert parameters["E"].unit == "nats"
    assert "1 GFLOP" in parameters["A"].unit


def test_a_report_that_is_not_judged_has_the_same_parameters_and_bands(make_table):
    table = make_table(X, FLOORED, noise=0.02)
    whole, plain = (fitted(table, resamples=60, judged=judged) for judged in (True, False))
    for law, same in zip(whole.fits, plain.fits, strict=True):
        assert (law.parameters, law.band, law.log10_rmse) == (same.parameters, same.band, same.log10_rmse)
        assert law.lack_of_fit is not None or law.lack_of_fit_reason
        assert (same.lack_of_fit, same.lack_of_fit_reason) == (None, "not asked for")
        assert (same.horizons, same.exponent_profile) == ((), None)
    assert whole.late is not None
    assert plain.late is plain.determination is None
