"""Figures that show how far to trust a fit: residuals against x, and the calibration of its intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from isoflop.curve.result import Calibration, FitReport
from isoflop.record.binomial import wilson
from isoflop.report.figures import canvas, curves, style
from isoflop.report.figures.canvas import Drawing
from isoflop.report.figures.curves import Curves
from isoflop.report.figures.views import FLAGGED, ChartPoints
from isoflop.report.text.numerals import number
from isoflop.report.text.trust import LEAST_PREDICTIONS

LOW = 3.6
"""Inches of height of the residuals' figure."""


def used(points: ChartPoints, report: FitReport) -> pd.DataFrame:
    """Return the runs of a view that its fit used: not excluded, and not held out."""
    out = {entry.run_id for entry in report.excluded}
    if report.held_out is not None:
        out |= {row.run_id for row in report.held_out.rows}
    return points.seeds[~points.seeds["run_id"].isin(out)]


def residuals(points: ChartPoints, fit_curves: Curves, rows: pd.DataFrame) -> Figure:
    """Draw y / curve of each run and each configuration mean against x, over the band of a new run."""
    view, band = points.view, fit_curves.main.band
    figure = canvas.blank(canvas.SIZE_INCHES[0], LOW)
    axes, side = figure.subplots(1, 2, width_ratios=(3.6, 1.0))
    axes.set_xscale("log")
    axes.set_yscale("log")
    tint, mark = points.tints, points.marks
    ratio = rows[view.y].to_numpy() / curves.at(band, rows[view.x].to_numpy())
    means = points.means[points.means["place_id"].isin(set(rows["place_id"]))]
    of_means = (means["y"] / curves.at(band, means["x"].to_numpy())).to_numpy()
    raster = len(rows) > canvas.RASTER_ABOVE
    for frame, x, y, edge, look in (
        (rows, rows[view.x].to_numpy(), ratio, None, {"s": 11, "alpha": 0.5, "label": "_run"}),
        (means, means["x"].to_numpy(), of_means, "white", {"s": 36, "label": "_mean"}),
    ):
        for (value, flagged), group in frame.reset_index(drop=True).groupby(["mark", FLAGGED], sort=False):
            own = group.index.to_numpy()
            fill = canvas.fill([tint[t] for t in group["tint"]], hollow=bool(flagged), edge=edge)
            axes.scatter(
                *(x[own], y[own]), marker=mark[value][0], zorder=4, rasterized=raster, **look, **fill
            )
    ends = (np.asarray(side) / np.asarray(band.y) for side in (band.new_low, band.new_high))
    shade = axes.fill_between(band.x, *ends, color=fit_curves.main.colour, alpha=0.13, lw=0, zorder=1)
    shade.set_label(f"{fit_curves.percent}, new run")
    axes.axhline(1.0, color=fit_curves.main.colour, lw=1.8, zorder=2)
    axes.set_xlim(*canvas.limits(rows[view.x].to_numpy(), 0.03))
    reach = 1.15 * float(max(np.abs(np.log(ratio)).max(), 0.05))
    axes.set_ylim(np.exp(-reach), np.exp(reach))
    canvas.log_ticks(axes.xaxis, *axes.get_xlim())
    canvas.log_ticks(axes.yaxis, *axes.get_ylim())
    axes.set_xlabel(view.x_title)
    axes.set_ylabel(f"{view.y_title.split(' (')[0]} / {style.law_in_sentence(fit_curves.main.name)}")
    canvas.ruled(axes)
    canvas.legends(side, LOW, [(None, [shade]), *canvas.keys(points)])
    return figure


def calibration(judged: tuple[Calibration, ...]) -> Figure:
    """Draw the share of larger runs inside intervals of forecasts by smaller ones, against the nominal."""
    figure = canvas.blank(4.6, 4.2)
    calibration_on(figure.subplots(), judged)
    return figure


