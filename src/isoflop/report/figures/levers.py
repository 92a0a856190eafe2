"""The figure of levers: their curves with the baseline's, and below them what each is worth in compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoflop import record
from isoflop.curve.compare.result import Comparison
from isoflop.curve.levers.result import LeversReport
from isoflop.report.figures import canvas, drawn_data, paper, style
from isoflop.report.figures.canvas import Drawing
from isoflop.report.figures.comparison import (
    BAND,
    BEYOND,
    arm_on,
    gain_on,
    logarithmic,
    x_title,
    y_title,
)
from isoflop.report.text import lever_sentences
from isoflop.table import levers, target

NAME = "levers"
WIDE_INCHES, TALL_INCHES = 8.4, 7.2
MANY = 3
"""Levers above which bands are paler, so that those of others show through."""
NAME_LETTERS = 26
NO_LEVER = style.INK
"""Colour of the baseline."""
COLOURS = (*(colour for colour in style.OKABE_ITO if colour != "#000000"), "#8C564B", "#7F7F7F")
"""Of the levers; those of Okabe and Ito first."""

Look = tuple[str, str]
"""Colour and marker of an arm."""


def draw(report: LeversReport) -> Drawing:
    """Draw levers for a page.

    Raises:
        ValueError: no curves are compared.
    """
    with matplotlib.rc_context(canvas.RC):
        images = canvas.render(figure(report))
    noun = target.quantity(report.y).noun
    title = f"{target.quantity(report.y).title} and gain of each lever"
    caption = (
        "Above: configuration means, the fitted curve of each lever and of the baseline, and the intervals "
        f"of the mean. Below: compute that the baseline needs for the same {noun} over what the lever needs, "
        "above 1 where the lever needs less; broken where one of the two curves is beyond its runs."
    )
    if report.total is not None:
        caption += (
            " Right: with prior work counted in, for levers that have any; the others are as on the left."
        )
    return Drawing(NAME, title, f"{title}. {' '.join(lever_sentences.sentences(report))}", caption, *images)


def write(report: LeversReport, path: Path) -> None:
    """Write the figure as its name's ending says, and its data as CSV beside it, each atomically.

    Raises:
        ValueError: no curves are compared.
        OSError: disk full or not writable.
    """
    with matplotlib.rc_context(canvas.RC):
        drawn = figure(report)
        data = drawn_data.as_csv(drawn).encode()
        record.write_bytes(path.with_suffix(".csv"), data)
        record.write_bytes(path, paper.payload(drawn, path.suffix.lower().removeprefix(".")))


def figure(report: LeversReport) -> Figure:
    """Return the figure.

    Raises:
        ValueError: no curves are compared.
    """
    if report.own is None:
        raise ValueError(f"{report.source}: no lever can be compared, so that there is nothing to draw")
    looks = _looks(report.own)
    with matplotlib.rc_context(canvas.RC):
        made = canvas.blank(WIDE_INCHES, TALL_INCHES)
        grid = made.add_gridspec(2, 1, height_ratios=(1.25, 1))
        above = grid[0].subgridspec(1, 2, width_ratios=(3.4, 1))
        curves, side = made.add_subplot(above[0]), made.add_subplot(above[1])
        _curves(curves, report.own, looks)
        canvas.legends(side, TALL_INCHES * 1.25 / 2.25, [(None, _keys(report.own, looks))])
        shown = [report.own] if report.total is None else [report.own, report.total]
        below = grid[1].subgridspec(1, len(shown))
        panels = [made.add_subplot(below[i]) for i in range(len(shown))]
        _gains(panels, shown, looks)
    return made


def _looks(of: Comparison) -> dict[str, Look]:
    """Return how each arm is drawn, the baseline in black."""
    marks = [mark for mark, _ in style.MARKS]
    return {
        arm.name: (NO_LEVER, marks[0]) if i == 0 else (COLOURS[(i - 1) % len(COLOURS)], marks[i % len(marks)])
        for i, arm in enumerate(of.arms)
    }


def _keys(of: Comparison, looks: dict[str, Look]) -> list[Line2D]:
    handles = [
        Line2D(
            [], [], color=looks[arm.name][0], marker=looks[arm.name][1], ms=5, lw=2.0, label=_label(arm.name)
        )
        for arm in of.arms
    ]
    return [*handles, Line2D([], [], color=style.MUTED, lw=1.4, ls=BEYOND, label="beyond the runs")]


def _label(name: str) -> str:
    return canvas.plain("baseline" if name == levers.BASELINE else name, NAME_LETTERS)


def _curves(axes: Axes, of: Comparison, looks: dict[str, Look]) -> None:
    scale = target.quantity(of.y).scale
    for arm in of.arms:
        arm_on(axes, arm, scale, *looks[arm.name], opacity=_opacity(of))
    xs, ys = (np.concatenate([np.asarray(each) for each in values]) for values in _points(of))
    logarithmic(axes, xs, scale * ys)
    axes.set_xlabel(x_title(of))
    axes.set_ylabel(y_title(of))


def _points(of: Comparison) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
    return [arm.x for arm in of.arms], [arm.y for arm in of.arms]


def _opacity(of: Comparison) -> float:
    return BAND if len(of.contrasts) <= MANY else 0.5 * BAND


def _gains(panels: list[Axes], shown: list[Comparison], looks: dict[str, Look]) -> None:
    """Draw the gains over own work and, if there is any, with prior work counted in, on equal axes."""
    scale = target.quantity(shown[0].y).scale
    ys: list[float] = []
    values = [1.0]
    for axes, of in zip(panels, shown, strict=True):
        for each in of.contrasts:
            if each.gain is None:
                continue
            colour, marker = looks[each.other]
            ys += [row.y for row in each.gain.curve]
            values += gain_on(axes, each, scale, colour, _opacity(of))
            at = [row for row in each.gain.rows if row.inside and row.gain is not None]
            marked: dict[str, Any] = {"marker": marker, "ls": "", "color": colour, "ms": 4.5, "zorder": 5}
            axes.plot([scale * row.y for row in at], [row.gain or np.nan for row in at], **marked)
    titles = ("Gain over own training", "Gain, prior work counted in")
    for axes, of, title in zip(panels, shown, titles, strict=False):
        axes.axhline(1.0, color=style.MUTED, lw=1.0, zorder=1)
        axes.set_title(title, loc="left", fontsize=9.5, color=style.INK)
        axes.set_xlabel(y_title(of))
        axes.set_ylabel("Gain: compute of baseline / lever")
        if ys:
            logarithmic(axes, scale * np.array(ys), np.array(values))
            axes.invert_xaxis()  # to the right is more compute, as above
