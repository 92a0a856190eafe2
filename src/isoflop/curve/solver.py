"""One estimator for every law: many weighted copies of one sample are fitted at once.

The model is ln y = c + g(theta, v). Each fit has two stages. On grids of the shape parameters theta the level
c is solved exactly (variable projection, Golub and Pereyra 1973). The best grid point of each basin then
starts bounded Levenberg-Marquardt steps on the robust loss, and the best minimum is kept. A bootstrap's
resamples are rows of one batch: NumPy works on all of them at once, and a row that has converged leaves it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from isoflop import tasks
from isoflop.curve.forms import Form

Array = npt.NDArray[np.float64]

HUBER = 1.345
"""Huber's threshold in standard deviations: 95% efficiency for normal noise (Huber 1964)."""
LEAST_SPREAD = 1e-3
"""Errors in ln y below this many times HUBER are never treated as outliers."""

_ELEMENTS = 1 << 14
"""Elements (rows x points) that are fitted together: few enough for the processor's cache."""
_LEAST_DAMPING = 1e-10
_ROUNDING = 1e-13
"""A step whose loss is greater by no more than this share is taken: the difference is rounding."""


@dataclasses.dataclass(frozen=True)
class Effort:
    """When a minimisation ends.

    It ends when a step moves every parameter by less than `tolerance` (relative to 1 + its size), when a step
    lowers the loss by less than the share `gain` (-1 turns this off), or after `steps` steps.
    """

    tolerance: float
    gain: float
    steps: int


FINE = Effort(tolerance=1e-11, gain=-1.0, steps=200)
COARSE = Effort(tolerance=1e-5, gain=1e-6, steps=60)
"""FINE converges to rounding, for the sample. COARSE is for its resamples: its errors are far below their
spread, except for laws that the points do not identify. Most end within 25 steps; some of the broken
power law's take 60, and with 25 one in ten was more than a tenth of that spread off."""

RowIndices = npt.NDArray[np.intp]
Noise = Callable[[Array, RowIndices], tuple[Array, Array, Array]]
"""(ln y of the law (r, n), indices (r,) of these rows among the weights) -> half the deviance of each point,
its negative derivative with respect to ln y of the law and its curvature, (r, n) each."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is fitted.

    Attributes:
        form: the shape g.
        v: ln(x_max / x), (n,), or (n, k) for k resources.
        log_y: ln y (rows or 1, n), from which the starts are taken.
        noise: the deviance of each point under the law.
        threshold: Huber's; half deviances beyond threshold^2 / 2 count linearly.
        newton: with little damping, steps use the curvature of the robust loss itself, which is 0 beyond the
            threshold, instead of that of reweighted squares. Where most points lie beyond the threshold this
            needs far fewer steps.
    """

    form: Form
    v: Array
    log_y: Array
    noise: Noise
    threshold: float = np.inf
    newton: bool = False

    @property
    def span(self) -> float:
        """The range of ln x (of the resource with the widest range)."""
        return float(np.ptp(self.v, axis=0).max())


def log_error(log_y: Array, spread: Array | float = 1.0) -> Noise:
    """Return the noise of normal errors of ln y (rows or 1, n) with standard deviation `spread` (n,)."""

    def judge(log_law: Array, rows: RowIndices) -> tuple[Array, Array, Array]:
        residual = ((log_y[rows] if len(log_y) > 1 else log_y) - log_law) / spread
        return 0.5 * residual**2, residual / spread, np.broadcast_to(1.0 / np.square(spread), residual.shape)

    return judge


