"""One estimator for every law: many weighted copies of one sample are fitted at once.

ln y = c + g(theta, v). On grids of theta the level c is solved exactly (variable projection); the best grid
point of each basin starts bounded Levenberg-Marquardt steps on the robust loss; the better end is kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from isoflop.curve.forms import Form

Array = npt.NDArray[np.float64]

HUBER = 1.345
"""Huber's threshold in standard deviations: 95% efficiency for normal noise (Huber 1964)."""
LEAST_SPREAD = 1e-3
"""Errors in ln y below this many times HUBER are never treated as outliers."""

_ELEMENTS = 1 << 17
_LEAST_DAMPING = 1e-10
_ROUNDING = 1e-13


@dataclasses.dataclass(frozen=True)
class Effort:
    """When a minimisation ends: parameters move by less than `tolerance` (relative to 1 + their size), a
    step lowers the loss by less than the share `gain` (-1: never for that), or after `steps` steps."""

    tolerance: float
    gain: float
    steps: int


FINE = Effort(tolerance=1e-11, gain=1e-14, steps=200)
COARSE = Effort(tolerance=1e-5, gain=1e-6, steps=25)
"""FINE for the sample, COARSE for its resamples: far below the spread that the resamples show."""

Rows = npt.NDArray[np.intp]
Noise = Callable[[Array, Rows], tuple[Array, Array, Array]]
"""ln of the law's y (r, n), and which rows of the weights these are -> half the deviance, its negative
derivative and its curvature, (r, n) each."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is fitted. v (n,) or (n, k); log_y (rows or 1, n) is for starts.

    `noise` judges ln y of the law; half deviances beyond threshold^2 / 2 count linearly (Huber). `newton`:
    undamped steps use the robust loss's own curvature, which is 0 beyond the threshold, not that of
    reweighted squares; far fewer steps where most points lie beyond it.
    """

    form: Form
    v: Array
    log_y: Array
    noise: Noise
    threshold: float = np.inf
    newton: bool = False

    @property
    def span(self) -> float:
        """The range of ln x."""
        return float(np.ptp(self.v, axis=0).max())


def log_error(log_y: Array, spread: Array | float = 1.0) -> Noise:
    """Squared errors of ln y (rows or 1, n) in units of `spread` (n,), the deviation of each point's ln y."""

    def judge(log_law: Array, rows: Rows) -> tuple[Array, Array, Array]:
        residual = ((log_y[rows] if len(log_y) > 1 else log_y) - log_law) / spread
        return 0.5 * residual**2, residual / spread, np.broadcast_to(1.0 / np.square(spread), residual.shape)

    return judge


def binomial(errors: Array, trials: Array, extra: Array | float = 0.0, share: float = 1.0) -> Noise:
    """The deviance of `errors` of `trials` (n,) under y, with variance other than the binomial.

    `extra` (n,) is the variance of ln y from elsewhere (seeds, the law's own misfit), `share` that part of
    the binomial variance by which points differ; the deviance is scaled by binomial variance / whole variance
    (quasi-likelihood, McCullagh and Nelder 1989, 9.2), the variances taken at the observed share of errors.
    0 errors are a valid outcome.
    """
    seen = (errors + 0.5) / (trials + 1.0)
    alone = (1.0 - seen) / (trials * seen)
    scale = alone / (share * alone + extra)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = errors / trials
        best = np.where(errors > 0, errors * np.log(rate), 0.0)
        best = best + np.where(errors < trials, (trials - errors) * np.log1p(-rate), 0.0)

    def judge(log_law: Array, rows: Rows) -> tuple[Array, Array, Array]:
        bounded = np.minimum(log_law, -1e-9)
        y = np.exp(bounded)
        half = best - errors * bounded - (trials - errors) * np.log1p(-y)
        slope = (errors - trials * y) / (1.0 - y)
        return scale * np.maximum(half, 0.0), scale * slope, scale * trials * y / (1.0 - y)

    return judge


def threshold_of(residual: Array, least: float = LEAST_SPREAD) -> float:
    """Huber's threshold for residuals (n,): HUBER robust standard deviations (1.4826 MAD)."""
    return HUBER * max(1.4826 * float(np.median(np.abs(residual))), least)


def log_curve(form: Form, parameters: Array, v: Array) -> Array:
    """ln y (r, n) of parameters (r, 1 + q) = (c, theta) at v (n,)."""
    return np.asarray(parameters[:, :1] + form.evaluate(parameters[:, 1:], v)[0])


def _starts(problem: Problem, rows: Rows, weights: Array, level: float | None) -> Array:
    """The best grid point of each basin by weighted squares of ln y: (basins, r, 1 + q)."""
    middle = float(problem.log_y.mean()) if level is None else level
    log_y = (problem.log_y[rows] if len(problem.log_y) > 1 else problem.log_y) - middle
    total = weights.sum(axis=1, keepdims=True)
    mean_y = (weights * log_y).sum(axis=1, keepdims=True) / total
    found = []
    for theta in problem.form.starts(problem.span):
        shapes = problem.form.evaluate(theta, problem.v)[0]
        squares = (weights @ (shapes**2).T - 2 * (weights * log_y) @ shapes.T) / total
        c = np.zeros_like(squares)
        if level is None:
            c = mean_y - weights @ shapes.T / total
            squares -= c**2 - mean_y**2
        best = squares.argmin(axis=1)
        found.append(np.column_stack([np.take_along_axis(c, best[:, None], axis=1) + middle, theta[best]]))
    return np.stack(found)


