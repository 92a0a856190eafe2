"""What the sections of the paper's page share: a figure in the house's style, and amounts as powers of
ten."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from isoflop.curve.result import Excluded, Interval
from isoflop.paper.section import Table
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
    """One figure of `size` inches, painted by `paint`; the caption is also its text for who cannot see it."""
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        paint(figure)
        png, svg = render(figure)
    return Drawing(name, title, caption, caption, png, svg)


def power_of_ten(log10: float | None) -> str:
    """10^x as people read it: 10¹⁹ for a whole power, else 2.5 × 10¹⁹; a dash where unknown. Any size."""
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
    """An interval of log10 amounts, in rounded exponents; a side without a bound is named."""
    if bounds is None or (bounds.low is None and bounds.high is None):
        return "unbounded"
    ends = (bounds.low, bounds.high)
    low, high = (None if v is None else f"10{f'{v:.0f}'.translate(_SUPERSCRIPT)}" for v in ends)
    if low is None:
        return f"below {high}"
    return f"above {low}" if high is None else f"{low} to {high}"


def left_out(excluded: Sequence[Excluded], noun: str) -> tuple[Table, ...]:
    """A table of what was left out and why, or none; a long list is cut and counted by reason."""
    if not excluded:
        return ()
    rows = [(e.run_id, e.reason) for e in excluded[:SHOWN]]
    if len(excluded) > SHOWN:
        rows.append((f"and {len(excluded) - SHOWN:,} more", "in the JSON file"))
    return (Table(f"Left out: {plural(len(excluded), noun)}", (noun.capitalize(), "Reason"), tuple(rows)),)