def binomial(errors: Array, trials: Array, extra: Array | float = 0.0, share: float = 1.0) -> Noise:
    """Return the noise of counted errors: binomial quasi-deviance. 0 errors are a valid outcome.

    The deviance is scaled by binomial variance / whole variance of ln y (quasi-likelihood, McCullagh and
    Nelder 1989, 9.2), both taken at the observed share of errors.

    Args:
        errors, trials: wrong and all images (n,) of each point.
        extra: variance (n,) of ln y from other sources (seeds, misfit of the law).
        share: part of the binomial variance by which points differ, 0 to 1.
    """
    # Half an error more, so that 0 errors have a finite variance of ln y.
    observed_y = (errors + 0.5) / (trials + 1.0)
    counting = (1.0 - observed_y) / (trials * observed_y)
    scale = counting / (share * counting + extra)
    # The log likelihood of the saturated model, in which y is errors / trials; 0 ln 0 = 0.
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = errors / trials
        saturated = np.where(errors > 0, errors * np.log(rate), 0.0)
        saturated = saturated + np.where(errors < trials, (trials - errors) * np.log1p(-rate), 0.0)

    def judge(log_law: Array, rows: RowIndices) -> tuple[Array, Array, Array]:
        # A curve may pass 1 on its way; y = 1 itself would have an infinite deviance and no way back.
        bounded = np.minimum(log_law, -1e-9)
        y = np.exp(bounded)
        half = saturated - errors * bounded - (trials - errors) * np.log1p(-y)
        slope = (errors - trials * y) / (1.0 - y)
        # The curvature is the expected one (Fisher scoring): it is positive everywhere.
        return scale * np.maximum(half, 0.0), scale * slope, scale * trials * y / (1.0 - y)

    return judge


def threshold_of(residual: Array, least: float = LEAST_SPREAD) -> float:
    """Return Huber's threshold for residuals (n,): HUBER robust standard deviations (1.4826 MAD)."""
    return HUBER * max(1.4826 * float(np.median(np.abs(residual))), least)


def log_curve(form: Form, parameters: Array, v: Array) -> Array:
    """Return ln y (r, n) for parameters (r, 1 + q) = (c, theta) at v (n,)."""
    return np.asarray(parameters[:, :1] + form.evaluate(parameters[:, 1:], v)[0])


def _starts(problem: Problem, rows: RowIndices, weights: Array, level: float | None) -> Array:
    """Return the best grid point of each basin by weighted squares of ln y: (basins, r, 1 + q).

    Args:
        problem: what is fitted.
        rows: indices (r,) of the rows that are fitted here.
        weights: weights (r, n) of these rows.
        level: the value that c is held at, or None.
    """
    log_y = problem.log_y[rows] if len(problem.log_y) > 1 else problem.log_y
    # Variable projection: for a shape g the best level is c = mean(ln y - g), and the squares that remain
    # are mean(g^2) - 2 mean(g ln y) + mean(ln y^2) - (mean(ln y) - mean(g))^2 with weighted means. Each term
    # is a matrix product over rows and grid points; no (rows, grid, n) array is formed. ln y is centred
    # first, against cancellation, and its own square is left out: it is the same at all grid points.
    total = weights.sum(axis=1, keepdims=True)
    middle = (weights * log_y).sum(axis=1, keepdims=True) / total if level is None else level
    log_y = log_y - middle
    mean_y = (weights * log_y).sum(axis=1, keepdims=True) / total
    best_points = []
    for theta in problem.form.starts(problem.span):
        shapes = problem.form.evaluate(theta, problem.v)[0]
        squares = (weights @ (shapes**2).T - 2 * (weights * log_y) @ shapes.T) / total
        c = np.zeros_like(squares)
        if level is None:
            c = mean_y - weights @ shapes.T / total
            squares -= c**2 - mean_y**2
        best = squares.argmin(axis=1)
        best_points.append(
            np.column_stack([np.take_along_axis(c, best[:, None], axis=1) + middle, theta[best]])
        )
    return np.stack(best_points)