def _evaluate(problem: Problem, rows: Rows, weights: Array, parameters: Array) -> tuple[Array, ...]:
    """The robust loss (r,), its descent direction (r, p), the reweighted normal matrix (r, p, p), which
    bounds the curvature of the loss from above, and with `newton` that curvature, else the same matrix."""
    shape, derivatives = problem.form.evaluate(parameters[:, 1:], problem.v)
    half, pull, curvature = problem.noise(parameters[:, :1] + shape, rows)
    if np.isfinite(problem.threshold):
        size = np.sqrt(2 * half)
        robust = problem.threshold / np.maximum(size, problem.threshold)
        clipped = np.minimum(size, problem.threshold)
        loss = np.einsum("rn,rn,rn->r", weights, clipped, size - 0.5 * clipped)
        curved = weights * (size <= problem.threshold) if problem.newton else weights
        weights = weights * robust
    else:
        loss = np.einsum("rn,rn->r", weights, half)
    full = np.empty((*derivatives.shape[:2], derivatives.shape[2] + 1))
    full[..., 0], full[..., 1:] = 1.0, derivatives
    down = np.matmul((weights * pull)[:, None, :], full)[:, 0, :]
    turned = full.transpose(0, 2, 1)
    normal = np.matmul(turned, full * (weights * curvature)[..., None])
    if not (problem.newton and np.isfinite(problem.threshold)):
        return loss, down, normal, normal
    return loss, down, normal, np.matmul(turned, full * (curved * curvature)[..., None])


def _polish(
    problem: Problem, rows: Rows, weights: Array, starts: Array, lower: Array, upper: Array, effort: Effort
) -> tuple[Array, Array]:
    """Parameters (r, p) at the bounded minimum reached from `starts`, and the loss there (r,)."""
    parameters = np.clip(starts, lower, upper)
    loss, down, normal, curved = _evaluate(problem, rows, weights, parameters)
    damping = np.full(len(parameters), 1e-3)
    diagonal = np.arange(parameters.shape[1])
    active = np.arange(len(parameters))
    for _ in range(effort.steps):
        if not len(active):
            break
        at, slope, matrix = parameters[active], down[active], normal[active].copy()
        held = ((at <= lower[active]) & (slope <= 0)) | ((at >= upper[active]) & (slope >= 0))
        held |= matrix[:, diagonal, diagonal] <= 1e-200
        size = np.sqrt(np.where(held, 1.0, matrix[:, diagonal, diagonal]))
        if problem.newton:
            share = np.minimum(damping[active, None, None], 1.0)
            matrix = curved[active] + share * (matrix - curved[active])
        matrix *= ~held[:, :, None] & ~held[:, None, :]
        matrix /= size[:, :, None] * size[:, None, :]
        matrix[:, diagonal, diagonal] = (
            np.where(held, 1.0, matrix[:, diagonal, diagonal]) + damping[active, None]
        )
        step = np.linalg.solve(matrix, (np.where(held, 0.0, slope) / size)[:, :, None])[:, :, 0] / size
        trial = np.clip(at + step, lower[active], upper[active])
        new_loss, new_down, new_normal, new_curved = _evaluate(problem, rows[active], weights[active], trial)
        better = new_loss <= loss[active] * (1 + _ROUNDING)
        moved = (np.abs(trial - at) > effort.tolerance * (1 + np.abs(at))).any(axis=1)
        gained = loss[active] - new_loss > effort.gain * loss[active]
        done = (better & ~(moved & gained)) | (~better & (damping[active] > 1e8))
        kept = active[better]
        parameters[kept], loss[kept] = trial[better], new_loss[better]
        down[kept], normal[kept], curved[kept] = new_down[better], new_normal[better], new_curved[better]
        damping[active] = np.maximum(damping[active] * np.where(better, 0.1, 10.0), _LEAST_DAMPING)
        active = active[~done]
    return parameters, loss


def solve(
    problem: Problem,
    weights: Array,
    effort: Effort,
    *,
    relaxed: bool = False,
    level: float | None = None,
    held: tuple[int, Array] | None = None,
) -> tuple[Array, Array]:
    """Parameters (r, 1 + q) of least robust loss and the loss (r,), one a row of `weights` (r, n).

    The best of the minima reached from each basin; the earlier basin, which is the plainer, in a tie. `level`
    holds c; `held` = (number of a shape parameter, its value in each row) holds that one. `relaxed`: the
    bounds of resamples (Form.relaxed).
    """
    low, high = (problem.form.relaxed if relaxed else problem.form.bounds)(problem.span)
    count = max(1, _ELEMENTS // weights.shape[1])
    parts = []
    for first in range(0, len(weights), count):
        rows = np.arange(first, min(first + count, len(weights)))
        lower = np.tile(np.r_[-np.inf if level is None else level, low], (len(rows), 1))
        upper = np.tile(np.r_[np.inf if level is None else level, high], (len(rows), 1))
        if held is not None:
            lower[:, 1 + held[0]] = upper[:, 1 + held[0]] = held[1][rows]
        starts = _starts(problem, rows, weights[rows], level)
        basins = len(starts)
        bounds = np.tile(lower, (basins, 1)), np.tile(upper, (basins, 1))
        ends, losses = _polish(
            problem,
            np.tile(rows, basins),
            np.tile(weights[rows], (basins, 1)),
            starts.reshape(-1, starts.shape[2]),
            *bounds,
            effort,
        )
        losses = losses.reshape(basins, -1)
        best = (losses <= losses.min(axis=0) * (1 + 1e-9) + 1e-300).argmax(axis=0)
        each = np.arange(len(rows))
        parts.append((ends.reshape(starts.shape)[best, each], losses[best, each]))
    return np.concatenate([p for p, _ in parts]), np.concatenate([loss for _, loss in parts])
