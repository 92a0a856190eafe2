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
    """The columns 1, u_j, u_i u_j of u (..., k): (..., q)."""
    pairs = [u[..., i] * u[..., j] for i in range(u.shape[-1]) for j in range(i, u.shape[-1])]
    return np.stack([np.ones(u.shape[:-1]), *np.moveaxis(u, -1, 0), *pairs], axis=-1)


def linear(u: Array) -> Array:
    """The columns 1, u_j of u (..., k): (..., 1 + k)."""
    return np.concatenate([np.ones((*u.shape[:-1], 1)), u], axis=-1)


def coefficients(sizes: int) -> int:
    """How many a parabola in so many sizes has."""
    return 1 + sizes + sizes * (sizes + 1) // 2


def regress(design: Design, columns: Array, target: Array, weights: Array) -> tuple[Array, float]:
    """Coefficients (r, B, q) of target (n,) on columns (n, q) in each budget, for each row of weights (r, n).

    All budgets share a slope in ln(compute / the budget's), returned too. It and the threshold of Huber's
    loss (1.345 robust standard deviations) are the sample's (row 0): compute differs too little within a
    budget for their errors to matter.
    """
    slope, threshold = _common(design, columns, target, weights[:1])
    left = target - slope * design.log_c
    found = np.empty((len(weights), len(design.log_budget), columns.shape[1]))
    for b in range(len(design.log_budget)):
        members = design.of == b
        part, own, weight = columns[members], left[members], weights[:, members]
        solved = _solve(part, own, weight)
        for _ in range(_ROUNDS):
            solved = _solve(part, own, weight * _robust(own - solved @ part.T, threshold))
        found[:, b] = solved
    return found, slope


def _common(design: Design, columns: Array, target: Array, weights: Array) -> tuple[float, float]:
    """The common slope and Huber's threshold of one robust regression of all budgets with weights (1, n)."""
    q = columns.shape[1]
    full = np.zeros((len(columns), len(design.log_budget) * q + 1))
    for b in range(len(design.log_budget)):
        full[:, b * q : (b + 1) * q] = np.where((design.of == b)[:, None], columns, 0.0)
    full[:, -1] = design.log_c
    found = _solve(full, target, weights)
    threshold = np.inf
    for _ in range(_ROUNDS):
        residual = target - found @ full.T
        threshold = solver.threshold_of(residual[0])
        found = _solve(full, target, weights * _robust(residual, threshold))
    return float(found[0, -1]), threshold


def _robust(residual: Array, threshold: float) -> Array:
    return np.asarray(threshold / np.maximum(np.abs(residual), threshold))


def _solve(design: Array, target: Array, weights: Array) -> Array:
    """Weighted least squares (r, p); a column of zeros has the coefficient 0."""
    turned = weights[:, None, :] * design.T
    ridge = _RIDGE * np.eye(design.shape[1])
    return np.asarray(np.linalg.solve(turned @ design + ridge, (turned @ target)[:, :, None])[:, :, 0])


def vertices(coefficient: Array, k: int) -> Array:
    """Where each parabola (r, B, q) is least, (r, B, k) in u; nan where it has no minimum."""
    matrix = np.zeros((*coefficient.shape[:2], k, k))
    place = 1 + k
    for i in range(k):
        for j in range(i, k):
            matrix[..., i, j] += coefficient[..., place]
            matrix[..., j, i] += coefficient[..., place]
            place += 1
    convex = np.linalg.eigvalsh(matrix).min(axis=-1) > _LEAST_CURVATURE
    matrix[~convex] = np.eye(k)
    vertex = -np.linalg.solve(matrix, coefficient[..., 1 : 1 + k, None])[..., 0]
    return np.where(convex[..., None], vertex, np.nan)
