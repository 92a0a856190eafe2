"""The parts of a draw against closed forms: drift ahead, noise of a run, shares of the members."""

import dataclasses

import numpy as np
import pytest
from scipy import special, stats

from isoflop.curve import observations
from isoflop.curve.forecast import drift, members, posterior, predictive
from isoflop.curve.forecast.blocks import Blocks
from isoflop.curve.forecast.posterior import Data, Posterior
from isoflop.curve.forecast.predictive import Predictive, RunNoise

LOG_X = np.array([-4.0, -3.1, -2.5, -1.0, -0.4, 0.0])
NOISE = np.array([1.0, 2.0, 1.0, 1.0, 0.5, 1.0])
NO_NOISE = RunNoise(misfit=0.0, seeds=0.0, share=0.0, trials=None, unit=1.0)
POWER = next(each for each in members.MEMBERS if each.prior.law == "power_law")
DRIFTING = next(each for each in members.MEMBERS if each.drifting)


def particles(member, count=3, log_most=None, seed=0):
    generator = np.random.default_rng(seed)
    u = generator.standard_normal((count, member.prior.size + 2 + member.drifting))
    data = Data(LOG_X, -1 - 0.3 * LOG_X + 0.1 * np.sin(3 * LOG_X), NOISE, log_most)
    return Posterior(member, u, 0.0, data)


def covariance(one, other, size):
    """Of the integral from the first point of an Ornstein-Uhlenbeck process of spread `size`."""
    a, b, m = (one - LOG_X[0])[:, None], (other - LOG_X[0])[None], drift.MEMORY
    decays = np.exp(-a / m) + np.exp(-b / m) - 1 - np.exp(-np.abs(a - b) / m)
    return size**2 * m**2 * (2 * np.minimum(a, b) / m + decays)


def conditional(each, at):
    """Mean and variance (p, m) of the drift at `at` given the points, from whole covariance matrices."""
    residuals = each.data.log_y - each.law(each.data.log_x)
    means, variances = [], []
    for residual, noise, size in zip(residuals, each.noise, each.drift_size, strict=True):
        whole = covariance(LOG_X, LOG_X, size) + np.diag((noise * NOISE) ** 2)
        gain = covariance(at, LOG_X, size) @ np.linalg.inv(whole)
        means.append(gain @ residual)
        variances.append(np.diag(covariance(at, at, size) - gain @ covariance(LOG_X, at, size)))
    return np.stack(means), np.stack(variances)


def test_ahead_of_the_points_the_drift_is_the_conditional_distribution():
    each = particles(DRIFTING)
    at = np.array([0.0, 0.1, 0.7, 3.0])
    for found, expected in zip(predictive._drift_at(each, at), conditional(each, at), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-10)


def test_between_the_points_its_moments_are_on_straight_lines_and_before_them_held():
    each = particles(DRIFTING)
    at_points = conditional(each, LOG_X)
    between = 0.75 * LOG_X[2] + 0.25 * LOG_X[3]
    for found, known in zip(
        predictive._drift_at(each, np.array([between, LOG_X[1], -9.0])), at_points, strict=True
    ):
        expected = np.stack([0.75 * known[:, 2] + 0.25 * known[:, 3], known[:, 1], known[:, 0]], axis=1)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-10)


def test_draws_of_a_drifting_law_have_its_mean_and_variance():
    each = particles(DRIFTING, count=1)
    at = np.array([-1.0, 2.0])
    drawn = Predictive((each,), np.ones(1), NO_NOISE, 5).draws(at, 4000).mean
    level, variance = predictive._drift_at(each, at)
    np.testing.assert_allclose(drawn.mean(axis=0), (each.law(at) + level)[0], atol=1e-3)
    np.testing.assert_allclose(drawn.std(axis=0), np.sqrt(variance[0]), rtol=0.01)


def test_each_member_has_the_share_of_its_weight_and_its_particles_take_turns():
    one, other = particles(POWER, count=4), particles(POWER, count=2, seed=1)
    drawn = Predictive((one, other), np.array([0.25, 0.75]), NO_NOISE, 5).draws(np.array([2.0]), 16)
    expected = np.concatenate([one.law(np.array([2.0])), np.tile(other.law(np.array([2.0])), (6, 1))])
    np.testing.assert_array_equal(drawn.mean, expected)
    np.testing.assert_array_equal(drawn.run, drawn.mean)  # without noise a run is its mean


def test_a_new_run_has_the_noise_of_its_particle_and_a_few_are_wild():
    each = particles(POWER, count=1)
    noise = RunNoise(misfit=0.3, seeds=0.1, share=0.0, trials=None, unit=0.5)
    count = 2000
    drawn = Predictive((each,), np.ones(1), noise, 5).draws(np.array([1.0]), count)
    score = (drawn.run - drawn.mean)[:, 0] / (each.noise[0] * np.sqrt(0.4) / 0.5)
    wild = predictive._wild(each, count, np.random.default_rng(0))
    assert sorted(set(wild)) == [1.0, drift.OUTLIER]
    assert (wild == drift.OUTLIER).sum() == drift.OUTLIERS * count
    assert score.mean() == pytest.approx(0, abs=0.1)
    expected = 1 + drift.OUTLIERS * (drift.OUTLIER**2 - 1)
    assert score.var() == pytest.approx(expected, rel=0.2)
    assert np.median(np.abs(score)) == pytest.approx(special.ndtri(0.75), rel=0.06)
    assert (predictive._wild(particles(DRIFTING), count, np.random.default_rng(0)) == 1).all()


