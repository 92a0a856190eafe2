"""The sampler against what is known in closed form or by a grid."""

import dataclasses

import numpy as np
import pytest
from scipy import special

from isoflop.curve.forecast import drift, members, posterior
from isoflop.curve.forecast.posterior import Data

X = np.geomspace(1, 1e3, 10)
LOG_X = np.log(X / X[-1])


def data(log_y):
    return Data(LOG_X, np.asarray(log_y), np.ones(len(X)), None)


@pytest.fixture(scope="module")
def power():
    noise = 0.05 * np.random.default_rng(0).standard_normal(10)
    made = data(np.log(0.6) - 0.3 * np.log(X) + noise)
    return made, posterior.sample(members.MEMBERS[0], made, particles=1024, seed=1)


def grid_of(made):
    """Posterior mean and spread of the exponent and the log evidence, on a grid over all three unknowns."""
    axes = np.linspace(0.0, 0.6, 61), np.linspace(-0.6, 0.6, 61), np.linspace(-3, 4, 41)
    u = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    value = posterior._likelihood(members.MEMBERS[0], made)(u) - 0.5 * (u**2).sum(axis=1)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    log_evidence = special.logsumexp(value) + np.log(cell) - 1.5 * np.log(2 * np.pi)
    b = members.POWER.shape(u, 1.0)[:, 0]
    weight = special.softmax(value)
    mean = weight @ b
    return mean, np.sqrt(weight @ (b - mean) ** 2), log_evidence


def test_the_particles_are_the_posterior_and_the_evidence_that_of_a_grid(power):
    made, found = power
    mean, spread, log_evidence = grid_of(made)
    b = members.POWER.shape(found.u, 1.0)[:, 0]
    assert b.mean() == pytest.approx(mean, abs=0.1 * spread)
    assert b.std() == pytest.approx(spread, rel=0.1)
    assert found.log_evidence == pytest.approx(log_evidence, abs=0.08)


def test_the_particles_do_not_depend_on_more_than_the_seed(power):
    made, found = power
    again = posterior.sample(members.MEMBERS[0], made, particles=1024, seed=1)
    assert np.array_equal(found.u, again.u)
    other = posterior.sample(members.MEMBERS[0], made, particles=1024, seed=2)
    assert not np.array_equal(found.u, other.u)


def test_the_likelihood_rises_until_so_many_particles_count():
    value = np.linspace(0, -40, 1000)
    rise = posterior._rise(value, 1.0, 300.0)
    weights = np.exp(rise * value)
    assert weights.sum() ** 2 / (weights**2).sum() == pytest.approx(300, abs=1e-3)
    assert posterior._rise(value * 1e-3, 1.0, 300.0) == 1.0


@pytest.mark.parametrize("index", range(len(members.MEMBERS)))
def test_the_evidence_does_not_depend_on_where_the_search_ended(index):
    """Importance weights are right whatever they are drawn from: other random numbers, the same evidence."""
    made = data(np.log(0.1 + 0.6 * X**-0.3) + 0.05 * np.random.default_rng(3).standard_normal(10))
    runs = [posterior.sample(members.MEMBERS[index], made, particles=512, seed=i) for i in range(3)]
    assert np.ptp([each.log_evidence for each in runs]) < 0.6
    noise = [np.log(each.noise).mean() for each in runs]
    assert np.ptp(noise) < 0.15


def test_every_law_is_relative_to_x_max():
    generator = np.random.default_rng(0)
    for member in members.MEMBERS:
        u = generator.standard_normal((50, member.prior.size))
        curve = member.prior.curve(u, np.array([0.0, 1.0, 5.0, -2.0]), 7.0)
        assert np.allclose(curve[:, 0], 0.0)
        assert np.all(np.diff(curve[:, [3, 0, 1, 2]], axis=1) >= -1e-12), "y falls with x under every prior"


def test_the_weights_before_any_data_sum_to_one():
    assert sum(member.weight for member in members.MEMBERS) == pytest.approx(1)
    assert sum(member.weight_of_rows for member in members.MEMBERS) == pytest.approx(1)


