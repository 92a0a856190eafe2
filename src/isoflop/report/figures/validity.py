"""Figures of a sweep's check: training loss against compute, and normalised loss curves."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoflop.curve.check import collapse, shapes, trend
from isoflop.curve.check.collapse import Collapse
from isoflop.curve.check.front import CheckReport
from isoflop.curve.check.trend import Trend
from isoflop.report.figures import canvas, style, sweep, views
from isoflop.report.figures.canvas import Drawing
from isoflop.report.figures.views import ChartPoints, ChartView
from isoflop.report.text.numerals import number

TRAINING_LOSS, LOSS_COLLAPSE = "training_loss", "loss_collapse"
VIEW = ChartView(
    *(TRAINING_LOSS, "train_gflops", "train_loss", "Training loss against training compute"),
    *("Training compute (GFLOPs)", "Training loss (nats)", 1.0),
)
LOW = 4.2
"""Inches of height of the collapse's figure."""


def draw(rows: pd.DataFrame, checked: CheckReport) -> tuple[Drawing, ...]:
    """Draw the figures that the rows allow; `rows` have the column views.FLAGGED."""
    drawings = []
    with matplotlib.rc_context(canvas.RC):
        points = views.select(rows, VIEW)
        if len(points.means) > 1:
            drawings.append(_training_loss(points, rows, checked))
        if checked.collapse is not None:
            drawings.append(_collapse(checked.collapse, points))
    return tuple(drawings)


def training_loss(points: ChartPoints, lines: tuple[Trend, ...], borderline: set[str]) -> Figure:
    """Draw training loss against compute with the trends of the small shapes, on logarithmic axes.

    Args:
        points: the runs and the means of the configurations.
        lines: a trend for each group of comparable shapes that has one.
        borderline: run ids of the shapes that get a ring.
    """
    figure = canvas.blank()
    axes, side = figure.subplots(1, 2, width_ratios=(3.6, 1.0))
    axes.set_xscale("log")
    axes.set_yscale("log")
    seeds = points.seeds
    sweep.scatter(axes, points)
    x_low, x_high = canvas.limits(seeds[VIEW.x].to_numpy(), 0.03)
    handles = [handle for line in lines for handle in _trend(axes, line, x_low, x_high)][:2]
    handles += _rings(axes, points, borderline)
    axes.set_xlim(x_low, x_high)
    axes.set_ylim(*canvas.limits(seeds[VIEW.y].to_numpy(), 0.06))
    canvas.log_ticks(axes.xaxis, x_low, x_high)
    canvas.log_ticks(axes.yaxis, *axes.get_ylim())
    axes.set_xlabel(VIEW.x_title)
    axes.set_ylabel(VIEW.y_title)
    canvas.ruled(axes)
    canvas.legends(side, canvas.SIZE_INCHES[1], [(None, handles), *canvas.keys(points)])
    return figure


def _trend(axes: Axes, line: Trend, low: float, high: float) -> list[Any]:
    """Draw the trend over the small shapes, dashed beyond them; return its handles."""
    handles = []
    for ends, dashes, label in (
        ((low, line.largest_small), "-", "Trend (small)"),
        ((line.largest_small, high), sweep.DASHES, "beyond them"),
    ):
        x = np.array(ends)
        handles += axes.plot(x, np.exp(line.log_loss(x)), color=style.MUTED, lw=1.4, ls=dashes, label=label)
    return handles


def _rings(axes: Axes, points: ChartPoints, borderline: set[str]) -> list[Any]:
    """Draw a ring around the means of borderline shapes."""
    places = set(points.seeds.loc[points.seeds["run_id"].isin(borderline), "place_id"])
    ringed = points.means[points.means["place_id"].isin(places)]
    if ringed.empty:
        return []
    look: dict[str, Any] = {"facecolors": "none", "edgecolors": style.INK, "linewidths": 1.0}
    axes.scatter(ringed["x"], ringed["y"], s=95, zorder=6, **look)
    return [Line2D([], [], ls="", marker="o", mfc="none", mec=style.INK, ms=9, label="Borderline")]


