"""The density that draws are weighted against: normalised, where it is drawn from, near its cloud."""

import numpy as np
import pytest

from isoflop.curve.forecast import mixture

GENERATOR = np.random.default_rng(0)


def bent(count, size):
    u = GENERATOR.standard_normal((count, size))
    u[:, 1] = 0.3 * u[:, 1] + u[:, 0] ** 2
    return u


@pytest.mark.parametrize("size", [3, 4, 6])
def test_the_density_integrates_to_one_and_is_that_of_the_draws(size):
    """The mean of one known density over another is 1 where both are right."""
    near = mixture.near(bent(400, size))
    wide = mixture.Mixture(near.means[:1] * 0, 4 * np.eye(size)[None], np.ones(1))
    drawn = wide.draw(200_000, GENERATOR)
    ratio = np.exp(near.log_density(drawn) - wide.log_density(drawn))
    assert ratio.mean() == pytest.approx(1, abs=4 * ratio.std() / np.sqrt(len(ratio)))
    within = np.abs(near.draw(50_000, GENERATOR) - near.means[0]).max(axis=1) < 1.0
    inside = ratio * (np.abs(drawn - near.means[0]).max(axis=1) < 1.0)
    assert within.mean() == pytest.approx(inside.mean(), abs=5 * inside.std() / np.sqrt(len(ratio)) + 0.01)


def test_one_part_is_a_t_of_the_clouds_mean_and_covariance():
    cloud = bent(40, 3)
    near = mixture.near(cloud)
    assert len(near.shares) == 1, "too few to be halved"
    np.testing.assert_allclose(near.means[0], cloud.mean(axis=0))
    np.testing.assert_allclose(near.roots[0] @ near.roots[0].T, 1.44 * np.cov(cloud.T), rtol=1e-6)


def test_a_cloud_is_halved_twice_along_its_longest_axes():
    cloud = bent(800, 4) * [10, 1, 1, 1]
    near = mixture.near(cloud)
    np.testing.assert_allclose(near.shares, 0.25)
    assert np.all(np.diff(np.sort(near.means[:, 0])) > 1)


def test_parts_are_drawn_by_their_shares():
    apart = mixture.Mixture(
        np.array([[0.0] * 3, [1e3] * 3]), np.tile(np.eye(3), (2, 1, 1)), np.array([0.2, 0.8])
    )
    assert (apart.draw(1000, GENERATOR)[:, 0] > 500).mean() == pytest.approx(0.8)


def test_joined_mixtures_have_half_of_the_weight_each():
    one, other = mixture.near(bent(400, 3)), mixture.near(bent(40, 3))
    both = one.joined(other)
    at = GENERATOR.standard_normal((20, 3))
    mean = np.logaddexp(one.log_density(at), other.log_density(at)) - np.log(2)
    np.testing.assert_allclose(both.log_density(at), mean)
