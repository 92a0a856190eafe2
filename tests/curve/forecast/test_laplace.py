"""Parts that climb to the ridge of a posterior: where they end, and the evidence that is found by them."""

import numpy as np
import pytest
from scipy import special

from isoflop.curve.forecast import laplace, members, mixture, posterior
from isoflop.curve.forecast.posterior import Data


def linear(log_y, deviation=0.1):
    """ln y = a + b z with standard normal a and b; the noise's variable tells by its prior alone."""
    z = np.linspace(-1, 1, len(log_y))

    def law(u):
        return u[:, :1] + u[:, 1:2] * z

    def spread(u):
        return np.full((len(u), len(log_y)), deviation)

    def log_density(u):
        return -0.5 * (((log_y - law(u)) / deviation) ** 2).sum(axis=1) - 0.5 * (u**2).sum(axis=1)

    return laplace.Target(log_density, law, log_y, spread, 2, 0.0), z


def test_parts_of_a_linear_law_end_at_its_posterior():
    log_y = np.array([0.3, 0.1, 0.25, -0.1, 0.0])
    target, z = linear(log_y)
    design = np.column_stack([np.ones(5), z])
    precision = design.T @ design / 0.1**2 + np.eye(2)
    made = laplace.near(np.random.default_rng(0).normal(0, 0.5, (8, 3)), target)
    assert isinstance(made, mixture.Mixture)
    np.testing.assert_allclose(
        made.means[:, :2], np.tile(np.linalg.solve(precision, design.T @ log_y / 0.1**2), (8, 1)), atol=1e-3
    )
    covariance = made.roots[0] @ made.roots[0].T / mixture.WIDER**2
    np.testing.assert_allclose(covariance[:2, :2], np.linalg.inv(precision), rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(made.shares, 1 / 8)


def test_no_part_ends_lower_than_it_began():
    target, _ = linear(np.array([5.0, -5.0, 5.0, -5.0]))
    began = np.random.default_rng(1).normal(0, 2, (20, 3))
    ended = laplace.near(began, target).means
    assert np.all(target.log_density(ended) >= target.log_density(began))


def test_the_gradient_is_that_of_the_density_where_no_point_is_wild():
    member = members.MEMBERS[3]
    log_x = np.linspace(-5, 0, 12)
    made = Data(log_x, -1 - 0.4 * log_x, np.ones(12), None)
    target = posterior._target(member, made, posterior._density(member, made))
    u = np.random.default_rng(2).normal(0, 0.3, (3, 6))
    u[:, 5] = 2.5
    curvature, gradient = laplace._curvature(u, target)

    def normal(u):
        away = (made.log_y - target.law(u)) / target.deviation(u)
        return 0.5 * (away**2).sum(1) + np.log(target.deviation(u)).sum(1) + 0.5 * (u**2).sum(1)

    small = 1e-5 * np.eye(6)
    slopes = np.stack([(normal(u + each) - normal(u - each)) / 2e-5 for each in small], axis=1)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-2, atol=1e-2)
    assert np.all(np.linalg.eigvalsh(curvature) > 0.99), "no wider than the prior"


def test_a_wild_point_pulls_as_one_three_deviations_away():
    near, far = (linear(np.array([0.0, 0.0, 0.0, wild]))[0] for wild in (0.3, 30.0))
    pull = [laplace._curvature(np.zeros((1, 3)), target)[1][0, 0] for target in (near, far)]
    assert pull[1] == pytest.approx(pull[0])


@pytest.mark.slow
def test_the_evidence_of_m4_on_a_smooth_curve_does_not_depend_on_the_seed():
    """Its posterior is a thin ridge there: drawn about the clouds alone, seeds lost 10 to 20 nats."""
    x = np.linspace(1, 250, 34)
    noise = 0.004 * np.random.default_rng(5).standard_normal(34)
    log_y = np.log(0.8 * special.expit(1.2 - 1.5 * np.log(x / 30)) + 0.1) + noise
    made = Data(np.log(x / x[-1]), log_y, np.ones(34), None)
    found = [posterior.sample(members.MEMBERS[3], made, particles=512, seed=i).log_evidence for i in range(4)]
    assert np.ptp(found) < 0.5
