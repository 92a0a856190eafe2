"""What the points say of one member: particles of its posterior and its evidence, by sequential Monte Carlo.

The likelihood is let in step by step (tempering; Del Moral, Doucet and Jasra 2006): each step keeps half of
the particles' weight, then resamples and moves them by random-walk Metropolis. It needs no starts and no
optimum, takes several modes in its stride, and gives the evidence on the way.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from isoflop.curve.forecast import drift
from isoflop.curve.forecast.members import Member

Array = npt.NDArray[np.float64]

NOISE, NOISE_SPREAD = math.log(0.015), 1.2
"""Prior of ln of the noise's standard deviation in ln y: 0.14% to 17%, two standard deviations."""
DRIFT, DRIFT_SPREAD = math.log(0.05), 0.5
"""Prior of ln of the standard deviation of the local exponent about the law's."""
LEVEL_SPREAD = 0.3
"""Prior standard deviation of ln y at x_max about the end of a line through the upper half of the points."""
KEPT = 0.5
"""Share of the particles' effective number that a step of the tempering keeps."""
MOVES, DRIFTING_MOVES = 20, 8
"""Metropolis steps after each rise of the likelihood. With 5, a law with a curved ridge (a floor) lost up to
5 nats of evidence; steps of a drift cost more, and it mixes sooner."""
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
        _, filtered = drift.drifting(residual, self.data.log_x, variance, self.drift_size, keep=True)
        assert filtered is not None
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


def _likelihood(member: Member, data: Data) -> Callable[[Array], Array]:
    """Return the function from u (p, d) to the log likelihood (p,)."""
    size = member.prior.size

    def of(u: Array) -> Array:
        # A drift is followed from point to point, (p,) at a time: it is better off whole.
        pieces = 1 if member.drifting else math.ceil(len(u) * len(data.log_x) / AT_ONCE)
        parts = np.array_split(u, pieces)
        return np.concatenate([part(each) for each in parts])

    def part(u: Array) -> Array:
        residual = data.log_y - _law(member, u, data, data.log_x)
        variance = np.exp(2 * (NOISE + NOISE_SPREAD * u[:, size + 1, None])) * data.noise**2
        if member.drifting:
            drifts = np.exp(DRIFT + DRIFT_SPREAD * u[:, size + 2])
            value = drift.drifting(residual, data.log_x, variance, drifts)[0]
        else:
            value = drift.independent(residual, variance)
        return np.where(np.isfinite(value), value, -1e9)

    return of


def sample(member: Member, data: Data, *, particles: int, seed: int) -> Posterior:
    """Return the posterior of one member.

    Args:
        member: the law with its prior.
        data: the points.
        particles: how many, a power of 2.
        seed: of the random numbers.
    """
    generator = np.random.default_rng(seed)
    size = member.prior.size + 2 + member.drifting
    uniform = stats.qmc.Sobol(size, seed=generator).random(particles)
    u = special.ndtri(np.clip(uniform, 1e-6, 1 - 1e-6))
    likelihood = _likelihood(member, data)
    value = likelihood(u)
    moves = DRIFTING_MOVES if member.drifting else MOVES
    power, log_evidence = 0.0, 0.0
    while power < 1.0:
        rise = _rise(value, 1.0 - power)
        log_weights = rise * value
        weights = np.exp(log_weights - log_weights.max())
        log_evidence += float(log_weights.max() + np.log(weights.mean()))
        power = 1.0 if rise == 1.0 - power else power + rise
        # Systematic resampling: every particle is kept as often as its weight says, to within one.
        at = (generator.random() + np.arange(particles)) / particles * (1 - 1e-12)
        chosen = np.searchsorted(np.cumsum(weights / weights.sum()), at)
        u, value = _moved(likelihood, u[chosen], value[chosen], power, moves, generator)
    return Posterior(member, u, log_evidence, data)


def _rise(value: Array, most: float) -> float:
    """Return by how much the likelihood's power may rise: until KEPT of the particles count, or to 1."""

    def effective(rise: float) -> float:
        weights = np.exp(rise * (value - value.max()))
        return float(weights.sum() ** 2 / (weights**2).sum()) / len(value)

    if effective(most) >= KEPT:
        return most
    low, high = 0.0, most
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if effective(middle) > KEPT else (low, middle)
    return max(low, 1e-9)


def _moved(
    likelihood: Callable[[Array], Array],
    u: Array,
    value: Array,
    power: float,
    moves: int,
    generator: np.random.Generator,
) -> tuple[Array, Array]:
    """Return particles and their log likelihoods after Metropolis steps.

    Args:
        likelihood: of u (p, d).
        u, value: the particles and their log likelihoods.
        power: of the likelihood in the target; the prior is standard normal.
        moves: how many steps.
        generator: of the random numbers.
    """
    size = u.shape[1]
    # Steps have the particles' covariance; a little is added, as all may have come from a few.
    root = np.linalg.cholesky(np.cov(u.T) + 1e-9 * np.eye(size))
    scale = SCALE / math.sqrt(size)
    for _ in range(moves):
        trial = u + scale * generator.standard_normal(u.shape) @ root.T
        new = likelihood(trial)
        ratio = power * (new - value) - 0.5 * ((trial**2).sum(axis=1) - (u**2).sum(axis=1))
        taken = np.log(generator.random(len(u))) < ratio
        u, value = np.where(taken[:, None], trial, u), np.where(taken, new, value)
        rate = taken.mean()
        scale *= 1.5 if rate > 0.4 else 0.6 if rate < 0.15 else 1.0
    return u, value
