"""Points averaged in blocks of neighbouring x, and what their scatter inside the blocks says of the noise."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

TREND_DEGREE = 4
"""Of the polynomial of ln x that is taken off before the scatter inside blocks is measured."""
FARTHEST = 3.0
"""Robust standard deviations at which a point's distance from its block is cut."""


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Means of blocks (k,) by rising x.

    Attributes:
        log_x, log_y: the means, by the inverse of the points' variances.
        noise: standard deviation (k,) of each, in the units of the points'.
        freedom: number of points less that of blocks.
        squares: sum of squared distances of points from their blocks, in the same units.
    """

    log_x: Array
    log_y: Array
    noise: Array
    freedom: int = 0
    squares: float = 0.0


def blocks(log_x: Array, log_y: Array, noise: Array, most: int) -> Blocks:
    """Return at most `most` blocks of points (n,) by rising x; where there are no more points, they alone.

    The last point of a block stays at x_max = 0 only as far as its block does, which moves the end of the
    sample by less than a block.
    """
    if len(log_x) <= most:
        return Blocks(log_x, log_y, noise)
    block = np.arange(len(log_x)) * most // len(log_x)
    weight = 1.0 / noise**2
    total = np.bincount(block, weight)
    mean_x, mean_y = (np.bincount(block, weight * values) / total for values in (log_x, log_y))
    # Along x the points of a block differ by the trend too: only what is left of it is scatter.
    trend = np.polynomial.Polynomial.fit(log_x, log_y, TREND_DEGREE, w=1.0 / noise)
    left = log_y - trend(log_x)
    left = (left - (np.bincount(block, weight * left) / total)[block]) / noise
    freedom = len(log_x) - most
    unit = 1.4826 * float(np.median(np.abs(left))) * np.sqrt(len(log_x) / freedom)
    squares = float(np.square(np.clip(left, -FARTHEST * unit, FARTHEST * unit)).sum())
    return Blocks(mean_x, mean_y, np.sqrt(1.0 / total), freedom, squares)
