"""Shared by the sections: figures in one style, amounts as powers of ten, tables of exclusions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from isoflop.curve.result import Excluded, Interval
from isoflop.paper.section import SectionTable
from isoflop.report.figures.canvas import RC, Drawing, render
from isoflop.report.text.numerals import number, plural

SHOWN = 12
"""How many left-out rows a table lists; the rest are counted."""
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def draw(
    name: str,
    title: str,
    caption: str,
    paint: Callable[[Figure], None],
    size: tuple[float, float] = (7.6, 4.6),
) -> Drawing:
    """Draw one figure.

    Args:
        name: stem of its files.
        title: of the figure.
        caption: one sentence, which is also its text alternative.
        paint: draws into the empty figure.
        size: width and height in inches.
    """
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        paint(figure)
        images = render(figure)
    return Drawing(name, title, caption, caption, *images)


def power_of_ten(log10: float | None) -> str:
    """Write 10^x as people read it: 10¹⁹ for a whole power, else 2.5 × 10¹⁹; a dash where unknown."""
    if log10 is None:
        return "–"
    if -3 <= log10 < 6:
        return number(10**log10, 2)
    whole = math.floor(log10 + 1e-9)
    mantissa = 10 ** (log10 - whole)
    if mantissa >= 9.95:
        whole, mantissa = whole + 1, 1.0
    power = f"10{str(whole).translate(_SUPERSCRIPT)}"
    return power if abs(mantissa - 1) < 0.005 else f"{mantissa:.1f} × {power}"


def power_interval(bounds: Interval | None) -> str:
    """Write an interval of log10 amounts in rounded exponents; a side without a bound is named."""
    if bounds is None or (bounds.low is None and bounds.high is None):
        return "unbounded"
    ends = (bounds.low, bounds.high)
    low, high = (None if v is None else f"10{f'{v:.0f}'.translate(_SUPERSCRIPT)}" for v in ends)
    if low is None:
        return f"below {high}"
    return f"above {low}" if high is None else f"{low} to {high}"


def excluded_table(excluded: Sequence[Excluded], noun: str) -> tuple[SectionTable, ...]:
    """Return a table of what was excluded and why, or none; a long list is cut."""
    if not excluded:
        return ()
    rows = [(e.run_id, e.reason) for e in excluded[:SHOWN]]
    if len(excluded) > SHOWN:
        rows.append((f"and {len(excluded) - SHOWN:,} more", "in the JSON file"))
    return (
        SectionTable(f"Left out: {plural(len(excluded), noun)}", (noun.capitalize(), "Reason"), tuple(rows)),
    )