def test_the_weights_of_rows_are_those_that_were_chosen_on_training_parts():
    """docs/fitting.md, "How each default was set": no member has 0, and the one that drifts has most."""
    chosen = [member.weight_of_rows for member in members.MEMBERS]
    assert chosen == [0.12, 0.14, 0.002, 0.0005, 0.7375]


def test_m4_starts_from_chance_where_that_is_known():
    made = dataclasses.replace(data(np.log(0.9 / (1 + X**0.5))), log_most=np.log(0.9))
    sigmoid = next(each for each in members.MEMBERS if each.prior.law == "m4")
    u = np.random.default_rng(0).standard_normal((20, sigmoid.prior.size + 2))
    far_below = posterior._law(sigmoid, u, made, np.array([-200.0]))
    assert np.allclose(far_below, np.log(0.9), atol=1e-6)


def test_a_drift_is_found_where_points_wander_and_not_where_they_do_not(power):
    drifting = next(each for each in members.MEMBERS if each.drifting)
    made, straight = power
    calm = posterior.sample(drifting, made, particles=256, seed=1).log_evidence - straight.log_evidence
    log_x = np.linspace(-7, 0, 40)
    wandering = Data(log_x, -1 - 0.3 * log_x + 0.1 * np.sin(2 * log_x), np.ones(40), None)
    plain = posterior.sample(members.MEMBERS[0], wandering, particles=256, seed=1).log_evidence
    moving = posterior.sample(drifting, wandering, particles=256, seed=1)
    assert moving.log_evidence - plain > calm + 10
    path = moving.path()
    residual = wandering.log_y - moving.law(log_x)
    assert np.abs(path.level.T - residual).mean() < 0.02, "the path goes where the points are"
    assert isinstance(path, drift.Path)


def test_the_span_is_the_range_of_ln_x():
    assert data(np.zeros(10)).span == pytest.approx(np.log(1e3))


def test_the_priors_are_those_of_the_documentation():
    """At u = 0 and a standard deviation to either side, over a range of 7 in ln x."""
    shapes = {
        each.prior.law if not each.drifting else "drifting": each.prior.shape for each in members.MEMBERS
    }
    u = np.outer([-1.0, 0.0, 1.0], np.ones(4))
    low, half, high = special.ndtr([-1.0, 0.0, 1.0])
    sides = np.exp([-0.7, 0.0, 0.7])
    np.testing.assert_allclose(shapes["power_law"](u, 7.0), 0.25 * sides[:, None])
    for name, median, spread in (("power_law_floor", 0.35, 0.6), ("drifting", 0.5, 0.9)):
        falling = np.log(1 - 0.97 * np.array([low, half, high]))
        expected = np.column_stack([falling, median * np.exp(spread * np.array([-1, 0, 1]))])
        np.testing.assert_allclose(shapes[name](u, 7.0), expected)
    b = 0.25 * sides
    after = b * np.exp([-0.8, 0.0, 0.8])
    place, width = 7.0 * np.array([low, half, high]), np.log(0.6) + 0.6 * np.array([-1, 0, 1])
    np.testing.assert_allclose(
        shapes["broken_power_law"](u, 7.0), np.column_stack([np.zeros(3), b, after, place, width])
    )
    b = 0.7 * sides
    share = 0.9 * special.ndtr([-1.5, -0.5, 0.5]) ** 2
    expected = np.column_stack([-7 * b * np.array([-0.2, 0.5, 1.2]), b, 0.6 * np.array([-1, 0, 1]), share])
    np.testing.assert_allclose(shapes["m4"](u, 7.0), expected)
    # Far out every exponent ends at 4.9, ln k at 2.9 and the turn within the bounds of m4.
    far = np.full((1, 4), 40.0)
    assert shapes["power_law"](far, 7.0)[0] == pytest.approx([4.9])
    assert shapes["m4"](far, 7.0)[0] == pytest.approx([-39.0, 4.9, 2.9, 0.9])
    assert shapes["broken_power_law"](far, 7.0)[0][1:4] == pytest.approx([4.9, 4.9, 7.0])
