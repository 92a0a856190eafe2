import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from isoflop.curve import forms, laws, observations, solver
from isoflop.curve.laws import PLAIN, fit_form, problem_of
from isoflop.curve.solver import Problem

FORMS = {
    "power_law": forms.POWER_LAW,
    "power_law_floor": forms.POWER_LAW_FLOOR,
    "m3": forms.M3,
    "m4": forms.M4,
    "broken_power_law": forms.BROKEN_POWER_LAW,
}


def _huber(residual, threshold):
    size = np.abs(residual)
    return np.sum(np.where(size <= threshold, size**2 / 2, threshold * (size - threshold / 2)))


def _heavy(seed, points=24):
    generator = np.random.default_rng(seed)
    x = np.exp(generator.uniform(0, 10, points))
    return x, (0.05 + 0.6 * x**-0.4) * np.exp(0.1 * generator.standard_t(2, points))


TRUTHS = {
    "power_law": (-2.0, [0.3]),
    "power_law_floor": (-3.0, [-0.6, 0.5]),
    "m3": (-2.0, [0.6, 3.0]),
    "m4": (-0.1, [-3.0, 0.9, 0.3, 0.05]),
    "broken_power_law": (-3.0, [-0.1, 0.1, 0.7, 4.0, -0.5]),
}


@pytest.mark.parametrize("name", list(FORMS))
@pytest.mark.parametrize("seed", range(2))
def test_with_heavy_tailed_noise_no_scipy_start_finds_a_lower_huber_loss(name, seed, make_observations):
    """On each law's own points; the law may not be identified by others'."""
    form, generator = FORMS[name], np.random.default_rng(seed)
    x, (level, shape) = np.geomspace(1, np.exp(10), 40), TRUTHS[name]
    truth = level + form.evaluate(np.array([shape]), np.log(x.max() / x))[0][0]
    points = make_observations(x, np.exp(truth + 0.05 * generator.standard_t(2, len(x))))
    one, threshold = np.ones((1, len(x))), 0.06
    log_y = points.log_y[None]
    problem = Problem(form, points.v, log_y, solver.log_error(log_y), threshold)
    (ours,), (loss,) = solver.solve(problem, one, solver.FINE)
    assert loss == pytest.approx(
        _huber(points.log_y - solver.log_curve(form, ours[None], points.v)[0], threshold)
    )
    low, high = form.bounds(problem.span)
    best = np.inf
    for _ in range(8):
        theta = low + generator.uniform(0.02, 0.98, len(low)) * (high - low)
        rest = points.log_y - form.evaluate(theta[None], points.v)[0][0]
        minimum = optimize.least_squares(
            lambda p: points.log_y - solver.log_curve(form, p[None], points.v)[0],
            np.r_[np.median(rest), theta],
            jac=lambda p: -np.column_stack([np.ones(len(x)), form.evaluate(p[None, 1:], points.v)[1][0]]),
            bounds=(np.r_[-60, low], np.r_[60, high + 1e-12]),
            loss="huber",
            f_scale=threshold,
            xtol=1e-10,
            ftol=1e-12,
            gtol=1e-10,
            max_nfev=60,
        )
        best = min(best, minimum.cost)
    assert loss <= best * (1 + 1e-6)


@pytest.mark.parametrize("name", ["power_law", "power_law_floor", "m3"])
def test_a_weight_is_a_row_repeated(name, make_observations):
    form, (x, y) = FORMS[name], _heavy(4)
    points = make_observations(x, y)
    counts = np.random.default_rng(0).multinomial(len(x), np.ones(len(x)) / len(x), 10)
    problem = problem_of(form, points, np.ones((1, len(x))), PLAIN)
    together, losses = solver.solve(problem, counts.astype(float), solver.FINE)
    for row, loss, count in zip(together, losses, counts, strict=True):
        drawn = np.repeat(np.arange(len(x)), count)
        deviation = observations.spread(points, form, np.ones((1, len(x))), None).deviation[drawn]
        log_y = points.log_y[None, drawn]
        noise = solver.log_error(log_y, deviation)
        again = dataclasses.replace(problem, v=points.v[drawn], log_y=log_y, noise=noise)
        alone, least = solver.solve(again, np.ones((1, len(drawn))), solver.FINE)
        assert least[0] == pytest.approx(loss, rel=1e-9)
        one, other = (solver.log_curve(form, p, points.v) for p in (row[None], alone))
        np.testing.assert_allclose(one, other, atol=1e-7)


