"""What was measured of a quantity, and optima that are judged by it: none outside is given in silence.

A law has an optimum at any compute, also where no model was as large and no run as long. Every optimum is
therefore a `BestValue`, made by the `MeasuredRange` of its quantity, which says whether it lies outside and
why. The tables of terminal and page print such a value with `MARK`, and a footnote with the ranges. An
optimum at a compute is judged by the runs of about that compute (`MeasuredRegion`): that a model as large was
trained with a thousand times as much says nothing there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from isoflop.curve.result import Estimate

Array = npt.NDArray[np.float64]

MARK = "*"
"""Stands behind a value that lies outside what was measured."""
TOLERANCE = 0.25
"""Runs whose compute differs by no more than this share have about the same."""
ROUNDING = 1e-9
"""A value this close to an end of the range, relatively, is at it."""


@dataclasses.dataclass(frozen=True)
class MeasuredRange:
    """The least and the largest value of a quantity among the rows that are fitted.

    `at`: the compute that these rows have about, such as `C 1e+21`; None for all rows.
    """

    quantity: str
    least: float
    largest: float
    at: str | None = None

    @classmethod
    def of(cls, quantity: str, values: npt.ArrayLike) -> MeasuredRange:
        """Return the range of values (n,), n > 0."""
        known = np.asarray(values, dtype=float)
        return cls(quantity, float(known.min()), float(known.max()))

    def outside(self, value: float) -> str | None:
        """Return on which side of the range a value lies, in words; None where it lies within."""
        if value > self.largest * (1 + ROUNDING):
            return f"above the largest {self.quantity} measured{self._where}, {self.largest:.4g}"
        if value < self.least * (1 - ROUNDING):
            return f"below the smallest {self.quantity} measured{self._where}, {self.least:.4g}"
        return None

    @property
    def _where(self) -> str:
        return "" if self.at is None else f" at {self.at}"

    def judge(self, estimate: Estimate) -> BestValue:
        """Return an optimum with this range, and why it lies outside."""
        return BestValue(
            *(estimate.name, estimate.value, estimate.interval, estimate.unit),
            measured=self,
            outside=self.outside(estimate.value),
        )

    @property
    def span(self) -> str:
        """The range in words, such as `data 2e+09 to 3e+11`."""
        return f"{self.quantity} {self.least:.3g} to {self.largest:.3g}"


@dataclasses.dataclass(frozen=True)
class MeasuredRegion:
    """What was measured of k quantities at each compute.

    Attributes:
        unit: of compute.
        compute: range of compute among the rows.
        ranges: of the quantities, over all rows.
        edges: for each quantity the lower and the upper edge of the convex hull of (ln compute, ln quantity),
            as (m, 2) points each: between two budgets what was measured goes on from one to the other.
    """

    unit: str
    compute: MeasuredRange
    ranges: tuple[MeasuredRange, ...]
    edges: tuple[tuple[Array, Array], ...]

    @classmethod
    def of(cls, unit: str, compute: Array, quantities: Mapping[str, Array]) -> MeasuredRegion:
        """Return the region of rows of such compute (n,) and quantities (n,) by name, all positive."""
        log_c = np.log(compute)
        return cls(
            unit=unit,
            compute=MeasuredRange.of(unit, compute),
            ranges=tuple(MeasuredRange.of(name, values) for name, values in quantities.items()),
            edges=tuple(
                (_upper_edge(log_c, -np.log(values)) * [1, -1], _upper_edge(log_c, np.log(values)))
                for values in quantities.values()
            ),
        )

    def at(self, compute: float) -> tuple[MeasuredRange, ...]:
        """Return the range of each quantity among rows of about a compute; of all rows if there are none."""
        if self.compute.outside(compute) is not None:
            return self.ranges
        ends = np.log(compute) + np.log1p(TOLERANCE) * np.array([-1, 1])
        where = f"{self.unit} {compute:.4g}"
        return tuple(
            MeasuredRange(
                overall.quantity,
                float(np.exp(_between(lower, ends).min())),
                float(np.exp(_between(upper, ends).max())),
                where,
            )
            for overall, (lower, upper) in zip(self.ranges, self.edges, strict=True)
        )


def _upper_edge(x: Array, y: Array) -> Array:
    """Return the points (m, 2) of the upper edge of the convex hull of (x, y), by Andrew's monotone chain."""
    edge: list[tuple[float, float]] = []
    for i in np.lexsort((y, x)):
        point = (float(x[i]), float(y[i]))
        if edge and edge[-1][0] == point[0]:
            edge.pop()
        while len(edge) >= 2 and _turns_left(edge[-2], edge[-1], point):
            edge.pop()
        edge.append(point)
    return np.array(edge)


def _turns_left(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) >= (b[1] - a[1]) * (c[0] - a[0])


def _between(edge: Array, ends: Array) -> Array:
    """Return the heights (m,) of an edge at both ends of a window of x, and of its points between them."""
    inside = edge[(edge[:, 0] > ends[0]) & (edge[:, 0] < ends[1]), 1]
    return np.concatenate([np.interp(ends, edge[:, 0], edge[:, 1]), inside])


@dataclasses.dataclass(frozen=True)
class BestValue(Estimate):
    """The optimum of a quantity. `outside`: why it lies outside what was `measured`; None if it does not."""

    measured: MeasuredRange
    outside: str | None


def mark(estimate: Estimate) -> str:
    """Return what stands behind an estimate: MARK if it lies outside what was measured, else nothing."""
    return MARK if isinstance(estimate, BestValue) and estimate.outside is not None else ""


def footnote(estimates: Iterable[Estimate]) -> str | None:
    """Return the sentence, without its full stop, that explains MARK where one of the estimates has it."""
    ranges: dict[str | None, dict[str, None]] = {}
    for each in estimates:
        if isinstance(each, BestValue) and each.outside is not None:
            ranges.setdefault(each.measured.at, {})[each.measured.span] = None
    if not ranges:
        return None
    shown = "; ".join(
        f"{'in all' if at is None else f'at {at}'}: {', '.join(spans)}" for at, spans in ranges.items()
    )
    return f"{MARK} outside what was measured ({shown}): extrapolated"
