"""The points of one fit as numbers: x, y, which configuration each belongs to, and how noisy each is."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt
from scipy import optimize

from isoflop.curve import solver
from isoflop.curve.forms import Form
from isoflop.curve.solver import Noise, Problem

Array = npt.NDArray[np.float64]

LEAST_WEIGHT = 0.1
"""Points that weigh less than this share of the heaviest do not tell the noise."""
COMPONENT_STEPS = 4
ROBUST_SD = 1.4826
"""From the median absolute deviation to the standard deviation of a normal distribution."""


@dataclasses.dataclass(frozen=True)
class View:
    """n points. `config` (n,) indexes configurations; `repeats` (n,) says how many runs a point averages.

    `errors` of `trials` (n,) are the counts behind y where they are known, else None; only then may y be 0.
    `seed_variance` is the variance of ln y between runs of one place, None where no place was repeated.
    """

    x: Array
    y: Array
    config: npt.NDArray[np.intp]
    repeats: Array
    trials: Array | None
    seed_variance: float | None

    @functools.cached_property
    def v(self) -> Array:
        """ln(x_max / x), (n,), to 12 decimals, so that a unit's rounding does not reach the fit."""
        return np.asarray(np.round(np.log(self.x.max() / self.x), 12))

    @functools.cached_property
    def log_y(self) -> Array:
        """ln y for starts and residuals: that of (errors + 1/2) / (trials + 1) where y is 0."""
        if self.trials is None:
            return np.asarray(np.log(self.y))
        return np.log(np.where(self.y > 0, self.y, 0.5 / (self.trials + 1.0)))

    @functools.cached_property
    def spreads(self) -> dict[tuple[Form, float | None, bytes], Spread]:
        """What `spread` has found on this view: a law's sample, profile and forecast share it."""
        return {}

    @property
    def positive(self) -> View:
        """The points that have a place on a log scale."""
        keep = self.y > 0
        trials = None if self.trials is None else self.trials[keep]
        kept = (self.x[keep], self.y[keep], self.config[keep], self.repeats[keep])
        return View(*kept, trials, self.seed_variance)

    def binomial_variance(self) -> Array:
        """The variance of ln y that counting so many trials gives, (n,); 0 where counts are unknown."""
        return np.zeros_like(self.y) if self.trials is None else binomial(np.exp(self.log_y), self.trials)


def binomial(share: Array, trials: Array | float) -> Array:
    """The variance of the logarithm of a share that is counted on `trials`, (1 - p) / (n p); arrays (n,)."""
    return np.asarray((1.0 - np.minimum(share, 1.0)) / (trials * share))


@dataclasses.dataclass(frozen=True)
class Spread:
    """The noise of a view under one form: what judges a fit, and from where on a point is an outlier."""

    noise: Noise
    threshold: float
    deviation: Array


def spread(view: View, form: Form, weights: Array, level: float | None) -> Spread:
    """The noise of `view` under `form`, kept with the view: see `_spread`."""
    key = (form, level, weights.tobytes())
    if key not in view.spreads:
        view.spreads[key] = _spread(view, form, weights, level)
    return view.spreads[key]


def _spread(view: View, form: Form, weights: Array, level: float | None) -> Spread:
    """The noise of `view` from the residuals of a first robust fit of `form` with `weights` (1, n).

    `deviation` (n,) is that of each point's ln y.

    The variance of ln y is taken as misfit + seed variance / repeats + share x binomial variance. The misfit
    and the share, at most 1, are what the squared residuals of the first fit call for: runs that are tested
    on the same images differ by less than independent counts would.
    """
    log_y = view.log_y[None]
    plain = Problem(form, view.v, log_y, solver.log_error(log_y))
    first = solver.solve(plain, weights, solver.COARSE, level=level)[0]
    counted = weights[0] > LEAST_WEIGHT * weights[0].max()
    threshold = solver.threshold_of(_residual(view, form, first)[counted])
    first = solver.solve(
        dataclasses.replace(plain, threshold=threshold), weights, solver.COARSE, level=level
    )[0]
    residual = _residual(view, form, first)[counted]
    seeds = (view.seed_variance or 0.0) / view.repeats
    counting = view.binomial_variance()
    misfit, share = components(residual, form.free_parameters, seeds[counted], counting[counted])
    deviation = np.sqrt(misfit + seeds + share * counting)
    threshold = solver.threshold_of(residual / deviation[counted], least=0.5)
    if view.trials is None:
        return Spread(solver.log_error(log_y, deviation), threshold, deviation)
    noise = solver.binomial(view.y * view.trials, view.trials, misfit + seeds, share)
    return Spread(noise, threshold, deviation)


def components(residual: Array, free: int, seeds: Array, counting: Array) -> tuple[float, float]:
    """misfit (variance of ln y) and the share of the binomial variance in squared residuals (n,).

    Non-negative least squares of the squares on 1 and the binomial variance, each weighed by its variance
    (that of a square is in proportion to its mean's square) and cut at nine times its mean, which the cut
    changes by under 1% for normal noise.
    """
    n = len(residual)
    scale = n / max(1, n - free)
    middle = (ROBUST_SD * float(np.median(np.abs(residual)))) ** 2 * scale
    least = solver.LEAST_SPREAD**2
    misfit, share = max(middle - float(seeds.mean()), least), 0.0
    if not counting.any():
        return misfit, share
    share = 1.0
    misfit = max(middle - float(np.mean(seeds + counting)), least)
    for _ in range(COMPONENT_STEPS):
        expected = misfit + seeds + share * counting
        squares = np.maximum(np.minimum(residual**2 * scale, 9.0 * expected) - seeds, 0.0)
        design = np.column_stack([np.ones(n), counting]) / expected[:, None]
        misfit, share = optimize.nnls(design, squares / expected)[0]
        share = min(float(share), 1.0)
        misfit = max(float(misfit), least)
    return misfit, share


def _residual(view: View, form: Form, parameters: Array) -> Array:
    return np.asarray(view.log_y - solver.log_curve(form, parameters, view.v)[0])


def quantile_noise(view: View, form: Form, weights: Array, quantile: float) -> tuple[Noise, float]:
    """Noise under which a fit is the `quantile` of ln y given x: Koenker and Bassett's check loss (1978).

    Squares within a tenth of the residuals' spread of 0 round its kink off.
    """
    log_y = view.log_y[None]
    problem = Problem(form, view.v, log_y, solver.log_error(log_y))
    residual = _residual(view, form, solver.solve(problem, weights, solver.COARSE)[0])
    unit = max(ROBUST_SD * float(np.median(np.abs(residual))), solver.LEAST_SPREAD)

    def judge(log_law: Array, rows: npt.NDArray[np.intp]) -> tuple[Array, Array, Array]:
        error = (log_y - log_law) / unit
        slope = np.where(error > 0, quantile, 1.0 - quantile)
        return 0.5 * (slope * error) ** 2, slope**2 * error / unit, slope**2 / unit**2

    return judge, 0.1 * min(quantile, 1.0 - quantile)