@pytest.mark.parametrize("name", list(FORMS))
def test_coarse_resamples_end_where_a_fine_fit_does(name, make_observations):
    """On each law's own points: to a fiftieth of the resamples' spread in 9 of 10, and so their interval."""
    form, (level, shape) = FORMS[name], TRUTHS[name]
    generator = np.random.default_rng(2)
    x = np.geomspace(1, np.exp(10), 40)
    truth = level + form.evaluate(np.array([shape]), np.log(x.max() / x))[0][0]
    points = make_observations(x, np.exp(truth + 0.03 * generator.standard_normal(40)))
    counts = generator.multinomial(40, np.ones(40) / 40, 200).astype(float)
    problem = problem_of(form, points, np.ones((1, 40)), PLAIN)
    coarse, fine = (
        solver.log_curve(form, solver.solve(problem, counts, effort, relaxed=True)[0], points.v)
        for effort in (solver.COARSE, solver.FINE)
    )
    spread = fine.std(axis=0)
    off = np.sqrt(np.mean(((coarse - fine) / spread) ** 2, axis=1))
    assert np.quantile(off, 0.9) < 0.02
    ends = [np.quantile(curves, [0.025, 0.975], axis=0) / spread for curves in (coarse, fine)]
    assert np.abs(ends[0] - ends[1]).max() < 0.1


def test_the_rows_of_a_batch_do_not_touch_each_other(make_observations):
    points = make_observations(*_heavy(5))
    counts = np.random.default_rng(1).multinomial(24, np.ones(24) / 24, 30).astype(float)
    weights = np.vstack([np.ones(24), counts])
    whole = fit_form(forms.POWER_LAW_FLOOR, points, weights, PLAIN)
    part = fit_form(forms.POWER_LAW_FLOOR, points, weights[[0, 7, 19]], PLAIN)
    np.testing.assert_allclose(part, whole[[0, 7, 19]], rtol=1e-9, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(list(FORMS)),
    seed=st.integers(0, 10**6),
    points=st.integers(3, 25),
    span=st.floats(0.3, 14),
    noise=st.floats(0, 0.5),
)
def test_any_points_give_finite_parameters_within_bounds(name, seed, points, span, noise):
    form, generator = FORMS[name], np.random.default_rng(seed)
    x = np.exp(generator.uniform(0, span, points))
    x[:2] = 1, np.exp(span)
    y = 0.5 * x ** generator.uniform(-0.5, 0.5) * np.exp(noise * generator.standard_normal(points))
    sample = observations.Observations(x, y, np.arange(points), np.ones(points), None, None)
    counts = generator.multinomial(points, np.ones(points) / points, 10).astype(float)
    parameters = fit_form(form, sample, np.vstack([np.ones(points), counts]), PLAIN)
    assert np.isfinite(parameters).all()
    (low, high), (wide_low, wide_high) = form.bounds(span), form.relaxed(span)
    slack = 1e-9 * (1 + span)
    assert np.all((parameters[0, 1:] >= low - slack) & (parameters[0, 1:] <= high + slack))
    assert np.all((parameters[1:, 1:] >= wide_low - slack) & (parameters[1:, 1:] <= wide_high + slack))
    curve = np.exp(laws.log_curve(form, parameters, np.linspace(-span, 3, 20)))
    assert np.all((curve > 0) & np.isfinite(curve))
    assert np.all(np.diff(curve[:1], axis=1) <= 1e-9 * curve[:1, :1])


def test_one_wild_point_hardly_moves_the_fit(make_observations):
    x = np.geomspace(1, 1e5, 30)
    generator = np.random.default_rng(0)
    y = (0.05 + 0.6 * x**-0.4) * np.exp(0.02 * generator.standard_normal(30))
    wild = y.copy()
    wild[20] *= 3
    z = np.log(x / x.max())
    clean, moved = (
        laws.log_curve(
            forms.POWER_LAW_FLOOR,
            fit_form(forms.POWER_LAW_FLOOR, make_observations(x, values), np.ones((1, 30)), PLAIN),
            z,
        )
        for values in (y, wild)
    )
    assert np.abs(clean - moved).max() < 0.03


