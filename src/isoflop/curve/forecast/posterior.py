"""What the points say of one member: particles of its posterior and its evidence, in two stages.

The first finds where the posterior is: the likelihood of blocks of points is let in step by step (tempering;
Del Moral, Doucet and Jasra 2006); each step keeps half of the particles' weight, then resamples and moves
them by random-walk Metropolis. It needs no starts and no optimum and takes several modes in its stride, but
its particles are few and not quite independent. The second is importance sampling: draws from a density near
those particles (mixture.py), weighted by the posterior given all points, are right whatever that density.
The mean weight is the evidence. Where few draws count, they give the next density (Cappe et al. 2004,
"Population Monte Carlo"), for laws without drift by climbing from them (laplace.py); their weights are then
evened out (Koblents and Miguez 2015), lest all come from one.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special

from isoflop.curve.forecast import blocks, drift, laplace, mixture
from isoflop.curve.forecast.blocks import Blocks
from isoflop.curve.forecast.members import Member

Array = npt.NDArray[np.float64]

NOISE, NOISE_SPREAD = math.log(0.015), 1.2
"""Prior of ln of the noise's standard deviation in ln y: 0.14% to 17%, two standard deviations."""
DRIFT, DRIFT_SPREAD = math.log(0.05), 0.5
"""Prior of ln of the standard deviation of the local exponent about the law's."""
LEVEL_SPREAD = 0.3
"""Prior standard deviation of ln y at x_max about the end of a line through the upper half of the points."""
START = 1024
"""Draws from the prior, of which the first particles are chosen."""
SEARCHERS = 256
"""Particles that look for the posterior."""
MOST_BLOCKS = 32
"""More points are blocks of neighbours in that search."""
KEPT = 0.5
"""Share of the particles' effective number that a step of the tempering keeps."""
MOVES = 8
"""Metropolis steps after each rise of the likelihood."""
DRAWN = 2048
"""Weighted draws in a round."""
ENOUGH, MOST_ROUNDS = 200, 6
"""Rounds end when so many draws count; there are at most so many. As many count for the next density."""
SCALE = 2.38
"""Of a Metropolis step, over the root of the dimension (Roberts, Gelman and Gilks 1997)."""
AT_ONCE = 8192
"""Values of ln y that the likelihood forms at a time: such arrays stay in the cache, twice as fast."""
DECIMALS = 12
"""Inputs are rounded so that a change of unit, which rounds otherwise, draws the same particles."""


