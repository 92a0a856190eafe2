"""Ticks of logarithmic axes, drawn and interactive alike: where they stand and how they are written."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from isoflop.report.text.numerals import SUPERSCRIPT

STEPS = (
    (1.0, 3.0),
    (1.0, 2.0, 5.0),
    (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0),
    (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0),
)
"""Ticks within a decade, the coarsest first."""
NARROW = 2.5
"""An axis whose ends lie within this factor has ticks at equal distances."""
FEWEST, MOST = 4, 9
"""How many ticks an axis should have."""


def ticks(low: float, high: float, most: int = MOST) -> list[float]:
    """Return the ticks of an axis from `low` to `high`: powers of ten over a wide range, else finer ones.

    Args:
        low, high: ends of the axis, above 0.
        most: how many there is room for.
    """
    if high / low < NARROW:
        even = MaxNLocator(min(most, 6), steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        return [float(at) for at in even if low <= at <= high]
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = range(first, last + 1)
    whole = [10.0**power for power in decades if low <= 10.0**power <= high]
    if len(whole) > most:
        step = -(-len(whole) // most)
        return [at for power in decades if power % step == 0 and low <= (at := 10.0**power) <= high]
    chosen = whole
    for steps in STEPS:
        if len(chosen) >= FEWEST:
            break
        finer = [at for power in decades for step in steps if low <= (at := step * 10.0**power) <= high]
        if len(finer) > most and len(chosen) >= 2:
            break
        chosen = finer
    return chosen if len(chosen) <= 2 * most else chosen[:: -(-len(chosen) // most)]


def texts(values: Sequence[float]) -> list[str]:
    """Return how the ticks of one axis are written: `0.05`, `2,000`, or `2×10⁶` where zeros would have to be
    counted. An axis with such powers writes 10⁴ beside 10⁶, not 10,000."""
    powers = [math.floor(math.log10(float(f"{value:.4g}"))) for value in values]
    low, high = (-2, 3) if any(power < -4 or power > 5 for power in powers) else (-4, 5)
    return [
        _plain(value) if low <= power <= high else _with_power(value, power)
        for value, power in zip(values, powers, strict=True)
    ]


def _plain(value: float) -> str:
    return f"{float(f'{value:.4g}'):,.10g}"


def _with_power(value: float, power: int) -> str:
    mantissa = float(f"{value / 10.0**power:.4g}")
    ten = f"10{str(power).translate(SUPERSCRIPT)}"
    return ten if mantissa == 1 else f"{mantissa:g}×{ten}"
