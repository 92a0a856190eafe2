"""A value with its interval: what every result of a fit is made of."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Interval:
    """A two-sided interval at the level of its report, 95% by default; an unbounded end is None."""

    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True)
class Estimate:
    """One parameter: its value, its interval over configurations, and its unit."""

    name: str
    value: float
    interval: Interval
    unit: str
