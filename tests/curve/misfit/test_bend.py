"""The bend itself, against a parabola fitted in full: its statistic, its curve, where it goes on."""

import numpy as np
import pytest

from isoflop.curve import forms, observations
from isoflop.curve.laws import LAWS, PLAIN
from isoflop.curve.misfit.bend import bend
from isoflop.curve.observations import Observations

X = np.geomspace(1.0, 1e3, 10)
U = np.log(X / X[-1])
LAW = LAWS["power_law_ols"]


def points(curve, noise=0.0, x=X, config=None):
    log_y = curve(np.log(x / x.max())) + noise * np.random.default_rng(0).standard_normal(len(x))
    config = np.arange(len(x)) if config is None else config
    return Observations(x, np.exp(log_y), config, np.ones(len(x)), None, None)


def bent(observed, law=LAW):
    parameters = law.fit(observed, np.ones((1, len(observed.x))), PLAIN, None)
    found = bend(law, parameters, observed, PLAIN)
    assert found is not None
    return found


def parabola(u, turn=0.02):
    return -1.0 - 0.3 * u + turn * u**2


def test_a_law_and_its_bend_are_the_parabola():
    observed = points(parabola)
    found = bent(observed)
    at = np.linspace(-8, 2, 7)
    curve = LAW.log_predict(found.parameters, at)[0] + found.deviates(-at)
    np.testing.assert_allclose(curve, parabola(at), atol=1e-8)
    assert found.rank == 2
    assert found.span == pytest.approx(np.log(1e3))


def test_local_exponents_are_means_over_the_outer_thirds():
    found = bent(points(parabola))
    span = np.log(1e3)
    low, high = -span + span / 6, -span / 6
    # The mean slope of a parabola over an interval is the slope at its middle.
    assert found.local_exponents() == pytest.approx((0.3 - 0.04 * low, 0.3 - 0.04 * high), rel=1e-6)


def test_beyond_the_points_it_goes_on_by_the_slope_of_the_last_third():
    found = bent(points(parabola))
    span, ahead = np.log(1e3), np.log(10.0)
    law = LAW.log_predict(found.parameters, np.array([0.0, ahead, -span / 3]))[0]
    at_end, before = parabola(0.0) - law[0], parabola(-span / 3) - law[2]
    assert found.ahead(10.0) == pytest.approx(at_end + (at_end - before) * ahead / (span / 3), rel=1e-6)


def test_beyond_the_points_it_does_not_rise():
    """A parabola that rises over its last third is held at the height of its end."""
    found = bent(points(lambda u: -1.0 + 0.3 * u + 0.08 * u**2))
    law = LAW.log_predict(found.parameters, np.array([0.0, np.log(1e3)]))[0]
    assert found.ahead(1e3) == pytest.approx(parabola(0.0) - law[1], rel=1e-6)


def test_the_statistic_of_single_points_is_students_of_the_parabola():
    observed = points(parabola, noise=0.05)
    found = bent(observed)
    design = np.column_stack([np.ones(10), U, U**2])
    fitted, squares, _, _ = np.linalg.lstsq(design, observed.log_y, rcond=None)
    error = np.sqrt(squares[0] / 7 * np.linalg.inv(design.T @ design)[2, 2])
    statistic = found.statistic(found.residual[None], None)[0]
    assert abs(statistic) == pytest.approx(fitted[2] / error, rel=1e-5)
    several = found.statistic(np.stack([found.residual, 2 * found.residual, -found.residual]), None)
    np.testing.assert_allclose(several, statistic * np.array([1, 1, -1]))


def test_the_statistic_of_clustered_points_has_their_robust_error():
    """CR0 by the sandwich of the design of a parabola."""
    x = np.repeat(X, 2) * np.tile([1.0, 1.3], 10)
    config = np.repeat(np.arange(10), 2)
    observed = points(parabola, noise=0.05, x=x, config=config)
    found = bent(observed)
    deviation = observations.spread(observed, forms.POWER_LAW, np.ones((1, 20)), None).deviation
    u = -observed.v
    design = np.column_stack([np.ones(20), u, u**2]) / deviation[:, None]
    bread = np.linalg.inv(design.T @ design)
    # About the law, not the bent curve: the scatter under the hypothesis that is tested.
    plain = design[:, :2]
    left = found.residual - plain @ np.linalg.lstsq(plain, found.residual, rcond=None)[0]
    sums = np.stack([design[config == c].T @ left[config == c] for c in range(10)])
    error = np.sqrt((bread @ sums.T @ sums @ bread)[2, 2])
    coefficient = np.linalg.lstsq(design, found.residual, rcond=None)[0][2]
    statistic = found.statistic(found.residual[None], config)[0]
    assert abs(statistic) == pytest.approx(abs(coefficient) / error, rel=1e-6)


def test_a_law_without_a_form_has_the_same_tangent_by_differences():
    observed = points(parabola, noise=0.05)
    numerical = LAWS["exponential"]
    assert numerical.form is None
    found = bent(observed, numerical)
    at = np.linspace(0.0, 6.0, 5)
    eps = 1e-4
    for i in range(numerical.free_parameters):
        up, down = found.parameters.copy(), found.parameters.copy()
        up[0, i] += eps
        down[0, i] -= eps
        slope = (numerical.log_predict(up, -at)[0] - numerical.log_predict(down, -at)[0]) / (2 * eps)
        np.testing.assert_allclose(found.tangent(at)[:, i], slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("count", "known"), [(4, False), (5, True)])
def test_a_parabola_needs_points_beyond_its_parameters(count, known):
    x = np.geomspace(1, 1e3, count)
    observed = points(parabola, noise=0.05, x=x)
    parameters = LAW.fit(observed, np.ones((1, count)), PLAIN, None)
    assert (bend(LAW, parameters, observed, PLAIN) is not None) == known


def test_points_at_three_scales_carry_no_bend():
    x = np.repeat([1.0, 30.0, 1e3], 3)
    observed = points(parabola, noise=0.05, x=x)
    parameters = LAW.fit(observed, np.ones((1, 9)), PLAIN, None)
    assert bend(LAW, parameters, observed, PLAIN) is None