@pytest.mark.parametrize("errors", [0.0, 1.0, 37.0, 99.0])
def test_the_binomial_noise_is_scipys_likelihood_ratio(errors):
    """Half a deviance: ln of the likelihood at the observed rate over that at y; its slope and curvature."""
    n = 100.0
    log_law = np.log(np.linspace(0.005, 0.97, 40))[None]
    count = np.full(40, errors)
    half, slope, curvature = solver.binomial(count, np.full(40, n))(log_law, np.zeros(1, dtype=np.intp))
    at = np.exp(log_law[0])
    expected = stats.binom.logpmf(errors, n, errors / n) - stats.binom.logpmf(errors, n, at)
    np.testing.assert_allclose(half[0], expected, rtol=1e-9, atol=1e-11)
    step = 1e-5
    up, down = (
        solver.binomial(count, np.full(40, n))(log_law + d, np.zeros(1, dtype=np.intp))[0]
        for d in (step, -step)
    )
    np.testing.assert_allclose(slope, -(up - down) / (2 * step), rtol=1e-5, atol=1e-5)
    # Fisher's information of ln y: n y / (1 - y)
    np.testing.assert_allclose(curvature[0], n * at / (1 - at), rtol=1e-12)


def test_extra_variance_scales_the_deviance_by_binomial_over_whole():
    count, n, law = np.array([40.0]), np.array([200.0]), np.log(np.array([[0.3]]))
    rows = np.zeros(1, dtype=np.intp)
    seen = 40.5 / 201
    alone = (1 - seen) / (200 * seen)
    plain, wider = (solver.binomial(count, n, extra)(law, rows) for extra in (0.0, 3 * alone))
    for one, other in zip(plain, wider, strict=True):
        np.testing.assert_allclose(other, one / 4, rtol=1e-12)


def test_a_binomial_fit_is_scipys_most_likely_law(make_observations):
    """Without any other variance, down to points of 0 errors: the most likely A and b."""
    x = np.geomspace(1, 1e5, 12)
    trials = 400.0
    count = np.random.default_rng(3).binomial(400, 0.5 * x**-0.7).astype(float)
    assert (count == 0).any()
    points = make_observations(x, count / trials, trials=trials)
    noise = solver.binomial(count, np.full(12, trials))
    problem = Problem(forms.POWER_LAW, points.v, points.log_y[None], noise)
    (c, b) = solver.solve(problem, np.ones((1, 12)), solver.FINE)[0][0]

    def unlikely(p):
        return -stats.binom.logpmf(count, trials, np.exp(np.minimum(p[0] + p[1] * points.v, -1e-9))).sum()

    minimum = optimize.minimize(
        unlikely, [-6, 0.5], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-13, "maxiter": 4000}
    )
    np.testing.assert_allclose([c, b], minimum.x, rtol=1e-5)


def _inside(form, share, span=9.0):
    """Shape parameters at `share` (q,) of the way between moderate values."""
    moderate = {"b": (0.05, 2), "s": (-4, -0.05), "m": (-2, 6), "tau": (-5, 1), "log_k": (-1, 1)}
    moderate |= {"share": (0.01, 0.5), "b0": (0.0, 1), "b1": (0.05, 2), "log_f": (-1, 0.5)}
    ends = np.array([moderate[name] for name in form.names])
    return ends[:, 0] + np.asarray(share) * (ends[:, 1] - ends[:, 0])


@pytest.mark.parametrize("name", list(FORMS))
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_no_start_of_scipys_finds_a_lower_huber_loss(name, seed):
    form = FORMS[name]
    generator = np.random.default_rng(seed)
    v = np.sort(generator.uniform(0, 9, 24))
    v -= v.min()
    truth = form.evaluate(_inside(form, generator.random(len(form.names)))[None], v)[0][0] - 2
    log_y = truth + 0.05 * generator.standard_t(3, 24)
    threshold = 0.07
    problem = Problem(form, v, log_y[None], solver.log_error(log_y[None]), threshold)
    reached = solver.solve(problem, np.ones((1, 24)), solver.FINE)[1][0]
    lower, upper = form.bounds(problem.span)

    def residual(p):
        return log_y - p[0] - form.evaluate(p[None, 1:], v)[0][0]

    best = np.inf
    for _ in range(12):
        start = np.r_[log_y.min(), np.clip(_inside(form, generator.random(len(form.names))), lower, upper)]
        end = optimize.least_squares(
            residual,
            start,
            bounds=(np.r_[-30, lower - 1e-12], np.r_[30, upper + 1e-12]),
            loss="huber",
            f_scale=threshold,
            xtol=1e-12,
            ftol=1e-12,
            max_nfev=400,
        ).x
        size = np.abs(residual(end))
        loss = np.sum(np.where(size <= threshold, size**2 / 2, threshold * (size - threshold / 2)))
        best = min(best, loss)
    assert reached <= best * (1 + (1e-6 if len(form.names) < 3 else 1e-2))