def test_normal_numbers_are_even_over_their_quantiles():
    drawn = predictive._normal(5, np.random.default_rng(0))
    np.testing.assert_allclose(np.sort(drawn), special.ndtri([0.1, 0.3, 0.5, 0.7, 0.9]), atol=1e-12)


def test_the_noise_of_a_run_is_misfit_seeds_and_its_share_of_the_binomial():
    noise = RunNoise(misfit=0.01, seeds=0.02, share=0.5, trials=100.0, unit=2.0)
    error = np.array([0.2, 1e-4, 3.0])
    binomial = observations.binomial(np.array([0.2, 0.005, 1.0]), 100.0)
    np.testing.assert_allclose(noise.of(np.log(error)), np.sqrt(0.03 + 0.5 * binomial) / 2)
    without = dataclasses.replace(noise, trials=None)
    np.testing.assert_allclose(without.of(np.log(error)), np.sqrt(0.03) / 2)


def test_mean_draws_end_below_chance():
    each = particles(POWER, log_most=np.log(0.9))
    drawn = Predictive((each,), np.ones(1), NO_NOISE, 5).draws(np.array([-30.0]), 12)
    np.testing.assert_allclose(drawn.mean, np.log(0.9 * 0.98))


def test_the_local_exponent_is_that_of_the_drawn_curves():
    each = particles(POWER)
    exponents = members.POWER.shape(each.u, each.data.span)[:, 0]
    drawn = Predictive((each,), np.ones(1), NO_NOISE, 5).local_exponents(6)
    np.testing.assert_allclose(drawn, np.tile(exponents, 2), rtol=1e-9)


def test_the_priors_of_level_noise_and_drift_are_those_of_the_documentation():
    each = dataclasses.replace(particles(DRIFTING), u=np.outer([-1.0, 0.0, 1.0], np.ones(5)))
    assert each.member.prior.size == 2
    np.testing.assert_allclose(each.noise, 0.015 * np.exp([-1.2, 0.0, 1.2]))
    np.testing.assert_allclose(each.drift_size, 0.05 * np.exp([-0.5, 0.0, 0.5]))
    np.testing.assert_allclose(each.law(np.zeros(1))[:, 0], each.data.end + np.array([-0.3, 0.0, 0.3]))


def test_the_level_is_about_the_end_of_a_line_through_the_upper_half():
    log_y = np.array([9.0, 9.0, 9.0, -1.0, -1.3, -1.9])
    line = np.polyfit(LOG_X[3:], log_y[3:], 1)
    assert Data(LOG_X, log_y, NOISE, None).end == pytest.approx(line[1])
    few = Data(LOG_X[2:], log_y[2:], NOISE[2:], None)
    assert few.end == pytest.approx(np.polyfit(LOG_X[3:], log_y[3:], 1)[1]), "three points at least"
    two = Data(LOG_X[4:], log_y[4:], NOISE[4:], None)
    assert two.end == pytest.approx(-1.9)


def log_likelihood(member, each, residual, log_x, noise):
    """By the definitions: a contaminated normal's, or the drift's, which test_drift holds to its own."""
    variance = (each.noise[:, None] * noise) ** 2
    if member.drifting:
        # Noise in the modes in place of in the unit: one set of modes for each particle.
        one, sizes = np.ones(1), each.drift_size[:, None]
        parts = [
            drift.drifting(r[None], drift.modes(log_x, np.sqrt(v)), one, size)
            for r, v, size in zip(residual, variance, sizes, strict=True)
        ]
        return np.concatenate(parts)
    density = (1 - drift.OUTLIERS) * stats.norm.pdf(residual, 0, np.sqrt(variance))
    density += drift.OUTLIERS * stats.norm.pdf(residual, 0, drift.OUTLIER * np.sqrt(variance))
    with np.errstate(divide="ignore"):
        return np.log(density * np.sqrt(2 * np.pi)).sum(axis=1)


@pytest.mark.parametrize("member", [POWER, DRIFTING], ids=["independent", "drifting"])
def test_the_likelihood_has_each_points_own_noise(member):
    each = particles(member)
    residual = each.data.log_y - each.law(LOG_X)
    expected = log_likelihood(member, each, residual, LOG_X, NOISE)
    np.testing.assert_allclose(
        posterior._likelihood(member, each.data)(each.u), np.maximum(expected, -1e9), rtol=1e-12
    )
    wrong = dataclasses.replace(each.data, log_y=np.full(6, np.nan))
    np.testing.assert_array_equal(posterior._likelihood(member, wrong)(each.u), -1e9)


@pytest.mark.parametrize("member", [POWER, DRIFTING], ids=["independent", "drifting"])
def test_blocks_of_points_have_their_means_and_the_scatter_inside_them(member):
    each = particles(member)
    made = Blocks(LOG_X[::2], np.sin(LOG_X[::2]), NOISE[::2], freedom=3, squares=0.4)
    expected = log_likelihood(member, each, made.log_y - each.law(made.log_x), made.log_x, made.noise)
    expected += -3 * np.log(each.noise) - 0.2 / each.noise**2
    value = posterior._likelihood(member, each.data, made)(each.u)
    np.testing.assert_allclose(value, np.maximum(expected, -1e9), rtol=1e-12)
