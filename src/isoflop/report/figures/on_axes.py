"""Figures of one fit on axes that the caller gives, with legends inside: for notebooks and papers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from isoflop.curve.result import FitReport
from isoflop.report.figures import canvas, curves, style, sweep

SIZE_INCHES = (6.4, 4.4)
MOST = 60
"""Letters of a title of an axis."""
RUN, MEAN = "Run", "Mean of a configuration"


@contextlib.contextmanager
def styled(axes: Axes | None) -> Iterator[Axes]:
    """Yield axes to draw on in our style: those given, or of a new figure of pyplot, which notebooks show."""
    import matplotlib.pyplot as plt

    with matplotlib.rc_context(canvas.RC):
        if axes is None:
            _, axes = plt.subplots(figsize=SIZE_INCHES, layout="constrained")
        yield axes


def fit_on(axes: Axes, report: FitReport, runs: pd.DataFrame, laws: Sequence[str] = ()) -> None:
    """Draw the runs, the law that describes them and the forecast with their bands, and other laws, on
    logarithmic axes.

    Args:
        axes: where.
        report: the fit.
        runs: those that are fitted: config_id and the columns of x and y.
        laws: names of laws that are drawn beside them.
    """
    scale = report.quantity.scale
    handles = _points(axes, report, runs, scale)
    drawn = curves.curves(report)
    shown = [runs[report.y].to_numpy(float)]
    ends = [runs[report.x].to_numpy(float)]
    if drawn is not None:
        lines = [line for line in drawn.lines if line.main or line.ahead or line.key in laws]
        handles = [handle for line in lines for handle in sweep.curve(axes, line, drawn, scale)] + handles
        sweep.regions(axes, drawn)
        shown.append(curves.visible(drawn, shown[0]))
        ends.append(np.array([drawn.end]))
    _frame(axes, np.concatenate(ends), scale * np.concatenate(shown))
    if drawn is not None and drawn.zones:
        axes.set_xlim(right=drawn.end)
    axes.set_xlabel(canvas.plain(report.resource.title, MOST))
    axes.set_ylabel(canvas.plain(report.quantity.axis_title, MOST))
    axes.legend(handles=handles, frameon=False, fontsize=8, loc="lower left")


def residuals_on(axes: Axes, report: FitReport, runs: pd.DataFrame) -> None:
    """Draw y over the law that describes the runs, of each run, over the band of a new run.

    Raises:
        ValueError: no law could be fitted.
    """
    drawn = curves.curves(report)
    if drawn is None:
        raise ValueError("no law could be fitted, so that there are no residuals")
    band, colour = drawn.main.band, drawn.main.colour
    x = runs[report.x].to_numpy(float)
    ratio = runs[report.y].to_numpy(float) / curves.at(band, x)
    ends = (np.asarray(side) / np.asarray(band.y) for side in (band.new_low, band.new_high))
    shade = axes.fill_between(band.x, *ends, color=colour, alpha=0.13, lw=0, zorder=1)
    shade.set_label(f"{drawn.percent}, new run")
    axes.axhline(1.0, color=colour, lw=1.8, zorder=2)
    point = axes.scatter(x, ratio, color=style.INK, s=14, alpha=0.6, lw=0, zorder=4, label=RUN)
    reach = 1.15 * float(max(np.abs(np.log(ratio)).max(), 0.05))
    _frame(axes, x, np.exp([-reach, reach]))
    axes.set_xlabel(canvas.plain(report.resource.title, MOST))
    axes.set_ylabel(f"{canvas.plain(report.quantity.title, MOST)} / {style.law_in_sentence(drawn.main.name)}")
    axes.legend(handles=[shade, point], frameon=False, fontsize=8)


def _points(axes: Axes, report: FitReport, runs: pd.DataFrame, scale: float) -> list[Any]:
    """Draw single runs, faintly where configurations have several, and the means of those; return handles."""
    x, y = runs[report.x].to_numpy(float), runs[report.y].to_numpy(float)
    logs = pd.DataFrame({"config_id": runs["config_id"], "x": np.log(x), "y": np.log(y)})
    # Points of one configuration at several lengths of training have an x each.
    at = np.round(logs["x"], 2)
    means = np.exp(logs.groupby([logs["config_id"], at], sort=False)[["x", "y"]].mean())
    several = len(means) < len(runs)
    raster = len(runs) > canvas.RASTER_ABOVE
    look: dict[str, Any] = {"color": style.INK, "lw": 0, "rasterized": raster}
    faint: dict[str, Any] = {"s": 10, "alpha": 0.35} if several else {"s": 24, "alpha": 0.8}
    handles = [axes.scatter(x, scale * y, label=RUN, zorder=4, **look, **faint)]
    if several:
        handles.append(axes.scatter(means["x"], scale * means["y"], s=26, label=MEAN, zorder=5, **look))
    return handles


def _frame(axes: Axes, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*canvas.limits(x, 0.03))
    axes.set_ylim(*canvas.limits(y, 0.06))
    canvas.ruled(axes)
    canvas.log_ticks(axes.xaxis, *axes.get_xlim())
    canvas.log_ticks(axes.yaxis, *axes.get_ylim())
