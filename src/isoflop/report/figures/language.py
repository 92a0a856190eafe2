"""Figures of a language sweep: the budgets with parabolas and joint law, and N* and D* against compute."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoflop.curve.isoflop.result import Budget, Profiles
from isoflop.curve.joint.result import JointFit
from isoflop.curve.language.result import CountedSplit, SizeAnswer
from isoflop.curve.result import Estimate
from isoflop.report.figures import canvas, style
from isoflop.report.figures.canvas import Drawing
from isoflop.report.text.numerals import number, plural
from isoflop.table import target

Array = npt.NDArray[np.float64]

BUDGETS, SPLIT = "language_budgets", "language_split"
WIDE_INCHES, TALL_INCHES, KEY_INCHES = 9.6, 4.4, 1.9
LAW, PARABOLA = "#0072B2", "#D55E00"
LAW_DASHES: Any = (0, (4, 2))
SIZE_TITLE = {
    target.TEXTS.size: "Parameters without embeddings",
    target.PARAMETERS: "Parameters",
}
CURVE_POINTS = 80


def draw_budgets(answer: SizeAnswer) -> Drawing | None:
    """Draw bits a byte against size for each budget; None without budgets."""
    if answer.profiles is None:
        return None
    with matplotlib.rc_context(canvas.RC):
        figure = canvas.blank(WIDE_INCHES, TALL_INCHES)
        axes, side = figure.subplots(1, 2, width_ratios=(WIDE_INCHES - KEY_INCHES, KEY_INCHES))
        _paint_budgets(axes, answer.profiles, answer.law, answer.split)
        canvas.legends(side, TALL_INCHES, _budget_keys(answer.profiles, answer.split))
        images = canvas.render(figure)
    count = plural(len(answer.profiles.budgets), "budget")
    law = "" if answer.split is None else ", dashed the joint law at that compute with its optimum (ring)"
    caption = (
        f"Bits a byte against the size of the model at {count} of counted compute: runs, solid a parabola "
        f"with its optimum (diamond){law}. A parabola without an optimum within the sizes is dotted."
    )
    title = "Bits a byte at equal compute"
    return Drawing(BUDGETS, title, f"{title}: {caption}", caption, *images)


def _paint_budgets(axes: Axes, profiles: Profiles, law: JointFit | None, split: CountedSplit | None) -> None:
    tint = style.tints(range(len(profiles.budgets)))
    for i, budget in enumerate(profiles.budgets):
        colour = tint[i]
        sizes = np.array([point.sizes[0] for point in budget.points])
        bits = np.array([point.y_at_budget for point in budget.points])
        axes.plot(sizes, bits, "o", color=colour, ms=4, mew=0, alpha=0.7, zorder=3)
        (line,) = budget.slices
        axes.plot(line.size, line.y, color=colour, lw=1.3, ls="-" if budget.optimum else ":", zorder=4)
        if law is not None and split is not None:
            size = np.geomspace(sizes.min(), sizes.max(), CURVE_POINTS)
            seen = np.exp(np.log(budget.compute) - split.cost.log(np.log(size)))
            at_law = law.predict(np.column_stack([size, seen]))
            axes.plot(size, at_law, color=colour, lw=1.3, ls=LAW_DASHES, zorder=4)
            best = split.at_budgets[i] if len(split.at_budgets) == len(profiles.budgets) else None
            if best is not None and not best.outside:
                ring: dict[str, Any] = {"ms": 8, "mfc": "none", "mec": LAW, "mew": 1.6, "zorder": 7}
                axes.plot(best.size.value, best.bits.value, "o", **ring)
        if budget.optimum is not None and budget.least is not None:
            diamond: dict[str, Any] = {"ms": 5.5, "color": PARABOLA, "mec": "white", "mew": 0.6, "zorder": 6}
            axes.plot(budget.optimum[0].value, budget.least.value, "D", **diamond)
    every = [(p.sizes[0], p.y_at_budget) for budget in profiles.budgets for p in budget.points]
    _logarithmic(axes, *np.array(every).T)
    axes.set_xlabel(SIZE_TITLE.get(profiles.sizes[0], canvas.plain(profiles.sizes[0])))
    axes.set_ylabel("Test bits a byte")


def _budget_keys(profiles: Profiles, split: CountedSplit | None) -> list[tuple[str | None, list[Any]]]:
    tint = style.tints(range(len(profiles.budgets)))
    colours: list[Any] = [
        Line2D([], [], color=tint[i], marker="o", ms=4, lw=1.3, label=number(budget.compute))
        for i, budget in enumerate(profiles.budgets)
    ]
    marks: list[Any] = [Line2D([], [], color=style.MUTED, lw=1.3, label="parabola")]
    marks.append(Line2D([], [], ls="", marker="D", ms=5.5, color=PARABOLA, label="parabola's optimum"))
    if split is not None:
        marks.append(Line2D([], [], color=style.MUTED, lw=1.3, ls=LAW_DASHES, label="joint law"))
        ring: dict[str, Any] = {"ms": 8, "mfc": "none", "mec": LAW, "mew": 1.6}
        marks.append(Line2D([], [], ls="", marker="o", label="law's optimum", **ring))
    return [("GFLOPs", colours), (None, marks)]


def draw_split(answer: SizeAnswer) -> Drawing | None:
    """Draw N* and D* against compute by both methods; None where neither gives one."""
    optima = [] if answer.profiles is None else [b for b in answer.profiles.budgets if b.optimum]
    if answer.split is None and not optima:
        return None
    with matplotlib.rc_context(canvas.RC):
        figure = canvas.blank(WIDE_INCHES, TALL_INCHES)
        _paint_split(figure, answer, optima)
        images = canvas.render(figure)
    caption = (
        "Best size of the model (left) and best number of bytes (right) against counted compute: by the "
        "joint law with its 95% interval (band; dashed outside the sizes or bytes measured), and by the "
        "parabolas (diamonds with 95% intervals, arrows at open ends)."
    )
    title = "Compute-optimal size and data"
    return Drawing(SPLIT, title, f"{title}: {caption}", caption, *images)


def _paint_split(figure: Figure, answer: SizeAnswer, optima: list[Budget]) -> None:
    left, right = figure.subplots(1, 2)
    titles = (f"Best {SIZE_TITLE.get(answer.size, answer.size).lower()}", "Best number of bytes")
    for j, (axes, title) in enumerate(zip((left, right), titles, strict=True)):
        shown: list[tuple[float, float]] = []
        if answer.split is not None:
            shown += _paint_law(axes, answer.split, j)
        for budget in optima:
            assert budget.optimum is not None
            shown += _paint_parabola(axes, budget.compute, budget.optimum[j])
        _logarithmic(axes, *np.array(shown).T)
        axes.set_xlabel("Training compute (GFLOPs)")
        axes.set_ylabel(title)
        keys = [Line2D([], [], color=LAW, lw=1.8, label="joint law")] if answer.split else []
        keys += [Line2D([], [], ls="", marker="D", color=PARABOLA, label="parabolas")] if optima else []
        axes.legend(handles=keys, frameon=False, fontsize=8.5, loc="upper left")


def _paint_law(axes: Axes, split: CountedSplit, j: int) -> list[tuple[float, float]]:
    """Draw the joint law's size (j = 0) or bytes (1) and return the points that must be in view."""
    compute = np.array([each.compute for each in split.curve])
    values = [(each.size, each.seen)[j] for each in split.curve]
    middle = np.array([each.value for each in values])
    low, high = (
        np.array([getattr(each.interval, end) or np.nan for each in values]) for end in ("low", "high")
    )
    inside = np.array([each.outside is None for each in values])
    axes.plot(compute, np.where(inside, middle, np.nan), color=LAW, lw=1.8, zorder=4)
    axes.plot(
        compute, np.where(canvas.widened(~inside), middle, np.nan), color=LAW, lw=1.8, ls=LAW_DASHES, zorder=4
    )
    # An interval that spans decades would leave no room for anything else.
    low, high = np.clip(low, middle / 10, None), np.clip(high, None, middle * 10)
    axes.fill_between(compute, low, high, color=LAW, alpha=0.15, lw=0)
    ends = np.concatenate([low, high])
    everywhere = np.concatenate([compute, compute])
    known = np.isfinite(ends)
    return [*zip(compute, middle, strict=True), *zip(everywhere[known], ends[known], strict=True)]


def _paint_parabola(axes: Axes, compute: float, best: Estimate) -> list[tuple[float, float]]:
    low, high = best.interval.low, best.interval.high
    ends = [best.value if end is None else end for end in (low, high)]
    axes.vlines(compute, ends[0], ends[1], color=PARABOLA, lw=1.4, zorder=5)
    for end, known, mark in zip(ends, (low, high), "v^", strict=True):
        if known is None:
            axes.plot(compute, end, mark, ms=8, mfc="none", mec=PARABOLA, zorder=5)
    axes.plot(compute, best.value, "D", ms=5.5, color=PARABOLA, mec="white", mew=0.6, zorder=6)
    return [(compute, end) for end in ends]


def _logarithmic(axes: Axes, x: Array, y: Array) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    x_ends, y_ends = canvas.limits(x, 0.05), canvas.limits(y, 0.06)
    axes.set_xlim(*x_ends)
    axes.set_ylim(*y_ends)
    canvas.ruled(axes)
    canvas.log_ticks(axes.xaxis, *x_ends, sparse=True)
    canvas.log_ticks(axes.yaxis, *y_ends)
