"""How optima grow with compute: a power law through the vertices of all budgets, and its bias."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from isoflop.curve.isoflop import intervals
from isoflop.curve.isoflop.bias import Bias
from isoflop.curve.isoflop.budgets import Design
from isoflop.curve.isoflop.result import Growth, GrowthBias
from isoflop.curve.result import Estimate, Interval

Array = npt.NDArray[np.float64]

MIN_BUDGETS = 3


@dataclasses.dataclass(frozen=True)
class FittedParabolas:
    """The parabolas of B budgets for the sample (row 0) and its r resamples.

    Attributes:
        coefficient: (1 + r, B, q).
        slope: of ln y in ln compute within budgets.
        vertex: optimum (1 + r, B, k) in the scaled sizes u.
        at_vertex: ln of each of m sizes and companions, then ln y, at the vertex, (1 + r, B, m + 1).
        level: of the intervals.
    """

    coefficient: Array
    slope: float
    vertex: Array
    at_vertex: Array
    level: float


def _line(x: Array, values: Array, weights: Array) -> Array:
    """Return intercept and slope (r, 2) of values (r, m) on x (m,) with weights (r, m).

    NaN where fewer than MIN_BUDGETS have a weight.
    """
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    middle, mean = weights @ x[:, None] / total, (weights * values).sum(axis=1, keepdims=True) / total
    apart = x - middle
    enough = (weights > 0).sum(axis=1, keepdims=True) >= MIN_BUDGETS
    squares = np.where(enough, (weights * apart**2).sum(axis=1, keepdims=True), 1.0)
    slope = (weights * apart * values).sum(axis=1, keepdims=True) / squares
    return np.where(enough, np.concatenate([mean - slope * middle, slope], axis=1), np.nan)


def fit_growth(
    fitted: FittedParabolas,
    design: Design,
    usable: npt.NDArray[np.bool_],
    names: tuple[str, ...],
    known_bias: Bias | None,
) -> tuple[Growth, ...]:
    """Return the lines of ln optimum in ln compute over the usable budgets, by weighted least squares.

    The bias is the difference of two such lines, with the same weights, without noise. A budget's weight is
    the inverse of its resamples' variance plus the median variance, so that no single budget decides.
    Intervals are stretched for the parameters of all parabolas together.

    Args:
        fitted: the parabolas of all budgets.
        design: their rows.
        usable: which (B,) budgets have an optimum.
        names: of sizes, companions and y.
        known_bias: the optima without noise; None where they are unknown.
    """
    centre = float(design.log_budget[usable].mean())
    configs, rows = design.rows.configs, len(design.of)
    free = round(configs * (fitted.coefficient[0].size + 1) / rows)
    growth = []
    for j, name in enumerate(names[:-1]):
        values = fitted.at_vertex[:, usable, j]
        weights = np.ones(values.shape[1])
        if len(values) > 1:
            # Squared interquartile range: a robust variance up to a factor, which cancels.
            spread = np.diff(np.nanquantile(values[1:], [0.25, 0.75], axis=0), axis=0)[0] ** 2
            weights = 1.0 / np.maximum(spread + np.median(spread), 1e-12)
        known = np.isfinite(values)
        lines = _line(design.log_budget[usable] - centre, np.where(known, values, 0.0), weights * known)
        slope, ends = float(lines[0, 1]), intervals.interval(lines[1:, 1], configs, free, fitted.level)
        bounds = Interval(
            None if ends.low is None else min(ends.low, slope),
            None if ends.high is None else max(ends.high, slope),
        )
        unit = f"decades of {name} per decade of compute"
        exponent = Estimate(f"optimal_{name}_exponent", slope, bounds, unit)
        of_exponent = None
        if known_bias is not None:
            x = design.log_budget[usable] - centre
            of_exponent = _growth_bias(known_bias, x, usable, j, weights)
        growth.append(Growth(exponent, math.exp(centre), float(np.exp(lines[0, 0])), of_exponent))
    return tuple(growth)


def _growth_bias(
    known_bias: Bias, x: Array, usable: npt.NDArray[np.bool_], j: int, weights: Array
) -> GrowthBias | None:
    """Return the exponents without noise, None where an optimum is unknown.

    Args:
        known_bias: the optima.
        x: ln compute (m,) of the usable budgets.
        usable: which (B,) are.
        j: index of the size or companion.
        weights: weights (m,) of the usable budgets.
    """
    sides = np.stack([known_bias.by_parabolas[usable, j], known_bias.by_law[usable, j]])
    if not np.isfinite(sides).all():
        return None
    slopes = _line(x, sides, np.broadcast_to(weights, sides.shape))[:, 1]
    return GrowthBias(float(slopes[0]), float(slopes[1]))