def calibration_on(axes: Axes, judged: tuple[Calibration, ...]) -> None:
    """Draw the calibration of a forecast on axes."""
    nominal, observed = (np.array([getattr(c, name) for c in judged]) for name in ("nominal", "observed"))
    low, high = wilson(observed, np.array([float(c.predictions) for c in judged]))
    axes.plot([0, 1], [0, 1], color=style.MUTED, lw=1.0, ls=(0, (4, 2.5)), zorder=2)
    slanted: dict[str, Any] = {"rotation": 45, "rotation_mode": "anchor", "fontsize": 8, "va": "top"}
    axes.text(0.1, 0.08, "as it should be", color=style.MUTED, **slanted)
    bars = (np.maximum(observed - low, 0), np.maximum(high - observed, 0))
    look: dict[str, Any] = {
        "fmt": "o",
        "ms": 7,
        "capsize": 3,
        "color": style.law_colour(style.FORECAST),
        "zorder": 4,
    }
    axes.errorbar(nominal, observed, yerr=bars, **look)
    axes.set_xlim(0, 1.04)
    axes.set_ylim(0, 1.04)
    counts = (f"{round(c.observed * c.predictions)}/{c.predictions}" for c in judged)
    axes.set_xticks(nominal, [f"{100 * c.nominal:.0f}%\n{n}" for c, n in zip(judged, counts, strict=True)])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}%"))
    axes.set_aspect("equal")
    axes.set_xlabel("Share that the interval should hold, and held")
    axes.set_ylabel("Share of larger runs inside")
    canvas.ruled(axes)


def draw(points: ChartPoints, report: FitReport) -> tuple[Drawing, ...]:
    """Return the diagnostics that the fit allows."""
    fit_curves, drawings = curves.curves(report), []
    rows = used(points, report)
    if fit_curves is not None and not rows.empty:
        drawings.append(_residual_drawing(points, fit_curves, rows))
    judged = report.forecast.calibration if report.forecast is not None else ()
    if judged:
        drawings.append(_calibration_drawing(judged))
    return tuple(drawings)


def _residual_drawing(points: ChartPoints, fit_curves: Curves, rows: pd.DataFrame) -> Drawing:
    view, band = points.view, fit_curves.main.band
    x, y = rows[view.x].to_numpy(), rows[view.y].to_numpy()
    log_x = np.log(x)
    low, high = (
        np.exp(np.interp(log_x, np.log(band.x), np.log(side))) for side in (band.new_low, band.new_high)
    )
    inside = int(((y >= low) & (y <= high)).sum())
    off = np.log(y / curves.at(band, x))
    typical = float(np.exp(np.sqrt(np.mean(off**2))))
    title, what, curve = "Residuals", view.quantity.name, style.law_in_sentence(fit_curves.main.name)
    caption = (
        f"Each run's {what} divided by the {curve} at its x: 1 is a run on the curve. Root mean square: a "
        f"factor of {number(typical)}. Of {len(y):,} runs {inside:,} lie in the {fit_curves.percent} band of "
        "a new run; these runs made the curve, so this is no test of it. A trend, or widths that lie on one "
        "side, would show that one curve does not describe all shapes."
    )
    ends = f"{number(np.exp(off.min()))} to {number(np.exp(off.max()))}"
    alt = f"{title} against {view.x_title}: ratios from {ends}."
    images = canvas.render(residuals(points, fit_curves, rows))
    return Drawing("residuals", title, alt, caption, *images)


def _calibration_drawing(judged: tuple[Calibration, ...]) -> Drawing:
    n = min(c.predictions for c in judged)
    shares = "; ".join(
        f"{100 * c.nominal:.0f}% intervals held {100 * c.observed:.0f}% of {c.predictions}" for c in judged
    )
    caption = (
        "Each forecast by smaller runs gave intervals for larger ones, made of the errors at still smaller "
        "runs only; the chart counts how many held. Bars: Wilson 95% interval as if predictions were "
        "independent; they share runs, so the truth is less certain than the bars."
    )
    if n < LEAST_PREDICTIONS:
        caption += f" Only {n} predictions: too few to judge the intervals."
    images = canvas.render(calibration(judged))
    return Drawing("calibration", "Calibration of the forecast's intervals", f"{shares}.", caption, *images)
