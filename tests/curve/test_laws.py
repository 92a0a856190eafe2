import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from isoflop.curve.laws import AT_BOUND, LAWS, Axes, FitOptions
from isoflop.curve.observations import Observations

ROBUST = [name for name, law in LAWS.items() if law.form is not None]
X = np.geomspace(1, 1e6, 40)

TRUTHS: dict[str, Any] = {
    "power_law_ols": ({"a": 0.3, "b": 0.12}, lambda x, a, b: 10 ** -(a + b * np.log10(x))),
    "exponential": ({"a": 1.5, "b": 0.7}, lambda x, a, b: 1 / (a + b * np.log10(x))),
    "power_law": ({"A": 0.7, "b": 0.11}, lambda x, A, b: A * x**-b),
    "power_law_floor": ({"E": 0.05, "A": 0.6, "b": 0.4}, lambda x, E, A, b: E + A * x**-b),
    "m3": ({"A": 0.8, "b": 0.3, "x_0": 3e4}, lambda x, A, b, x_0: A * (1 / x + 1 / x_0) ** b),
    "broken_power_law": (
        {"E": 0.02, "b0": 0.1, "b1": 0.6, "d": 300.0, "f": 0.8},
        lambda x, E, b0, b1, d, f: E + 0.8 * x**-b0 * (1 + (x / d) ** (1 / f)) ** (-(b1 - b0) * f),
    ),
}


def _view(x, y, **more):
    return Observations(x, y, np.arange(len(x)), np.ones(len(x)), more.get("trials"), None)


def _noisy(points=40, seed=0):
    generator = np.random.default_rng(seed)
    x = 10 ** generator.uniform(0, 5, points)
    return x, 0.5 * x**-0.12 * np.exp(0.1 * generator.standard_normal(points))


def _fitted(law, x, y, weights=None, options=None):
    weights = np.ones((1, len(x))) if weights is None else weights
    return LAWS[law].fit(_view(x, y), weights, options or FitOptions(), None)


def _described(law, x, y, weights=None, options=None):
    parameters = _fitted(law, x, y, weights, options)
    reported = LAWS[law].describe(parameters, Axes(np.log(x.max()), "GFLOP", "fraction"))
    return {r.name: 1 / r.draws if r.reciprocal else r.draws for r in reported}


def _m4(x, e, e0, k, a, b):
    """(y - E) / (e0 - y)^k = A x^-b, solved by bisection."""
    low, high = np.full_like(x, e), np.full_like(x, e0)
    for _ in range(200):
        y = (low + high) / 2
        above = np.log(y - e) - k * np.log(e0 - y) > np.log(a) - b * np.log(x)
        low, high = np.where(above, low, y), np.where(above, y, high)
    return y


@pytest.mark.parametrize("law", list(TRUTHS))
def test_a_law_recovers_its_own_noiseless_parameters(law):
    truth, formula = TRUTHS[law]
    described = _described(law, X, formula(X, **truth))
    for name, value in truth.items():
        assert described[name][0] == pytest.approx(value, rel=1e-5), name


