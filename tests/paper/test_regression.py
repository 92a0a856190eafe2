import numpy as np
import pytest
from sklearn.linear_model import QuantileRegressor

from isoflop.curve.result import Interval
from isoflop.paper import regression


def _cloud(n=60, seed=0):
    draw = np.random.default_rng(seed)
    x = draw.uniform(-1, 3, n)
    return x, 0.4 + 0.1 * x + 0.2 * draw.standard_normal(n)


def test_least_squares_is_polyfit_with_weights_too():
    x, y = _cloud()
    weights = np.random.default_rng(1).integers(0, 4, (5, len(x))).astype(float)
    fitted = regression.least_squares(x, y, weights)
    for i, w in enumerate(weights):
        slope, intercept = np.polyfit(x, y, 1, w=np.sqrt(w))
        assert fitted.slope[i] == pytest.approx(slope, rel=1e-9)
        assert fitted.intercept[i] == pytest.approx(intercept, rel=1e-9)


def test_r_squared_is_the_squared_correlation_and_gives_the_other_direction():
    x, y = _cloud()
    fitted = regression.least_squares(x, y, np.ones((1, len(x))))
    assert fitted.r_squared[0] == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)
    backward = np.polyfit(y, x, 1)[0]
    assert fitted.r_squared[0] * regression.inverse(fitted.slope)[0] == pytest.approx(backward)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_quantile_is_scikit_learns_weighted_or_not(share):
    x, y = _cloud()
    weights = np.vstack([np.ones(len(x)), np.random.default_rng(2).integers(0, 3, len(x)).astype(float)])
    fitted = regression.quantile(x, y, share, weights)
    for i, w in enumerate(weights):
        other = QuantileRegressor(quantile=share, alpha=0).fit(x[:, None], y, sample_weight=w)

        def loss(intercept, slope, w=w):
            rest = y - intercept - slope * x
            return float((w * np.maximum(share * rest, (share - 1) * rest)).sum())

        ours = loss(fitted.intercept[i], fitted.slope[i])
        assert ours == pytest.approx(loss(other.intercept_, other.coef_[0]), rel=1e-7)
        assert ours < loss(fitted.intercept[i] + 0.01, fitted.slope[i])
        assert ours < loss(fitted.intercept[i], fitted.slope[i] + 0.01)


def test_a_quantile_leaves_its_share_below():
    x, y = _cloud(400)
    line = regression.quantile(x, y, 0.9, np.ones((1, len(x))))
    assert np.mean(y < line.intercept[0] + line.slope[0] * x) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize(("share", "x"), [(1.0, np.arange(5.0)), (0.5, np.ones(5))])
def test_a_quantile_refuses_what_has_no_line(share, x):
    with pytest.raises(ValueError, match=r"quantile|same compute"):
        regression.quantile(x, np.arange(5.0), share, np.ones((1, 5)))


def test_coefficients_are_numpys_least_squares():
    x, y = _cloud()
    design = np.stack([np.ones(len(x)), x, np.sin(5 * x)], 1)
    fitted = regression.coefficients(design, y, np.ones((1, len(x))))[0]
    assert fitted == pytest.approx(np.linalg.lstsq(design, y, rcond=None)[0])
    twice = np.stack([np.ones(len(x)), x, 2 * x], 1)
    assert np.isnan(regression.coefficients(twice, y, np.ones((1, len(x))))).all()


def test_families_are_drawn_whole_and_row_0_is_the_sample():
    groups = ["a", "a", "b", "c", "c", "c"]
    weights = regression.cluster_weights(groups, 50, np.random.default_rng(0))
    assert weights.shape == (51, 6)
    assert (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[1:, [0, 2, 3]].sum(axis=1) == 3).all()


def test_clustered_intervals_cover_where_plain_ones_do_not():
    draw = np.random.default_rng(3)
    groups = np.repeat(np.arange(20), 10)
    covered = {"clustered": 0, "plain": 0}
    for _ in range(150):
        centre = draw.uniform(0, 2, 20)
        x = centre[groups] + 0.05 * draw.standard_normal(200)
        y = 0.1 * x + 0.2 * draw.standard_normal(20)[groups] + 0.02 * draw.standard_normal(200)
        for name, labels in (("clustered", groups), ("plain", np.arange(200))):
            weights = regression.cluster_weights([str(g) for g in labels], 200, draw)
            slopes = regression.least_squares(x, y, weights).slope
            bounds = regression.interval(slopes[1:], len(set(labels)))
            assert bounds.low is not None
            assert bounds.high is not None
            covered[name] += bounds.low <= 0.1 <= bounds.high
    assert covered["clustered"] >= 0.88 * 150
    assert covered["plain"] < 0.7 * 150


def test_an_interval_is_unbounded_where_the_slope_may_not_rise():
    slopes = np.concatenate([np.full(90, 0.1), np.full(10, -0.1)])
    bounds = regression.interval(regression.inverse(slopes), 50)
    assert bounds.high is None
    assert bounds.low == pytest.approx(10)
    assert regression.interval(slopes, 3) == Interval(None, None)
