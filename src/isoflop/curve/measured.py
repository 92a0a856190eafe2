"""What was measured of a quantity, and optima that are judged by it: none outside is given in silence.

A law has an optimum at any compute, also where no model was as large and no run as long. Every optimum is
therefore a `BestValue`, made by the `MeasuredRange` of its quantity, which says whether it lies outside and
why. The tables of terminal and page print such a value with `MARK`, and a footnote with the ranges.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from isoflop.curve.result import Estimate

MARK = "*"
"""Stands behind a value that lies outside what was measured."""
ROUNDING = 1e-9
"""A value this close to an end of the range, relatively, is at it."""


@dataclasses.dataclass(frozen=True)
class MeasuredRange:
    """The least and the largest value of a quantity among the rows that are fitted."""

    quantity: str
    least: float
    largest: float

    @classmethod
    def of(cls, quantity: str, values: npt.ArrayLike) -> MeasuredRange:
        """Return the range of values (n,), n > 0."""
        known = np.asarray(values, dtype=float)
        return cls(quantity, float(known.min()), float(known.max()))

    def outside(self, value: float) -> str | None:
        """Return on which side of the range a value lies, in words; None where it lies within."""
        if value > self.largest * (1 + ROUNDING):
            return f"above the largest {self.quantity} measured, {self.largest:.4g}"
        if value < self.least * (1 - ROUNDING):
            return f"below the smallest {self.quantity} measured, {self.least:.4g}"
        return None

    def judge(self, estimate: Estimate) -> BestValue:
        """Return an optimum with this range, and why it lies outside."""
        return BestValue(
            *(estimate.name, estimate.value, estimate.interval, estimate.unit),
            measured=self,
            outside=self.outside(estimate.value),
        )

    def __str__(self) -> str:
        return f"{self.quantity} {self.least:.4g} to {self.largest:.4g}"


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
    ranges = dict.fromkeys(
        str(each.measured) for each in estimates if isinstance(each, BestValue) and each.outside is not None
    )
    return f"{MARK} outside what was measured ({', '.join(ranges)}): extrapolated" if ranges else None
