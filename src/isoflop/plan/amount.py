"""An amount with its interval, and how intervals of several sources join."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

LARGEST_LOG10 = 300.0
"""Powers of ten beyond this one are named in the reason: JSON has no such numbers."""


@dataclasses.dataclass(frozen=True)
class Amount:
    """A positive amount with the ends of its interval (an open end is None); None with the reason.

    What is beyond the floats is not a number that JSON or a page could hold: such an end is open, and such a
    value unknown.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        """Take infinite numbers for what they stand for."""
        for end in ("low", "high"):
            if getattr(self, end) is not None and math.isinf(getattr(self, end)):
                object.__setattr__(self, end, None)
        if self.value is not None and math.isinf(self.value):
            object.__setattr__(self, "value", None)
            object.__setattr__(self, "reason", f"beyond 10^{LARGEST_LOG10:.0f}")

    def times(self, factor: float) -> Amount:
        """Return the amount in another unit."""
        value, low, high = (None if v is None else v * factor for v in (self.value, self.low, self.high))
        return Amount(value, low, high, self.reason)


def unknown(reason: str) -> Amount:
    """Return an amount that is not known."""
    return Amount(None, reason=reason)


def power(log10: float, low: float | None, high: float | None) -> Amount:
    """Return 10 to a power, with the ends of its interval as powers."""
    least, most = (None if end is None or end > LARGEST_LOG10 else 10.0**end for end in (low, high))
    if log10 > LARGEST_LOG10:
        return Amount(None, least, most, f"10^{log10:.0f}")
    return Amount(10.0**log10, least, most)


def over(
    amount_at: Callable[[float], Amount], log10_gflops: float, low: float | None, high: float | None
) -> Amount:
    """Return an amount that depends on a compute, which itself has an interval.

    On the logarithmic scale the two half-widths to each side, that of the amount at this compute and that
    from the interval of compute, are independent and join as the root of their squares.

    Args:
        amount_at: log10 of GFLOPs -> the amount there, with its own interval.
        log10_gflops: the compute.
        low, high: its interval; an end that is not known leaves that end open.
    """
    if log10_gflops > LARGEST_LOG10:
        return unknown(f"of 10^{log10_gflops:.0f} GFLOPs")
    here = amount_at(log10_gflops)
    if here.value is None:
        return here
    moved = [None if end is None or end > LARGEST_LOG10 else amount_at(end).value for end in (low, high)]
    # An amount that falls as compute rises has its ends the other way round.
    if all(value is not None for value in moved):
        moved.sort(key=lambda value: value or 0.0)
    ends = [_joined(here.value, own, there) for own, there in zip((here.low, here.high), moved, strict=True)]
    sides = (-1.0, 1.0)
    return Amount(
        here.value,
        *(
            None
            if width is None or math.log10(here.value) + width > LARGEST_LOG10
            else here.value * 10.0 ** (side * width)
            for side, width in zip(sides, ends, strict=True)
        ),
    )


def _joined(value: float, *ends: float | None) -> float | None:
    """Return the decades from a value to the joined end, None where one of the ends is open."""
    if any(end is None or end <= 0 for end in ends):
        return None
    return math.hypot(*(math.log10(end / value) for end in ends if end is not None))
