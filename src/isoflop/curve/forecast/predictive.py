"""The forecast as a distribution: members averaged by their evidence, from the points to any x.

Bayesian model averaging over the members of members.py. A draw is a law with its parameters, its drift where
it has one, and for a new run the noise of one; intervals are quantiles of draws. ln y is the scale of the
noise. Where the error of guessing is known the noise acts on ln(y / (chance - y)), which is the same far
below it and keeps every interval between 0 and chance; the laws stay laws of y.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from isoflop import tasks
from isoflop.curve import forms, observations
from isoflop.curve.forecast import blocks, drift, posterior
from isoflop.curve.forecast.members import MEMBERS, Member
from isoflop.curve.forecast.posterior import Data, Posterior
from isoflop.curve.laws import FitOptions
from isoflop.curve.observations import Observations

Array = npt.NDArray[np.float64]

LEAST_SCALES = 4
"""Distinct x that a forecast needs."""
PARTICLES = 512
DRAWS = 4096
MOST_POINTS = 200
"""More points are averaged in this many blocks of neighbouring x."""
NEAR_CHANCE = 0.98
"""Draws of the mean curve end at this share of chance."""
SEED = 20


@dataclasses.dataclass(frozen=True)
class RunNoise:
    """The standard deviation of ln y of single runs, in units of that of the points.

    `misfit`, `seeds` and `share` x binomial variance over `trials` images make its square (observations.py).
    """

    misfit: float
    seeds: float
    share: float
    trials: float | None
    unit: float

    def of(self, log_y: Array) -> Array:
        """Return it for a new run about exp(log_y), of log_y's shape."""
        variance = np.full_like(log_y, self.misfit + self.seeds)
        if self.trials is not None:
            expected = np.clip(np.exp(log_y), 0.5 / self.trials, 1.0)
            variance += self.share * observations.binomial(expected, self.trials)
        return np.asarray(np.sqrt(variance) / self.unit)


@dataclasses.dataclass(frozen=True)
class Draws:
    """Draws of ln y (d, m) at m values of x: of the mean curve, and of a new run."""

    mean: Array
    run: Array


@dataclasses.dataclass(frozen=True)
class Predictive:
    """The posterior of all members, with their weights (k,) given the points."""

    posteriors: tuple[Posterior, ...]
    weights: Array
    noise: RunNoise
    seed: int

    def draws(self, log_x: Array, count: int = DRAWS) -> Draws:
        """Return draws at log_x (m,) = ln(x / x_max).

        Each member has its weight's share of the draws, and its particles take turns.
        """
        generator = np.random.default_rng(self.seed)
        ends = np.round(np.cumsum(self.weights) * count).astype(int)
        parts, noises = [], []
        for each, taken in zip(self.posteriors, np.diff(ends, prepend=0), strict=True):
            if taken:
                rows = np.arange(taken) % len(each.u)
                parts.append(_mean_draws(each, log_x, rows, generator))
                noises.append(each.noise[rows] * _wild(each, taken, generator))
        mean = np.concatenate(parts)
        log_most = self.posteriors[0].data.log_most
        if log_most is not None:
            mean = np.minimum(mean, log_most + math.log(NEAR_CHANCE))
        deviation = np.concatenate(noises)[:, None] * self.noise.of(mean)
        run = _displaced(mean, deviation * _normal(len(mean), generator)[:, None], log_most)
        return Draws(mean, run)

    def local_exponents(self, count: int = DRAWS) -> Array:
        """Return draws (d,) of -d ln y / d ln x of the mean curve at x_max, drift included."""
        ahead = 0.02
        # A drift keeps its slope there to within a few per cent; only its mean path matters for a slope.
        curve = self.draws(np.array([-ahead, ahead]), count).mean
        return np.asarray((curve[:, 0] - curve[:, 1]) / (2 * ahead))


def _wild(each: Posterior, count: int, generator: np.random.Generator) -> Array:
    """Return the factor (count,) on the noise of each new run: a few are as wild as the points may be."""
    share = 0.0 if each.member.drifting else drift.OUTLIERS
    return np.where(generator.permutation(count) < share * count, drift.OUTLIER, 1.0)


def _normal(count: int, generator: np.random.Generator) -> Array:
    """Return standard normal numbers (count,), evenly over their quantiles in a random order."""
    return np.asarray(special.ndtri((generator.permutation(count) + 0.5) / count))


def _mean_draws(
    each: Posterior, log_x: Array, rows: npt.NDArray[np.intp], generator: np.random.Generator
) -> Array:
    """Return draws of ln y of the mean curve (d, m) for particles `rows` (d,)."""
    curve = each.law(log_x)
    if not each.member.drifting:
        return np.asarray(curve[rows])
    level, variance = _drift_at(each, log_x)
    score = _normal(len(rows), generator)[:, None]
    return np.asarray((curve + level)[rows] + np.sqrt(variance)[rows] * score)


