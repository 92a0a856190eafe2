"""A fit in one resource in lines of plain text: its heading, its estimates and its forecast."""

from __future__ import annotations

import math

import numpy as np

from isoflop.curve import measured
from isoflop.curve.result import Estimate, FitReport
from isoflop.report.text.numerals import number, plural
from isoflop.table import axis

AHEAD = (2.0, 10.0)
"""Ratios to the largest x at which the forecast is said."""


def heading(report: FitReport) -> str:
    """Return what is fitted: y, x, how many runs and configurations, and the range of x."""
    of = " on the frontier" if report.of == "frontier" else ""
    runs, shapes = plural(report.points, "run"), plural(report.configs, "configuration")
    span, what = f"x from {report.x_min:.3g} to {report.x_max:.3g}", f"{report.y} against {report.x}"
    if report.axes is not None:
        shown, factor = axis.prefixed(report.resource, report.x_min, report.x_max)
        ends = " to ".join(number(factor * end) for end in (report.x_min, report.x_max))
        span = f"x from {ends} {shown.unit}".rstrip()
        what = f"{report.quantity.name} against {report.resource.name}"
    return f"{what}: {runs} of {shapes}, {span}{of}"


def percent(level: float) -> str:
    """Return the level of intervals, such as 95%."""
    return f"{100 * level:g}%"


def forecast_lines(report: FitReport) -> list[str]:
    """Return the forecast at AHEAD times the largest x, or why there is none."""
    if report.forecast is None:
        return [f"no forecast: {report.forecast_reason}"]
    reach = report.forecast.band.x[-1] / report.x_max
    return [forecast_sentence(report, ahead) for ahead in AHEAD if ahead <= reach * (1 + 1e-9)]


def forecast_sentence(report: FitReport, ahead: float = AHEAD[-1]) -> str:
    """Return `forecast at 10x: 0.11, 95% 0.09 to 0.14, of a new run 0.09 to 0.15`."""
    if report.forecast is None:
        return f"no forecast: {report.forecast_reason}"
    band = report.forecast.band
    at = math.log(ahead * report.x_max)
    grid = np.log(band.x)
    sides = (band.y, band.low, band.high, band.new_low, band.new_high)
    y, low, high, new_low, new_high = (math.exp(np.interp(at, grid, np.log(side))) for side in sides)
    return (
        f"forecast at {ahead:g}x: {y:.3g}, {percent(report.level)} {low:.3g} to {high:.3g}, of a new run "
        f"{new_low:.3g} to {new_high:.3g}"
    )


def estimate(value: Estimate | None, star: str = "") -> str:
    """Return `0.292 (0.15, 0.44)`, or a dash where there is no estimate.

    `star` stands behind the value, and so does the mark of an optimum outside what was measured.
    """
    if value is None:
        return "-"
    ends = f"({_bound(value.interval.low)}, {_bound(value.interval.high)})"
    return f"{value.value:.3g}{star}{measured.mark(value)} {ends}"


def _bound(value: float | None) -> str:
    return "?" if value is None else f"{value:.2g}"


def factor(log_error: float | None) -> str:
    """Return a root mean square error of ln y as a factor, such as x1.12."""
    return "-" if log_error is None else f"x{math.exp(min(log_error, 700.0)):.3g}"
