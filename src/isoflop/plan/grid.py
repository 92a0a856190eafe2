"""What every target on a scale costs, in the parts from which amounts and their intervals follow.

Prices, queries and the like multiply these parts, and amounts then join them (amount.over): a page that holds
them can do both without a fit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from isoflop.plan.amount import LARGEST_LOG10
from isoflop.plan.costing import Costing, Span
from isoflop.plan.result import CostForecast, LawCost
from isoflop.plan.sizes import AmountAt

STEPS = 32
"""Steps of a scale of targets, about."""
CLOSEST = 0.01
"""Neighbours on a scale differ by no less than about this share."""
PARTS = ("device_seconds", "energy_joules", "forward", "parameters", "examples")
"""Amounts that depend on a compute: seconds of one device, joules, GFLOPs of a query, size and data."""

Part = tuple[float, float | None, float | None, float | None, float | None]
"""log10 of an amount at the compute of a point, of the ends of its own interval there, and of the amount at
the ends of that compute's interval; None where an end is open."""


@dataclasses.dataclass(frozen=True)
class Point:
    """One target by one curve.

    Attributes:
        reason: why it is not reached, None where it is.
        span: log10 of training GFLOPs and the ends of its interval; where the target is not reached the first
            is None, and the second the compute above which it is reached, if at all.
        parts: of PARTS, None for those that are unknown.
    """

    reason: str | None
    span: tuple[float | None, float | None, float | None]
    parts: tuple[Part | None, ...]


@dataclasses.dataclass(frozen=True)
class Curve:
    """A law, or the forecast, with its point at each target."""

    law: str
    rejected: bool
    points: tuple[Point, ...]


def scale(least: float, most: float, chosen: Sequence[float]) -> tuple[float, ...]:
    """Return round targets from `most` down to `least`, even in the logarithm, those chosen among them.

    Args:
        least, most: ends of the scale, above 0; the former is rounded down.
        chosen: targets that it must hold.
    """
    share = max(CLOSEST, math.log(most / least) / STEPS)
    step = _nice(share * least)
    found, value = set(chosen), max(1.0, math.floor(least / step + 1e-6)) * step
    while value <= most * (1 + 1e-9):
        found.add(float(f"{value:.6g}"))
        step = _nice(share * value)
        value = (math.floor(value / step + 1e-6) + 1) * step
    return tuple(sorted(found, reverse=True))


def _nice(step: float) -> float:
    """Return the value 1, 2 or 5 times a power of ten that is nearest in the logarithm."""
    power = math.floor(math.log10(step))
    steps = [s * 10.0**p for p in (power, power + 1) for s in (1.0, 2.0, 5.0)]
    return min(steps, key=lambda each: abs(math.log(each / step)))


def curves(made: CostForecast, costing: Costing) -> tuple[Curve, ...]:
    """Return the points of every curve at the targets of a forecast of costs."""
    by_law: dict[str, list[LawCost]] = {}
    for target in made.targets:
        for cost in target.costs:
            by_law.setdefault(cost.law, []).append(cost)
    return tuple(
        Curve(law, costs[0].rejected, tuple(_point(cost, costing) for cost in costs))
        for law, costs in by_law.items()
    )


def _point(cost: LawCost, costing: Costing) -> Point:
    compute, log10 = cost.training.train_gflops, cost.log10_train_gflops
    low, high = (None if end is None else math.log10(end) for end in (compute.low, compute.high))
    if log10 is None:
        return Point(cost.reason, (None, low, None), (None,) * len(PARTS))
    span = (log10, low, high)
    amounts = (
        costing.device_seconds,
        costing.energy_joules,
        costing.sizes.forward,
        costing.sizes.parameters,
        costing.sizes.examples,
    )
    return Point(None, span, tuple(_part(each, span) for each in amounts))


def _part(amount_at: AmountAt, span: Span) -> Part | None:
    if span[0] > LARGEST_LOG10:
        return None
    here = amount_at(span[0])
    if here.value is None:
        return None
    ends = [None if end is None or end > LARGEST_LOG10 else amount_at(end).value for end in span[1:]]
    others = (None if not value else math.log10(value) for value in (here.low, here.high, *ends))
    low, high, at_low, at_high = others
    return math.log10(here.value), low, high, at_low, at_high