def _drift_at(each: Posterior, log_x: Array) -> tuple[Array, Array]:
    """Return mean and variance (p, m) of the drift at log_x (m,): between points by straight lines."""
    path, known = each.path(), each.data.log_x
    left = np.clip(np.searchsorted(known, log_x, side="right") - 1, 0, len(known) - 2)
    gap = np.maximum(known[left + 1] - known[left], 1e-12)
    share = np.clip((log_x - known[left]) / gap, 0.0, 1.0)[:, None]
    level, variance = (
        (1 - share) * values[left] + share * values[left + 1] for values in (path.level, path.level_variance)
    )
    # Beyond the last point the slope there fades; up to it these terms are 0.
    move = drift.step(np.maximum(log_x - known[-1], 0.0))
    reach, growth = move.reach[:, None], move.level[:, None]
    level = level + reach * path.slope[-1]
    variance = (
        variance
        + 2 * reach * path.cross[-1]
        + reach**2 * path.slope_variance[-1]
        + growth * each.drift_size**2
    )
    return level.T, np.maximum(variance, 0.0).T


def _displaced(mean: Array, by: Array, log_most: float | None) -> Array:
    """Return ln y of runs whose noise is `by`: on ln y, or below chance on ln(y / (chance - y))."""
    if log_most is None:
        return mean + by
    share = np.exp(mean - log_most)
    odds = mean - log_most - np.log1p(-share) + by
    return np.asarray(log_most - np.logaddexp(0.0, -odds))


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a predictive distribution is made from: points, the noise of runs, particles of each member."""

    data: Data
    noise: RunNoise
    particles: int


def data_of(observed: Observations, options: FitOptions) -> tuple[Data, RunNoise]:
    """Return the points as the sampler takes them, by rising x, and the noise of single runs."""
    ones = np.ones((1, len(observed.x)))
    spread = observations.spread(observed, forms.POWER_LAW_FLOOR, ones, None)
    unit = float(np.sqrt(np.mean(spread.deviation**2)))
    noise = spread.deviation / unit
    order = np.lexsort((observed.log_y, -observed.v))
    columns = (-observed.v, observed.log_y, noise)
    log_x, log_y, noise = (np.round(each, posterior.DECIMALS)[order] for each in columns)
    made = blocks.blocks(log_x, log_y, noise, MOST_POINTS)
    trials = None if observed.trials is None else float(np.median(observed.trials))
    single = RunNoise(spread.misfit, observed.seed_variance or 0.0, spread.share, trials, unit)
    log_most = None if options.chance is None else math.log(options.chance)
    return Data(made.log_x, made.log_y, made.noise, log_most), single


def predictive(
    observed: Observations,
    options: FitOptions,
    *,
    particles: int = PARTICLES,
    members: tuple[Member, ...] = MEMBERS,
) -> Predictive:
    """Return the predictive distribution of y given x from the points.

    Args:
        observed: configuration means.
        options: `chance` is the error of guessing, where it is known.
        particles: of each member.
        members: the laws with their priors.

    Raises:
        ValueError: fewer than LEAST_SCALES distinct x.
    """
    (made,) = predictives([ask(observed, options, particles)], options, members)
    return made


def ask(observed: Observations, options: FitOptions, particles: int = PARTICLES) -> Asked:
    """Return what `predictives` takes; arguments and errors are those of `predictive`."""
    data, noise = data_of(observed, options)
    scales = len(np.unique(np.round(data.log_x, 3)))
    if scales < LEAST_SCALES:
        raise ValueError(f"{scales} compute scales: a forecast needs {LEAST_SCALES}")
    return Asked(data, noise, particles)


def predictives(
    asked: Sequence[Asked], options: FitOptions, members: tuple[Member, ...] = MEMBERS
) -> list[Predictive]:
    """Return the predictive distribution of each set of points.

    All members of all sets are sampled as independent tasks, each with the random numbers of its member.
    """

    def sample(one: tuple[Asked, int]) -> Posterior:
        return posterior.sample(members[one[1]], one[0].data, particles=one[0].particles, seed=SEED + one[1])

    pairs = [(each, i) for each in asked for i in range(len(members))]
    sampled = tasks.each("forecast", sample, pairs)
    before = np.log([m.weight if options.independent else m.weight_of_rows for m in members])
    made = []
    for k, each in enumerate(asked):
        of_it = tuple(sampled[k * len(members) : (k + 1) * len(members)])
        logs = np.array([found.log_evidence for found in of_it]) + before
        made.append(Predictive(of_it, special.softmax(logs), each.noise, SEED))
    return made
