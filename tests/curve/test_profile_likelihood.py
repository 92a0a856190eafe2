import numpy as np
import pytest
from scipy import optimize, stats

from isoflop.curve import profile_likelihood, solver
from isoflop.curve.laws import LAWS, PLAIN, problem_of

X = np.geomspace(1, 1e5, 16)


def _noisy(seed=0, noise=0.03):
    return (0.05 + 0.6 * X**-0.4) * np.exp(noise * np.random.default_rng(seed).standard_normal(16))


def _interval(law, points, configs=16):
    one = np.ones((1, len(points.x)))
    parameters = LAWS[law].fit(points, one, PLAIN, None)
    return parameters, profile_likelihood.exponent_interval(LAWS[law], points, configs, parameters, PLAIN)


@pytest.mark.parametrize("law", ["power_law", "power_law_floor"])
def test_the_interval_is_that_of_scipys_brute_force(law, make_observations):
    """At each b the other parameters are minimised by scipy, the ends interval by bisection."""
    points = make_observations(X, _noisy())
    parameters, interval = _interval(law, points)
    form = LAWS[law].form
    problem = problem_of(form, points, np.ones((1, 16)), PLAIN)
    low = form.bounds(problem.span)[0]

    def loss(theta):
        residual = solver.log_curve(form, theta[None], points.v)
        size = np.sqrt(2 * problem.noise(residual, np.zeros(1, dtype=np.intp))[0][0])
        clipped = np.minimum(size, problem.threshold)
        return float(np.sum(clipped * (size - clipped / 2)))

    def least(b):
        best = []
        for s in (-0.05, -0.3, -1.0, -2.0) if law == "power_law_floor" else (None,):
            start = [parameters[0, 0]] if s is None else [parameters[0, 0], s]
            bounds = [(None, None)] if s is None else [(None, None), (low[0], 0.0)]
            whole = lambda free: loss(np.r_[free, b])  # noqa: E731
            best.append(optimize.minimize(whole, start, bounds=bounds, method="Nelder-Mead", tol=1e-10).fun)
        return min(best)

    b = parameters[0, -1]
    bottom = least(b)
    freedom = 16 - LAWS[law].free_parameters
    allowed = bottom + bottom / freedom * stats.f.ppf(0.95, 1, freedom)
    for end, outer in ((interval.low, b / 4), (interval.high, b * 4)):
        expected = optimize.brentq(lambda at: least(at) - allowed, b, outer, xtol=1e-5)
        assert end == pytest.approx(expected, rel=0.01)


def test_the_interval_holds_the_exponent_and_widens_with_noise(make_observations):
    (parameters, narrow), (_, wide) = (
        _interval("power_law_floor", make_observations(X, _noisy(noise=noise))) for noise in (0.01, 0.04)
    )
    assert narrow.low < parameters[0, 2] < narrow.high
    assert narrow.low < 0.4 < narrow.high
    assert np.log(wide.high / wide.low) > 2 * np.log(narrow.high / narrow.low)


def test_no_interval_is_told_where_there_is_none(make_observations):
    points = make_observations(X, _noisy())
    assert _interval("power_law_floor", points, configs=3)[1] is None
    assert _interval("power_law_ols", points)[1] is None
    assert _interval("broken_power_law", points)[1] is None
    rising = make_observations(X, 0.1 * X**0.1)
    assert _interval("power_law", rising)[1] is None


def test_the_unit_of_x_does_not_change_the_interval(make_observations):
    one, other = (_interval("power_law_floor", make_observations(X * f, _noisy()))[1] for f in (1, 7.3e-4))
    assert other.low == pytest.approx(one.low, rel=1e-6)
    assert other.high == pytest.approx(one.high, rel=1e-6)
