"""How far to trust a forecast, in words: what smaller runs foretold of larger ones, and where laws part."""

from __future__ import annotations

from isoflop.curve.result import FitReport, Horizon
from isoflop.report.figures import style
from isoflop.report.text import costs
from isoflop.report.text.numerals import compact, factor, number, percent

LEAST_PREDICTIONS = 20
"""Fewer predictions than this cannot tell a good 95% interval from a poor one."""


def missed(horizons: tuple[Horizon, ...]) -> str:
    """`×1.26 at 2 times, ×1.40 at 4 times`; empty where nothing was predicted."""
    return ", ".join(f"{factor(h.log_rmse)} at {h.ratio:g} times" for h in horizons if h.log_rmse is not None)


def trust(report: FitReport) -> str:
    """One or two sentences: how far ahead the forecast was tested and how far off it was."""
    found = report.forecast
    if found is None:
        return f"There is no averaged forecast: {report.forecast_reason}."
    if found.tested_ratio is None:
        return "The forecast is untested: too few compute scales for smaller runs to predict larger ones."
    ratio = compact(found.tested_ratio, 3)
    what, unit = ("compute", "GFLOPs") if report.x == "train_gflops" else (report.x, report.x)
    text = f"Inside the sweep, forecasts by smaller runs were tested up to {ratio} times their largest {what}"
    if missed(found.horizons):
        text += f" and were typically off by {missed(found.horizons)}"
    return f"{text}. Beyond {number(found.tested_ratio * report.x_max)} {unit} the forecast is untested."


def disagreement(report: FitReport) -> str | None:
    """How far apart the laws are at the far end of their bands; None where there are fewer than two."""
    if len(report.fits) < 2:
        return None
    end = min(fit.band.x[-1] for fit in report.fits)
    ends = {style.law_name(fit.law): costs.level(fit, end) for fit in report.fits}
    least, most = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
    show = percent if report.y.endswith("_error") else number
    return (
        f"Laws: at {number(end / report.x_max, 2)} times the largest compute they part, from "
        f"{show(ends[least])} ({least}) to {show(ends[most])} ({most})."
    )


def calibrated(report: FitReport) -> str | None:
    """How many larger runs fell into intervals that should hold 95% of them; None where none was judged."""
    judged = report.forecast.calibration if report.forecast is not None else ()
    widest = max(judged, key=lambda c: c.nominal, default=None)
    if widest is None:
        return None
    inside = round(widest.observed * widest.predictions)
    few = (
        f"; under {LEAST_PREDICTIONS}, too few to judge it" if widest.predictions < LEAST_PREDICTIONS else ""
    )
    return (
        f"Calibration: of {widest.predictions} predictions of larger runs by smaller ones, {inside} fell "
        f"into the interval that should hold {percent(widest.nominal, 2)}{few}."
    )
