"""The predictive distribution: sharp where the data are, honest where they are not, within 0 and chance."""

import types
from typing import Any

import numpy as np
import pytest

from isoflop.curve.forecast import make, predictive, rolling, score
from isoflop.curve.laws import PLAIN, FitOptions
from isoflop.curve.observations import Observations

X = np.geomspace(1, 1e3, 12)
AHEAD = np.log([2.0, 4.0, 10.0, 25.0])


def observed(y, x=X, **kwargs):
    return Observations(x, np.asarray(y), np.arange(len(x)), np.ones(len(x)), kwargs.get("trials"), None)


def noisy(law, seed, x=X, noise=0.05):
    return law(x) * np.exp(noise * np.random.default_rng(seed).standard_normal(len(x)))


def power(x):
    return 0.6 * x**-0.3


def levelling(x):
    return 0.05 + 0.55 * x**-0.3


def weights(made):
    out: dict[str, float] = {}
    for each, weight in zip(made.posteriors, made.weights, strict=True):
        out[each.member.prior.law] = out.get(each.member.prior.law, 0.0) + float(weight)
    return out


def test_a_power_law_gains_weight_on_power_laws_and_loses_it_where_they_level_off():
    x = np.geomspace(1, 1e3, 30)
    assert weights(predictive.predictive(observed(noisy(power, 0, x), x), PLAIN))["power_law"] > 0.7
    assert weights(predictive.predictive(observed(noisy(levelling, 0, x, 0.02), x), PLAIN))["power_law"] < 0.2


@pytest.mark.parametrize(("law", "configs"), [(power, 6), (power, 12), (levelling, 6), (levelling, 30)])
def test_intervals_hold_new_runs_as_often_as_they_say_and_no_less(law, configs):
    """24 sweeps with 4 targets each."""
    x, inside = np.geomspace(1, 1e3, configs), []
    for seed in range(24):
        made = predictive.predictive(observed(noisy(law, seed, x), x), PLAIN, particles=128)
        low, high = np.quantile(made.draws(AHEAD, 1024).run, (0.025, 0.975), axis=0)
        truth = np.log(noisy(law, 1000 + seed, x[-1] * np.exp(AHEAD)))
        inside.append((low <= truth) & (truth <= high))
    assert np.mean(inside) >= 0.84


def test_at_six_points_the_interval_is_no_factor_of_a_hundred():
    x = np.geomspace(1, 1e3, 6)
    widths = []
    for seed in range(10):
        made = predictive.predictive(observed(noisy(power, seed, x), x), PLAIN, particles=128)
        low, high = np.quantile(made.draws(AHEAD[-1:], 1024).run, (0.025, 0.975), axis=0)
        widths.append(high - low)
    assert np.exp(np.median(widths)) < 6


def test_no_draw_passes_chance_and_far_below_it_changes_little():
    y = 0.9 / (1 + (X / 10) ** 0.5)
    made = predictive.predictive(observed(y * np.exp(0.02 * np.sin(X))), FitOptions(chance=0.9))
    drawn = made.draws(np.linspace(np.log(1 / 1e3) - 2, 3, 30))
    assert np.all(drawn.run < np.log(0.9))
    assert np.all(drawn.mean < np.log(0.9))
    mean = np.log(np.array([[1e-3], [0.5]]))
    by = np.array([[0.1], [0.1]])
    plain, bounded = (predictive._displaced(mean, by, most) for most in (None, np.log(0.9)))
    assert bounded[0, 0] == pytest.approx(plain[0, 0], abs=2e-4)
    odds = 0.5 / 0.4 * np.exp(0.1)
    assert np.exp(bounded[1, 0]) == pytest.approx(0.9 * odds / (1 + odds))


def test_the_unit_of_x_and_the_order_of_rows_change_nothing():
    y = noisy(levelling, 1)
    made = [
        make.band(predictive.predictive(observed(each[1], each[0]), PLAIN, particles=128), at, each[0].max())
        for each, at in (
            ((X, y), X * 10),
            ((X * 7.3e-4, y), X * 7.3e-3),
            ((X[::-1], y[::-1]), X * 10),
        )
    ]
    np.testing.assert_allclose(made[1].y, made[0].y, rtol=1e-9)
    np.testing.assert_allclose(made[2].new_high, made[0].new_high, rtol=1e-12)