@dataclasses.dataclass(frozen=True)
class Data:
    """n points by rising x.

    Attributes:
        log_x: ln(x / x_max) (n,), at most 0.
        log_y: ln y (n,).
        noise: standard deviation (n,) of each point's ln y over that of the whole.
        log_most: ln of a bound that y cannot pass (the error of guessing), None where there is none.
    """

    log_x: Array
    log_y: Array
    noise: Array
    log_most: float | None

    @property
    def span(self) -> float:
        """The range of ln x."""
        return float(-self.log_x[0])

    @functools.cached_property
    def end(self) -> float:
        """About ln y at x_max: the end of a straight line through the upper half of the points."""
        count = min(len(self.log_x), max(3, len(self.log_x) // 2))
        line = np.polynomial.Polynomial.fit(self.log_x[-count:], self.log_y[-count:], 1)
        return float(np.round(line(0.0), DECIMALS))


@dataclasses.dataclass(frozen=True)
class Posterior:
    """Equally weighted particles of one member.

    Attributes:
        member: the law and its prior.
        u: standard normal variables (p, d) of shape, level, noise and, where it drifts, drift.
        log_evidence: ln of the marginal likelihood, up to a constant that all members share.
        data: the points.
    """

    member: Member
    u: Array
    log_evidence: float
    data: Data

    @property
    def noise(self) -> Array:
        """Standard deviation (p,) of ln y of a point whose `Data.noise` is 1."""
        return np.asarray(np.exp(NOISE + NOISE_SPREAD * self.u[:, self.member.prior.size + 1]))

    @property
    def drift_size(self) -> Array:
        """Standard deviation (p,) of the local exponent about the law's."""
        return np.asarray(np.exp(DRIFT + DRIFT_SPREAD * self.u[:, self.member.prior.size + 2]))

    def law(self, log_x: Array) -> Array:
        """Return ln y (p, m) of the law at log_x (m,) = ln(x / x_max), without its drift."""
        return _law(self.member, self.u, self.data, log_x)

    def path(self) -> drift.Path:
        """Return the drift at the points given all of them, (n, p) each."""
        residual = self.data.log_y - self.law(self.data.log_x)
        variance = (self.noise[:, None] * self.data.noise) ** 2
        filtered = drift.filtered(residual, self.data.log_x, variance, self.drift_size)
        return drift.smoothed(filtered, self.data.log_x, self.drift_size)


def _law(member: Member, u: Array, data: Data, log_x: Array) -> Array:
    shape = member.prior.curve(u, -log_x, data.span)
    if data.log_most is not None and member.prior.law == "m4":
        # The level that this law starts from is known: its height at x_max follows from the shape alone.
        level = data.log_most + np.log(_height(member, u, data.span))[:, None]
    else:
        level = data.end + LEVEL_SPREAD * u[:, member.prior.size, None]
    return np.asarray(level + shape)


def _height(member: Member, u: Array, span: float) -> Array:
    """Return y at x_max (p,) of a law over the level that it starts from."""
    return np.asarray(np.exp(member.prior.g(u, np.zeros(1), span)[:, 0]))


def _likelihood(member: Member, data: Data, points: Blocks | None = None) -> Callable[[Array], Array]:
    """Return the function from u (p, d) to the log likelihood (p,) of the points, or of blocks of them."""
    size, at = member.prior.size, points or Blocks(data.log_x, data.log_y, data.noise)
    precision = 1.0 / at.noise**2
    # Constants of the points' noise are those that drift.py keeps: with them evidence compares members.
    logs, count = float(np.log(at.noise).sum()), len(at.log_x) + at.freedom
    modes = drift.modes(at.log_x, at.noise) if member.drifting else None

    def of(u: Array) -> Array:
        pieces = math.ceil(len(u) * len(at.log_x) / AT_ONCE)
        parts = [part(each) for each in np.array_split(u, pieces)] if pieces > 1 else [part(u)]
        return np.concatenate(parts)

    def part(u: Array) -> Array:
        residual = at.log_y - _law(member, u, data, at.log_x)
        log_noise = NOISE + NOISE_SPREAD * u[:, size + 1]
        if modes is not None:
            drifts = np.exp(DRIFT + DRIFT_SPREAD * u[:, size + 2])
            value = drift.drifting(residual, modes, np.exp(log_noise), drifts) - at.freedom * log_noise
        else:
            residual *= residual
            residual *= np.exp(-2 * log_noise)[:, None]
            residual *= precision
            value = drift.independent(residual) - count * log_noise - logs
        if at.freedom:
            value -= 0.5 * at.squares * np.exp(-2 * log_noise)
        return np.where(np.isfinite(value), value, -1e9)

    return of


def sample(member: Member, data: Data, *, particles: int, seed: int) -> Posterior:
    """Return the posterior of one member.

    Args:
        member: the law with its prior.
        data: the points.
        particles: how many, DRAWN at most.
        seed: of the random numbers.
    """
    generator = np.random.default_rng(seed)
    coarse = blocks.blocks(data.log_x, data.log_y, data.noise, MOST_BLOCKS)
    cloud = _search(member, data, coarse, SEARCHERS, generator)
    density = _density(member, data)
    best, log_evidence, effective = cloud, -math.inf, 0.0
    for turn in range(MOST_ROUNDS):
        about = _near(member, data, cloud, density, generator) if turn else mixture.near(cloud)
        u = about.draw(DRAWN, generator)
        log_weights = density(u) - about.log_density(u)
        weights = np.exp(log_weights - log_weights.max())
        counts = float(weights.sum() ** 2 / (weights**2).sum())
        if counts > effective:
            effective, log_evidence = counts, float(log_weights.max() + np.log(weights.mean()))
            best = u[generator.permutation(_systematic(weights, particles, generator))]
        if effective >= ENOUGH:
            break
        cloud = u[_systematic(weights ** _rise(log_weights, 1.0, ENOUGH), DRAWN // 2, generator)]
    return Posterior(member, best, log_evidence, data)


def _density(member: Member, data: Data) -> Callable[[Array], Array]:
    """Return the function from u (p, d) to ln of likelihood x prior (p,)."""
    likelihood = _likelihood(member, data)

    def of(u: Array) -> Array:
        normal = -0.5 * np.einsum("pd,pd->p", u, u) - 0.5 * u.shape[1] * math.log(2 * math.pi)
        return np.asarray(likelihood(u) + normal)

    return of


def _near(
    member: Member,
    data: Data,
    cloud: Array,
    density: Callable[[Array], Array],
    generator: np.random.Generator,
) -> mixture.Mixture:
    """Return a density near the posterior, from particles (p, d) that are not quite there."""
    if member.drifting:
        return mixture.near(cloud)
    climbers = cloud[generator.permutation(len(cloud))[: laplace.PARTS]]
    # Climbers may leave the flanks of the ridge: half of the draws are about the particles themselves.
    return mixture.near(cloud).joined(laplace.near(climbers, _target(member, data, density)))


def _target(member: Member, data: Data, density: Callable[[Array], Array]) -> laplace.Target:
    """Return what particles of a law without drift climb on."""
    at = member.prior.size + 1

    def deviation(u: Array) -> Array:
        return np.asarray(np.exp(NOISE + NOISE_SPREAD * u[:, at])[:, None] * data.noise)

    def law(u: Array) -> Array:
        return _law(member, u, data, data.log_x)

    return laplace.Target(density, law, data.log_y, deviation, at, NOISE_SPREAD)


def _systematic(weights: Array, count: int, generator: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return indices (count,): each of `weights` (n,) is drawn as often as it says, to within one."""
    at = (generator.random() + np.arange(count)) / count * (1 - 1e-12)
    return np.searchsorted(np.cumsum(weights / weights.sum()), at)


def _search(
    member: Member, data: Data, coarse: Blocks, particles: int, generator: np.random.Generator
) -> Array:
    """Return particles (p, d) that are about the posterior given the blocks, by tempering from the prior.

    Args:
        member: the law with its prior.
        data: the points, which say what the variables mean.
        coarse: the blocks that are fitted.
        particles: how many.
        generator: of the random numbers.
    """
    size = member.prior.size + 2 + member.drifting
    # A Latin hypercube: the particles of each variable lie evenly over its quantiles.
    ranks = np.argsort(generator.random((size, START)), axis=1).T
    u = special.ndtri((ranks + generator.random((START, size))) / START)
    likelihood = _likelihood(member, data, coarse)
    value = likelihood(u)
    power = 0.0
    while power < 1.0:
        rise = _rise(value, 1.0 - power, KEPT * particles)
        power = 1.0 if rise == 1.0 - power else power + rise
        chosen = _systematic(np.exp(rise * (value - value.max())), particles, generator)
        u, value = _moved(likelihood, u[chosen], value[chosen], power, generator)
    return np.asarray(u)


def _rise(value: Array, most: float, least: float) -> float:
    """Return by how much the likelihood's power may rise: until `least` particles count, or by `most`."""

    def effective(rise: float) -> float:
        weights = np.exp(rise * (value - value.max()))
        return float(weights.sum() ** 2 / (weights**2).sum())

    if effective(most) >= least:
        return most
    low, high = 0.0, most
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if effective(middle) > least else (low, middle)
    return max(low, 1e-9)


def _moved(
    likelihood: Callable[[Array], Array],
    u: Array,
    value: Array,
    power: float,
    generator: np.random.Generator,
) -> tuple[Array, Array]:
    """Return particles and their log likelihoods after Metropolis steps.

    Args:
        likelihood: of u (p, d).
        u, value: the particles and their log likelihoods.
        power: of the likelihood in the target; the prior is standard normal.
        generator: of the random numbers.
    """
    size = u.shape[1]
    # Steps have the particles' covariance; a little is added, as all may have come from a few.
    root = np.linalg.cholesky(np.cov(u.T) + 1e-9 * np.eye(size))
    scale = SCALE / math.sqrt(size)
    for _ in range(MOVES):
        trial = u + scale * generator.standard_normal(u.shape) @ root.T
        new = likelihood(trial)
        ratio = power * (new - value) - 0.5 * ((trial**2).sum(axis=1) - (u**2).sum(axis=1))
        taken = np.log(generator.random(len(u))) < ratio
        u, value = np.where(taken[:, None], trial, u), np.where(taken, new, value)
        rate = taken.mean()
        scale *= 1.5 if rate > 0.4 else 0.6 if rate < 0.15 else 1.0
    return u, value
