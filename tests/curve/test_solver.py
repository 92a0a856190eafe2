import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

from isoflop.curve import forms, solver, view
from isoflop.curve.laws import PLAIN, fit_form, log_curve
from isoflop.curve.solver import FINE, Problem, log_error, solve
from isoflop.curve.view import View

FORMS = {name: getattr(forms, name) for name in ("POWER", "FLOORED", "LEVELLED", "SIGMOID", "BROKEN")}
V = np.linspace(0, 9, 23)


def _inside(form, share, span=9.0):
    """Shape parameters at `share` (q,) of the way between moderate values."""
    moderate = {"b": (0.05, 2), "s": (-4, -0.05), "m": (-2, 6), "tau": (-5, 1), "log_k": (-1, 1)}
    moderate |= {"share": (0.01, 0.5), "b0": (0.0, 1), "b1": (0.05, 2), "log_f": (-1, 0.5)}
    ends = np.array([moderate[name] for name in form.names])
    return ends[:, 0] + np.asarray(share) * (ends[:, 1] - ends[:, 0])


@pytest.mark.parametrize("name", list(FORMS))
@settings(max_examples=30, deadline=None)
@given(shares=st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_derivatives_are_those_of_central_differences(name, shares):
    form = FORMS[name]
    theta = _inside(form, shares[: len(form.names)])
    _, exact = form.evaluate(theta[None], V)
    for i in range(len(theta)):
        step = 1e-6 * np.eye(len(theta))[i]
        numeric = (
            form.evaluate((theta + step)[None], V)[0] - form.evaluate((theta - step)[None], V)[0]
        ) / 2e-6
        np.testing.assert_allclose(exact[..., i], numeric, rtol=2e-5, atol=2e-7)


def test_the_inversion_of_m4_ends_at_rounding_error():
    t = np.linspace(-60, 60, 4001)
    for k in np.geomspace(0.05, 20, 25):
        height = np.exp(forms.sigmoid(np.array([[0.0, 1.0, np.log(k), 0.0]]), t)[0][0])
        q = special.logit(np.minimum(height, 1 - 1e-16))
        inner = (height > 1e-12) & (height < 1 - 1e-6)
        residual = k * np.logaddexp(0, q) - np.logaddexp(0, -q) - t
        assert np.abs(residual[inner]).max() < 1e-7


@pytest.mark.parametrize("name", list(FORMS))
@pytest.mark.parametrize("seed", range(3))
def test_no_start_of_scipys_finds_a_lower_huber_loss(name, seed):
    form = FORMS[name]
    generator = np.random.default_rng(seed)
    v = np.sort(generator.uniform(0, 9, 24))
    v -= v.min()
    truth = form.evaluate(_inside(form, generator.random(len(form.names)))[None], v)[0][0] - 2
    log_y = truth + 0.05 * generator.standard_t(3, 24)
    threshold = 0.07
    problem = Problem(form, v, log_y[None], log_error(log_y[None]), threshold)
    found = solve(problem, np.ones((1, 24)), FINE)[1][0]
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
    assert found <= best * (1 + (1e-6 if len(form.names) < 3 else 1e-2))


@pytest.mark.parametrize("name", ["POWER", "FLOORED", "LEVELLED"])
def test_a_weight_of_two_is_a_point_listed_twice(name):
    form = FORMS[name]
    generator = np.random.default_rng(2)
    v = np.sort(generator.uniform(0, 10, 30))
    log_y = np.log(0.05 + 0.03 * np.exp(0.4 * v)) + 0.05 * generator.standard_normal(30)
    counts = generator.multinomial(30, np.ones(30) / 30, 12).astype(float)
    problem = Problem(form, v, log_y[None], log_error(log_y[None]), 0.06)
    together = solve(problem, counts, FINE)[0]
    for row, weights in zip(together, counts, strict=True):
        drawn = np.repeat(np.arange(30), weights.astype(int))
        listed = dataclasses.replace(
            problem, v=v[drawn], log_y=log_y[None, drawn], noise=log_error(log_y[None, drawn])
        )
        alone = solve(listed, np.ones((1, 30)), FINE)[0]
        np.testing.assert_allclose(
            solver.log_curve(form, row[None], v), solver.log_curve(form, alone, v), atol=2e-4
        )


def test_held_parameters_stay_and_the_rest_is_the_constrained_minimum():
    v = np.linspace(0, 8, 20)
    log_y = np.log(0.05 + 0.02 * np.exp(0.5 * v))
    problem = Problem(forms.FLOORED, v, log_y[None], log_error(log_y[None]))
    values = np.array([0.3, 0.5, 0.9])
    found, losses = solve(problem, np.ones((3, 20)), FINE, held=(1, values))
    np.testing.assert_array_equal(found[:, 2], values)
    assert losses[1] < 1e-20
    for value, loss in zip(values, losses, strict=True):
        end = optimize.minimize(
            lambda p, value=value: (
                0.5 * np.sum((log_y - p[0] - forms.floored(np.array([[p[1], value]]), v)[0][0]) ** 2)
            ),
            [log_y[0], -1.0],
            bounds=[(None, None), (-50, 0)],
            options={"ftol": 1e-15, "gtol": 1e-10},
        )
        assert loss <= end.fun * (1 + 1e-4) + 1e-12
    level = solve(problem, np.ones((1, 20)), FINE, level=-2.5)[0]
    assert level[0, 0] == -2.5


def test_binomial_noise_is_the_binomial_likelihood():
    errors, trials = np.array([0.0, 3.0, 50.0, 100.0]), np.array([100.0, 100.0, 100.0, 100.0])
    judge = solver.binomial(errors, trials)
    rows = np.zeros(1, dtype=np.intp)
    y = np.array([[0.02, 0.05, 0.4, 0.9]])
    half, pull, curvature = judge(np.log(y), rows)
    saturated = stats.binom.logpmf(errors, trials, errors / trials)
    np.testing.assert_allclose(half[0], saturated - stats.binom.logpmf(errors, trials, y[0]), rtol=1e-9)
    step = 1e-6
    numeric = (judge(np.log(y) - step, rows)[0] - judge(np.log(y) + step, rows)[0]) / (2 * step)
    np.testing.assert_allclose(pull, numeric, rtol=1e-5)
    np.testing.assert_allclose(curvature[0], trials * y[0] / (1 - y[0]))


def test_zero_errors_of_a_known_number_pull_the_fit_down(make_view):
    x = np.geomspace(1, 1e3, 8)
    y = 0.3 * x**-0.6
    y[-1] = 0.0
    known = fit_form(forms.POWER, make_view(x, y, trials=200), np.ones((1, 8)), PLAIN)
    kept = fit_form(forms.POWER, make_view(x[:-1], y[:-1], trials=200), np.ones((1, 7)), PLAIN)
    at = np.log(np.array([1e3]))
    with_zero = np.exp(log_curve(forms.POWER, known, at - np.log(x[-1])))[0, 0]
    without = np.exp(log_curve(forms.POWER, kept, at - np.log(x[-2])))[0, 0]
    assert 0 < with_zero < without


def test_one_wild_point_hardly_moves_the_fit(make_view):
    x = np.geomspace(1, 1e5, 30)
    generator = np.random.default_rng(0)
    y = (0.05 + 0.6 * x**-0.4) * np.exp(0.02 * generator.standard_normal(30))
    wild = y.copy()
    wild[20] *= 3
    z = np.log(x / x.max())
    clean, moved = (
        log_curve(forms.FLOORED, fit_form(forms.FLOORED, make_view(x, values), np.ones((1, 30)), PLAIN), z)
        for values in (y, wild)
    )
    assert np.abs(clean - moved).max() < 0.03


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 25), st.floats(0.3, 14), st.floats(0, 0.5))
@pytest.mark.parametrize("name", list(FORMS))
def test_any_points_give_finite_parameters_within_bounds(name, seed, points, span, noise):
    form = FORMS[name]
    generator = np.random.default_rng(seed)
    x = np.exp(generator.uniform(0, span, points))
    y = 0.5 * x ** generator.uniform(-0.5, 0.5) * np.exp(noise * generator.standard_normal(points))
    at = View(x, y, np.arange(points), np.ones(points), None, None)
    counts = generator.multinomial(points, np.ones(points) / points, 5).astype(float)
    found = fit_form(form, at, np.vstack([np.ones(points), counts]), PLAIN)
    assert np.isfinite(found).all()
    for row, (lower, upper) in (
        (0, form.bounds(float(np.ptp(at.v)))),
        (1, form.relaxed(float(np.ptp(at.v)))),
    ):
        assert np.all(found[row:, 1:] >= lower - 1e-12) or row == 0
        assert np.all(found[row : row + 1 if row == 0 else None, 1:] <= upper + 1e-12)
    curve = np.exp(log_curve(form, found, np.linspace(-span, 3, 20)))
    assert np.all((curve > 0) & np.isfinite(curve))
    assert np.all(np.diff(curve[:1], axis=1) <= 1e-9 * curve[:1, :1])


