"""Figure of compute-optimal training: bits a byte at the best size against compute, with all runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from isoflop.curve.language.result import CountedOptimum, OptimalTraining
from isoflop.curve.result import FitReport, HeldOutRun
from isoflop.report.figures import canvas, style
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text.numerals import number
from isoflop.table import held_out, target

Array = npt.NDArray[np.float64]

NAME = "language_best"
X, Y, SIZE = "train_gflops", target.TEXTS.y, target.TEXTS.size
WIDE_INCHES, TALL_INCHES, KEY_INCHES = 9.6, 4.8, 1.9
LAW, HELD = "#0072B2", "#D55E00"
LEAST_WIDTH = 3.0
"""A band is drawn at most so many times above and below the curve."""


def draw(optimal: OptimalTraining, rows: pd.DataFrame, reports: Sequence[FitReport]) -> Drawing:
    """Draw the joint law along the best size of each budget.

    Args:
        optimal: the law there.
        rows: one row a run.
        reports: that of loss against compute, for its held-out runs.
    """
    known = rows[(rows[[X, Y, SIZE]] > 0).all(axis=1) & ~held_out.mask(rows)]
    held = [row for report in reports if report.held_out for row in report.held_out.rows]
    with matplotlib.rc_context(canvas.RC):
        figure = canvas.blank(WIDE_INCHES, TALL_INCHES)
        axes, side = figure.subplots(1, 2, width_ratios=(WIDE_INCHES - KEY_INCHES, KEY_INCHES))
        _paint(axes, optimal, known, held)
        canvas.legends(side, TALL_INCHES, _keys(optimal, known, held))
        images = canvas.render(figure)
    floor = f", dotted its irreducible part {number(optimal.floor.value)}" if optimal.floor_identified else ""
    judged = "; held-out runs with their predicted interval" if held else ""
    caption = (
        "Line: the joint law at the best size for each compute, with its 95% interval; dashed beyond the "
        "largest budget and where no model of about that size was trained with that compute"
        f"{floor}. Dots: all runs, by size{judged}. The lowest dots of a budget are those of about the best "
        "size."
    )
    title = "Loss at the best size against compute"
    return Drawing(NAME, title, f"{title}: {caption}", caption, *images)


def _paint(axes: Axes, optimal: OptimalTraining, rows: pd.DataFrame, held: list[HeldOutRun]) -> None:
    compute, middle, low, high = _curve(optimal.curve)
    judged = np.array([not each.outside for each in optimal.curve])
    inside = (compute <= optimal.largest.compute) & judged
    axes.axvspan(optimal.largest.compute, 10 * compute[-1], color=style.EXTRAPOLATED, lw=0, zorder=0)
    axes.fill_between(compute, low, high, color=LAW, alpha=0.15, lw=0, zorder=2)
    axes.plot(compute, np.where(inside, middle, np.nan), color=LAW, lw=2, zorder=4)
    dashed = np.where(canvas.widened(~inside), middle, np.nan)
    axes.plot(compute, dashed, color=LAW, lw=2, ls=(0, (3, 2)), zorder=4)
    if optimal.floor_identified:
        axes.axhline(optimal.floor.value, color=style.MUTED, lw=1, ls=":", zorder=1)
    tint = style.tints(rows[SIZE])
    axes.scatter(rows[X], rows[Y], s=16, c=[tint[size] for size in rows[SIZE]], lw=0, alpha=0.8, zorder=3)
    for run in held:
        axes.vlines(run.x, run.low, run.high, color=HELD, lw=1.4, zorder=5)
        axes.plot(run.x, run.y, "D", ms=5, color=HELD, mec="white", mew=0.6, zorder=6)
    ends = [end for run in held for end in (run.low, run.high, run.y)]
    floor = [optimal.floor.value] if optimal.floor_identified else []
    x_ends = canvas.limits(np.r_[compute, rows[X], [run.x for run in held]], 0.04)
    y_ends = canvas.limits(np.r_[low, high, rows[Y], ends, floor], 0.05)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*x_ends)
    axes.set_ylim(*y_ends)
    canvas.ruled(axes)
    canvas.log_ticks(axes.xaxis, *x_ends)
    canvas.log_ticks(axes.yaxis, *y_ends)
    axes.set_xlabel("Training compute (GFLOPs)")
    axes.set_ylabel("Test bits a byte")


def _curve(curve: Sequence[CountedOptimum]) -> tuple[Array, Array, Array, Array]:
    """Return compute, bits and the ends of their interval, all (m,)."""
    compute = np.array([each.compute for each in curve])
    middle = np.array([each.bits.value for each in curve])
    intervals = [each.bits.interval for each in curve]
    low = np.array([np.nan if each.low is None else each.low for each in intervals])
    high = np.array([np.nan if each.high is None else each.high for each in intervals])
    low, high = np.where(np.isnan(low), middle, low), np.where(np.isnan(high), middle, high)
    return compute, middle, np.maximum(low, middle / LEAST_WIDTH), np.minimum(high, middle * LEAST_WIDTH)


def _keys(
    optimal: OptimalTraining, rows: pd.DataFrame, held: list[HeldOutRun]
) -> list[tuple[str | None, list[Any]]]:
    tint = list(style.tints(rows[SIZE]).items())
    shown = tint[:: max(1, -(-len(tint) // 9))]
    sizes: list[Any] = [Line2D([], [], ls="", marker="o", ms=5, color=c, label=number(n)) for n, c in shown]
    lines: list[Any] = [
        Line2D([], [], color=LAW, lw=2, label="at the best size"),
        Patch(color=LAW, alpha=0.15, lw=0, label="95% interval"),
    ]
    if optimal.floor_identified:
        lines.append(Line2D([], [], color=style.MUTED, lw=1, ls=":", label="irreducible part"))
    if held:
        lines.append(Line2D([], [], marker="D", ms=5, color=HELD, mec="white", lw=1.4, label="held out"))
    return [("Joint law", lines), ("Parameters", sizes)]
