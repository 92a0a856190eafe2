"""The figures of a sweep: its views with curves and points, the diagnostics of the fit, and the grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from isoflop.curve.result import FitFile, FitReport
from isoflop.report.figures import canvas, curves, diagnostics, shape_grid, style, views
from isoflop.report.figures.canvas import Drawing
from isoflop.report.figures.curves import Curves, Line
from isoflop.report.figures.views import ChartPoints, ChartView
from isoflop.report.text import lead
from isoflop.report.text.numerals import number
from isoflop.table.target import Quantity

DASHES = (0, (4, 2.5))


def curve(axes: Axes, line: Line, fit_curves: Curves, scale: float) -> list[Any]:
    """Draw one curve, with its bands where it has them; return its legend handles."""
    drawn, emphasised = fit_curves.drawn(line), line.main or line.ahead
    x, y = np.asarray(drawn.x), scale * np.asarray(drawn.y)
    inside = x <= fit_curves.x_max * (1 + 1e-9)
    beyond = np.append(np.flatnonzero(inside)[-1:], np.flatnonzero(~inside))
    width, order = (2.4, 4.2) if emphasised else (1.0, 3.8)
    # Beyond the largest run the forecast is the thick curve.
    ahead = width if line.ahead or fit_curves.forecast is None else 1.2
    look: dict[str, Any] = {"color": line.colour, "zorder": order}
    if not line.ahead:
        axes.plot(x[inside], y[inside], lw=width, **look)
    axes.plot(x[beyond], y[beyond], lw=0.85 * ahead, ls=DASHES, **look)
    handles: list[Any] = [
        Line2D([], [], color=line.colour, lw=width, ls=DASHES if line.ahead else "-", label=line.name)
    ]
    band = fit_curves.banded(line)
    if band is None:
        return handles
    for low, high, alpha, label in (
        (band.low, band.high, 0.22, f"{fit_curves.percent}, mean"),
        (band.new_low, band.new_high, 0.09, f"{fit_curves.percent}, new run"),
    ):
        ends = (scale * np.asarray(low), scale * np.asarray(high))
        shade = axes.fill_between(band.x, *ends, color=line.colour, alpha=alpha, lw=0, zorder=2)
        shade.set_label(label)
        handles += [shade] if line.main else []
    return handles


def _frontier(axes: Axes, report: FitReport, points: ChartPoints) -> list[Any]:
    """Draw the line through the means of the configurations on the frontier."""
    best = views.frontier(points, report)
    if len(best) < 2:
        return []
    y = points.view.scale * best["y"]
    return axes.plot(best["x"], y, color=style.MUTED, lw=1.1, ls=(0, (1, 1.2)), zorder=3, label="Frontier")


def _held_out(axes: Axes, report: FitReport, scale: float) -> list[Any]:
    """Draw the held-out runs as rings around their points."""
    rows = report.held_out.rows if report.held_out is not None else ()
    if not rows:
        return []
    ring: dict[str, Any] = {
        "s": 90,
        "facecolors": "none",
        "edgecolors": style.INK,
        "linewidths": 1.1,
        "zorder": 6,
    }
    drawn = axes.scatter([r.x for r in rows], [scale * r.y for r in rows], **ring)
    drawn.set_label("Held out")
    return [drawn]


def regions(axes: Axes, fit_curves: Curves) -> None:
    """Shade what lies beyond the largest run and say how far forecasts were tested."""
    for zone in fit_curves.zones:
        axes.axvspan(zone.low, zone.high, color=style.EXTRAPOLATED if zone.tested else style.UNTESTED, lw=0)
    for x, text in fit_curves.marks:
        axes.axvline(x, color=style.MUTED, lw=0.9, zorder=1)
        look: dict[str, Any] = {"rotation": 90, "ha": "left", "va": "top", "fontsize": 8, "zorder": 6}
        place = axes.get_xaxis_transform()
        axes.text(x, 0.985, f" {text}", transform=place, color=style.MUTED, **look)


def scatter(axes: Axes, points: ChartPoints) -> None:
    """Draw single runs faintly, and configurations' means with their bars; flagged ones are hollow."""
    view, seeds, means, tint, mark = points.view, points.seeds, points.means, points.tints, points.marks
    raster = len(seeds) > canvas.RASTER_ABOVE
    for (value, flagged), group in seeds.groupby(["mark", views.FLAGGED], sort=False):
        colours = [tint[t] for t in group["tint"]]
        look: dict[str, Any] = {"marker": mark[value][0], "s": 11, "alpha": 0.45, "zorder": 3}
        look["label"] = "_run"
        fill = canvas.fill(colours, hollow=bool(flagged), edge=None)
        axes.scatter(group[view.x], view.scale * group[view.y], rasterized=raster, **look, **fill)
    for (value, flagged), group in means.groupby(["mark", views.FLAGGED], sort=False):
        colours = [tint[t] for t in group["tint"]]
        low, high = view.scale * group["low"], view.scale * group["high"]
        axes.vlines(group["x"], low, high, colors=colours, lw=0.9, zorder=4.5, rasterized=raster)
        look = {"marker": mark[value][0], "s": 34, "zorder": 5, "rasterized": raster, "label": "_mean"}
        fill = canvas.fill(colours, hollow=bool(flagged), edge="white")
        axes.scatter(group["x"], view.scale * group["y"], **look, **fill)


