"""IsoFLOP profiles as one drawing: the parabola of each budget, and how the optimum moves with compute."""

from __future__ import annotations

import dataclasses
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

from isoflop.curve.isoflop.result import Budget, Profiles
from isoflop.curve.result import Estimate
from isoflop.report.figures import canvas, style
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text.numerals import estimate, number, plural
from isoflop.table import target
from isoflop.table.target import TEST_BITS

TALL_INCHES = 4.6
PANEL_INCHES = 4.3
KEY_INCHES = 1.5
MOST_KEYS = 10
MOST_BUDGETS = 24
"""With more budgets, every second, third, ... is drawn."""
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
TITLES = {
    "train_gflops": "Training compute (GFLOPs)",
    "test_error": "Test error",
    TEST_BITS.column: TEST_BITS.axis_title,
    target.TEXTS.size: "Parameters without embeddings",
}
"""Titles of known columns; others have their names."""
BEST = "#D55E00"
"""The colour of what is optimal."""


def _title(name: str) -> str:
    return TITLES.get(name, canvas.plain(name))


def _optimum(budget: Budget, name: str) -> Estimate | None:
    return next((e for e in budget.optimum or () if e.name == f"optimal_{name}"), None)


def _colours(profiles: Profiles) -> list[str]:
    tint = style.tints(range(len(profiles.budgets)))
    return [tint[i] for i in range(len(profiles.budgets))]


def _ticks(axis: Axis, low: float, high: float) -> None:
    """Logarithmic ticks, few enough for half a page's width; large numbers as 2 × 10⁸, over two decades and
    more only powers of ten."""
    canvas.log_ticks(axis, low, high)
    if high < 1e6:
        if 8 < high / low < 1000:
            axis.set_major_locator(LogLocator(10.0, subs=(1.0, 2.0, 5.0), numticks=12))
        return
    tens = high / low >= 100
    axis.set_major_locator(LogLocator(10.0, subs=(1.0,) if tens else (1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))


def _power(value: float) -> str:
    digits, _, exponent = f"{value:.0e}".partition("e")
    ten = f"10{str(int(exponent)).translate(SUPERSCRIPT)}"
    return ten if digits == "1" else f"{digits} × {ten}"


def _profile(axes: Axes, profiles: Profiles, j: int) -> None:
    """Draw the runs and the parabola of each budget over size j, with a diamond at the optimum."""
    name, many = profiles.sizes[j], len(profiles.sizes) > 1
    raster = sum(len(budget.points) for budget in profiles.budgets) > canvas.RASTER_ABOVE
    xs, ys = [], []
    for budget, colour in zip(profiles.budgets, _colours(profiles), strict=True):
        size = np.array([point.sizes[j] for point in budget.points])
        y = np.array([point.y_at_budget for point in budget.points])
        look: dict[str, Any] = {"s": 13, "alpha": 0.35 if many else 0.8, "linewidths": 0, "zorder": 3}
        axes.scatter(size, y, color=colour, rasterized=raster, **look)
        line = budget.slices[j]
        refused = budget.optimum is None
        axes.plot(line.size, line.y, color=colour, lw=1.3, ls=(0, (2, 2)) if refused else "-", zorder=4)
        xs += [size]
        ys += [y]
        best, least = _optimum(budget, name), budget.least.value if budget.least else None
        if best is not None and least is not None:
            axes.plot(best.value, least, "D", ms=5.5, color=BEST, mec="white", mew=0.6, zorder=6)
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = canvas.limits(np.concatenate(xs), 0.03)
    axes.set_xlim(low, high)
    bottom, top = float(np.concatenate(ys).min()), float(np.concatenate(ys).max())
    room = (top / bottom) ** 0.06
    axes.set_ylim(bottom / room, top * room)
    _ticks(axes.xaxis, low, high)
    _ticks(axes.yaxis, *axes.get_ylim())
    axes.set_xlabel(_title(name))
    axes.set_ylabel(_title(profiles.y))
    canvas.ruled(axes)


def _growth(axes: Axes, profiles: Profiles, j: int) -> None:
    """Draw the optimum of size j at each budget with its interval (open ends: arrows), and the power law."""
    name = profiles.sizes[j]
    shown = [budget.compute for budget in profiles.budgets]
    values: list[float] = []
    for budget, colour in zip(profiles.budgets, _colours(profiles), strict=True):
        best = _optimum(budget, name)
        if best is None:
            continue
        low, high = best.interval.low, best.interval.high
        measured = [point.sizes[j] for point in budget.points]
        ends = (min(measured) if low is None else low, max(measured) if high is None else high)
        axes.vlines(budget.compute, *ends, color=colour, lw=1.8, zorder=3)
        for end, known, mark in ((ends[0], low, "v"), (ends[1], high, "^")):
            if known is None:
                axes.plot(budget.compute, end, mark, ms=4.5, color=colour, zorder=3)
        axes.plot(budget.compute, best.value, "D", ms=4, color=BEST, zorder=5)
        values += [best.value, *ends]
    low_c, high_c = canvas.limits(np.array(shown), 0.05)
    if profiles.growth is not None:
        growth = profiles.growth[j]
        at = np.array([low_c, high_c])
        line = growth.value * (at / growth.compute) ** growth.exponent.value
        axes.plot(at, line, color=style.INK, lw=1.2, zorder=4)
        text = f"exponent {estimate(growth.exponent)}"
        place: Any = {"transform": axes.transAxes, "ha": "left", "va": "top"}
        axes.text(0.03, 0.97, text, fontsize=8.5, color=style.INK, **place)
        values += line.tolist()
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low_c, high_c)
    if values:
        bottom, top = canvas.limits(np.array(values), 0.08)
        axes.set_ylim(bottom, top)
        _ticks(axes.yaxis, bottom, top)
    _ticks(axes.xaxis, low_c, high_c)
    axes.set_xlabel(_title(profiles.compute))
    axes.set_ylabel(f"Optimal {_title(name)}")
    canvas.ruled(axes)


