"""Parabolas in one or more ln sizes, one a budget, by a robust linear regression."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from isoflop.curve import solver
from isoflop.curve.isoflop.budgets import Design

Array = npt.NDArray[np.float64]

_RIDGE = 1e-9
_ROUNDS = 12
_LEAST_CURVATURE = 1e-6


def quadratic(u: Array) -> Array:
    """Return the columns 1, u_j, u_i u_j of u (..., k): (..., q)."""
    pairs = [u[..., i] * u[..., j] for i in range(u.shape[-1]) for j in range(i, u.shape[-1])]
    return np.stack([np.ones(u.shape[:-1]), *np.moveaxis(u, -1, 0), *pairs], axis=-1)


def linear(u: Array) -> Array:
    """Return the columns 1, u_j of u (..., k): (..., 1 + k)."""
    return np.concatenate([np.ones((*u.shape[:-1], 1)), u], axis=-1)


def coefficients(sizes: int) -> int:
    """Return the number of coefficients of a parabola in so many sizes."""
    return 1 + sizes + sizes * (sizes + 1) // 2


def regress(design: Design, columns: Array, target: Array, weights: Array) -> tuple[Array, float]:
    """Regress target (n,) on columns (n, q) in each budget, for each row of weights (r, n).

    Return the coefficients (r, B, q) and the slope in ln(compute / the budget's) that all budgets share.
    Slope and Huber's threshold (1.345 robust standard deviations) are the sample's (row 0): compute differs
    too little within a budget for their errors to matter.
    """
    slope, threshold = _common(design, columns, target, weights[:1])
    left = target - slope * design.log_c
    coefficients_of_budgets = np.empty((len(weights), len(design.log_budget), columns.shape[1]))
    for b in range(len(design.log_budget)):
        members = design.of == b
        part, own, weight = columns[members], left[members], weights[:, members]
        solved = _solve(part, own, weight)
        for _ in range(_ROUNDS):
            solved = _solve(part, own, weight * _robust(own - solved @ part.T, threshold))
        coefficients_of_budgets[:, b] = solved
    return coefficients_of_budgets, slope


def _common(design: Design, columns: Array, target: Array, weights: Array) -> tuple[float, float]:
    """Return the common slope and Huber's threshold of one robust regression of all budgets.

    `weights` (1, n) are the sample's. Robust by iteratively reweighted least squares.
    """
    q = columns.shape[1]
    full = np.zeros((len(columns), len(design.log_budget) * q + 1))
    for b in range(len(design.log_budget)):
        full[:, b * q : (b + 1) * q] = np.where((design.of == b)[:, None], columns, 0.0)
    full[:, -1] = design.log_c
    solved = _solve(full, target, weights)
    threshold = np.inf
    for _ in range(_ROUNDS):
        residual = target - solved @ full.T
        threshold = solver.threshold_of(residual[0])
        solved = _solve(full, target, weights * _robust(residual, threshold))
    return float(solved[0, -1]), threshold


def _robust(residual: Array, threshold: float) -> Array:
    return np.asarray(threshold / np.maximum(np.abs(residual), threshold))


def _solve(design: Array, target: Array, weights: Array) -> Array:
    """Return weighted least squares (r, p); a column of zeros has the coefficient 0 (by the ridge)."""
    turned = weights[:, None, :] * design.T
    ridge = _RIDGE * np.eye(design.shape[1])
    return np.asarray(np.linalg.solve(turned @ design + ridge, (turned @ target)[:, :, None])[:, :, 0])


def vertices(coefficient: Array, k: int) -> Array:
    """Return the vertex (r, B, k) in u of each parabola (r, B, q); NaN where it has no minimum."""
    # The Hessian from the coefficients of u_i u_j, in the order of `quadratic`; i = j is counted twice.
    matrix = np.zeros((*coefficient.shape[:2], k, k))
    column = 1 + k
    for i in range(k):
        for j in range(i, k):
            matrix[..., i, j] += coefficient[..., column]
            matrix[..., j, i] += coefficient[..., column]
            column += 1
    convex = np.linalg.eigvalsh(matrix).min(axis=-1) > _LEAST_CURVATURE
    matrix[~convex] = np.eye(k)
    vertex = -np.linalg.solve(matrix, coefficient[..., 1 : 1 + k, None])[..., 0]
    return np.where(convex[..., None], vertex, np.nan)
