import numpy as np
import pytest

from isoflop.curve import bootstrap, leverage, points, predict
from isoflop.curve.fit import Method, fit_table
from isoflop.curve.laws import LAWS, FitOptions

X = np.geomspace(1, 1e5, 12)
Y = 0.05 + 0.6 * X**-0.3


@pytest.mark.parametrize("law", ["power_law_ols", "power_law", "power_law_floor"])
def test_the_wild_bootstrap_is_that_of_a_direct_loop(make_table, law):
    """Signs by configuration, on the residuals of the sample's fit; each resample fitted alone."""
    chosen = points.select(
        make_table(X, Y, seeds=2, noise=0.05).drop(columns="test_n"), "train_gflops", "test_error"
    )
    sample = predict.resample(chosen, 12, 5, of_frontier=False, wild=True)
    together = sample.fit(LAWS[law], FitOptions())
    observed = chosen.runs if LAWS[law].over_runs else chosen.means
    one = np.ones((1, len(observed.x)))
    own = LAWS[law].fit(observed, one, FitOptions(), None)
    np.testing.assert_allclose(together[0], own[0], rtol=1e-12)
    fitted = LAWS[law].log_predict(own, -observed.v)[0]
    assert np.all(np.abs(sample.signs) == 1)
    for row in range(1, 13):
        flipped = [
            f + sample.signs[row, c] * (y - f)
            for f, y, c in zip(fitted, observed.log_y, observed.config, strict=True)
        ]
        both = np.vstack([observed.log_y, flipped])
        alone = LAWS[law].fit(observed, np.ones((2, len(observed.x))), FitOptions(), both)
        curves = LAWS[law].log_predict(np.vstack([alone[1], together[row]]), -observed.v)
        np.testing.assert_allclose(curves[0], curves[1], atol=1e-9)
        if law == "power_law_ols":
            line = np.polyfit(-observed.v, flipped, 1)
            np.testing.assert_allclose(curves[1], np.polyval(line, -observed.v), atol=1e-9)


def test_wild_and_configuration_intervals_agree_where_both_hold(make_table):
    table = make_table(np.geomspace(1, 1e5, 40), 0.7 * np.geomspace(1, 1e5, 40) ** -0.15, seeds=2, noise=0.04)
    widths = []
    for wild in (False, True):
        method = Method(laws=("power_law_ols",), resamples=600, wild=wild, forecast=False)
        interval = fit_table(table, method=method).fits[0].paper_alpha.interval
        widths.append(interval.high - interval.low)
    assert widths[1] == pytest.approx(widths[0], rel=0.25)


def test_on_the_frontier_each_resample_chooses_anew(make_table):
    table = make_table(X, Y, seeds=3, noise=0.2)
    chosen = points.select(table, "train_gflops", "test_error")
    sample = predict.resample(chosen, 50, 0, of_frontier=True, wild=False)
    assert len({tuple(row > 0) for row in sample.run_weights}) > 10
    kept = sample.run_weights[0] > 0
    assert np.array_equal(kept, sample.used)
    assert 3 <= kept.sum() < len(kept)
    report = fit_table(table, method=Method(resamples=60, of_frontier=True))
    assert report.of == "frontier"
    assert report.forecast is None
    assert "chosen by their error" in report.forecast_reason


def test_the_interval_of_a_new_run_is_wider_than_that_of_the_mean_and_holds_most_runs(make_table):
    x = np.geomspace(1, 1e5, 30)
    table = make_table(x, 0.7 * x**-0.15, seeds=3, noise=0.05)
    report = fit_table(
        table, method=Method(laws=("power_law_ols", "power_law"), resamples=300, forecast=False)
    )
    for fit in report.fits:
        band = fit.band
        assert np.all(np.array(band.new_low) <= band.low)
        assert np.all(np.array(band.new_high) >= band.high)
        low, high = (
            np.interp(np.log(table["train_gflops"]), np.log(band.x), np.log(e))
            for e in (band.new_low, band.new_high)
        )
        seen = np.log(table["test_error"])
        assert 0.88 <= np.mean((seen >= low) & (seen <= high)) <= 1


@pytest.mark.parametrize("of_frontier", [False, True])
def test_a_band_is_stretched_at_each_x_by_the_leverage_of_what_is_resampled(make_table, of_frontier):
    table = make_table(X, Y, seeds=3, noise=0.02)
    method = Method(laws=("power_law",), resamples=100, of_frontier=of_frontier, forecast=False)
    band = fit_table(table, method=method).fits[0].band
    chosen = points.select(table, "train_gflops", "test_error")
    sample = predict.resample(chosen, 100, 0, of_frontier=of_frontier)
    kept = sample.weights[0] > 0
    observed, unit = (chosen.runs, chosen.mean_of) if of_frontier else (chosen.means, chosen.means.config)
    z = np.log(np.asarray(band.x) / X.max())
    curves = LAWS["power_law"].log_predict(sample.fit(LAWS["power_law"], FitOptions()), z)
    factor = leverage.stretch(observed.v[kept], unit[kept], z, 2)
    assert np.ptp(factor) > 0.01 * factor.min()
    low, high = bootstrap.stretched(curves[1:], factor)
    np.testing.assert_allclose(np.log(band.low), np.minimum(low, curves[0]), atol=1e-12)
    np.testing.assert_allclose(np.log(band.high), np.maximum(high, curves[0]), atol=1e-12)


def test_frontiers_chosen_in_parts_are_those_chosen_at_once(make_table, monkeypatch):
    table = make_table(X, Y, seeds=3, noise=0.2)
    chosen = points.select(table, "train_gflops", "test_error")
    whole = predict.resample(chosen, 50, 0, of_frontier=True)
    monkeypatch.setattr(predict, "_FRONTIER_ELEMENTS", 7 * len(chosen.runs.x))
    parts = predict.resample(chosen, 50, 0, of_frontier=True)
    np.testing.assert_array_equal(parts.run_weights, whole.run_weights)
    np.testing.assert_array_equal(parts.used, whole.used)
    # Weights are kept of runs that are ever on a frontier, not of all.
    assert whole.draws.shape[1] == 1 + int((whole.run_weights > 0).any(axis=0).sum()) < len(chosen.runs.x)
