"""What a sweep of language models says: how its loss falls with compute, and towards what."""

from __future__ import annotations

import pandas as pd

from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.check.front import CheckReport
from isoflop.curve.result import Estimate, FitReport
from isoflop.report.text import costs, lead, measured
from isoflop.report.text.amounts import amount, bare
from isoflop.report.text.lead import Lead
from isoflop.report.text.numerals import UNKNOWN, estimate, number

LIMIT = (
    "The paper's limit, that being k times better costs at least k⁴ times the compute, is of root mean "
    "square error; the loss of a language model is no such error, so this sweep neither agrees nor disagrees "
    "with it. Loss falls towards an irreducible part, the entropy of the text for a model that makes the "
    "most of its context; the part above that falls as a power of compute."
)


def judge(
    rows: pd.DataFrame,
    report: FitReport | None,
    why_none: str,
    seeds: pd.Series[int],
    checked: CheckReport | None,
    support: FloorSupport | None,
) -> tuple[str, tuple[str, ...]]:
    """Return the headline and the sentences behind it.

    Args:
        rows: one row a run, on text.
        report: the fit of loss against training GFLOPs.
        why_none: the reason if there is no fit, that is if `report` is None.
        seeds: number of seeds of each configuration.
        checked: what the checks of the rows say.
        support: what the fit says without undertrained shapes, where there are any among its points.
    """
    if report is None:
        headline = "Cannot be told: no law was fitted to loss against training compute."
        return headline, (LIMIT, f"Here nothing was fitted: {why_none}.", scope(rows))
    headline, reason = answer(report, seeds, support)
    checks = measured.check_sentence(checked, support, report)
    said = (measured.measured(report), checks, reason, LIMIT, scope(rows))
    return headline, tuple(sentence for sentence in said if sentence)


def scope(rows: pd.DataFrame) -> str:
    """Return what the numbers are of: the models and the text."""
    data = ", ".join(sorted(rows["data"].dropna().astype(str).unique())) or "unknown text"
    models = ", ".join(sorted(rows["family"].dropna().astype(str).unique())) or "unknown models"
    return (
        f"This sweep trained {models} on {data}: its numbers are of this text, context length and recipe, "
        "not to be compared with bits a byte of other texts."
    )


def answer(
    report: FitReport, seeds: pd.Series[int], support: FloorSupport | None, *, of_text: bool = True
) -> tuple[str, str]:
    """Return (headline, reason): how y falls, and towards what.

    Args:
        report: the fit.
        seeds: number of seeds of each configuration.
        support: what the fit says without undertrained shapes.
        of_text: y is the loss of text, of which is known that it has an irreducible part.
    """
    falls = f"{report.quantity.noun} falls"
    flat = measured.no_fall(report)
    if flat is not None:
        return f"Cannot be told: {flat[0]}", flat[1]
    gaps = measured.gaps(report, seeds)
    if gaps:
        headline = f"Cannot be told: {falls} with {report.resource.short}, but too little was measured."
        return headline, f"Too little was measured for an answer: {'; '.join(gaps)}."
    shown = lead.of_points(report, support)
    if support is not None and shown.kind == "undertrained":
        return (
            f"Over all runs, {falls} with {report.resource.short}; it bends, but only through shapes that "
            "were not trained well.",
            f"An irreducible part is supported only by {measured.undertrained(support)}: without them none "
            "is identified, so none is claimed.",
        )
    floor = costs.floor(report)
    if shown.kind == "floor" and floor is not None:
        return _with_floor(report, floor, support)
    return _without_floor(report, shown, floor, of_text=of_text)


def _without_floor(
    report: FitReport, shown: Lead, floor: Estimate | None, *, of_text: bool
) -> tuple[str, str]:
    b, fall = costs.exponent(report), f"Over all runs, {report.quantity.noun} falls"
    power = UNKNOWN if b is None else number(b.value)
    headline = (
        f"{fall} with {report.resource.short}; the curve bends, so no single exponent describes it, and no "
        "irreducible part is identified."
        if shown.kind == "bends"
        else f"{fall} as {report.resource.short} to the power −{power}; no irreducible part is identified."
    )
    fitted = "" if floor is None else f" (fitted {_bounded(floor, report)})"
    bends = " That must bend further on, as no text is free of surprise." if of_text else ""
    return headline, (
        f"No irreducible part is identified{fitted}: over this range the law with one is not clearly closer "
        f"to the points than the plain power law.{bends}"
    )


def _with_floor(report: FitReport, floor: Estimate, support: FloorSupport | None) -> tuple[str, str]:
    """Return (headline, reason) where an irreducible part is identified, from well-trained shapes only."""
    claim = floor if support is None else support.floor_without or floor
    of_which = "" if support is None else " but undertrained shapes"
    slope = costs.parameter(costs.law(report, "power_law_floor"), "b")
    above = (
        ""
        if slope is None
        else f"; the part above it falls as {report.resource.short} to the power −{number(slope.value)}"
    )
    least = amount(claim.value, report.quantity)
    # b is fitted to all points and does not belong to the E of fewer.
    fall = f"{report.quantity.noun} falls towards about {least}{above if support is None else ''}"
    headline = f"Over all runs{of_which}, {fall}."
    reason = (
        "The law with an irreducible part is clearly closer to the points than the plain power law: that "
        f"part is {_bounded(floor, report)}"
    )
    if slope is not None:
        what = report.resource.short
        reason += f", and the part above it falls as {what} to the power −b with b = {estimate(slope)}"
    if support is not None:
        reason += f"; without {measured.undertrained(support)} it is {_bounded(claim, report)}"
    return headline, f"{reason}."


def _bounded(value: Estimate, report: FitReport) -> str:
    """Return `2.314 bits a byte, 95% interval 2.250 to 2.377`."""
    quantity = report.quantity
    low, high = (bare(end, quantity) for end in (value.interval.low, value.interval.high))
    return f"{amount(value.value, quantity)}, {report.percent} interval {low} to {high}"