def _keys(profiles: Profiles) -> list[tuple[str | None, list[Any]]]:
    pairs = list(zip(profiles.budgets, _colours(profiles), strict=True))
    step = max(1, -(-len(pairs) // MOST_KEYS))
    colours = [
        Line2D([], [], color=colour, marker="o", ms=4, lw=1.3, label=number(budget.compute))
        for budget, colour in pairs[::step]
    ]
    best = Line2D([], [], ls="", marker="D", ms=5.5, color=BEST, label="Optimum")
    marks: list[Any] = [best]
    if any(budget.optimum is None for budget in profiles.budgets):
        marks.append(Line2D([], [], color=style.MUTED, lw=1.3, ls=(0, (2, 2)), label="No minimum"))
    if any(_open_ended(budget, profiles.sizes) for budget in profiles.budgets):
        label = "Interval open"
        marks.append(Line2D([], [], ls="", marker="^", ms=4.5, color=style.MUTED, label=label))
    return [
        ("GFLOPs" if profiles.compute == "train_gflops" else canvas.plain(profiles.compute), colours),
        (None, marks),
    ]


def _open_ended(budget: Budget, sizes: tuple[str, ...]) -> bool:
    optima = [_optimum(budget, name) for name in sizes]
    return any(e is not None and None in (e.interval.low, e.interval.high) for e in optima)


def figure(profiles: Profiles) -> Figure:
    """Draw a row of two panels for each size: profiles on the left, optimum against compute on the right."""
    rows = len(profiles.sizes)
    tall = TALL_INCHES * rows
    made = canvas.blank(2 * PANEL_INCHES + KEY_INCHES, tall)
    axes = made.subplots(rows, 3, squeeze=False, width_ratios=(PANEL_INCHES, PANEL_INCHES, KEY_INCHES))
    for j in range(rows):
        _profile(axes[j][0], profiles, j)
        _growth(axes[j][1], profiles, j)
        axes[j][2].axis("off")
    canvas.legends(axes[0][2], TALL_INCHES, _keys(profiles))
    return made


def draw(profiles: Profiles) -> Drawing:
    """Draw the profiles, at most `MOST_BUDGETS` of their budgets, with alternative text and caption."""
    every = -(-len(profiles.budgets) // MOST_BUDGETS)
    shown = dataclasses.replace(profiles, budgets=profiles.budgets[::every])
    with matplotlib.rc_context(canvas.RC):
        images = canvas.render(figure(shown))
    sizes = " and ".join(profiles.sizes)
    least, most = profiles.budgets[0].compute, profiles.budgets[-1].compute
    known = sum(budget.optimum is not None for budget in profiles.budgets)
    alt = (
        f"{profiles.y} against {sizes} for {plural(len(profiles.budgets), 'budget')} of {profiles.compute} "
        f"from {number(least)} to {number(most)}, each with its parabola; {known} have an optimum within the "
        "sizes measured."
    )
    grows = "; ".join(
        f"{each.exponent.name.replace('_', ' ')} {estimate(each.exponent)}" for each in profiles.growth or ()
    )
    caption = (
        f"Runs whose {profiles.compute} lies within {profiles.tolerance:.0%} of each other make a budget; "
        "points are brought to its mean by a common slope. Bars: 95% intervals over configurations, open "
        f"where they leave the sizes measured. Found: {grows or profiles.growth_reason}."
        f"{'' if every == 1 else f' Of {len(profiles.budgets)} budgets one in {every} is drawn.'}"
    )
    return Drawing("isoflop_profiles", f"IsoFLOP profiles over {sizes}", alt, caption, *images)
