"""What fitted laws say in the paper's terms: the exponent, the floor, and the price of halving the error."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from isoflop.curve.result import Estimate, FitReport, Interval, LawFit
from isoflop.report.numerals import percent

FLOOR_GAIN = 0.9
FLOOR_SHARE = 0.25
"""A floor is identified if log10 RMSE shrinks at least by FLOOR_GAIN against the plain power law and the
lower end of its interval is at least FLOOR_SHARE of its value: one that all but reaches 0 shows no floor."""
LARGEST_POWER = 100
"""Costs beyond 10 to this power are not written out."""


@dataclasses.dataclass(frozen=True)
class Halving:
    """How many times the largest compute measured it takes to halve the error there, under one law.

    `factor` is None with the reason; `interval` is None where only the power law's is known.
    """

    law: str
    factor: float | None
    interval: Interval | None
    reason: str | None


def law(report: FitReport, name: str) -> LawFit | None:
    """The fit of the law called `name`, or None."""
    return next((f for f in report.fits if f.law == name), None)


def parameter(fit: LawFit | None, name: str) -> Estimate | None:
    """The parameter called `name`, or None."""
    return next((p for p in fit.parameters if p.name == name), None) if fit else None


def exponent(report: FitReport) -> Estimate | None:
    """b of the power law, error ∝ compute^-b."""
    return parameter(law(report, "polynomial"), "b")


def floor(report: FitReport) -> Estimate | None:
    """E of the power law with a floor."""
    return parameter(law(report, "power_floor"), "E")


def floor_identified(report: FitReport) -> bool:
    """Whether the data show a floor: E's interval lies clear of 0, and the law with it is clearly closer."""
    bent, plain, found = law(report, "power_floor"), law(report, "polynomial"), floor(report)
    if bent is None or found is None or found.interval.low is None or found.interval.high is None:
        return False
    gain = plain is None or bent.log10_rmse <= FLOOR_GAIN * plain.log10_rmse
    return found.interval.low >= FLOOR_SHARE * found.value > 0 and gain


def _power(base: float, exponent_: float | None) -> float | None:
    """base**exponent_; None where there is no exponent or the result is beyond 10^LARGEST_POWER."""
    return None if exponent_ is None or exponent_ * math.log10(base) > LARGEST_POWER else base**exponent_


def level(fit: LawFit, x: float) -> float:
    """The fitted curve at x, interpolated on logarithmic axes."""
    return float(np.exp(np.interp(np.log(x), np.log(fit.band.x), np.log(fit.band.y))))


def halving(fit: LawFit, x_max: float) -> Halving:
    """The price of half the error that `fit` has at `x_max`.

    Power law: 2^(1/b) wherever one starts. With a floor E, from e = E + A x^-b:
    ((e - E) / (e/2 - E))^(1/b). Exponential, from 1/e = a + b log10 x: 10^(1/(e b)).
    """
    slope, start = parameter(fit, "b"), level(fit, x_max)
    if slope is None or slope.value <= 0:
        return Halving(fit.law, None, None, "the fitted error does not fall")
    beyond = f"more than 10^{LARGEST_POWER} times the compute"
    if fit.law == "polynomial":
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
    ground = parameter(fit, "E")
    if ground is None:
        return Halving(fit.law, None, None, "no formula for this law")
    if start / 2 <= ground.value:
        low = ground.interval.low
        reason = f"impossible: half of {percent(start)} lies below its floor of {percent(ground.value)}"
        if low is None or start / 2 > low:
            reach = "unbounded" if low is None else f"down to {percent(low)}"
            reason = f"not known: half of {percent(start)} lies below the fitted floor of "
            reason += f"{percent(ground.value)}, but the floor's interval ({reach}) allows it"
        return Halving(fit.law, None, None, reason)
    factor = _power((start - ground.value) / (start / 2 - ground.value), 1 / slope.value)
    return Halving(fit.law, factor, None, None if factor else beyond)
