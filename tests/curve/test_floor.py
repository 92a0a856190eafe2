import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from isoflop.curve import floor


def _physical(parameters, x_max):
    """E, A, b of one row, by the definitions in the module's docstring."""
    c, s, b = parameters
    return np.exp(c) * (1 - np.exp(s)), np.exp(c + s) * x_max**b, b


def _fit(x, y):
    return floor.fit(np.log(x / x.max()), y, np.ones((1, len(x))))[0]


@pytest.mark.parametrize(
    ("e", "a", "b"), [(0.05, 0.6, 0.4), (0.0, 0.8, 0.11), (1.7, 4.0, 0.3), (0.2, 0.5, 1.2)]
)
def test_noiseless_points_give_the_law_back_as_scipy_does_from_the_truth(e, a, b):
    x = np.geomspace(1, 1e5, 25)
    y = e + a * x**-b
    found = _physical(_fit(x, y), x.max())

    def law(at, e, log_a, b):
        return np.log(e + np.exp(log_a) * at**-b)

    bounds = ([-1e-12, -10, 1e-3], [3, 10, 5])
    (re, rlog_a, rb), _ = optimize.curve_fit(law, x, np.log(y), p0=[e, np.log(a), b], bounds=bounds)
    np.testing.assert_allclose(found, [re, np.exp(rlog_a), rb], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found, [e, a, b], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("seed", range(6))
def test_with_heavy_tailed_noise_no_scipy_start_finds_a_lower_huber_loss(seed):
    generator = np.random.default_rng(seed)
    x = np.exp(generator.uniform(0, 10, 20))
    y = (0.05 + 0.6 * x**-0.4) * np.exp(0.1 * generator.standard_t(2, 20))
    v, log_y, one = np.log(x.max() / x), np.log(y), np.ones((1, 20))
    squares = floor.solve(v, log_y, one, np.inf, floor.FINE)
    threshold = floor.threshold_of(log_y - floor.log_curve(squares, v)[0])

    def residual(p):
        return log_y - floor.log_curve(np.array([p]), v)[0]

    def loss(p):
        size = np.abs(residual(p))
        return np.sum(np.where(size <= threshold, size**2 / 2, threshold * (size - threshold / 2)))

    bounds = ([-20, -5 * v.max() - 5, floor.B_MIN], [20, 1e-12, floor.B_MAX])
    best = min(
        loss(
            optimize.least_squares(
                residual,
                [log_y.min(), s, b],
                bounds=bounds,
                loss="huber",
                f_scale=threshold,
                xtol=1e-13,
                ftol=1e-13,
            ).x
        )
        for s in (-0.1, -1.0, -4.0)
        for b in (0.05, 0.3, 1.0)
    )
    assert loss(_fit(x, y)) <= best * (1 + 1e-8)


def test_resamples_reach_the_minimum_that_a_single_fit_reaches():
    generator = np.random.default_rng(2)
    x = np.exp(generator.uniform(0, 10, 30))
    y = (0.05 + 0.6 * x**-0.4) * np.exp(0.05 * generator.standard_normal(30))
    counts = generator.multinomial(30, np.ones(30) / 30, 40).astype(float)
    v, log_y = np.log(x.max() / x), np.log(y)
    together = floor.fit(-v, y, np.vstack([np.ones(30), counts]))
    squares = floor.solve(v, log_y, np.ones((1, 30)), np.inf, floor.FINE)
    threshold = floor.threshold_of(log_y - floor.log_curve(squares, v)[0])
    for row, weights in zip(together[1:], counts, strict=True):
        drawn = np.repeat(np.arange(30), weights.astype(int))
        alone = floor.solve(v[drawn], log_y[drawn], np.ones((1, 30)), threshold, floor.FINE)
        # v is measured from the sample's x_max in both
        np.testing.assert_allclose(floor.log_curve(row[None], v), floor.log_curve(alone, v), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 25), st.floats(0.3, 14), st.floats(0, 0.5))
def test_any_points_give_finite_parameters_within_bounds_and_a_falling_curve(seed, points, span, noise):
    generator = np.random.default_rng(seed)
    x = np.exp(generator.uniform(0, span, points))
    y = 0.5 * x ** generator.uniform(-0.5, 0.5) * np.exp(noise * generator.standard_normal(points))
    counts = generator.multinomial(points, np.ones(points) / points, 10).astype(float)
    found = floor.fit(np.log(x / x.max()), y, np.vstack([np.ones(points), counts]))
    assert np.isfinite(found).all()
    assert np.all(found[:, 1] <= 0)
    assert np.all((found[:, 2] >= floor.B_MIN) & (found[:, 2] <= floor.B_MAX))
    curve = floor.predict(found, np.linspace(-span, 3, 20))
    assert np.all(curve > 0)
    assert np.all(np.diff(curve, axis=1) <= 1e-12 * curve[:, :1])


def test_one_wild_point_hardly_moves_the_fit():
    x = np.geomspace(1, 1e5, 30)
    generator = np.random.default_rng(0)
    y = (0.05 + 0.6 * x**-0.4) * np.exp(0.02 * generator.standard_normal(30))
    wild = y.copy()
    wild[20] *= 3
    clean, moved = (floor.log_curve(_fit(x, values)[None], np.log(x.max() / x)) for values in (y, wild))
    assert np.abs(clean - moved).max() < 0.03
