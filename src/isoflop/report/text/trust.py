"""How far to trust a forecast: how well smaller runs predicted larger ones, and where the laws differ."""

from __future__ import annotations

from isoflop.curve.result import FitReport, HorizonError
from isoflop.report.figures import style
from isoflop.report.text import costs
from isoflop.report.text.amounts import bare, of_resource
from isoflop.report.text.numerals import compact, factor, number, percent

LEAST_PREDICTIONS = 20
"""Fewer predictions than this cannot tell a good 95% interval from a poor one."""


def missed(horizons: tuple[HorizonError, ...]) -> str:
    """Return `×1.26 at 2 times, ×1.40 at 4 times`, empty where nothing was predicted."""
    return ", ".join(f"{factor(h.log_rmse)} at {h.ratio:g} times" for h in horizons if h.log_rmse is not None)


def tested_ratio(report: FitReport) -> float | None:
    """Return how many times the largest x the forecast was tested, at most as far as it goes; None where it
    was not. This is the one limit of the forecast that is shown."""
    forecast = report.forecast
    if forecast is None or forecast.tested_ratio is None:
        return None
    return min(forecast.tested_ratio, forecast.band.x[-1] / report.x_max)


def reach(report: FitReport) -> str:
    """Return `tested that far`, `tested to 4×` or `untested`, to stand behind a forecast."""
    ratio = tested_ratio(report)
    if report.forecast is None or ratio is None:
        return "untested"
    return (
        "tested that far"
        if ratio >= report.forecast.band.x[-1] / report.x_max * (1 - 1e-9)
        else (f"tested to {compact(ratio, 3)}×")
    )


def trust(report: FitReport) -> str:
    """Return one or two sentences on how far ahead the forecast was tested and how far off it was."""
    forecast = report.forecast
    if forecast is None:
        return f"There is no averaged forecast: {report.forecast_reason}."
    tested = tested_ratio(report)
    if tested is None:
        return "The forecast is untested: too few compute scales for smaller runs to predict larger ones."
    ratio = compact(tested, 3)
    what = report.resource.short
    text = f"Inside the range, forecasts by smaller runs were tested up to {ratio} times their largest {what}"
    if missed(forecast.horizons):
        text += f" and were typically off by {missed(forecast.horizons)}"
    end = of_resource(tested * report.x_max, report.resource)
    untested = tested < forecast.band.x[-1] / report.x_max * (1 - 1e-9)
    return f"{text}. Beyond {end} {'the forecast is untested' if untested else 'nothing is forecast'}."


def disagreement(report: FitReport) -> str | None:
    """Return how far apart the laws are at the far end of their bands, or None for fewer than two."""
    if len(report.fits) < 2:
        return None
    end = min(fit.band.x[-1] for fit in report.fits)
    ends = {style.law_name(fit.law): costs.level(fit, end) for fit in report.fits}
    least, most = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
    quantity = report.quantity
    return (
        f"Laws: at {number(end / report.x_max, 2)} times the largest {report.resource.short} they part, from "
        f"{bare(ends[least], quantity)} ({least}) to {bare(ends[most], quantity)} ({most})."
    )


def calibrated(report: FitReport) -> str | None:
    """Return how many larger runs fell into intervals that should hold 95% of them, or None without any."""
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
