"""What a sweep says about "The Computational Limits of Deep Learning" (arXiv 2007.05558), in plain words.

The paper: error falls at best as compute^(-1/4), so alpha = 1/b >= 4 and being k times better costs at least
k^4; measured on published ImageNet models, per forward pass, alpha is about 9.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import pandas as pd

from isoflop.curve.check import finding
from isoflop.curve.check.amount import LEAST_CONFIGS, LEAST_DECADES, LEAST_SCALES
from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.check.front import CheckReport
from isoflop.curve.result import Estimate, FitReport
from isoflop.report.text import costs
from isoflop.report.text.caveats import caveats
from isoflop.report.text.costs import Halving
from isoflop.report.text.numerals import factor, interval, number, percent, plural
from isoflop.report.text.trust import trust

LEAST_ALPHA = 4.0

SPOKEN = {
    "power_law_ols": "under the power law (OLS)",
    "exponential": "under the exponential law",
    "power_law_floor": "under the power law with a floor",
    costs.FORECAST: "by the forecast, the average of the laws",
}
"""The laws whose price of halving the error the verdict names."""

Answer = Literal["agrees", "disagrees", "cannot be told"]

_CLAIM = (
    "The paper claims that error falls only as a small power of compute: being k times better costs at least "
    "k⁴ times the compute in theory (alpha of 4 or more, for root mean square error), and more in practice."
)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The answer, a headline, the sentences behind it, the outlook beyond the sweep, and the caveats."""

    answer: Answer
    headline: str
    sentences: tuple[str, ...]
    outlook: tuple[str, ...]
    caveats: tuple[str, ...]


def _gaps(report: FitReport, seeds: pd.Series[int]) -> list[str]:
    """Return why the data cannot support an answer, whatever the fit says."""
    decades = math.log10(report.x_max / report.x_min)
    gaps = []
    if decades < LEAST_DECADES:
        gaps.append(f"training compute spans only {number(decades, 2)} decades, {LEAST_DECADES:g} are needed")
    if report.configs < LEAST_CONFIGS or report.scales < LEAST_SCALES:
        shapes, scales = plural(report.configs, "configuration"), plural(report.scales, "compute scale")
        gaps.append(f"there are only {shapes} at {scales}, {LEAST_CONFIGS} at {LEAST_SCALES} are needed")
    if len(seeds) and int(seeds.max()) == 1:
        gaps.append("each configuration was trained with a single seed, so luck and size are one")
    return gaps


def _no_fall(report: FitReport) -> tuple[str, str] | None:
    """Return (headline, reason) if no fall of error with compute is established."""
    b = costs.exponent(report)
    if b is None:
        return "no power law was fitted.", "Without a power law there is no exponent to compare."
    if b.interval.high is not None and b.interval.high < 0:
        return (
            "error rises with compute in this sweep.",
            "The whole 95% interval of the exponent lies below 0: runs with more compute did worse, so they "
            "cannot price an improvement.",
        )
    if b.value <= 0 or b.interval.low is None or b.interval.low <= 0:
        return (
            "no fall of error with compute is established here.",
            "The 95% interval of the exponent reaches 0, so a flat curve cannot be ruled out.",
        )
    return None


def _floored(report: FitReport, support: FloorSupport | None) -> tuple[str, str] | None:
    """Return (headline, reason) if the curve bends towards a floor, or seems to.

    A floor is claimed from the points of properly trained shapes only: where undertrained ones are among the
    points, the law is fitted again without them (`support`).
    """
    floor = costs.floor(report)
    if floor is None or not costs.floor_identified(report):
        return None
    reason = (
        "The law with a floor is clearly closer to the points than the plain power law. A fixed training set "
        "or wrong labels give such a floor; the paper's limit lets the data grow with compute."
    )
    if support is None:
        claim, remark, of_which = floor, "", ""
    elif support.only_by_undertrained:
        return (
            "Cannot be told: the curve bends, but only through shapes that were not trained well.",
            f"An irreducible error is supported only by {_undertrained(support)}: without them none is "
            "identified, so none is claimed.",
        )
    else:
        claim, of_which = support.floor_without or floor, " without undertrained shapes"
        remark = f" Without {_undertrained(support)} the floor is {percent(claim.value, 3)} "
        remark += f"(95% interval {_percents(claim)}), with them {percent(floor.value, 3)}."
    headline = (
        f"Cannot be told: the curve bends towards a floor of about {percent(claim.value, 2)}{of_which}, so "
        "no single exponent describes it."
    )
    return headline, reason + remark


def _percents(value: Estimate) -> str:
    return f"{percent(value.interval.low)} to {percent(value.interval.high)}"


def _undertrained(support: FloorSupport) -> str:
    """Return `the undertrained shapes w64 d3, w128 d3 (4 runs)`."""
    names = finding.names(support.names)
    shapes = "shape" if len(support.names) == 1 else "shapes"
    return f"the undertrained {shapes} {names} ({plural(support.runs, 'run')})"


def _check_sentence(checked: CheckReport | None, support: FloorSupport | None) -> str:
    """Return what the checks say that bears on the fit: undertrained shapes, in it or left out."""
    if checked is None or not checked.undertrained_names:
        return ""
    names = finding.names(checked.undertrained_names)
    if support is None:
        return f"Left out as undertrained: {names}, whose training loss is above that of smaller shapes."
    b = support.exponent_without
    without = "" if b is None else f" Without them b is {number(b.value)} ({interval(b.interval)})."
    return (
        f"Among the points are undertrained shapes ({names}), drawn hollow: their training loss is above "
        f"that of smaller shapes, so their test error shows the recipe and not their size.{without}"
    )


