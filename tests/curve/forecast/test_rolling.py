import numpy as np
import pytest

from isoflop.curve import forms
from isoflop.curve.forecast import rolling
from isoflop.curve.laws import LAWS, PLAIN

X = np.geomspace(1, 1e5, 20)


def _noisy(seed=0):
    return (0.05 + 0.6 * X**-0.3) * np.exp(0.03 * np.random.default_rng(seed).standard_normal(20))


def test_a_cut_judges_what_lies_above_it_up_to_sixteen_times(make_observations):
    points = make_observations(X, _noisy())
    cuts = rolling.cuts(points, 6)
    assert 1 <= len(cuts.at) <= rolling.MOST_CUTS
    assert np.all(np.diff(cuts.at) > 0), "the largest x first"
    for at, ahead in zip(cuts.at, cuts.ahead, strict=True):
        judged = np.isfinite(ahead)
        ratio = X / (X.max() * np.exp(-at))
        assert np.array_equal(judged, (ratio > 1.01) & (ratio <= rolling.EDGES[-1]))
        np.testing.assert_allclose(np.exp(ahead[judged]), ratio[judged], rtol=1e-9)
        assert np.sum(ratio <= 1.01) >= 6
    assert cuts.tested_ratio == pytest.approx(np.exp(np.nanmax(cuts.ahead)))


def test_too_few_scales_leave_no_cut(make_observations):
    cuts = rolling.cuts(make_observations(X[:4], _noisy()[:4]), 4)
    assert len(cuts.at) == 0
    assert cuts.tested_ratio is None
    assert rolling.score(cuts.ahead, cuts.ahead) is None


@pytest.mark.parametrize("name", ["power_law_floor", "m3", "m4", "broken_power_law"])
def test_predictions_do_not_look_above_the_cut(name, make_observations):
    """Other y above a cut leave its predictions unchanged, bit for bit."""
    y = _noisy()
    points = make_observations(X, y)
    where = rolling.usual_cuts(points)
    form, z = LAWS[name].form, np.linspace(-11, 2, 9)
    before = rolling.predict(form, points, where.at, None, z)
    for i, at in enumerate(where.at):
        above = points.v < at - 1e-3
        assert above.any()
        other = make_observations(X, np.where(above, y * np.random.default_rng(i).uniform(0.3, 3, 20), y))
        after = rolling.predict(form, other, where.at, None, z)
        assert np.array_equal(after[i], before[i])
        assert i == 0 or not np.array_equal(after, before), "cuts of larger x see them"


def test_the_fit_below_a_cut_is_that_of_the_points_below_it_alone(make_observations):
    points = make_observations(X, _noisy())
    where = rolling.usual_cuts(points)
    for i, at in enumerate(where.at):
        below = points.v >= at - 1e-3
        kept = make_observations(X[below], points.y[below])
        own = rolling.predict(forms.POWER_LAW, kept, np.zeros(1), None, np.array([0.5]))
        shifted = rolling.predict(forms.POWER_LAW, points, where.at, None, np.array([0.5 - at]))
        np.testing.assert_allclose(own[0], shifted[i], atol=1e-3)


def test_horizons_and_score_are_the_roots_of_the_mean_squares():
    ahead = np.log(np.array([[np.nan, 2.0, 4.0, 10.0], [2.0, 4.0, np.nan, np.nan]]))
    errors = np.array([[np.nan, 0.1, 0.2, 0.4], [0.3, 0.0, np.nan, np.nan]])
    horizons = rolling.horizons(ahead, errors)
    assert [(h.ratio, h.predictions) for h in horizons] == [(2.0, 2), (4.0, 2), (10.0, 1)]
    assert [h.log_rmse for h in horizons] == pytest.approx([np.sqrt(0.05), np.sqrt(0.02), 0.4])
    each = [(0.01 + 0.04 + 0.16) / 3, 0.09 / 2]
    assert rolling.score(ahead, errors) == pytest.approx(np.sqrt(np.mean(each)))


def test_the_law_that_made_the_points_extrapolates_them_best(make_observations):
    points = make_observations(X, 0.05 + 0.6 * X**-0.3)
    where = rolling.usual_cuts(points)
    scores = {
        n: rolling.score(where.ahead, rolling.errors(LAWS[n], points, where, PLAIN))
        for n in LAWS
        if LAWS[n].form is not None
    }
    assert scores["power_law_floor"] < 1e-3
    assert scores["power_law"] > 20 * scores["power_law_floor"]


def test_of_many_possible_cuts_eight_are_spread_from_the_first_to_the_last(make_observations):
    """Scales a quarter of a decade apart: all but the largest, and the five least, could be cuts."""
    x = np.geomspace(1, 1e10, 41)
    cuts = rolling.cuts(make_observations(x, x**-0.1), 6)
    step = np.log(x[1] / x[0])
    assert cuts.at.min() == pytest.approx(step, rel=2e-3)
    assert cuts.at.max() == pytest.approx(35 * step, rel=1e-3)
    assert len(cuts.at) == 8
    assert np.ptp(np.diff(cuts.at)) <= 1.01 * step


def test_a_curve_without_a_logarithm_counts_as_far_too_low(make_observations, monkeypatch):
    points = make_observations(X, _noisy())
    where = rolling.usual_cuts(points)
    curve = np.full(where.ahead.shape, np.nan)
    monkeypatch.setattr(rolling, "predict", lambda *args: curve)
    found = rolling.errors(LAWS["m3"], points, where, PLAIN)
    judged = np.isfinite(where.ahead)
    assert np.isnan(found[~judged]).all()
    np.testing.assert_allclose((found + points.log_y)[judged], -20.0)
