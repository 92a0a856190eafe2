"""Training FLOPs a byte along the sweep's own ladder of shapes, as a smooth function of the model's size.

The usual C = 6 N D leaves attention out, which is a large part of what small language models cost. Here the
FLOPs a byte that were counted for each shape are described by ln f = a + b ln N + c (ln N)^2. Of two shapes
of equal size the deeper one costs more a byte, as attention grows with depth times width: each depth has its
own a, and the curve takes their mean, so that an optimum along it does not jump from one depth to the other.
`misfit` says how far from the curve the shapes lie.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from isoflop.table.grouping import distinct_scales

Array = npt.NDArray[np.float64]

LEAST_SIZES = 3
LEAST_CURVED = 5
"""With fewer sizes ln f is a straight line of ln N."""
LEAST_OF_DEPTH = 3
"""A depth of fewer sizes has no level of its own: it could not be told from the slope."""


@dataclasses.dataclass(frozen=True)
class ByteCost:
    """Training compute a byte against the size of the model, on logarithmic axes.

    Attributes:
        coefficients: of the powers 0, 1, ... of ln N - centre in ln f.
        centre: mean of ln N over the shapes.
        low, high: least and largest ln N of the shapes; beyond them the curve goes on as a straight line.
        misfit: largest |ln(f / curve)| of a shape.
    """

    coefficients: tuple[float, ...]
    centre: float
    low: float
    high: float
    misfit: float

    def log(self, log_size: Array) -> Array:
        """Return ln of the compute a byte at ln N of any shape."""
        inside = np.clip(log_size, self.low, self.high)
        at_inside = np.polynomial.polynomial.polyval(inside - self.centre, self.coefficients)
        return np.asarray(at_inside + self.slope(log_size) * (log_size - inside))

    def slope(self, log_size: Array) -> Array:
        """Return d ln f / d ln N at ln N of any shape."""
        inside = np.clip(log_size, self.low, self.high)
        powers = np.polynomial.polynomial.polyder(np.asarray(self.coefficients))
        return np.asarray(np.polynomial.polynomial.polyval(inside - self.centre, powers))


def byte_cost(size: Array, depth: Array, flops_a_byte: Array) -> ByteCost:
    """Describe the counted compute a byte of n runs.

    Args:
        size: parameters (n,).
        depth: layers (n,), which may hold NaN.
        flops_a_byte: counted training compute a byte (n,), in any unit.

    Raises:
        ValueError: too few sizes, or the compute a byte does not grow with them.
    """
    logs = np.round(np.log(np.column_stack([size, flops_a_byte])), 6)
    log_size, log_cost, depth = np.unique(np.column_stack([logs, np.nan_to_num(depth)]), axis=0).T
    sizes = _count(log_size)
    if sizes < LEAST_SIZES:
        raise ValueError(f"{sizes} sizes of model: compute a byte against size needs {LEAST_SIZES}")
    centre, degree = float(log_size.mean()), 2 if sizes >= LEAST_CURVED else 1
    powers = np.vander(log_size - centre, degree + 1, increasing=True)
    levels = _levels(log_size, depth)
    # Each depth's level is measured from the mean over shapes, so that coefficient 0 is that mean.
    solved = np.linalg.lstsq(np.hstack([powers, levels - levels.mean(axis=0)]), log_cost, rcond=None)[0]
    coefficients = solved[: degree + 1]
    cost = ByteCost(
        coefficients=tuple(float(c) for c in coefficients),
        centre=centre,
        low=float(log_size.min()),
        high=float(log_size.max()),
        misfit=float(np.abs(log_cost - powers @ coefficients).max()),
    )
    if cost.slope(np.linspace(cost.low, cost.high, 50)).min() <= 0:
        raise ValueError("compute a byte does not grow with the size of the model: no size is too large")
    return cost


def _count(log_size: Array) -> int:
    return int(distinct_scales(np.exp(log_size)).max()) + 1 if len(log_size) else 0


def _levels(log_size: Array, depth: Array) -> Array:
    """Return an indicator (n, k) of each depth that has enough sizes for a level of its own, but one."""
    own = [d for d in np.unique(depth) if _count(log_size[depth == d]) >= LEAST_OF_DEPTH]
    rest = ~np.isin(depth, own)
    columns = [depth == d for d in own] + ([rest] if rest.any() else [])
    return np.column_stack(columns[1:]).astype(float) if len(columns) > 1 else np.empty((len(depth), 0))
