"""The power law with a floor, y = E + A x^-b, fitted to many weighted copies of one sample at once.

Parameters are chosen so that no unit enters. With v = ln(x_max / x) >= 0,

    ln y = c + ln(1 + e^s (e^(b v) - 1)),

where c = ln y at x_max, e^s is the share of y at x_max that still falls (E = e^c (1 - e^s), s <= 0), and b
is the exponent. The fit minimises the sum of Huber's loss over the error in ln y, subject to E >= 0 and
B_MIN <= b <= B_MAX. The level c is solved exactly (variable projection) on a grid of exponents and bends,
which gives the starts; Levenberg-Marquardt steps with Huber's weights end it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

B_MIN, B_MAX = 1e-3, 5.0
HUBER = 1.345
"""Huber's threshold in standard deviations: 95% efficiency for normal noise (Huber 1964)."""
LEAST_THRESHOLD = 1e-3
"""Errors in ln y below this are never treated as outliers."""

_EXPONENTS = np.geomspace(0.01, 4.0, 24)
_BENDS = np.array([0.0, 0.02, 0.06, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15])
_ELEMENTS = 1 << 16
_LEAST_DAMPING = 1e-10
_ROUNDING = 1e-13


@dataclasses.dataclass(frozen=True)
class Effort:
    """When a minimisation ends: parameters move by less than `tolerance` (relative to 1 + their size), a
    step lowers the loss by less than the share `gain` (-1: never for that), or after `steps` steps."""

    tolerance: float
    gain: float
    steps: int


FINE = Effort(tolerance=1e-11, gain=-1.0, steps=1000)
COARSE = Effort(tolerance=1e-7, gain=1e-14, steps=50)
"""FINE for the sample, COARSE for its resamples: far below the spread that the resamples show."""


def log_curve(parameters: Array, v: Array) -> Array:
    """ln y of parameters (r, 3) = (c, s, b) at v (n,) = ln(x_max / x): shape (r, n)."""
    c, s, b = (parameters[:, i, None] for i in range(3))
    return np.asarray(c + np.log(-np.expm1(s) + np.exp(s + b * v)))


def _starts(v: Array, log_y: Array, weights: Array) -> tuple[Array, Array]:
    """The best grid points without and with a floor by weighted squares of ln y; each (r, 3).

    The bend, where the falling part equals the floor, is laid at fractions of the span of ln x.
    """
    b, bend = (g.ravel() for g in np.meshgrid(_EXPONENTS, _BENDS, indexing="ij"))
    s = -bend * b * v.max()
    middle = log_y.mean()
    shapes = log_curve(np.column_stack([np.zeros_like(b), s, b]), v)
    rest = log_y - middle - shapes
    total = weights.sum(axis=1, keepdims=True)
    level = weights @ rest.T / total
    squares = weights @ (rest**2).T / total - level**2
    found = []
    for floored in (False, True):
        best = np.where((bend > 0) == floored, squares, np.inf).argmin(axis=1)
        c = np.take_along_axis(level, best[:, None], axis=1)[:, 0] + middle
        found.append(np.column_stack([c, s[best], b[best]]))
    return found[0], found[1]


def _evaluate(
    v: Array, log_y: Array, weights: Array, parameters: Array, threshold: float
) -> tuple[Array, Array, Array]:
    """Huber's loss (r,), its descent direction (r, 3) and the reweighted normal matrix (r, 3, 3)."""
    c, s, b = (parameters[:, i, None] for i in range(3))
    share = np.exp(s)
    falling = share * np.exp(b * v)
    whole = (1.0 - share) + falling
    residual = log_y - c - np.log(whole)
    size = np.abs(residual)
    clipped = np.minimum(size, threshold)
    loss = np.einsum("rn,rn,rn->r", weights, clipped, size - 0.5 * clipped)
    if np.isfinite(threshold):
        weights = weights * (threshold / np.maximum(size, threshold))
    by_s = (falling - share) / whole
    by_b = falling / whole * v
    pulled, weighted_s, weighted_b = weights * residual, weights * by_s, weights * by_b
    down = np.stack(
        [pulled.sum(axis=1), np.einsum("rn,rn->r", pulled, by_s), np.einsum("rn,rn->r", pulled, by_b)], axis=1
    )
    normal = np.empty((len(parameters), 3, 3))
    normal[:, 0, 0] = weights.sum(axis=1)
    normal[:, 0, 1] = normal[:, 1, 0] = weighted_s.sum(axis=1)
    normal[:, 0, 2] = normal[:, 2, 0] = weighted_b.sum(axis=1)
    normal[:, 1, 1] = np.einsum("rn,rn->r", weighted_s, by_s)
    normal[:, 1, 2] = normal[:, 2, 1] = np.einsum("rn,rn->r", weighted_s, by_b)
    normal[:, 2, 2] = np.einsum("rn,rn->r", weighted_b, by_b)
    return loss, down, normal


