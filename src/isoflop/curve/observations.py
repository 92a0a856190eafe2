"""The points of one fit as arrays: x, y, the configuration of each, and its noise."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from isoflop.curve import condensed, solver
from isoflop.curve.forms import Form
from isoflop.curve.solver import Noise, Problem

Array = npt.NDArray[np.float64]

LEAST_WEIGHT = 0.1
"""Points with less than this share of the greatest weight take no part in estimating the noise."""
COMPONENT_STEPS = 4
ROBUST_SD = 1.4826
"""From the median absolute deviation to the standard deviation of a normal distribution."""


@dataclasses.dataclass(frozen=True)
class Observations:
    """n points, which are single runs or configuration means.

    Attributes:
        x, y: resource and error or loss (n,). y may be 0 only where `trials` is known.
        config: index (n,) of the configuration of each point.
        repeats: number of runs (n,) that each point averages.
        trials: test images (n,) behind each y, None where they are unknown.
        seed_variance: variance of ln y between runs of one configuration mean, None where none has two.
    """

    x: Array
    y: Array
    config: npt.NDArray[np.intp]
    repeats: Array
    trials: Array | None
    seed_variance: float | None

    @functools.cached_property
    def v(self) -> Array:
        """ln(x_max / x), (n,), to 12 decimals: rounding in a change of unit does not reach the fit."""
        return np.asarray(np.round(np.log(self.x.max() / self.x), 12))

    @functools.cached_property
    def log_y(self) -> Array:
        """ln y (n,) for starts and residuals; ln of (1/2) / (trials + 1) where y is 0."""
        if self.trials is None:
            return np.asarray(np.log(self.y))
        return np.log(np.where(self.y > 0, self.y, 0.5 / (self.trials + 1.0)))

    @functools.cached_property
    def spreads(self) -> dict[tuple[Form, float | None, bytes], Spread]:
        """Cache of `spread`, shared by the sample, the profile and the forecast of a law."""
        return {}

    @property
    def positive(self) -> Observations:
        """The points with y above 0, which have a logarithm."""
        return self.take(self.y > 0)

    def take(self, keep: npt.NDArray[np.bool_]) -> Observations:
        """Return the points that `keep` (n,) marks."""
        trials = None if self.trials is None else self.trials[keep]
        kept = (self.x[keep], self.y[keep], self.config[keep], self.repeats[keep])
        return Observations(*kept, trials, self.seed_variance)

    def binomial_variance(self) -> Array:
        """Return the binomial variance of ln y, (n,); 0 where counts are unknown."""
        return np.zeros_like(self.y) if self.trials is None else binomial(np.exp(self.log_y), self.trials)


def binomial(share: Array, trials: Array | float) -> Array:
    """Return the variance of ln p, (1 - p) / (n p), for shares p (n,) counted on `trials` (n,) images.

    The delta method's, for a binomial count.
    """
    return np.asarray((1.0 - np.minimum(share, 1.0)) / (trials * share))


@dataclasses.dataclass(frozen=True)
class Spread:
    """The noise of points under one form, with Huber's threshold and the deviation (n,) of ln y.

    `misfit` and `share` are the parts of its square that `components` finds.
    """

    noise: Noise
    threshold: float
    deviation: Array
    misfit: float
    share: float


def spread(observed: Observations, form: Form, weights: Array, level: float | None) -> Spread:
    """Return the noise of `observed` under `form` (`_spread`), cached with the observations."""
    key = (form, level, weights.tobytes())
    if key not in observed.spreads:
        observed.spreads[key] = _spread(observed, form, weights, level)
    return observed.spreads[key]


def _spread(observed: Observations, form: Form, weights: Array, level: float | None) -> Spread:
    """Estimate the noise of `observed` from the residuals of a first robust fit of `form`.

    The variance of ln y is misfit + seed variance / repeats + share x binomial variance. The misfit and the
    share, at most 1, are estimated from the squared residuals of the first fit: runs that are tested on the
    same images differ by less than independent counts would.

    Args:
        observed: the points (n).
        form: the form that is fitted.
        weights: weights (1, n) of the sample.
        level: a value to hold the level c of the form at, or None.
    """
    log_y = observed.log_y[None]
    plain = Problem(form, observed.v, log_y, solver.log_error(log_y))
    # Plain squares first, for a threshold; then the robust fit with it, for the residuals.
    first = condensed.solve(plain, weights, solver.COARSE, level=level)[0]
    counted = weights[0] > LEAST_WEIGHT * weights[0].max()
    threshold = solver.threshold_of(_residual(observed, form, first)[counted])
    first = condensed.solve(
        dataclasses.replace(plain, threshold=threshold), weights, solver.COARSE, level=level
    )[0]
    residual = _residual(observed, form, first)[counted]
    seeds = (observed.seed_variance or 0.0) / observed.repeats
    counting = observed.binomial_variance()
    misfit, share = components(residual, form.free_parameters, seeds[counted], counting[counted])
    deviation = np.sqrt(misfit + seeds + share * counting)
    threshold = solver.threshold_of(residual / deviation[counted], least=0.5)
    if observed.trials is None:
        return Spread(solver.log_error(log_y, deviation), threshold, deviation, misfit, share)
    noise = solver.binomial(observed.y * observed.trials, observed.trials, misfit + seeds, share)
    return Spread(noise, threshold, deviation, misfit, share)


def components(residual: Array, free: int, seeds: Array, counting: Array) -> tuple[float, float]:
    """Return the misfit (a variance of ln y) and the share of the binomial variance in squared residuals.

    Non-negative least squares of the squares on 1 and the binomial variance. Each is divided by its expected
    value, as the standard deviation of a squared normal residual is in proportion to its mean; the expected
    values are updated COMPONENT_STEPS times.

    Args:
        residual: residuals (n,) of ln y.
        free: number of parameters of the fit that left them.
        seeds: variance (n,) of ln y from seeds, which is known.
        counting: binomial variance (n,) of ln y; 0 where counts are unknown.
    """
    n = len(residual)
    # Residuals about a fit with p parameters have (n - p) / n of the noise's variance.
    scale = n / max(1, n - free)
    middle = (ROBUST_SD * float(np.median(np.abs(residual)))) ** 2 * scale
    least = solver.LEAST_SPREAD**2
    misfit, share = max(middle - float(seeds.mean()), least), 0.0
    if not counting.any():
        return misfit, share
    from scipy import optimize  # most tables have no counts and need none of it

    share = 1.0
    misfit = max(middle - float(np.mean(seeds + counting)), least)
    for _ in range(COMPONENT_STEPS):
        # Squares are cut at nine times their mean, against outliers; for normal noise this changes their
        # mean by under 1%.
        expected = misfit + seeds + share * counting
        squares = np.maximum(np.minimum(residual**2 * scale, 9.0 * expected) - seeds, 0.0)
        design = np.column_stack([np.ones(n), counting]) / expected[:, None]
        misfit, share = optimize.nnls(design, squares / expected)[0]
        share = min(float(share), 1.0)
        misfit = max(float(misfit), least)
    return misfit, share


def _residual(observed: Observations, form: Form, parameters: Array) -> Array:
    return np.asarray(observed.log_y - solver.log_curve(form, parameters, observed.v)[0])


def quantile_noise(
    observed: Observations, form: Form, weights: Array, quantile: float
) -> tuple[Noise, float]:
    """Return noise and threshold under which a fit is the `quantile` of ln y given x.

    It is the check loss of Koenker and Bassett (1978), its kink rounded off by squares within a tenth of the
    residuals' spread.
    """
    log_y = observed.log_y[None]
    problem = Problem(form, observed.v, log_y, solver.log_error(log_y))
    residual = _residual(observed, form, condensed.solve(problem, weights, solver.COARSE)[0])
    unit = max(ROBUST_SD * float(np.median(np.abs(residual))), solver.LEAST_SPREAD)

    def judge(log_law: Array, rows: npt.NDArray[np.intp]) -> tuple[Array, Array, Array]:
        error = (log_y - log_law) / unit
        # Squares of errors scaled by the slopes of the check loss. Huber's threshold turns them into straight
        # lines with these slopes.
        slope = np.where(error > 0, quantile, 1.0 - quantile)
        return 0.5 * (slope * error) ** 2, slope**2 * error / unit, slope**2 / unit**2

    return judge, 0.1 * min(quantile, 1.0 - quantile)
