"""Nested models of two curves: slopes against finite differences, known curves recovered, losses in order."""

import numpy as np
import pytest

from isoflop.curve import solver
from isoflop.curve.compare import models
from isoflop.curve.compare.models import Both
from isoflop.curve.forms import POWER_LAW, POWER_LAW_FLOOR

X = (np.geomspace(1, 1e3, 7), np.geomspace(3, 3e3, 8))


def both(first, second, noise=0.0):
    generator = np.random.default_rng(1)
    y = np.r_[first(X[0]), second(X[1])] * np.exp(noise * generator.normal(size=15))
    v = np.log(3e3 / np.concatenate(X))
    arm = np.repeat([0.0, 1.0], [7, 8])
    return Both(v, arm, np.log(y), np.full(15, 0.02), 1e3)


def fitted(model, points):
    parameters, loss = models.fit(model, points, None, np.ones((1, 15)), solver.FINE)
    return [each[0] for each in parameters], float(loss[0])


JOINT = {
    "one_exponent": models.one_exponent,
    "one_curve_shifted": models.one_curve_shifted,
    "one_floor": models.one_floor,
    "one_exponent_floors": models.one_exponent_floors,
}


@pytest.mark.parametrize("name", JOINT)
def test_derivatives_are_those_of_finite_differences(name):
    points = both(lambda x: 0.1 + x**-0.3, lambda x: 0.15 + 0.7 * x**-0.4)
    (block,) = JOINT[name](points)
    theta = {
        "one_exponent": [0.3, 0.2],
        "one_curve_shifted": [-0.5, 0.3, 0.4],
        "one_floor": [-0.5, 0.3, 0.2, 0.5],
        "one_exponent_floors": [-0.5, 0.3, 0.2, -0.9],
    }[name]
    at = np.array([theta])
    derivatives = block.form.evaluate(at, block.v)[1][0]
    for i in range(len(theta)):
        step = np.zeros_like(at)
        step[0, i] = 1e-6
        high, low = (block.form.evaluate(at + sign * step, block.v)[0][0] for sign in (1, -1))
        np.testing.assert_allclose(derivatives[:, i], (high - low) / 2e-6, atol=1e-7)


def test_a_shifted_curve_needs_that_factor_of_compute():
    points = both(lambda x: 0.1 + x**-0.3, lambda x: 0.1 + (2.5 * x) ** -0.3)
    (found,), loss = fitted(models.one_curve_shifted(points), points)
    assert loss < 1e-12
    assert found[2:] == pytest.approx([0.3, np.log(2.5)], rel=1e-5)


def test_a_worse_arm_has_a_factor_below_one():
    points = both(lambda x: 0.05 + x**-0.3, lambda x: 0.05 + (0.2 * x) ** -0.3)
    (found,), loss = fitted(models.one_curve_shifted(points), points)
    assert loss < 1e-12
    assert found[3] == pytest.approx(np.log(0.2), rel=1e-5)


def test_curves_of_one_floor_and_two_exponents():
    points = both(lambda x: 0.1 + x**-0.3, lambda x: 0.1 + 0.6 * x**-0.5)
    (found,), loss = fitted(models.one_floor(points), points)
    assert loss < 1e-12
    assert found[[2, 4]] == pytest.approx([0.3, 0.5], rel=1e-5)
    assert np.exp(found[0]) * -np.expm1(found[1]) == pytest.approx(0.1, rel=1e-5)


def test_curves_of_one_exponent_and_two_floors():
    points = both(lambda x: 0.1 + x**-0.3, lambda x: 0.2 + 0.6 * x**-0.3)
    (found,), loss = fitted(models.one_exponent_floors(points), points)
    assert loss < 1e-12
    c, s, b, level, s_other = found
    assert b == pytest.approx(0.3, rel=1e-5)
    assert np.exp(c) * -np.expm1(s) == pytest.approx(0.1, rel=1e-5)
    assert np.exp(c + level) * -np.expm1(s_other) == pytest.approx(0.2, rel=1e-5)


def test_power_laws_of_one_exponent():
    points = both(lambda x: x**-0.3, lambda x: 0.6 * x**-0.3)
    (found,), loss = fitted(models.one_exponent(points), points)
    assert loss < 1e-12
    assert found[1:] == pytest.approx([0.3, np.log(0.6)], rel=1e-6)


def test_the_loss_falls_from_model_to_wider_model():
    points = both(lambda x: 0.1 + x**-0.3, lambda x: 0.15 + 0.7 * x**-0.4, noise=0.05)
    order = [
        models.together(points, POWER_LAW_FLOOR),
        models.one_curve_shifted(points),
        models.one_floor(points),
        models.apart(points, POWER_LAW_FLOOR),
    ]
    losses = [fitted(model, points)[1] for model in order]
    assert losses == sorted(losses, reverse=True)
    other = fitted(models.one_exponent_floors(points), points)[1]
    assert losses[1] >= other >= losses[-1]


def test_the_free_model_is_each_arm_s_own_fit():
    points = both(lambda x: x**-0.3, lambda x: 0.5 * x**-0.4, noise=0.05)
    found, _ = fitted(models.apart(points, POWER_LAW), points)
    for which, own in enumerate(found):
        slope = np.polyfit(points.v[points.arm == which], points.log_y[points.arm == which], 1)[0]
        assert own[1] == pytest.approx(slope, rel=1e-6)


def test_counted_errors_have_binomial_noise():
    points = both(lambda x: 0.5 * x**-0.3, lambda x: 0.5 * x**-0.3)
    y = np.exp(points.log_y)
    counted = Both(
        points.v, points.arm, points.log_y, np.sqrt((1 - y) / (100 * y)), 1e3, y, np.full(15, 100.0)
    )
    law = np.log(y)[None] + 0.1
    half = counted.noise(np.arange(15), None)(law, np.zeros(1, dtype=np.intp))[0][0]
    q = np.exp(law[0])
    expected = 100 * (y * np.log(y / q) + (1 - y) * np.log((1 - y) / (1 - q)))
    np.testing.assert_allclose(half, expected, rtol=1e-9)
