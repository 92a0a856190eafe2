"""Laws with parameters held: the best fit under the constraint, and bad values refused in one line."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from isoflop.curve import fixed
from isoflop.curve.fit import Method, fit_table
from isoflop.curve.joint.fit import fit_joint
from isoflop.curve.joint.laws import JOINT_LAWS
from isoflop.curve.laws import LAWS, PLAIN
from isoflop.curve.observations import Observations

X = np.geomspace(1.0, 1e4, 14)
GENERATOR = np.random.default_rng(3)
Y = (0.05 + 0.6 * X**-0.3) * np.exp(0.02 * GENERATOR.standard_normal(len(X)))
POINTS = Observations(X, Y, np.arange(len(X)), np.ones(len(X)), None, None)
ONE = np.ones((1, len(X)))
METHOD = Method(resamples=60, forecast=False)


def held(name, *fix):
    (law,) = fixed.laws([LAWS[name]], fix, POINTS, None)
    return law


def squares(law, parameters):
    return float(np.sum((law.log_predict(parameters, -POINTS.v)[0] - POINTS.log_y) ** 2))


@pytest.mark.parametrize("floor", [0.0, 0.03, 0.05])
def test_a_held_floor_is_the_best_power_law_above_it(floor):
    law = held("power_law_floor", ("E", floor))
    parameters = law.fit(POINTS, ONE, PLAIN, None)
    best = optimize.least_squares(
        lambda p: np.log(floor + np.exp(p[0]) * X ** -p[1]) - POINTS.log_y, [-0.5, 0.3]
    )
    # Huber's loss has no outlier here to weigh down: the optimum is that of least squares, nearly.
    assert squares(law, parameters) == pytest.approx(2 * best.cost, rel=0.03)
    assert parameters[0, 2] == pytest.approx(best.x[1], rel=0.02)
    value = np.exp(parameters[0, 0]) * (1 - np.exp(parameters[0, 1]))
    assert value == pytest.approx(floor, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("power_law", (("b", 0.25),)),
        ("power_law_floor", (("E", 0.04), ("b", 0.3))),
        ("m3", (("x_0", 3e4),)),
        ("m4", (("E", 0.04), ("k", 1.0))),
        ("m4", (("e0", 0.9), ("E", 0.0))),
        ("broken_power_law", (("E", 0.02), ("d", 100.0), ("f", 1.0))),
    ],
)
def test_reported_parameters_are_the_values_held_and_the_rest_is_fitted(name, fix, make_table):
    table = make_table(X, Y).assign(test_loss=lambda rows: rows["test_error"])
    method = dataclasses.replace(METHOD, laws=(name,), fix=fix)
    (law,) = fit_table(table, y="test_loss", method=method).fits
    parameters = {each.name: each for each in law.parameters}
    for parameter, value in fix:
        assert parameters[parameter].value == value
        ends = dataclasses.astuple(parameters[parameter].interval)
        assert ends == pytest.approx((value, value), rel=1e-12)
    assert law.log10_rmse < 0.06
    assert "held: " in law.formula
    assert not any(warning.startswith("floor not identified") for warning in law.warnings)


@pytest.mark.parametrize(
    ("fix", "match"),
    [
        (("q", 1.0), r"--fix q=1: no such parameter: what can be fixed is E \(power_law_floor\); b \("),
        (("b", 9.0), "--fix b=9: outside its bounds, 0.001 to 5"),
        (("b", -1.0), "--fix b=-1: outside its bounds"),
        (("E", 0.5), "--fix E=0.5: outside its bounds, 0 to below"),
        (("E", -0.1), "--fix E=-0.1: outside its bounds"),
    ],
)
def test_what_cannot_be_held_is_refused(fix, match):
    with pytest.raises(ValueError, match=match):
        held("power_law_floor", fix)


def test_places_and_widths_of_0_are_outside_their_bounds():
    for fix in (("d", 0.0), ("f", -1.0)):
        with pytest.raises(ValueError, match="outside its bounds"):
            held("broken_power_law", fix)


def test_laws_without_the_parameter_are_fitted_as_they_are():
    plain, floored = fixed.laws([LAWS["power_law"], LAWS["power_law_floor"]], [("E", 0.0)], POINTS, None)
    assert plain is LAWS["power_law"]
    assert floored.free_parameters == 2


@pytest.mark.parametrize("value", [0.0, 1.5, 1.69])
def test_a_joint_law_holds_its_floor(value, make_rows):
    fit = fit_joint(make_rows(), "chinchilla", ["N", "D"], "loss", 100, fix=[("E", value)])
    assert fit.value("E") == pytest.approx(value, abs=1e-9)
    free = fit_joint(make_rows(), "chinchilla", ["N", "D"], "loss", 0)
    assert free.objective <= fit.objective + 1e-12
    if value == 1.69:
        assert fit.value("exponent_parameters") == pytest.approx(0.34, abs=0.02)


def test_a_joint_law_holds_its_exponents_by_both_names(make_rows):
    for name in ("alpha", "exponent_parameters"):
        fit = fit_joint(make_rows(), "chinchilla", ["N", "D"], "loss", 0, fix=[(name, 0.3)])
        assert fit.value("exponent_parameters") == pytest.approx(0.3)
    with pytest.raises(ValueError, match="what can be fixed is exponent_parameters, exponent_data, E"):
        fit_joint(make_rows(), "chinchilla", ["N", "D"], "loss", 0, fix=[("A", 1.0)])
    with pytest.raises(ValueError, match="outside its bounds"):
        fixed.joint(JOINT_LAWS["chinchilla"], [("beta", 7.0)], np.array([2.0, 3.0]), None)


@pytest.fixture
def make_rows():
    n, d = (side.ravel() for side in np.meshgrid(np.geomspace(1e6, 1e9, 7), np.geomspace(1e8, 1e11, 7)))
    noise = np.exp(0.002 * np.random.default_rng(0).standard_normal(len(n)))
    loss = (1.69 + 406.4 * n**-0.34 + 410.7 * d**-0.28) * noise
    return lambda: pd.DataFrame({"N": n, "D": d, "loss": loss})


def test_the_starts_of_a_held_law_are_those_of_the_law_without_what_is_held():
    whole, span = LAWS["m3"].form, 9.0
    free = held("m3", ("x_0", 3e4)).restricted(POINTS, PLAIN)
    for made, grid in zip(free.starts(span), whole.starts(span), strict=True):
        assert {tuple(row) for row in made} == {tuple(row[:1]) for row in grid}
    broken = LAWS["broken_power_law"].form
    made = held("broken_power_law", ("f", 1.0)).restricted(POINTS, PLAIN)
    for rows, grid in zip(made.starts(span), broken.starts(span), strict=True):
        assert {tuple(row) for row in rows} == {tuple(row[:-1]) for row in grid}
