import numpy as np
import pytest

from isoflop.curve import forecast
from isoflop.curve.laws import PLAIN, Options
from isoflop.curve.rolling import Cuts

X = np.geomspace(1, 1e5, 20)


def _noisy(seed=0, noise=0.03):
    return (0.05 + 0.6 * X**-0.3) * np.exp(noise * np.random.default_rng(seed).standard_normal(20))


@pytest.fixture(scope="module")
def averaged():
    from isoflop.curve.view import View

    view = View(X, _noisy(), np.arange(20), np.ones(20), None, None)
    return view, forecast.average(view, PLAIN)


def test_weights_sum_to_one_and_fall_with_the_extrapolation_error(averaged):
    _, found = averaged
    assert len(found.members) == 2 * len(found.laws)
    assert found.weights.sum() == pytest.approx(1, rel=1e-12)
    assert np.all(found.weights > 0)
    best = max(found.members, key=lambda m: m.weight)
    worst = min(found.members, key=lambda m: m.weight)
    assert best.extrapolation_log_rmse < worst.extrapolation_log_rmse


def test_shares_are_inverse_to_the_error():
    shares = forecast._shares(np.array([0.1, 0.2, 0.4]))
    np.testing.assert_allclose(shares, np.array([4, 2, 1]) / 7, rtol=1e-3)
    np.testing.assert_allclose(forecast._shares(np.zeros(4)), 0.25)


def test_nested_weights_never_look_ahead():
    """Scores at a cut and at those of larger x do not move the weights used there."""
    each = np.random.default_rng(0).uniform(0.01, 0.1, (6, 5))
    before = forecast._nested(each)
    np.testing.assert_allclose(before.sum(axis=1), 1)
    np.testing.assert_allclose(before[-1], 1 / 6)
    for i in range(5):
        other = each.copy()
        other[:, : i + 1] *= np.random.default_rng(i).uniform(0.1, 10, (6, i + 1))
        assert np.array_equal(forecast._nested(other)[i:], before[i:])
    moved = each.copy()
    moved[0, -1] *= 50
    assert forecast._nested(moved)[0, 0] < before[0, 0]


def test_the_error_model_finds_noise_and_growth():
    generator = np.random.default_rng(0)
    ahead = generator.uniform(0.1, 2.5, 20000)
    missed = np.hypot(0.03, 0.08 * ahead) * generator.standard_normal(20000)
    noise, growth = forecast._error_model(ahead, missed)
    assert noise == pytest.approx(0.03, rel=0.1)
    assert growth == pytest.approx(0.08, rel=0.05)
    falling = forecast._error_model(np.linspace(0.1, 2, 50), np.linspace(0.2, 0.1, 50))
    assert falling[1] == 0


def test_calibration_counts_what_smaller_runs_made_intervals_for(averaged):
    view, found = averaged
    where = forecast.cuts(view)
    judged = int(np.isfinite(where.ahead[:-1]).sum())
    assert [c.nominal for c in found.calibration] == list(forecast.NOMINAL)
    assert all(c.predictions == judged for c in found.calibration)
    observed = [c.observed for c in found.calibration]
    assert observed == sorted(observed)
    assert all(0 <= share <= 1 for share in observed)


def test_calibration_is_near_nominal_for_errors_of_the_model_itself():
    generator = np.random.default_rng(1)
    hits = []
    for _ in range(200):
        ahead = np.tile(np.linspace(0.2, 2.2, 8), (7, 1))
        missed = np.hypot(0.02, 0.05 * ahead) * generator.standard_normal(ahead.shape)
        hits.append([c.observed for c in forecast._calibration(Cuts(np.arange(7.0), ahead), missed)])
    # Student's t for few cuts is wider than the normal that made the errors: at least nominal
    mean = np.mean(hits, axis=0)
    assert np.all(mean > np.array(forecast.NOMINAL) - 0.03)
    assert mean[0] < 0.7


def test_calibration_intervals_come_from_smaller_runs_only():
    generator = np.random.default_rng(2)
    ahead = np.tile(np.linspace(0.2, 2.2, 6), (4, 1))
    missed = 0.05 * generator.standard_normal((4, 6))
    huge = missed.copy()
    huge[0] = 100.0
    (first, *_), (second, *_) = (
        forecast._calibration(Cuts(np.arange(4.0), ahead), errors) for errors in (missed, huge)
    )
    below = forecast._calibration(Cuts(np.arange(3.0), ahead[1:]), missed[1:])[0]
    assert second.observed * second.predictions == pytest.approx(below.observed * below.predictions)
    assert first.predictions == second.predictions == 18


@pytest.mark.parametrize("factor", [1e9, 7.3e-4])
def test_the_unit_of_x_does_not_change_the_forecast(factor, make_view):
    z = np.linspace(-11, np.log(10), 25)
    curves = []
    for f in (1.0, factor):
        view = make_view(X * f, _noisy())
        found = forecast.average(view, PLAIN)
        curves.append((found, forecast.curves(found, view, z, np.ones((1, 20)), PLAIN)[0]))
    (one, first), (other, second) = curves
    np.testing.assert_allclose(np.exp(second), np.exp(first), rtol=1e-9)
    np.testing.assert_allclose(other.weights, one.weights, rtol=1e-9)


def test_the_forecast_is_the_weighted_mean_of_its_members_and_draws_are_shared_by_weight(averaged):
    view, found = averaged
    counts = np.random.default_rng(0).multinomial(20, np.ones(20) / 20, 100).astype(float)
    weights = np.vstack([np.ones(20), counts])
    middle, drawn = forecast.curves(found, view, np.linspace(-11, 2, 7), weights, PLAIN)
    assert drawn.shape == (100, 7)
    assert np.isfinite(drawn).all()
    truth = np.log(0.05 + 0.6 * (X.max() * np.exp(np.linspace(-11, 2, 7))) ** -0.3)
    assert np.abs(middle - truth)[:-1].max() < 0.12
    assert np.abs(np.median(drawn, axis=0) - middle)[:-1].max() < 0.05


def test_few_scales_carry_no_law_and_some_carry_few(make_view):
    assert forecast.average(make_view(X[:4], _noisy()[:4]), PLAIN) is None
    some = forecast.average(make_view(X[:5], _noisy()[:5]), PLAIN)
    assert [law.name for law in some.laws] == ["power_floor", "m3"]
    if some.tested_ratio is None:
        assert {m.weight for m in some.members} == {0.25}


def test_m4_is_averaged_with_its_chance_held(make_view):
    view = make_view(X, _noisy())
    free, held = (forecast.average(view, Options(chance=chance)) for chance in (None, 0.9))
    scores = [[m.extrapolation_log_rmse for m in found.members if m.law == "m4"] for found in (free, held)]
    assert scores[0] != scores[1]