@pytest.mark.parametrize("k", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("chance", [None, 0.9])
def test_m4_recovers_its_own_noiseless_parameters(k, chance):
    truth = {"E": 0.06, "e0": 0.9, "k": k, "A": 30.0, "b": 0.6}
    y = _m4(X, *truth.values())
    described = _described("m4", X, y, options=FitOptions(chance=chance))
    for name, value in truth.items():
        assert described[name][0] == pytest.approx(value, rel=1e-3), name
    if chance is not None:
        assert described["e0"][0] == pytest.approx(chance, rel=1e-12)


@pytest.mark.parametrize("law", ["power_law_floor", "m3", "broken_power_law"])
def test_the_local_alpha_is_the_inverse_slope_of_the_curve_at_x_max(law):
    truth, formula = TRUTHS[law]
    y = formula(X, **truth) * np.exp(0.02 * np.random.default_rng(1).standard_normal(40))
    parameters = _fitted(law, X, y)
    step = 1e-5
    ends = LAWS[law].log_predict(parameters, np.array([-step, step]))[0]
    slope = -(ends[1] - ends[0]) / (2 * step)
    assert _described(law, X, y)["local_alpha_at_x_max"][0] == pytest.approx(1 / slope, rel=1e-6)


@pytest.mark.parametrize("law", list(LAWS))
def test_a_law_predicts_what_its_formula_says_of_the_reported_parameters(law):
    x, y = _noisy()
    named = {name: draws[0] for name, draws in _described(law, x, y).items()}
    formulas = {
        "power_law_ols": lambda at: 10 ** -(named["a"] + named["b"] * np.log10(at)),
        "exponential": lambda at: 1 / (named["a"] + named["b"] * np.log10(at)),
        "power_law": lambda at: named["A"] * at ** -named["b"],
        "power_law_floor": lambda at: named["E"] + named["A"] * at ** -named["b"],
        "m3": lambda at: named["A"] * (1 / at + 1 / named["x_0"]) ** named["b"],
        "m4": lambda at: _m4(at, *(named[n] for n in ("E", "e0", "k", "A", "b"))),
    }
    if (
        law == "broken_power_law"
    ):  # its A is not reported: the curve is compared up to the falling part's factor

        def shape(at):
            power = -(named["b1"] - named["b0"]) * named["f"]
            return at ** -named["b0"] * (1 + (at / named["d"]) ** (1 / named["f"])) ** power

        at = np.geomspace(2, 1e6, 9)
        falling = LAWS[law].predict(_fitted(law, x, y), np.log(at / x.max()))[0] - named["E"]
        np.testing.assert_allclose(falling / falling[0], shape(at) / shape(at)[0], rtol=1e-7)
        return
    at = np.geomspace(2, 1e6, 9)
    predicted = LAWS[law].predict(_fitted(law, x, y), np.log(at / x.max()))[0]
    np.testing.assert_allclose(predicted, formulas[law](at), rtol=1e-9)


@pytest.mark.parametrize(
    ("law", "scale"), [("power_law_ols", lambda y: -np.log10(y)), ("exponential", lambda y: 1 / y)]
)
def test_ordinary_least_squares_equals_linregress(law, scale):
    x, y = _noisy()
    described = _described(law, x, y)
    reference = stats.linregress(np.log10(x), scale(y))
    assert described["b"][0] == pytest.approx(reference.slope, rel=1e-10)
    assert described["a"][0] == pytest.approx(reference.intercept, rel=1e-10)


def test_the_inverse_regression_shrinks_alpha_by_r_squared():
    x, y = _noisy()
    described = _described("power_law_ols", x, y)
    forward = stats.linregress(np.log10(x), -np.log10(y))
    inverse = stats.linregress(-np.log10(y), np.log10(x))
    assert described["inverse_alpha"][0] == pytest.approx(inverse.slope, rel=1e-10)
    assert described["inverse_alpha"][0] == pytest.approx(forward.rvalue**2 / forward.slope, rel=1e-10)


@pytest.mark.parametrize("law", ["power_law_ols", "exponential"])
def test_a_weight_of_two_is_a_point_listed_twice(law):
    x, y = _noisy(12)
    counts = np.random.default_rng(5).multinomial(12, np.ones(12) / 12, 20)
    weighted = _described(law, x, y, counts.astype(float))
    for row in range(20):
        drawn = np.repeat(np.arange(12), counts[row])
        parameters = _fitted(law, x[drawn], y[drawn])
        axes = Axes(np.log(x[drawn].max()), "GFLOP", "fraction")
        listed = {r.name: r.draws for r in LAWS[law].describe(parameters, axes)}
        assert weighted["b"][row] == pytest.approx(listed["b"][0], rel=1e-9)
        assert weighted["a"][row] == pytest.approx(listed["a"][0], rel=1e-9)


@pytest.mark.parametrize("law", ROBUST)
@pytest.mark.parametrize("factor", [1e9, 7.3e-4])
def test_the_unit_of_x_or_y_does_not_change_a_laws_prediction(law, factor):
    truth = {"m4": lambda x: _m4(x, 0.06, 0.9, 1.5, 30.0, 0.6)}.get(
        law, lambda x: TRUTHS[law if law in TRUTHS else "power_law"][1](x, **TRUTHS[law][0])
    )
    y = truth(X) * np.exp(0.01 * np.random.default_rng(2).standard_normal(40))
    z = np.linspace(-13, np.log(10), 30)
    one, of_x, of_y = (
        LAWS[law].predict(_fitted(law, at, of), z)[0] for at, of in ((X, y), (X * factor, y), (X, y * factor))
    )
    np.testing.assert_allclose(of_x, one, rtol=1e-9)
    np.testing.assert_allclose(of_y, one * factor, rtol=1e-8 if law == "broken_power_law" else 1e-9)


def test_m4_holds_a_known_chance_level_in_the_sample_and_its_resamples():
    y = _m4(X, 0.06, 0.9, 1.0, 30.0, 0.6) * np.exp(0.03 * np.random.default_rng(0).standard_normal(40))
    counts = np.random.default_rng(1).multinomial(40, np.ones(40) / 40, 20).astype(float)
    weights = np.vstack([np.ones(40), counts])
    held = _described("m4", X, np.minimum(y, 0.899), weights, FitOptions(chance=0.9))["e0"]
    np.testing.assert_allclose(held, 0.9, rtol=1e-12)
    free = _described("m4", X, np.minimum(y, 0.899), weights)["e0"]
    assert np.ptp(free) > 1e-4


def test_the_quantile_fit_of_a_power_law_is_that_of_quantile_regression():
    """sklearn's linear programme on ln y; ours rounds its kink off within a tenth of the spread."""
    from sklearn.linear_model import QuantileRegressor

    generator = np.random.default_rng(0)
    x = 10 ** generator.uniform(0, 5, 300)
    log_y = -0.3 - 0.2 * np.log(x) + 0.1 * generator.standard_normal(300)
    for quantile in (0.1, 0.5, 0.9):
        reference = QuantileRegressor(quantile=quantile, alpha=0, solver="highs").fit(
            np.log(x)[:, None], log_y
        )
        parameters = _fitted("power_law", x, np.exp(log_y), options=FitOptions(quantile=quantile))
        ours = LAWS["power_law"].log_predict(parameters, np.log(x / x.max()))[0]
        theirs = reference.predict(np.log(x)[:, None])
        assert np.abs(ours - theirs).max() < 0.02  # a fifth of the noise
        assert np.mean(log_y < ours) == pytest.approx(quantile, abs=0.02)


def _middle(draws):
    """Ends of the middle 95% of draws."""
    return np.quantile(draws, 0.025), np.quantile(draws, 0.975)


def test_the_exponential_law_stays_finite_where_its_line_crosses_zero():
    x = np.geomspace(1, 1e6, 13)
    y = np.where(x > 1e5, 0.01, 0.8)
    parameters = _fitted("exponential", x, y, np.ones((2, 13)))
    predicted = LAWS["exponential"].predict(parameters, np.log(x / x.max()))
    assert np.all((predicted > 0) & np.isfinite(predicted))
    assert any(
        "not positive" in warning for warning in LAWS["exponential"].warn(parameters, _view(x, y), _middle)
    )


def test_zero_errors_are_used_and_pull_the_law_down():
    """As the likelihood has it: below the fit that leaves them out, which is biased upwards."""
    x = np.geomspace(1, 1e4, 12)
    trials = np.full(12, 300.0)
    count = np.random.default_rng(1).binomial(300, 0.5 * x**-0.7).astype(float)
    zero = count == 0
    assert 1 <= zero.sum() <= 6
    whole, kept = (
        Observations(
            x[keep], count[keep] / 300, np.arange(keep.sum()), np.ones(keep.sum()), trials[keep], None
        )
        for keep in (np.ones(12, dtype=bool), ~zero)
    )
    curves = []
    for observed in (whole, kept):
        parameters = LAWS["power_law"].fit(observed, np.ones((1, len(observed.x))), FitOptions(), None)
        curves.append(LAWS["power_law"].predict(parameters, np.log(x[-1:] / observed.x.max()))[0, 0])
    assert curves[0] < curves[1]
    assert curves[0] == pytest.approx(0.5 * 1e4**-0.7, rel=0.6)


@pytest.mark.parametrize("factor", [1e9, 1e-9, 7.3e-4])
@pytest.mark.parametrize("law", list(LAWS))
def test_the_unit_of_x_does_not_change_a_prediction(law, factor):
    x, y = _noisy()
    z = np.linspace(-8, 3, 12)
    one, other = (LAWS[law].predict(_fitted(law, scaled, y), z) for scaled in (x, x * factor))
    np.testing.assert_allclose(other, one, rtol=1e-9)


@pytest.mark.parametrize(("slope", "falls"), [(0.1, True), (0.0, False), (-0.1, False)])
@pytest.mark.parametrize("law", ["power_law_ols", "exponential"])
def test_a_slope_that_does_not_fall_is_a_warning(law, slope, falls):
    observed, parameters = _view(X, 0.5 * X**-0.1), np.array([[2.0, slope, 0.01]])
    warnings = LAWS[law].warn(parameters, observed, None)
    assert warnings == (() if falls else (f"b is {slope:.3g}: y does not fall with x in these points",))


def test_an_exponential_below_0_counts_the_points_there():
    """1/y is 1 at x_max = 1e6 and rises by 0.25 a decade: it is not above 0 up to x = 100."""
    observed = _view(np.geomspace(1, 1e6, 7), np.ones(7))
    (warning,) = LAWS["exponential"].warn(np.array([[1.0, 0.25, 1e-6]]), observed, None)
    assert warning.startswith("the fitted 1/y is not positive at 3 of 7 points")


def warned(law, parameters, resamples=0, span=7.0, least_y=0.1, ends=lambda draws: (draws[0], draws[0])):
    x = np.exp(np.linspace(-span, 0.0, 8))
    observed = _view(x, np.linspace(0.5, least_y, 8))
    rows = np.array([parameters] * (1 + resamples) if np.ndim(parameters) == 1 else parameters, dtype=float)
    return LAWS[law].warn(rows, observed, ends)


EDGE = AT_BOUND * (1 + (5.0 - 1e-3))
"""How near an exponent is to a bound of 0.001 or 5 when it is at it."""


@pytest.mark.parametrize(
    ("b", "said"),
    [
        (1e-3 + 0.99 * EDGE, "optimum at a bound: b is at its least, 0.001"),
        (1e-3 + 1.01 * EDGE, None),
        (5 - 0.99 * EDGE, "optimum at a bound: b is at its greatest, 5"),
        (5 - 1.01 * EDGE, None),
    ],
)
def test_an_exponent_at_a_bound_is_named(b, said):
    assert warned("power_law", [0.0, b]) == (() if said is None else (said,))


FLOORED = (0.0, math.log(0.5), 0.3)
"""c, s and b of a curve whose half at x_max is irreducible: E is exp(0) (1 - 0.5)."""


@pytest.mark.parametrize(("share", "said"), [(0.99 * AT_BOUND, True), (1.01 * AT_BOUND, False)])
def test_a_floor_at_0_or_whose_interval_reaches_it_is_not_identified(share, said):
    at_zero = [math.log(0.1), math.log1p(-share), 0.3]
    text = "floor not identified: E is at its bound 0, the points call for no floor"
    assert warned("power_law_floor", at_zero) == ((text,) if said else ())
    ends = (share * 0.1, 1.0)
    text = "floor not identified: the interval of E includes 0"
    assert warned("power_law_floor", FLOORED, ends=lambda draws: ends) == ((text,) if said else ())


@pytest.mark.parametrize("bound", [1e-3, 5.0])
@pytest.mark.parametrize(("at_bound", "said"), [(1, None), (2, "5%")])
def test_an_exponent_at_a_bound_in_more_than_a_fortieth_of_the_resamples_is_said(bound, at_bound, said):
    rows = [FLOORED, *[(0.0, math.log(0.5), bound)] * at_bound, *[FLOORED] * (40 - at_bound)]
    text = f"b is at a bound in {said} of the resamples: its interval is cut there"
    assert warned("power_law_floor", rows) == (() if said is None else (text,))


@pytest.mark.parametrize(("slope", "flat"), [(0.99e-6, True), (1.01e-6, False)])
def test_a_curve_that_is_flat_at_its_end_has_no_local_alpha(slope, flat):
    """The local slope of c + floor is b exp(s)."""
    parameters = (0.0, math.log(slope / 0.3), 0.3)
    assert warned("power_law_floor", parameters) == (
        ("the fitted curve is flat at x_max: no local alpha there",) if flat else ()
    )
    axes = Axes(0.0, "GFLOP", "fraction")
    named = {each.name: each for each in LAWS["power_law_floor"].describe(np.array([parameters]), axes)}
    assert ("local_alpha_at_x_max" not in named) == flat
    assert flat or named["local_alpha_at_x_max"].draws == pytest.approx([slope])