def _evaluate(problem: Problem, rows: RowIndices, weights: Array, parameters: Array) -> tuple[Array, ...]:
    """Return loss, negative gradient, normal matrix and curvature of the robust loss at `parameters` (r, p).

    The loss is (r,), its negative gradient (r, p). The normal matrix (r, p, p), that of reweighted squares,
    bounds the curvature from above. The last (r, p, p) is the curvature itself with `newton`, else the normal
    matrix again.
    """
    shape, derivatives = problem.form.evaluate(parameters[:, 1:], problem.v)
    half, pull, curvature = problem.noise(parameters[:, :1] + shape, rows)
    if np.isfinite(problem.threshold):
        # The deviance residual sqrt(2 half) takes the part of a residual in Huber's loss. Beyond the
        # threshold its weight in reweighted least squares is threshold / size.
        size = np.sqrt(2 * half)
        robust = problem.threshold / np.maximum(size, problem.threshold)
        clipped = np.minimum(size, problem.threshold)
        loss = np.einsum("rn,rn,rn->r", weights, clipped, size - 0.5 * clipped)
        curved = weights * (size <= problem.threshold) if problem.newton else weights
        weights = weights * robust
    else:
        loss = np.einsum("rn,rn->r", weights, half)
    # The Jacobian of ln y with respect to (c, theta), (r, p, n): a row of ones for the level c.
    jacobian = np.empty((len(shape), derivatives.shape[2] + 1, shape.shape[1]))
    jacobian[:, 0], jacobian[:, 1:] = 1.0, derivatives.transpose(0, 2, 1)
    descent = np.matmul(jacobian, (weights * pull)[:, :, None])[:, :, 0]
    transposed = jacobian.transpose(0, 2, 1)
    normal = np.matmul(jacobian * (weights * curvature)[:, None, :], transposed)
    if not (problem.newton and np.isfinite(problem.threshold)):
        return loss, descent, normal, normal
    return loss, descent, normal, np.matmul(jacobian * (curved * curvature)[:, None, :], transposed)


def _polish(
    problem: Problem,
    rows: RowIndices,
    weights: Array,
    starts: Array,
    lower: Array,
    upper: Array,
    effort: Effort,
) -> tuple[Array, Array]:
    """Return the parameters (r, p) at the bounded minima reached from `starts`, and the losses (r,) there.

    Levenberg-Marquardt with Marquardt's scaling by the diagonal, projected on the bounds (an active set a
    step).

    Args:
        problem: what is fitted.
        rows: indices (r,) of the rows of the problem that are fitted.
        weights: weights (r, n) of these rows.
        starts: parameters (r, p) to start from.
        lower, upper: bounds (r, p).
        effort: when to end.
    """
    parameters = np.clip(starts, lower, upper)
    loss, descent, normal, curved = _evaluate(problem, rows, weights, parameters)
    damping = np.full(len(parameters), 1e-3)
    diagonal = np.arange(parameters.shape[1])
    # `active` are the rows that have not converged. `rows`, `weights`, `lower` and `upper` shrink with it.
    active = np.arange(len(parameters))
    for _ in range(effort.steps):
        at, slope, matrix, before = parameters[active], descent[active], normal[active], loss[active]
        # A parameter at a bound that descent would leave is held for this step, and so is one without any
        # effect on the loss: its row and column become those of the identity.
        held = ((at <= lower) & (slope <= 0)) | ((at >= upper) & (slope >= 0))
        held |= matrix[:, diagonal, diagonal] <= 1e-200
        size = np.sqrt(np.where(held, 1.0, matrix[:, diagonal, diagonal]))
        if problem.newton:
            # From the curvature of the loss (fast near the minimum) to that of reweighted squares (safe)
            # as the damping grows.
            share = np.minimum(damping[active, None, None], 1.0)
            matrix = curved[active] + share * (matrix - curved[active])
        matrix *= ~held[:, :, None] & ~held[:, None, :]
        # Scaled to a unit diagonal, the damping is free of the parameters' units and the solve better
        # conditioned.
        matrix /= size[:, :, None] * size[:, None, :]
        matrix[:, diagonal, diagonal] = (
            np.where(held, 1.0, matrix[:, diagonal, diagonal]) + damping[active, None]
        )
        step = np.linalg.solve(matrix, (np.where(held, 0.0, slope) / size)[:, :, None])[:, :, 0] / size
        trial = np.clip(at + step, lower, upper)
        new_loss, new_descent, new_normal, new_curved = _evaluate(problem, rows, weights, trial)
        better = new_loss <= before * (1 + _ROUNDING)
        moved = (np.abs(trial - at) > effort.tolerance * (1 + np.abs(at))).any(axis=1)
        gained = before - new_loss > effort.gain * before
        # A row ends when an accepted step changes nothing, or when no step is accepted at any damping.
        done = (better & ~(moved & gained)) | (~better & (damping[active] > 1e8))
        kept = active[better]
        parameters[kept], loss[kept] = trial[better], new_loss[better]
        descent[kept], normal[kept], curved[kept] = (
            new_descent[better],
            new_normal[better],
            new_curved[better],
        )
        damping[active] = np.maximum(damping[active] * np.where(better, 0.1, 10.0), _LEAST_DAMPING)
        if done.all():
            break
        if done.any():
            left = ~done
            active, rows, weights = active[left], rows[left], weights[left]
            lower, upper = lower[left], upper[left]
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
    """Return the parameters (r, 1 + q) of least robust loss and the losses (r,), one fit a row of `weights`.

    It is the best of the minima reached from each basin; in a tie the earlier basin, which is the simpler.

    Args:
        problem: what is fitted.
        weights: weights (r, n) of the points in each fit.
        effort: when a minimisation ends.
        relaxed: use the bounds of resamples (Form.relaxed).
        level: a value to hold c at.
        held: index of a shape parameter and the values (r,) to hold it at.
    """

    def part(rows: RowIndices) -> tuple[Array, Array]:
        lower, upper = _limits(problem, rows, relaxed, level, held)
        # All basins of all rows are polished as one batch, then the best basin of each row is kept.
        starts = _starts(problem, rows, weights[rows], level)
        basins = len(starts)
        ends, losses = _polish(
            problem,
            np.tile(rows, basins),
            np.tile(weights[rows], (basins, 1)),
            starts.reshape(-1, starts.shape[2]),
            np.tile(lower, (basins, 1)),
            np.tile(upper, (basins, 1)),
            effort,
        )
        losses = losses.reshape(basins, -1)
        # argmax of a boolean is the first basin that ties with the least loss.
        best = (losses <= losses.min(axis=0) * (1 + 1e-9) + 1e-300).argmax(axis=0)
        each = np.arange(len(rows))
        return ends.reshape(starts.shape)[best, each], losses[best, each]

    return _joined(tasks.each("resamples", part, _parts(weights)))


