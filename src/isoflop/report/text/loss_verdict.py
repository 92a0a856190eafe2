"""What a sweep of language models says: how its loss falls with compute, and towards what."""

from __future__ import annotations

import pandas as pd

from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.check.front import CheckReport
from isoflop.curve.result import Estimate, FitReport
from isoflop.report.text import costs, measured, misfit
from isoflop.report.text.amounts import amount, bare
from isoflop.report.text.numerals import UNKNOWN, estimate, number
from isoflop.table import target

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
    headline, reason = _answer(report, seeds, support)
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


def _answer(report: FitReport, seeds: pd.Series[int], support: FloorSupport | None) -> tuple[str, str]:
    """Return (headline, reason)."""
    flat = measured.no_fall(report)
    if flat is not None:
        return f"Cannot be told: {flat[0]}", flat[1]
    gaps = measured.gaps(report, seeds)
    if gaps:
        headline = "Cannot be told: loss falls with compute, but too little was measured."
        return headline, f"Too little was measured for an answer: {'; '.join(gaps)}."
    b = costs.exponent(report)
    power = UNKNOWN if b is None else number(b.value)
    if misfit.rejected(costs.law(report, "power_law_ols")):
        power += " on average, a law that they reject"
    if support is not None and support.only_by_undertrained:
        return (
            f"Over all runs, loss falls as compute to the power −{power}; it bends, but only through shapes "
            "that were not trained well.",
            f"An irreducible part is supported only by {measured.undertrained(support)}: without them none "
            "is identified, so none is claimed.",
        )
    floor = costs.floor(report)
    if floor is None or not costs.floor_identified(report):
        return _without_floor(power, floor, report.percent)
    return _with_floor(report, floor, support)


def _without_floor(power: str, floor: Estimate | None, percent: str) -> tuple[str, str]:
    headline = (
        f"Over all runs, loss falls as compute to the power −{power}; no irreducible part is identified."
    )
    fitted = "" if floor is None else f" (fitted {_bounded(floor, percent)})"
    return headline, (
        f"No irreducible part is identified{fitted}: over this range the law with one is not clearly closer "
        "to the points than the plain power law. That must bend further on, as no text is free of surprise."
    )


def _with_floor(report: FitReport, floor: Estimate, support: FloorSupport | None) -> tuple[str, str]:
    """Return (headline, reason) where an irreducible part is identified, from well-trained shapes only."""
    claim = floor if support is None else support.floor_without or floor
    of_which = "" if support is None else " but undertrained shapes"
    slope = costs.parameter(costs.law(report, "power_law_floor"), "b")
    above = (
        "" if slope is None else f"; the part above it falls as compute to the power −{number(slope.value)}"
    )
    least = amount(claim.value, target.TEST_BITS)
    # b is fitted to all points and does not belong to the E of fewer.
    headline = f"Over all runs{of_which}, loss falls towards about {least}{above if support is None else ''}."
    reason = (
        "The law with an irreducible part is clearly closer to the points than the plain power law: that "
        f"part is {_bounded(floor, report.percent)}"
    )
    if slope is not None:
        reason += f", and the part above it falls as compute to the power −b with b = {estimate(slope)}"
    if support is not None:
        reason += f"; without {measured.undertrained(support)} it is {_bounded(claim, report.percent)}"
    return headline, f"{reason}."


def _bounded(value: Estimate, percent: str) -> str:
    """Return `2.314 bits a byte, 95% interval 2.250 to 2.377`."""
    low, high = value.interval.low, value.interval.high
    quantity = target.TEST_BITS
    return (
        f"{amount(value.value, quantity)}, {percent} interval {bare(low, quantity)} to {bare(high, quantity)}"
    )
