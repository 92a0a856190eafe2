"""How y falls, in one sentence by the law that leads the page and the terminal (lead.py)."""

from __future__ import annotations

from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.result import Estimate, FitReport
from isoflop.report.text import costs, measured
from isoflop.report.text.amounts import amount
from isoflop.report.text.lead import Lead
from isoflop.report.text.numerals import interval, number


def sentence(report: FitReport, shown: Lead, support: FloorSupport | None = None) -> str:
    """Return how y falls, as the head of a page says it; it begins small and has no full stop.

    Args:
        report: the fit.
        shown: what it shows (lead.lead).
        support: what it says without undertrained shapes, where any are among its points.
    """
    flat = measured.no_fall(report)
    if flat is not None:
        return flat[0].rstrip(".")
    noun, what = report.quantity.noun, report.resource.short
    if shown.kind == "short":
        return f"{noun} falls with {what}, but too little was measured"
    if shown.kind == "undertrained":
        return f"{noun} falls and the curve bends, but only through shapes that were not trained well"
    if shown.kind == "floor":
        return _towards_floor(report, support)
    if shown.kind == "bends":
        local = report.local_exponent
        if local is None:
            return f"{noun} falls and the curve bends, so no single exponent describes it"
        end = f"at the largest run as {what} to the power −{_known(local.exponent)}"
        return f"{noun} falls and the curve bends: {end}"
    b = costs.parameter(costs.law(report, shown.law or ""), "b")
    return f"{noun} falls with {what}" if b is None else f"{noun} falls as {what} to the power −{_known(b)}"


def _towards_floor(report: FitReport, support: FloorSupport | None) -> str:
    """Return the sentence of an irreducible part, at its value without undertrained shapes."""
    claim, of_which = costs.floor(report), ""
    if support is not None:
        claim, of_which = support.floor_without or claim, " without undertrained shapes"
    assert claim is not None
    noun, least = report.quantity.noun, amount(claim.value, report.quantity, 2)
    bends = f"{noun} falls and the curve bends towards a floor of about {least}{of_which}"
    return f"{bends}, so no single exponent describes it"


def _known(value: Estimate) -> str:
    return f"{number(value.value)} ({interval(value.interval)})"