def _training_loss(points: ChartPoints, rows: pd.DataFrame, checked: CheckReport) -> Drawing:
    lines = trend.trends(shapes.shape_losses(rows))
    borderline = {run for found in checked.of("borderline") for s in found.subjects for run in s.run_ids}
    images = canvas.render(training_loss(points, lines, borderline))
    low, high = (number(float(end)) for end in (points.seeds[VIEW.y].min(), points.seeds[VIEW.y].max()))
    alt = f"{VIEW.title}, both axes logarithmic: {len(points.means):,} configurations, {low} to {high} nats."
    caption = (
        "Training loss at the end, in evaluation mode. Faint points are single runs; each large point is the "
        f"geometric mean of a configuration, coloured by {points.tint_name}"
        f"{f' and shaped by {points.mark_name}' if points.mark_name else ''}. Bars: lowest to highest seed."
    )
    if lines:
        caption += f" Line: the trend of the {lines[0].small} smallest shapes, dashed beyond them."
    if points.seeds[views.FLAGGED].any():
        caption += " Hollow: undertrained, above a smaller shape by more than seeds differ."
    if borderline:
        caption += " Ring: borderline."
    return Drawing(TRAINING_LOSS, VIEW.title, alt, caption, *images)


def collapse_figure(seen: Collapse, points: ChartPoints) -> Figure:
    """Draw each size's reducible loss over its final value, over that of all sizes, within seed noise.

    Args:
        seen: the curves.
        points: of the view of training loss, whose colours and shapes the configurations keep.
    """
    figure = canvas.blank(canvas.SIZE_INCHES[0], LOW)
    axes, side = figure.subplots(1, 2, width_ratios=(2.9, 1.0))
    axes.set_xscale("log")
    ratios = np.log(np.array([curve.ratio for curve in seen.curves]))
    off = np.exp(ratios - ratios.mean(axis=0))
    looks = points.looks
    handles: list[Any] = []
    if seen.noise is not None:
        ends = (np.exp(-seen.noise), np.exp(seen.noise))
        handles.append(axes.axhspan(*ends, color=style.MUTED, alpha=0.15, lw=0, label="seed noise"))
    for curve, each in zip(seen.curves, off, strict=True):
        name = canvas.plain(curve.subject.name)
        colour, mark = next((looks[run] for run in curve.subject.run_ids if run in looks), (style.MUTED, "o"))
        look: dict[str, Any] = {"color": colour, "lw": 1.6, "marker": mark, "ms": 3.5}
        handles += axes.plot(seen.share, each, label=name, **look)
    axes.set_xlim(seen.share[0] * 0.95, 1.0)
    canvas.log_ticks(axes.xaxis, seen.share[0], 1.0)
    axes.set_xlabel("Share of the run's training compute")
    axes.set_ylabel("Normalised loss / mean of all sizes")
    canvas.ruled(axes)
    canvas.legends(side, LOW, [(None, handles)])
    return figure


def _collapse(seen: Collapse, points: ChartPoints) -> Drawing:
    images = canvas.render(collapse_figure(seen, points))
    title = "Collapse of normalised loss curves"
    noise = "unknown" if seen.noise is None else number(seen.noise, 2)
    seeds = "no size has several seeds" if seen.noise is None else f"seeds of one size by {noise} (grey)"
    caption = (
        f"Training loss less {number(seen.irreducible)} nats, over its value in the last fifth of the run, "
        f"for {len(seen.curves)} sizes whose data grow with size; divided by the mean of all sizes, so that "
        "curves that collapse lie on 1 (Qiu et al. 2025). They differ by a root mean square of "
        f"{number(seen.deviation, 2)} in ln; {seeds}. Farthest: {collapse.farthest(seen).subject.name}."
    )
    alt = f"{title}: {len(seen.curves)} curves, deviation {number(seen.deviation, 2)}, seed noise {noise}."
    return Drawing(LOSS_COLLAPSE, title, alt, caption, *images)