def _answer(
    report: FitReport, seeds: pd.Series[int], support: FloorSupport | None
) -> tuple[Answer, str, str]:
    """Return (answer, headline, reason)."""
    flat = _no_fall(report)
    if flat is not None:
        return "cannot be told", f"Cannot be told: {flat[0]}", flat[1]
    gaps = _gaps(report, seeds)
    if gaps:
        headline = "Cannot be told: error falls with compute, but too little was measured."
        return "cannot be told", headline, f"Too little was measured for an answer: {'; '.join(gaps)}."
    floored = _floored(report, support)
    if floored is not None:
        return "cannot be told", *floored
    plain = costs.law(report, "power_law_ols")
    alpha = plain.paper_alpha if plain else None
    low, high = (alpha.interval.low, alpha.interval.high) if alpha else (None, None)
    if low is not None and low >= LEAST_ALPHA:
        return (
            "agrees",
            "Agrees, within the range measured: error falls as a small power of training compute.",
            f"The whole 95% interval of alpha lies above {LEAST_ALPHA:g}, the paper's theoretical best case.",
        )
    if high is not None and high < LEAST_ALPHA:
        return (
            "disagrees",
            "Disagrees, within the range measured: error falls faster than the paper's best case.",
            f"The whole 95% interval of alpha lies below {LEAST_ALPHA:g}. The paper's limit is of root mean "
            "square error, for ever larger models and data; classification error over a short stretch of "
            "small models can be steeper, so this says nothing of others.",
        )
    return (
        "cannot be told",
        "Cannot be told: error falls with compute, but how steeply is too uncertain to compare.",
        f"The 95% interval of alpha includes {LEAST_ALPHA:g}, the paper's theoretical best case.",
    )


def _cost(cost: Halving) -> str:
    name = SPOKEN.get(cost.law, cost.law)
    if cost.factor is None:
        return f"{name}, {cost.reason}"
    bounds = f" (95% interval {interval(cost.interval, 2)})" if cost.interval else ""
    return f"{name}, {number(cost.factor, 2)} times the compute{bounds}"


def _prices(report: FitReport) -> str:
    """Return what halving the error would take by the paper's laws, the floored one and the forecast."""
    prices = [costs.halving(fit, report.x_max) for fit in report.fits if fit.law in SPOKEN]
    if report.forecast is not None:
        prices.append(costs.halving_of_forecast(report.forecast, report.x_max))
    if not prices:
        return ""
    return f"To halve the error from where the sweep ends would take: {'; '.join(map(_cost, prices))}."


def of_all_points(support: FloorSupport | None) -> str:
    """Return whose prices these are, where undertrained shapes are among the points of the laws."""
    if support is None:
        return ""
    return (
        f"Laws and forecast are fitted to all points, {_undertrained(support)} too; isoflop report --exclude "
        "undertrained leaves them out."
    )


def _held_out(report: FitReport) -> str:
    held = report.held_out
    if held is None:
        return ""
    was = "was" if held.runs == 1 else "were"
    return (
        f"Held out {was} {plural(held.runs, 'run')} ({held.expression}), up to "
        f"{number(held.largest_ratio, 2)} times the largest run that was fitted; the forecast, made without "
        f"them, missed by {factor(held.log_rmse)}, and {held.inside_new_run_interval} of {held.runs} lie in "
        "its 95% interval for a new run."
    )


def _measured(report: FitReport) -> str:
    runs, shapes = plural(report.points, "run"), plural(report.configs, "configuration")
    decades = number(math.log10(report.x_max / report.x_min), 2)
    text = f"Here {runs} of {shapes} span {decades} decades of training compute"
    plain, b = costs.law(report, "power_law_ols"), costs.exponent(report)
    if b is None:
        return f"{text}."
    text += (
        f"; in the power law through them, error falls as compute to the power −b with b = {number(b.value)}"
    )
    text += f" (95% interval {interval(b.interval)})"
    alpha = plain.paper_alpha if plain else None
    if alpha is not None:
        text += f", that is alpha = 1/b = {number(alpha.value)} ({interval(alpha.interval)})"
    return f"{text}."


def judge(
    rows: pd.DataFrame,
    report: FitReport | None,
    why_none: str,
    checked: CheckReport | None = None,
    support: FloorSupport | None = None,
) -> Verdict:
    """Return the verdict from the rows and their fit of error against training GFLOPs.

    Args:
        rows: one row a run.
        report: the fit.
        why_none: the reason if there is no fit, that is if `report` is None.
        checked: what the checks of the rows say.
        support: what the fit says without undertrained shapes, where there are any among its points.
    """
    data = ", ".join(sorted(rows["data"].dropna().astype(str).unique())) or "unknown data"
    models = ", ".join(sorted(rows["family"].dropna().astype(str).unique())) or "unknown models"
    scope = (
        f"This sweep trained {models} on {data}: it cannot confirm or refute the paper's ImageNet figure "
        "(alpha about 9), which is per forward pass of published models, not per training compute."
    )
    if report is None:
        headline = "Cannot be told: no law was fitted to error against training compute."
        no_fit = (_CLAIM, f"Here nothing was fitted: {why_none}.", scope)
        return Verdict("cannot be told", headline, no_fit, (), caveats(rows, None))
    answer, headline, reason = _answer(report, rows.groupby("config_id")["seed"].nunique(), support)
    said = (_CLAIM, _measured(report), _check_sentence(checked, support), reason, scope)
    sentences = tuple(sentence for sentence in said if sentence)
    outlook = tuple(
        s for s in (_prices(report), of_all_points(support), trust(report), _held_out(report)) if s
    )
    return Verdict(answer, headline, sentences, outlook, caveats(rows, report))
