"""Numbers as people read them: three digits, a thousands comma, powers of ten beyond a million."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pandas takes most of a second, and the progress of a run is written by this module
    from isoflop.curve.result import Estimate, Interval

UNKNOWN = "–"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 3) -> str:
    """`value` to `digits` significant digits, such as 12,300 or 1.23 × 10⁹; a dash where unknown."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    # Taken from the text, for at the ends of the floats 10**exponent is zero and the rounded value infinite.
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    exponent = int(power)
    if -4 < exponent < 6:
        rounded = round(value, digits - 1 - exponent)
        return f"{rounded:,.{max(0, digits - 1 - exponent)}f}"
    return f"{mantissa} × 10{str(exponent).translate(SUPERSCRIPT)}"


def short_of(value: float, limit: float, digits: int = 2) -> str:
    """`value`, which lies under `limit`, with the digits it takes to read as less: 1.48 of 1.5, not 1.5."""
    while digits < 15 and float(f"{value:.{digits - 1}e}") >= limit:
        digits += 1
    return number(value, digits)


def compact(value: float | None, digits: int = 4) -> str:
    """`value` in the shortest form that a script can still read as a number; a dash where unknown."""
    return UNKNOWN if value is None or math.isnan(value) else f"{value:.{digits}g}"


def padded(value: float | None, digits: int = 4) -> str:
    """`value` to so many significant digits with trailing zeros, never as a power of ten: a column's numbers
    show the same digits, and its unit carries the size."""
    if value is None or math.isnan(value) or math.isinf(value):
        return UNKNOWN
    if value == 0:
        return "0"
    rounded = f"{value:.{digits - 1}e}"
    return f"{float(rounded):,.{max(0, digits - 1 - int(rounded.split('e')[1]))}f}"


def percent(share: float | None, digits: int = 3) -> str:
    """A share in [0, 1] as a percentage, such as 3.25%."""
    return UNKNOWN if share is None or math.isnan(share) else f"{number(100 * share, digits)}%"


def interval(bounds: Interval, digits: int = 3) -> str:
    """An interval as `1.2 to 3.4`; a side that has no bound is named."""
    if bounds.low is None and bounds.high is None:
        return "unbounded"
    if bounds.low is None:
        return f"below {number(bounds.high, digits)}"
    if bounds.high is None:
        return f"above {number(bounds.low, digits)}"
    return f"{number(bounds.low, digits)} to {number(bounds.high, digits)}"


def estimate(value: Estimate, digits: int = 3) -> str:
    """An estimate with its 95% interval, such as `0.42 (0.38 to 0.47)`; starred outside what was measured."""
    from isoflop.curve import measured

    return f"{number(value.value, digits)}{measured.mark(value)} ({interval(value.interval, digits)})"


def seconds(value: float | None) -> str:
    """A duration in the unit that suits it: 12.3 s, 4.5 min, 2.1 h."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if value < 120:
        return f"{number(value)} s"
    return f"{number(value / 60)} min" if value < 7200 else f"{number(value / 3600)} h"


def duration(days: float | None) -> str:
    """A span of days: seconds to hours below two days, then 3.2 days."""
    if days is None or days < 2:
        return seconds(None if days is None else 86400.0 * days)
    return f"{number(days)} days"


def plural(count: int, noun: str, many: str | None = None) -> str:
    """`1 run`, `1,200 runs`."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def factor(log_error: float | None, digits: int = 3) -> str:
    """A root mean square of ln(predicted / seen) as the factor it stands for, such as ×1.12."""
    return UNKNOWN if log_error is None else f"×{number(math.exp(min(log_error, 700.0)), digits)}"