def test_held_parameters_stay_and_the_rest_is_the_constrained_minimum():
    v = np.linspace(0, 8, 20)
    log_y = np.log(0.05 + 0.02 * np.exp(0.5 * v))
    problem = Problem(forms.POWER_LAW_FLOOR, v, log_y[None], solver.log_error(log_y[None]))
    values = np.array([0.3, 0.5, 0.9])
    parameters, losses = solver.solve(problem, np.ones((3, 20)), solver.FINE, held=(1, values))
    np.testing.assert_array_equal(parameters[:, 2], values)
    assert losses[1] < 1e-20
    for value, loss in zip(values, losses, strict=True):
        end = optimize.minimize(
            lambda p, value=value: (
                0.5 * np.sum((log_y - p[0] - forms.power_law_floor(np.array([[p[1], value]]), v)[0][0]) ** 2)
            ),
            [log_y[0], -1.0],
            bounds=[(None, None), (-50, 0)],
            options={"ftol": 1e-15, "gtol": 1e-10},
        )
        assert loss <= end.fun * (1 + 1e-4) + 1e-12
    level = solver.solve(problem, np.ones((1, 20)), solver.FINE, level=-2.5)[0]
    assert level[0, 0] == -2.5


def test_a_quantile_fit_leaves_its_share_below(make_observations):
    generator = np.random.default_rng(1)
    x = np.exp(generator.uniform(0, 9, 400))
    y = 0.5 * x**-0.2 * np.exp(0.3 * generator.standard_normal(400))
    at = make_observations(x, y)
    for quantile in (0.1, 0.5, 0.9):
        parameters = fit_form(
            forms.POWER_LAW, at, np.ones((1, 400)), dataclasses.replace(PLAIN, quantile=quantile)
        )
        below = np.mean(at.log_y < laws.log_curve(forms.POWER_LAW, parameters, -at.v)[0])
        assert below == pytest.approx(quantile, abs=0.02)
        assert parameters[0, 1] == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("level", [None, -1.0])
@pytest.mark.parametrize("name", ["power_law", "power_law_floor", "m3"])
def test_starts_are_the_grid_points_of_least_weighted_squares(name, level):
    """Against every grid point with its best level, one resample at a time."""
    form, generator = FORMS[name], np.random.default_rng(4)
    x, y = _heavy(2)
    v, log_y = np.log(x.max() / x), np.log(y)
    weights = generator.exponential(size=(5, len(x)))
    problem = Problem(form, v, log_y[None], solver.log_error(log_y[None]))
    found = solver._starts(problem, np.arange(5), weights, level)
    for basin, grid in zip(found, form.starts(problem.span), strict=True):
        shapes = form.evaluate(grid, v)[0]
        for weight, start in zip(weights, basin, strict=True):
            levels = (log_y - shapes) @ weight / weight.sum() if level is None else np.full(len(grid), level)
            best = (((log_y - shapes - levels[:, None]) ** 2) @ weight).argmin()
            np.testing.assert_allclose(start, [levels[best], *grid[best]])


def test_the_threshold_is_1345_robust_standard_deviations_and_never_0():
    residual = 0.1 * stats.norm.ppf((np.arange(999) + 0.5) / 999)
    assert solver.threshold_of(residual) == pytest.approx(0.1345, rel=2e-3)
    assert solver.threshold_of(np.zeros(9)) == pytest.approx(1.345e-3)
    assert solver.threshold_of(np.zeros(9), 0.5) == pytest.approx(0.6725)
