"""Where a fitted law comes down to a target: the x that a lower error or loss takes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from isoflop.curve.check import floor
from isoflop.curve.result import Band, Estimate, FitReport, Interval, LawFit

LARGEST_LOG10 = 400.0
"""Amounts beyond 10 to this power are given as unbounded."""
OF_BOTH = "ends of the intervals of slope and height together: wider than each"
OF_BAND = "of the mean curve"
STEPS = (1.0, 2.0, 5.0)
"""Targets are round: 1, 2 or 5 times a power of ten."""
CLOSED_FORMS = ("power_law_ols", "exponential", "power_law")
"""Laws that are straight lines (`line`), of which no band is needed."""
CLOSE = 0.9
"""A target above this share of y at the end of the curve is no target."""


@dataclasses.dataclass(frozen=True)
class Reach:
    """Where one law comes to a target.

    Attributes:
        target: the y to be reached.
        law: its name, or forecast.
        log10_x: None, with the reason, where it is not reached.
        interval: of log10 x; None where it is not known. Where the target is not reached, its lower end is
            where the lower end of the curve's interval comes so low, and it has no upper end.
        interval_of: what the interval is.
        reason: why it is not reached.
    """

    target: float
    law: str
    log10_x: float | None
    interval: Interval | None
    interval_of: str | None
    reason: str | None


def of_law(report: FitReport, fit: LawFit, target: float) -> Reach:
    """Return where a law comes to `target`: one rule for the page, the paper's bills and the forecast.

    A target below the irreducible error is not reached: under a law with E because of its own E; under a law
    without one where the points show an irreducible error (check.floor.identified), whatever that law says.
    The interval then begins where the lower end of the band comes so low, if it does.
    """
    if (below := _below_irreducible(report, fit, target)) is not None:
        reach = of_band(fit.law, fit.band, target) if _irreducible(fit) is not None else None
        return dataclasses.replace(
            _never(target, fit.law, below),
            interval=reach.interval if reach is not None else None,
            interval_of=reach.interval_of if reach is not None else None,
        )
    return of_line(report, fit, target) if fit.law in CLOSED_FORMS else of_band(fit.law, fit.band, target)


def shown_irreducible(report: FitReport) -> Estimate | None:
    """Return E of the power law with a floor where the points show one, else None."""
    return floor.parameter(report, "power_law_floor", "E") if floor.identified(report) else None


def _irreducible(fit: LawFit) -> Estimate | None:
    return next((each for each in fit.parameters if each.name == "E"), None)


def _below_irreducible(report: FitReport, fit: LawFit, target: float) -> str | None:
    """Return why a target cannot be reached for an irreducible error, None where it can."""
    own, shown = _irreducible(fit), shown_irreducible(report)
    if own is not None:
        return f"below its {irreducible_text(report, own)}" if target <= own.value else None
    if shown is not None and target <= shown.value:
        return f"below the {irreducible_text(report, shown)} that the points show: this law has none"
    return None


def irreducible_text(report: FitReport, e: Estimate) -> str:
    """Return `irreducible error of 1.89% (1.4% to 2.27%)`."""
    quantity = report.quantity
    unit = quantity.unit if quantity.unit == "%" else f" {quantity.unit}".rstrip()

    def shown(value: float | None) -> str:
        return "unknown" if value is None else f"{quantity.scale * value:.3g}{unit}"

    ends = f"{shown(e.interval.low)} to {shown(e.interval.high)}"
    return f"irreducible {quantity.noun} of {shown(e.value)} ({ends})"


def finite(value: float) -> float | None:
    """Return a power of ten that is still an amount, None beyond LARGEST_LOG10."""
    return value if math.isfinite(value) and value < LARGEST_LOG10 else None


def line(law: str, y: float) -> float:
    """Return y on the scale on which a law is a straight line over log10 x: 1/y of the exponential, else
    log10(1/y)."""
    return 1.0 / y if law == "exponential" else -math.log10(y)


def of_line(report: FitReport, fit: LawFit, target: float) -> Reach:
    """Return where a power law or the exponential comes to `target`, from its slope and its end.

    log10 x = log10 x_max + (s(target) - s(y_max)) / b, s being log10(1/y) or 1/y (`line`). The interval joins
    the ends of b's with those of y_max, as if both erred together the worse way.
    """
    b = next((p for p in fit.parameters if p.name == "b"), None)
    if b is None or b.value <= 0:
        return _never(target, fit.law, "the fitted curve does not fall")
    at = math.log10(report.x_max)

    def reached(height: float, slope: float | None) -> float:
        rise = line(fit.law, target) - line(fit.law, height)
        return at + rise / slope if slope is not None and slope > 0 else math.inf

    ends = [_height(fit.band, side, at) for side in (fit.band.low, fit.band.high)]
    reaches = [reached(height, slope) for height in ends for slope in (b.interval.low, b.interval.high)]
    value = finite(reached(_height(fit.band, fit.band.y, at), b.value))
    if value is None:
        return _never(target, fit.law, f"not at any x below 10^{LARGEST_LOG10:.0f}")
    interval = Interval(finite(min(reaches)), finite(max(reaches)))
    return Reach(target, fit.law, value, interval, OF_BOTH, None)


def of_band(law: str, band: Band, target: float) -> Reach:
    """Return where a curve comes to `target` within its band; the interval is where the band's ends do."""
    value = _first_below(band, band.y, target)
    low, high = (_first_below(band, side, target) for side in (band.low, band.high))
    if low is not None and low <= math.log10(band.x[0]):
        low = None  # it lies below where the curve begins
    if value is None:
        never = _never(target, law, f"not within {band.x[-1]:.3g}, where its band ends")
        bounds = None if low is None else Interval(low, None)
        return dataclasses.replace(never, interval=bounds, interval_of=None if low is None else OF_BAND)
    return Reach(target, law, value, Interval(low, high), OF_BAND, None)


def round_targets(least: float, count: int = 2) -> tuple[float, ...]:
    """Return the next `count` round values below `least`, the largest first."""
    power = math.floor(math.log10(least))
    steps = sorted((step * 10.0**p for p in range(power - count, power + 1) for step in STEPS), reverse=True)
    below = [float(f"{step:.6g}") for step in steps if step <= CLOSE * least]
    return tuple(below[:count])


def end_of(report: FitReport) -> float:
    """Return y at the largest x, by the forecast, else by the first law."""
    band = report.forecast.band if report.forecast is not None else report.fits[0].band
    return _height(band, band.y, math.log10(report.x_max))


def _height(band: Band, side: Sequence[float], log10_x: float) -> float:
    return float(10 ** np.interp(log10_x, np.log10(band.x), np.log10(side)))


def _first_below(band: Band, side: Sequence[float], target: float) -> float | None:
    """Return log10 x at which a side of a band first falls to `target`, None where it does not."""
    x, y = np.log10(np.asarray(band.x)), np.log10(np.maximum(np.asarray(side), 1e-300))
    below = np.flatnonzero(y <= math.log10(target))
    if not len(below):
        return None
    i = int(below[0])
    if i == 0:
        return float(x[0])
    share = (y[i - 1] - math.log10(target)) / (y[i - 1] - y[i])
    return float(x[i - 1] + share * (x[i] - x[i - 1]))


def _never(target: float, law: str, reason: str) -> Reach:
    return Reach(target, law, None, None, None, reason)
