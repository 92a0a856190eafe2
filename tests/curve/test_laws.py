import dataclasses

import numpy as np
import pytest
from scipy import stats

from isoflop.curve.laws import LAWS, PLAIN, Axes
from isoflop.curve.view import View


def _noisy(points=40, seed=0):
    generator = np.random.default_rng(seed)
    x = 10 ** generator.uniform(0, 5, points)
    return x, 0.5 * x**-0.12 * np.exp(0.1 * generator.standard_normal(points))


def _fit(law, x, y, weights=None):
    weights = np.ones((1, len(x))) if weights is None else weights
    view = View(x, y, np.arange(len(x)), np.ones(len(x)), None, None)
    return LAWS[law].fit(view, weights, PLAIN, None)


def _described(law, x, y, weights=None):
    parameters = _fit(law, x, y, weights)
    reported = LAWS[law].describe(parameters, Axes(np.log(x.max()), "GFLOP", "fraction"))
    return {r.name: r.draws for r in reported}


@pytest.mark.parametrize(
    ("law", "scale"), [("polynomial", lambda y: -np.log10(y)), ("exponential", lambda y: 1 / y)]
)
def test_ordinary_least_squares_equals_linregress(law, scale):
    x, y = _noisy()
    found = _described(law, x, y)
    reference = stats.linregress(np.log10(x), scale(y))
    assert found["b"][0] == pytest.approx(reference.slope, rel=1e-10)
    assert found["a"][0] == pytest.approx(reference.intercept, rel=1e-10)


def test_the_inverse_regression_shrinks_alpha_by_r_squared():
    x, y = _noisy()
    found = _described("polynomial", x, y)
    forward = stats.linregress(np.log10(x), -np.log10(y))
    inverse = stats.linregress(-np.log10(y), np.log10(x))
    assert found["inverse_alpha"][0] == pytest.approx(inverse.slope, rel=1e-10)
    assert found["inverse_alpha"][0] == pytest.approx(forward.rvalue**2 / forward.slope, rel=1e-10)


@pytest.mark.parametrize("law", ["polynomial", "exponential"])
def test_a_weight_of_two_is_a_point_listed_twice(law):
    x, y = _noisy(12)
    counts = np.random.default_rng(5).multinomial(12, np.ones(12) / 12, 20)
    weighted = _described(law, x, y, counts.astype(float))
    for row in range(20):
        drawn = np.repeat(np.arange(12), counts[row])
        listed = _described(law, x[drawn], y[drawn])
        assert weighted["b"][row] == pytest.approx(listed["b"][0], rel=1e-9)
        assert weighted["a"][row] == pytest.approx(listed["a"][0], rel=1e-9)


FORMULAS = {
    "polynomial": lambda p, x: 10 ** -(p["a"] + p["b"] * np.log10(x)),
    "exponential": lambda p, x: 1 / (p["a"] + p["b"] * np.log10(x)),
    "power": lambda p, x: p["A"] * x ** -p["b"],
    "power_floor": lambda p, x: p["E"] + p["A"] * x ** -p["b"],
    "m3": lambda p, x: p["A"] * (1 / x + 1 / p["x_0"]) ** p["b"],
    "broken": lambda p, x: (
        p["E"]
        + _scale(p, x) * x ** -p["b0"] * (1 + (x / p["d"]) ** (1 / p["f"])) ** (p["f"] * (p["b0"] - p["b1"]))
    ),
}


def _scale(p, x):
    """A of the broken law from its value at the reference x = 1e5, where the tests give it."""
    at = 1e5
    shape = at ** -p["b0"] * (1 + (at / p["d"]) ** (1 / p["f"])) ** (p["f"] * (p["b0"] - p["b1"]))
    return (p["y_at_reference"] - p["E"]) / shape


@pytest.mark.parametrize("law", list(LAWS))
def test_a_law_predicts_what_its_formula_says(law):
    x, y = _noisy()
    x = x / x.max() * 1e5
    y = np.minimum(y, 0.9)
    named = {name: draws[0] for name, draws in _described(law, x, y).items()}
    at = np.geomspace(2, 1e6, 9)
    parameters = _fit(law, x, y)
    named["y_at_reference"] = float(LAWS[law].predict(parameters, np.zeros(1))[0, 0])
    predicted = LAWS[law].predict(parameters, np.log(at / x.max()))[0]
    if law == "m4":
        left = (predicted - named["E"]) / (named["e0"] - predicted) ** named["k"]
        inner = (predicted > named["E"] * 1.001) & (predicted < 0.999 * named["e0"])
        assert inner.sum() >= 4
        np.testing.assert_allclose(left[inner], (named["A"] * at ** -named["b"])[inner], rtol=1e-6)
    else:
        np.testing.assert_allclose(predicted, FORMULAS[law](named, at), rtol=1e-7)


TRUTHS = {
    "power": {"A": 0.8, "b": 0.2},
    "power_floor": {"E": 0.05, "A": 0.6, "b": 0.4},
    "m3": {"A": 0.9, "b": 0.35, "x_0": 2e3},
    "broken": {"E": 0.02, "b0": 0.05, "b1": 0.6, "d": 300.0, "f": 0.4, "y_at_reference": 0.0238},
}


@pytest.mark.parametrize("law", list(TRUTHS))
def test_noiseless_points_give_the_parameters_back(law):
    x = np.geomspace(1, 1e5, 40)
    truth = TRUTHS[law]
    found = _described(law, x, FORMULAS[law](truth, x))
    for name in set(truth) - {"y_at_reference"}:
        assert found[name][0] == pytest.approx(truth[name], rel=1e-3 if law == "broken" else 1e-5), name


def test_noiseless_m4_gives_its_parameters_back_with_chance_free_and_held():
    e, e0, k, a, b = 0.05, 0.9, 1.4, 30.0, 0.7
    y = np.geomspace(0.88, 0.06, 40)
    x = ((y - e) / (e0 - y) ** k / a) ** (-1 / b)
    view = View(x, y, np.arange(40), np.ones(40), None, None)
    for options in (PLAIN, dataclasses.replace(PLAIN, chance=e0)):
        parameters = LAWS["m4"].fit(view, np.ones((1, 40)), options, None)
        found = {r.name: r.draws[0] for r in LAWS["m4"].describe(parameters, Axes(np.log(x.max()), "u", "v"))}
        for name, truth in (("E", e), ("e0", e0), ("k", k), ("b", b), ("A", a)):
            assert found[name] == pytest.approx(truth, rel=2e-3), name
    assert found["e0"] == pytest.approx(e0, rel=1e-12)


@pytest.mark.parametrize("factor", [1e9, 1e-9, 7.3e-4])
@pytest.mark.parametrize("law", list(LAWS))
def test_the_unit_of_x_does_not_change_a_prediction(law, factor):
    x, y = _noisy()
    z = np.linspace(-8, 3, 12)
    one, other = (LAWS[law].predict(_fit(law, scaled, y), z) for scaled in (x, x * factor))
    np.testing.assert_allclose(other, one, rtol=1e-9)


def test_the_exponential_law_stays_finite_where_its_line_crosses_zero():
    x = np.geomspace(1, 1e6, 13)
    y = np.where(x > 1e5, 0.01, 0.8)
    parameters = _fit("exponential", x, y, np.ones((2, 13)))
    predicted = LAWS["exponential"].predict(parameters, np.log(x / x.max()))
    assert np.all((predicted > 0) & np.isfinite(predicted))
    view = View(x, y, np.arange(13), np.ones(13), None, None)
    assert any("not positive" in words for words in LAWS["exponential"].warn(parameters, view, 0.025))
