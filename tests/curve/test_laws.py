import numpy as np
import pytest
from scipy import stats

from isoflop.curve.laws import LAWS, Axes

LN10 = np.log(10)


def _noisy(points=40, seed=0):
    generator = np.random.default_rng(seed)
    x = 10 ** generator.uniform(0, 5, points)
    return x, 0.5 * x**-0.12 * np.exp(0.1 * generator.standard_normal(points))


def _described(law, x, y, weights=None):
    weights = np.ones((1, len(x))) if weights is None else weights
    parameters = LAWS[law].fit(np.log(x / x.max()), y, weights)
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


@pytest.mark.parametrize("law", list(LAWS))
def test_a_law_predicts_what_its_formula_says(law):
    x, y = _noisy()
    named = {name: draws[0] for name, draws in _described(law, x, y).items()}
    formulas = {
        "polynomial": lambda at: 10 ** -(named["a"] + named["b"] * np.log10(at)),
        "exponential": lambda at: 1 / (named["a"] + named["b"] * np.log10(at)),
        "power_floor": lambda at: named["E"] + named["A"] * at ** -named["b"],
    }
    at = np.geomspace(2, 1e6, 9)
    parameters = LAWS[law].fit(np.log(x / x.max()), y, np.ones((1, len(x))))
    predicted = LAWS[law].predict(parameters, np.log(at / x.max()))[0]
    np.testing.assert_allclose(predicted, formulas[law](at), rtol=1e-9)


def test_the_exponential_law_stays_finite_where_its_line_crosses_zero():
    x = np.geomspace(1, 1e6, 13)
    y = np.where(x > 1e5, 0.01, 0.8)
    z = np.log(x / x.max())
    parameters = LAWS["exponential"].fit(z, y, np.ones((2, 13)))
    predicted = LAWS["exponential"].predict(parameters, z)
    assert np.all((predicted > 0) & np.isfinite(predicted))
    assert any("not positive" in words for words in LAWS["exponential"].warn(parameters, z, y, 0.025))