def polish(
    problem: Problem,
    weights: Array,
    starts: Array,
    effort: Effort,
    *,
    relaxed: bool = False,
    level: float | None = None,
    held: tuple[int, Array] | None = None,
) -> tuple[Array, Array]:
    """Return the parameters (r, 1 + q) of the minima reached from `starts` (r, 1 + q), and the losses (r,).

    Args:
        problem, weights, effort, relaxed, level, held: as in `solve`.
        starts: parameters to start from, one a row of `weights`.
    """

    def part(rows: RowIndices) -> tuple[Array, Array]:
        lower, upper = _limits(problem, rows, relaxed, level, held)
        return _polish(problem, rows, weights[rows], starts[rows], lower, upper, effort)

    return _joined(tasks.each("resamples", part, _parts(weights)))


def _joined(parts: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Return parameters and losses of parts of the rows as those of all rows."""
    return np.concatenate([p for p, _ in parts]), np.concatenate([loss for _, loss in parts])


def _parts(weights: Array) -> list[RowIndices]:
    """Return the rows of `weights` (r, n) in parts that stay in the processor's cache."""
    count = max(1, _ELEMENTS // weights.shape[1])
    return [np.arange(first, min(first + count, len(weights))) for first in range(0, len(weights), count)]


def _limits(
    problem: Problem,
    rows: RowIndices,
    relaxed: bool,
    level: float | None,
    held: tuple[int, Array] | None,
) -> tuple[Array, Array]:
    """Return lower and upper bounds (r, 1 + q) of the parameters of `rows`; arguments as in `solve`."""
    low, high = (problem.form.relaxed if relaxed else problem.form.bounds)(problem.span)
    lower = np.tile(np.r_[-np.inf if level is None else level, low], (len(rows), 1))
    upper = np.tile(np.r_[np.inf if level is None else level, high], (len(rows), 1))
    if held is not None:
        lower[:, 1 + held[0]] = upper[:, 1 + held[0]] = held[1][rows]
    return lower, upper
