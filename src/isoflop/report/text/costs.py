"""What fitted laws say in the paper's terms: the exponent, the floor, and the price of halving the error."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from isoflop.curve.check.floor import identified
from isoflop.curve.result import Band, Estimate, FitReport, Forecast, Interval, LawFit
from isoflop.report.text.numerals import number, percent

LARGEST_POWER = 100
"""Costs beyond 10 to this power are not written out."""
FORECAST = "forecast"


@dataclasses.dataclass(frozen=True)
class Halving:
    """How many times the largest compute measured it takes to halve the error there, under one law.

    `law` is FORECAST for the average of them. `factor` is None with the reason; `interval` is None where
    it is not known.
    """

    law: str
    factor: float | None
    interval: Interval | None
    reason: str | None


def law(report: FitReport, name: str) -> LawFit | None:
    """Return the fit of the law called `name`, or None."""
    return next((f for f in report.fits if f.law == name), None)


def parameter(fit: LawFit | None, name: str) -> Estimate | None:
    """Return the parameter called `name`, or None."""
    return next((p for p in fit.parameters if p.name == name), None) if fit else None


def exponent(report: FitReport) -> Estimate | None:
    """Return b of the power law, error ∝ compute^-b."""
    return parameter(law(report, "power_law_ols"), "b")


def floor(report: FitReport) -> Estimate | None:
    """Return E of the power law with an irreducible error."""
    return parameter(law(report, "power_law_floor"), "E")


def floor_identified(report: FitReport) -> bool:
    """Return whether the data show a floor (curve.check.floor)."""
    return identified(report)


def _power(base: float, exponent_: float | None) -> float | None:
    """Return base**exponent_, or None where there is no exponent or the result is beyond 10^LARGEST_POWER."""
    return None if exponent_ is None or exponent_ * math.log10(base) > LARGEST_POWER else base**exponent_


def level(fit: LawFit | Forecast, x: float) -> float:
    """Return the curve's y at x, interpolated on logarithmic axes."""
    return _at(fit.band, fit.band.y, x)


def _at(band: Band, side: tuple[float, ...], x: float) -> float:
    return float(np.exp(np.interp(np.log(x), np.log(band.x), np.log(side))))


def _reached(band: Band, side: tuple[float, ...], target: float, x_max: float) -> float | None:
    """Return x / x_max at which a side of the band falls to `target` beyond x_max, or None if it does not."""
    x = np.r_[x_max, [v for v in band.x if v > x_max]]
    y = np.r_[_at(band, side, x_max), [v for v, at in zip(side, band.x, strict=True) if at > x_max]]
    below = np.flatnonzero(y <= target)
    if not len(below):
        return None
    i = int(below[0])
    if i == 0:
        return 1.0
    span = np.log(y[i - 1 : i + 1] / target)
    share = span[0] / (span[0] - span[1])
    return float(np.exp(np.log(x[i - 1]) + share * np.log(x[i] / x[i - 1])) / x_max)


def halving_of_forecast(forecast: Forecast, x_max: float) -> Halving:
    """Return the price of half the error that the forecast has at `x_max`, read off its curve.

    The interval is read off the ends of the mean's band; it is unbounded where the upper end does not fall so
    far.
    """
    target = level(forecast, x_max) / 2
    factor = _reached(forecast.band, forecast.band.y, target, x_max)
    least = _reached(forecast.band, forecast.band.low, target, x_max)
    end = number(forecast.band.x[-1] / x_max, 2)
    if factor is None:
        early = "" if least is None else f", though its band allows it from {number(least, 2)} times"
        return Halving(FORECAST, None, None, f"not within {end} times the largest run{early}")
    most = _reached(forecast.band, forecast.band.high, target, x_max)
    return Halving(FORECAST, factor, Interval(least, most), None)


def halving(fit: LawFit, x_max: float) -> Halving:
    """Return the price of half the error that `fit` has at `x_max`.

    Power laws: 2^(1/b), whatever the error at the start. With a floor E, from e = E + A x^-b:
    ((e - E) / (e/2 - E))^(1/b). Exponential, from 1/e = a + b log10 x: 10^(1/(e b)). Other laws: read off
    the curve.
    """
    start, slope = level(fit, x_max), parameter(fit, "b")
    if fit.law in ("power_law_ols", "power_law", "power_law_floor", "exponential"):
        if slope is None or slope.value <= 0:
            return Halving(fit.law, None, None, "the fitted error does not fall")
        return _by_formula(fit, start, slope)
    below = _below_floor(fit, start)
    if below is not None:
        return below
    factor = _reached(fit.band, fit.band.y, start / 2, x_max)
    end = number(fit.band.x[-1] / x_max, 2)
    return Halving(fit.law, factor, None, None if factor else f"not within {end} times the largest run")


def _by_formula(fit: LawFit, start: float, slope: Estimate) -> Halving:
    """Return the price of half of `start` by the closed form of the law, whose exponent is `slope`."""
    beyond = f"more than 10^{LARGEST_POWER} times the largest run"
    if fit.law in ("power_law_ols", "power_law"):
        low, high = slope.interval.low, slope.interval.high
        bounds = Interval(
            _power(2.0, 1 / high if high and high > 0 else None),
            _power(2.0, 1 / low if low and low > 0 else None),
        )
        factor = _power(2.0, 1 / slope.value)
        return Halving(fit.law, factor, bounds if factor else None, None if factor else beyond)
    if fit.law == "exponential":
        factor = _power(10.0, 1 / (start * slope.value))
        return Halving(fit.law, factor, None, None if factor else beyond)
    below = _below_floor(fit, start)
    if below is not None:
        return below
    e = parameter(fit, "E")
    base = 2.0 if e is None else (start - e.value) / (start / 2 - e.value)
    factor = _power(base, 1 / slope.value)
    return Halving(fit.law, factor, None, None if factor else beyond)


def _below_floor(fit: LawFit, start: float) -> Halving | None:
    """Return the answer if half of `start` lies below the law's irreducible error, else None."""
    e = parameter(fit, "E")
    if e is None or start / 2 > e.value:
        return None
    low, show = e.interval.low, percent if e.unit.startswith("fraction") else number
    reason = f"impossible: half of {show(start)} lies below its floor of {show(e.value)}"
    if low is None or start / 2 > low:
        reach = "unbounded" if low is None else f"down to {show(low)}"
        reason = f"not known: half of {show(start)} lies below the fitted floor of "
        reason += f"{show(e.value)}, but the floor's interval ({reach}) allows it"
    return Halving(fit.law, None, None, reason)