def test_a_quantile_fit_leaves_its_share_below(make_view):
    generator = np.random.default_rng(1)
    x = np.exp(generator.uniform(0, 9, 400))
    y = 0.5 * x**-0.2 * np.exp(0.3 * generator.standard_normal(400))
    at = make_view(x, y)
    for quantile in (0.1, 0.5, 0.9):
        found = fit_form(forms.POWER, at, np.ones((1, 400)), dataclasses.replace(PLAIN, quantile=quantile))
        below = np.mean(at.log_y < log_curve(forms.POWER, found, -at.v)[0])
        assert below == pytest.approx(quantile, abs=0.02)
        assert found[0, 1] == pytest.approx(0.2, abs=0.03)


def test_spread_tells_seeds_from_counting(make_view):
    """Points that scatter as binomial counts do are weighed so; those that scatter less are not."""
    generator = np.random.default_rng(0)
    x = np.geomspace(1, 1e4, 200)
    truth = 0.5 * x**-0.5
    one = np.ones((1, 200))
    counted = generator.binomial(4000, truth) / 4000
    sure = truth * np.exp(0.003 * generator.standard_normal(200))
    shares = []
    for y in (counted, sure):
        at = make_view(x, y, trials=4000)
        deviation = view.spread(at, forms.POWER, one, None).deviation
        shares.append(deviation[-1] / np.sqrt(at.binomial_variance()[-1]))
    assert shares[0] == pytest.approx(1.0, abs=0.2)
    assert shares[1] < 0.15
