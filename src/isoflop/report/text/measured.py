"""What a fit and the checks of a sweep say in sentences: the measured fall, its price, held-out runs."""

from __future__ import annotations

import math

import pandas as pd

from isoflop.curve.check import finding
from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.check.front import CheckReport
from isoflop.curve.judge import enough
from isoflop.curve.result import FitReport
from isoflop.report.text import costs, misfit
from isoflop.report.text.costs import Halving
from isoflop.report.text.numerals import factor, interval, number, plural
from isoflop.table.held_out import FORECAST

SPOKEN = {
    "power_law_ols": "under the power law (OLS)",
    "exponential": "under the exponential law",
    "power_law_floor": "under the power law with a floor",
    costs.FORECAST: "by the forecast, the average of the laws",
}
"""The laws whose price of halving the error or loss the verdict names."""


def gaps(report: FitReport, seeds: pd.Series[int]) -> list[str]:
    """Return why the data cannot support an answer, whatever the fit says."""
    reasons = enough.reasons(
        math.log10(report.x_max / report.x_min),
        report.configs,
        report.scales,
        int(seeds.max()) if len(seeds) else 0,
        resource=report.resource.name,
        is_compute=report.resource.is_compute,
    )
    return [each.sentence for each in reasons]


def no_fall(report: FitReport) -> tuple[str, str] | None:
    """Return (headline, reason) if no fall of error or loss with compute is established."""
    b, noun, what = costs.exponent(report), report.quantity.noun, report.resource.short
    if b is None:
        return "no power law was fitted.", "Without a power law there is no exponent to compare."
    if b.interval.high is not None and b.interval.high < 0:
        return (
            f"{noun} rises with {what} in these runs.",
            f"The whole {report.percent} interval of the exponent lies below 0: runs with more {what} did "
            "worse, so they cannot price an improvement.",
        )
    if b.value <= 0 or b.interval.low is None or b.interval.low <= 0:
        return (
            f"no fall of {noun} with {what} is established here.",
            f"The {report.percent} interval of the exponent reaches 0, so a flat curve cannot be ruled out.",
        )
    return None


def undertrained(support: FloorSupport) -> str:
    """Return `the undertrained shapes w64 d3, w128 d3 (4 runs)`."""
    names = finding.names(support.names)
    shapes = "shape" if len(support.names) == 1 else "shapes"
    return f"the undertrained {shapes} {names} ({plural(support.runs, 'run')})"


def check_sentence(checked: CheckReport | None, support: FloorSupport | None, report: FitReport) -> str:
    """Return what the checks say that bears on the fit: undertrained shapes, in it or left out."""
    if checked is None or not checked.undertrained_names:
        return ""
    names = finding.names(checked.undertrained_names)
    if support is None:
        return f"Left out as undertrained: {names}, whose training loss is above that of smaller shapes."
    b, name = support.exponent_without, report.quantity.name
    without = "" if b is None else f" Without them b is {number(b.value)} ({interval(b.interval)})."
    return (
        f"Among the points are undertrained shapes ({names}), drawn hollow: their training loss is above "
        f"that of smaller shapes, so their {name} shows the recipe and not their size.{without}"
    )


def _cost(cost: Halving, report: FitReport, mark: str = "") -> str:
    name = SPOKEN.get(cost.law, cost.law) + mark
    if cost.factor is None:
        return f"{name}, {cost.reason}"
    bounds = f" ({report.percent} interval {interval(cost.interval, 2)})" if cost.interval else ""
    return f"{name}, {number(cost.factor, 2)} times the {report.resource.short}{bounds}"


def prices(report: FitReport) -> str:
    """Return what halving error or loss would take by the paper's laws, the floored one and the forecast."""
    each = [
        _cost(costs.halving(fit, report.x_max), report, misfit.mark(fit))
        for fit in report.fits
        if fit.law in SPOKEN
    ]
    if report.forecast is not None:
        each.append(_cost(costs.halving_of_forecast(report.forecast, report.x_max), report))
    if not each:
        return ""
    noun = report.quantity.noun
    return f"To halve the {noun} from where the runs end would take: {'; '.join(each)}."


def of_all_points(support: FloorSupport | None) -> str:
    """Return whose prices these are, where undertrained shapes are among the points of the laws."""
    if support is None:
        return ""
    return (
        f"Laws and forecast are fitted to all points, {undertrained(support)} too; isoflop report --exclude "
        "undertrained leaves them out."
    )


def held_out(report: FitReport) -> str:
    """Return how far off the forecast was on the held-out runs, empty without any."""
    held = report.held_out
    if held is None:
        return ""
    was = "was" if held.runs == 1 else "were"
    by, digits = (
        ("the forecast, made without", 3) if held.law == FORECAST else ("the joint law, fitted without", 4)
    )
    return (
        f"Held out {was} {plural(held.runs, 'run')} ({held.expression}), up to "
        f"{number(held.largest_ratio, 2)} times the largest run that was fitted; {by} "
        f"them, missed by {factor(held.log_rmse, digits)}, and {held.inside_new_run_interval} of {held.runs} "
        f"lie in its {report.percent} interval for a new run."
    )


def measured(report: FitReport) -> str:
    """Return how many runs span how many decades, and the exponent of the power law through them."""
    runs, shapes = plural(report.points, "run"), plural(report.configs, "configuration")
    decades = number(math.log10(report.x_max / report.x_min), 2)
    text = f"Here {runs} of {shapes} span {decades} decades of {report.resource.name}"
    plain, b = costs.law(report, "power_law_ols"), costs.exponent(report)
    if b is None:
        return f"{text}."
    noun = report.quantity.noun
    text += (
        f"; in the power law through them, {noun} falls as {report.resource.short} to the power −b with "
        f"b = {number(b.value)}"
    )
    text += f" ({report.percent} interval {interval(b.interval)})"
    alpha = plain.paper_alpha if plain else None
    if alpha is not None:
        text += f", that is alpha = 1/b = {number(alpha.value)} ({interval(alpha.interval)})"
    rejection = misfit.sentence(report, "power_law_ols")
    return f"{text}. {rejection}".strip()


def outlook(report: FitReport) -> tuple[str, ...]:
    """Return what lies beyond the sweep: the price of an improvement, and held-out runs. How far the forecast
    reaches stands with its table."""
    parts = (prices(report), held_out(report))
    return tuple(part for part in parts if part)