def chart(points: ChartPoints, report: FitReport | None, law: str | None = None) -> Figure:
    """Draw one view on logarithmic axes: seeds, means, frontier, laws and forecast with bands, and the
    regions beyond the largest run.

    Args:
        points: what is drawn.
        report: its fit, if any.
        law: of the main curve, where another report leads the page.

    Raises:
        ValueError: no row of the table can be shown on these axes.
    """
    view, seeds = points.view, points.seeds
    if seeds.empty:
        raise ValueError(f"no run has both {view.x} and {view.y} above 0: nothing to draw")
    figure = canvas.blank()
    axes, side = figure.subplots(1, 2, width_ratios=(3.6, 1.0))
    axes.set_xscale("log")
    axes.set_yscale("log")
    scatter(axes, points)
    xs, ys = [seeds[view.x].to_numpy()], [seeds[view.y].to_numpy()]
    blocks = canvas.keys(points)
    fit_curves = curves.curves(report, law)
    if report is not None and fit_curves is not None:
        handles = [
            h for line in fit_curves.lines if line.shown for h in curve(axes, line, fit_curves, view.scale)
        ]
        handles += _frontier(axes, report, points) + _held_out(axes, report, view.scale)
        blocks = [(None, handles), *blocks]
        regions(axes, fit_curves)
        xs.append(np.array([fit_curves.end]))
        ys.append(curves.visible(fit_curves, ys[0]))
    x_low, x_high = canvas.limits(np.concatenate(xs), 0.03)
    if fit_curves is not None and fit_curves.zones:
        x_high = max(float(x.max()) for x in xs)
    axes.set_xlim(x_low, x_high)
    y_low, y_high = canvas.limits(view.scale * np.concatenate(ys), 0.06)
    axes.set_ylim(y_low, min(y_high, 100.0) if view.quantity.counted else y_high)
    canvas.log_ticks(axes.xaxis, x_low, x_high)
    canvas.log_ticks(axes.yaxis, *axes.get_ylim())
    axes.set_xlabel(view.x_title)
    axes.set_ylabel(view.y_title)
    canvas.ruled(axes)
    canvas.legends(side, canvas.SIZE_INCHES[1], blocks)
    return figure


def _view(points: ChartPoints, report: FitReport | None, law: str | None) -> Drawing:
    view = points.view
    images = canvas.render(chart(points, report, law))
    alt = (
        f"{view.title}, both axes logarithmic: {len(points.seeds):,} runs of {len(points.means):,} "
        f"configurations, {view.x_title} from {number(points.seeds[view.x].min())} to "
        f"{number(points.seeds[view.x].max())}, {view.y_title} from "
        f"{number(view.scale * points.seeds[view.y].min())} to "
        f"{number(view.scale * points.seeds[view.y].max())}."
    )
    return Drawing(view.key, view.title, alt, views.note(points, report, law), *images)


def _grid(rows: pd.DataFrame, quantity: Quantity) -> tuple[Drawing, ...]:
    means = shape_grid.mean_errors(rows, quantity)
    if not means.size:
        return ()
    images = canvas.render(shape_grid.draw(rows, quantity))
    title, name = shape_grid.title(quantity), shape_grid.mean_name(quantity)
    alt = f"Table of {name} for {means.shape[1]} widths and {means.shape[0]} depths."
    unit = "per cent" if quantity.unit == "%" else quantity.unit
    caption = (
        f"{name.capitalize()}{f' in {unit}' if unit else ''} over all runs of a shape (seeds and "
        "training lengths together)."
    )
    return (Drawing("width_depth", title, alt, caption, *images),)


def draw(rows: pd.DataFrame, fits: FitFile, shown: Sequence[ChartView] | None = None) -> tuple[Drawing, ...]:
    """Draw every figure that the rows allow: views, the diagnostics of the first fit, then the grid.

    `shown` are the views, the main one first; by default those of a sweep.
    """
    drawings = []
    shown = views.of(rows) if shown is None else shown
    main = shown[0]
    first = views.report_of(fits, main)
    law = lead.main_law(first)
    with matplotlib.rc_context(canvas.RC):
        for view in shown:
            points = views.select(rows, view)
            if points.seeds.empty:
                continue
            drawings.append(_view(points, views.report_of(fits, view), law))
        if first is not None:
            drawings += diagnostics.draw(views.select(rows, main), first)
        drawings += _grid(rows, main.quantity)
    return tuple(drawings)