def test_the_fit_and_the_score_are_one_function():
    y = noisy(levelling, 2)
    forecast = make.forecast(observed(y), X[-1] * np.exp(AHEAD), FitOptions(independent=False))
    middle, low, high = score.predict_curve(X, y, X[-1] * np.exp(AHEAD))
    np.testing.assert_allclose(np.log(forecast.band.y), middle, rtol=1e-12)
    np.testing.assert_allclose(np.log(forecast.band.new_low), low, rtol=1e-12)
    np.testing.assert_allclose(np.log(forecast.band.new_high), high, rtol=1e-12)


def test_many_points_are_averaged_in_blocks_that_keep_their_weight():
    x = np.geomspace(1, 1e3, 1000)
    y = noisy(levelling, 3, x)
    data, _ = predictive.data_of(observed(y, x), PLAIN)
    assert len(data.log_x) == predictive.MOST_POINTS
    assert data.noise == pytest.approx(np.full(200, 1 / np.sqrt(5)), rel=0.2)
    assert np.average(data.log_y) == pytest.approx(np.log(y).mean(), rel=1e-6)
    made = predictive.predictive(observed(y, x), PLAIN, particles=128)
    low, high = np.quantile(made.draws(AHEAD).run, (0.025, 0.975), axis=0)
    assert np.all((low < np.log(levelling(x[-1] * np.exp(AHEAD)))) & (np.log(levelling(1e3)) > low))
    # A new run has the noise of a run, not that of a block's mean.
    assert np.median(high - low) > 2 * 1.96 * 0.05 * 0.8


def test_the_local_exponent_is_that_of_the_curve():
    x = np.geomspace(1, 1e3, 30)
    forecast = make.forecast(observed(noisy(levelling, 0, x, 0.01), x), x, PLAIN)
    local = forecast.local_exponent
    assert local is not None
    truth = 0.3 * 0.55 * 1e3**-0.3 / levelling(1e3)
    assert local.interval.low < truth < local.interval.high
    assert local.value == pytest.approx(truth, abs=0.04)


def test_a_cut_leaves_enough_scales_for_a_forecast():
    assert rolling.LEAST_BELOW >= predictive.LEAST_SCALES


def test_three_scales_are_too_few():
    with pytest.raises(ValueError, match="3 compute scales: a forecast needs 4"):
        predictive.predictive(observed(power(X[:3]), X[:3]), PLAIN)


@pytest.mark.parametrize("level", [0.95, 0.8])
def test_the_local_exponent_has_the_median_and_the_quantiles_of_its_draws(level):
    made: Any = types.SimpleNamespace(local_exponents=lambda: np.linspace(0.0, 1.0, 2001))
    found = make._local_exponent(made, level)
    assert found.value == pytest.approx(0.5)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.5 - level / 2, 0.5 + level / 2))


def test_a_band_has_the_quantiles_of_the_mean_and_holds_it_in_those_of_a_run():
    grid = np.linspace(-1.0, 1.0, 2001)[:, None]
    wider = predictive.Draws(np.hstack([grid, grid]), np.hstack([2 * grid, 0.5 * grid]))
    made: Any = types.SimpleNamespace(draws=lambda log_x: wider)
    band = make.band(made, np.array([1.0, 2.0]), 1.0, 0.8)
    np.testing.assert_allclose(np.log(band.y), [0, 0], atol=1e-12)
    np.testing.assert_allclose(np.log(band.low), [-0.8, -0.8])
    np.testing.assert_allclose(np.log(band.high), [0.8, 0.8])
    np.testing.assert_allclose(np.log(band.new_low), [-1.6, -0.8])
    np.testing.assert_allclose(np.log(band.new_high), [1.6, 0.8])
    assert band.x == (1.0, 2.0)
