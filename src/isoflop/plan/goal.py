"""The goal of a plan: what is asked, the interval that a fit has of it now, and that after further runs."""

from __future__ import annotations

import dataclasses
import math

from isoflop.config import ConfigError
from isoflop.curve import reach
from isoflop.curve.check import floor
from isoflop.curve.result import Estimate, FitReport
from isoflop.plan.design.laws import EXPONENT, FLOOR, POWER_LAW, REACH, WITH_FLOOR, Goal
from isoflop.plan.proposal import Ends

FORECAST = "forecast"
GOALS = "exponent, irreducible_error, error=0.05 or, for a loss, loss=2.5"


@dataclasses.dataclass(frozen=True)
class Asked:
    """A goal as it was written; `noun` is error or loss where a value of y is to be reached."""

    text: str
    goal: Goal
    noun: str | None = None


@dataclasses.dataclass(frozen=True)
class Known:
    """What a fit says of a goal.

    Attributes:
        ends: the estimate and its interval; log10 of x for a value that is to be reached.
        interval_of: the law, or forecast.
        quantity: what it is, with its unit.
        warnings: what to know first.
    """

    ends: Ends
    interval_of: str
    quantity: str
    warnings: tuple[str, ...] = ()


def parse(text: str) -> Asked:
    """Return a goal. Raises ConfigError for one that there is not, or a value that cannot be."""
    name, sign, value = (part.strip() for part in text.partition("="))
    name = name.replace("-", "_").lower()
    if not sign and name == EXPONENT:
        return Asked(text, Goal("exponent"))
    if not sign and name == FLOOR:
        return Asked(text, Goal("irreducible_error"))
    if sign and name in ("error", "loss"):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            raise ConfigError(f"--goal {text}: give a number above 0, such as {name}=0.05")
        if name == "error" and number >= 1:
            raise ConfigError(f"--goal {text}: an error is a fraction below 1, such as {number / 100:g}")
        return Asked(text, Goal("reach", number), name)
    raise ConfigError(f"--goal {text}: give {GOALS}")


def known(report: FitReport, asked: Asked) -> Known:
    """Return the interval of a goal as the fit has it.

    The exponent is b of the power law with a floor where the points show an irreducible error (the rule of
    reach.shown_irreducible), else of the power law. x at a target is that of the average of the laws, else of
    the power law with a floor.

    Raises:
        ConfigError: the curve does not have the goal.
    """
    goal = asked.goal
    if goal.kind == REACH:
        return _of_reach(report, asked)
    if goal.kind == FLOOR:
        each = floor.parameter(report, WITH_FLOOR, "E")
        if each is None:
            raise ConfigError(
                f"--goal {asked.text}: the curve has none: no law with an irreducible {report.quantity.noun} "
                f"could be fitted to {report.scales} compute scales of {report.configs} configurations: give "
                "--goal exponent"
            )
        said: tuple[str, ...] = ()
        if reach.shown_irreducible(report) is None:
            said = (
                f"the points do not show an irreducible {report.quantity.noun}: its interval is of how large "
                "it may be",
            )
        return Known(_ends(each), WITH_FLOOR, f"irreducible {report.quantity.noun} E", said)
    law = WITH_FLOOR if reach.shown_irreducible(report) is not None else POWER_LAW
    if floor.parameter(report, law, "b") is None:
        law = next((fit.law for fit in report.fits if floor.parameter(report, fit.law, "b")), law)
    found = floor.parameter(report, law, "b")
    if found is None:
        raise ConfigError(f"--goal {asked.text}: no law with an exponent b was fitted: see --laws")
    return Known(_ends(found), law, f"exponent b of {law}")


def _of_reach(report: FitReport, asked: Asked) -> Known:
    target = asked.goal.target
    assert target is not None
    quantity = report.quantity
    if asked.noun != quantity.noun and "error" in (asked.noun, quantity.noun):
        other = "loss" if asked.noun == "error" else "error"
        raise ConfigError(
            f"--goal {asked.text}: {report.y} is no {asked.noun}: give {other}=V, or another --y"
        )
    shown = reach.shown_irreducible(report)
    if shown is not None and target <= shown.value:
        called = reach.irreducible_text(report, shown)
        raise ConfigError(
            f"--goal {asked.text}: below the {called}: no compute reaches it; give --goal irreducible_error, "
            "or a larger one"
        )
    if report.forecast is not None:
        found, of = reach.of_band(FORECAST, report.forecast.band, target), FORECAST
    else:
        fit = next((each for each in report.fits if each.law == WITH_FLOOR), report.fits[-1])
        found, of = reach.of_law(report, fit, target), fit.law
    assert report.resource.flops is not None
    shift = math.log10(report.resource.flops) - 9

    def moved(value: float | None) -> float | None:
        return None if value is None else value + shift

    ends = found.interval
    low, high = (None, None) if ends is None else (ends.low, ends.high)
    said: tuple[str, ...] = ()
    if found.log10_x is None:
        said = (f"{asked.text} is not reached by {of}: {found.reason}; the design rests on laws that do",)
    what = f"log10 of the training GFLOPs that {quantity.noun} {target:g} takes"
    return Known(Ends(moved(found.log10_x), moved(low), moved(high)), of, what, said)


def _ends(each: Estimate) -> Ends:
    return Ends(each.value, each.interval.low, each.interval.high)


def shrunk(before: Ends, ratio: float, *, positive: bool) -> Ends | None:
    """Return an interval whose sides are `ratio` times as long, None where the estimate is unknown.

    `positive` cuts its lower end at 0.
    """
    if before.value is None:
        return None
    low, high = (
        None if end is None else before.value + ratio * (end - before.value)
        for end in (before.low, before.high)
    )
    if positive and low is not None:
        low = max(0.0, low)
    return Ends(before.value, low, high)