def _polish(
    v: Array, log_y: Array, weights: Array, starts: Array, threshold: float, effort: Effort
) -> tuple[Array, Array]:
    """Parameters (r, 3) at the bounded minimum reached from `starts`, and Huber's loss there (r,)."""
    lower = np.array([-np.inf, -B_MAX * v.max() - 5.0, B_MIN])
    upper = np.array([np.inf, 0.0, B_MAX])
    parameters = np.clip(starts, lower, upper)
    loss, down, normal = _evaluate(v, log_y, weights, parameters, threshold)
    damping = np.full(len(parameters), 1e-4)
    diagonal = np.arange(3)
    active = np.arange(len(parameters))
    for _ in range(effort.steps):
        if not len(active):
            break
        at, slope, matrix = parameters[active], down[active], normal[active].copy()
        held = ((at <= lower) & (slope < 0)) | ((at >= upper) & (slope > 0))
        held |= matrix[:, diagonal, diagonal] <= 1e-200
        size = np.sqrt(np.where(held, 1.0, matrix[:, diagonal, diagonal]))
        matrix *= ~held[:, :, None] & ~held[:, None, :]
        matrix /= size[:, :, None] * size[:, None, :]
        matrix[:, diagonal, diagonal] = 1 + damping[active, None]
        step = np.linalg.solve(matrix, (np.where(held, 0.0, slope) / size)[:, :, None])[:, :, 0] / size
        trial = np.clip(at + step, lower, upper)
        new_loss, new_down, new_normal = _evaluate(v, log_y, weights[active], trial, threshold)
        better = new_loss <= loss[active] * (1 + _ROUNDING)
        moved = np.abs(trial - at) > effort.tolerance * (1 + np.abs(at))
        gained = loss[active] - new_loss > effort.gain * loss[active]
        done = (better & ~(moved.any(axis=1) & gained)) | (~better & (damping[active] > 1e8))
        rows = active[better]
        parameters[rows], loss[rows] = trial[better], new_loss[better]
        down[rows], normal[rows] = new_down[better], new_normal[better]
        damping[active] = np.maximum(damping[active] * np.where(better, 0.1, 10.0), _LEAST_DAMPING)
        active = active[~done]
    return parameters, loss


def solve(v: Array, log_y: Array, weights: Array, threshold: float, effort: Effort) -> Array:
    """Parameters (r, 3) of least Huber loss, for v (n,), log_y (n,) and weights (r, n).

    The better of the two minima reached from a start with and one without a floor; the plainer in a tie.
    """
    plain, floored = (
        _polish(v, log_y, weights, start, threshold, effort) for start in _starts(v, log_y, weights)
    )
    keep = plain[1] <= floored[1] * (1 + 1e-9)
    return np.where(keep[:, None], plain[0], floored[0])


def threshold_of(residual: Array) -> float:
    """Huber's threshold for residuals (n,) of ln y: HUBER robust standard deviations (1.4826 MAD)."""
    spread = 1.4826 * float(np.median(np.abs(residual)))
    return max(HUBER * spread, LEAST_THRESHOLD)


def fit(z: Array, y: Array, weights: Array) -> Array:
    """Fit y = E + A x^-b: parameters (r, 3) = (c, s, b), one row a row of `weights` (r, n).

    `z` (n,) is ln(x / x_max), so that the greatest is 0; `y` (n,) > 0. The first row of weights is the
    sample itself: Huber's threshold comes from its least-squares residuals and holds for all rows.
    """
    v, log_y = -z, np.log(y)
    squares = solve(v, log_y, weights[:1], np.inf, FINE)
    threshold = threshold_of(log_y - log_curve(squares, v)[0])
    point = solve(v, log_y, weights[:1], threshold, FINE)
    rows = max(1, _ELEMENTS // len(v))
    parts = [solve(v, log_y, weights[i : i + rows], threshold, COARSE) for i in range(1, len(weights), rows)]
    return np.concatenate([point, *parts])


def predict(parameters: Array, z: Array) -> Array:
    """y (r, m) of parameters (r, 3) at z (m,) = ln(x / x_max); z may be above 0.

    Beyond x_max the falling part keeps falling towards the floor.
    """
    c, s, b = (parameters[:, i, None] for i in range(3))
    return np.asarray(np.exp(c) * (-np.expm1(s) + np.exp(s - b * z)))
