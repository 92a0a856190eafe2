"""The trend of training loss over the small shapes, and how far larger shapes lie above it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from isoflop.curve.check.shapes import ShapeLoss

Array = npt.NDArray[np.float64]

LEAST_SMALL = 5
"""Fewer small shapes than this give no trend."""
CONFIDENCE = 0.99
"""A shape above this quantile of what the trend predicts for one more shape lies above the trend."""


@dataclasses.dataclass(frozen=True)
class Trend:
    """ln loss = intercept - exponent ln compute, by least squares over the `small` half of the shapes.

    `deviation` is the scatter of the small shapes about it, `mean_x` and `sum_squares` those of ln compute.
    """

    group: int
    intercept: float
    exponent: float
    deviation: float
    small: int
    mean_x: float
    sum_squares: float
    largest_small: float

    def log_loss(self, compute: Array) -> Array:
        """Return ln loss on the trend at compute (n,)."""
        return np.asarray(self.intercept - self.exponent * np.log(compute))

    def excess(self, shape: ShapeLoss) -> float:
        """Return ln of the factor by which a shape lies above the trend."""
        return float(shape.log_loss - self.log_loss(np.array(shape.compute)))

    def limit(self, compute: float) -> float:
        """Return the excess up to which one more shape may lie by the scatter of the small ones."""
        leverage = 1 / self.small + (np.log(compute) - self.mean_x) ** 2 / self.sum_squares
        t = special.stdtrit(self.small - 2, CONFIDENCE)
        return float(t * self.deviation * np.sqrt(1 + leverage))


def trends(shapes: Sequence[ShapeLoss]) -> tuple[Trend, ...]:
    """Return the trend of each group of comparable shapes that has LEAST_SMALL small ones."""
    fitted = (_trend([s for s in shapes if s.group == group]) for group in sorted({s.group for s in shapes}))
    return tuple(trend for trend in fitted if trend is not None)


def _trend(shapes: Sequence[ShapeLoss]) -> Trend | None:
    """Return the trend of one group over the half of its shapes with the least compute, rounded up."""
    ordered = sorted(shapes, key=lambda shape: shape.compute)
    small = ordered[: (len(ordered) + 1) // 2]
    x = np.log([shape.compute for shape in small])
    y = np.array([shape.log_loss for shape in small])
    if len(small) < LEAST_SMALL or np.ptp(x) == 0:
        return None
    slope, start = np.polyfit(x, y, 1)
    residual = y - (start + slope * x)
    return Trend(
        group=small[0].group,
        intercept=float(start),
        exponent=float(-slope),
        deviation=float(np.sqrt(np.sum(residual**2) / (len(small) - 2))),
        small=len(small),
        mean_x=float(x.mean()),
        sum_squares=float(np.sum((x - x.mean()) ** 2)),
        largest_small=small[-1].compute,
    )


def above(trend: Trend, shape: ShapeLoss) -> bool:
    """Return whether a shape beyond the small ones lies above the trend by more than their scatter."""
    return (
        trend.group == shape.group
        and shape.compute > trend.largest_small
        and trend.excess(shape) > trend.limit(shape.compute)
    )
