"""How y falls, in one sentence by the law that leads: the same on the terminal and the page."""

from __future__ import annotations

from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.judge.answer import Headline
from isoflop.curve.judge.headline import headline
from isoflop.curve.result import Estimate, FitReport
from isoflop.report.text import costs, fit_lines, measured, misfit
from isoflop.report.text.amounts import amount
from isoflop.report.text.numerals import interval, number


def leading(report: FitReport, support: FloorSupport | None = None) -> Headline:
    """Return the law that leads: as the checks left it in the report, else chosen here."""
    return report.headline or headline(report, support)


def sentence(report: FitReport, support: FloorSupport | None = None) -> str:
    """Return how y falls, as the head of a page says it; it begins small and has no full stop."""
    flat = measured.no_fall(report)
    if flat is not None:
        return flat[0].rstrip(".")
    lead, noun, what = leading(report, support), report.quantity.noun, report.resource.short
    if lead.kind == "floor":
        return _towards_floor(report, support)
    b = costs.parameter(costs.law(report, lead.law or ""), "b")
    if lead.only_by_undertrained:
        return f"{noun} falls and the curve bends, but only through shapes that were not trained well"
    if lead.kind == "bends":
        local = report.local_exponent
        if local is None:
            return f"{noun} falls and the curve bends, so no single exponent describes it"
        end = f"at the largest run as {what} to the power −{_known(local.exponent)}"
        return f"{noun} falls and the curve bends: {end}"
    return f"{noun} falls with {what}" if b is None else f"{noun} falls as {what} to the power −{_known(b)}"


def _towards_floor(report: FitReport, support: FloorSupport | None) -> str:
    """Return the sentence of an irreducible part, at its value without undertrained shapes."""
    claim, of_which = costs.floor(report), ""
    if support is not None:
        claim, of_which = support.floor_without or claim, " without undertrained shapes"
    assert claim is not None
    noun, least = report.quantity.noun, amount(claim.value, report.quantity, 2)
    return f"{noun} falls and the curve bends towards a floor of about {least}{of_which}"


def _known(value: Estimate) -> str:
    return f"{number(value.value)} ({interval(value.interval)})"


def lines(report: FitReport) -> list[str]:
    """Return the same for the terminal, where x, y and the name of the law stand short."""
    lead = leading(report)
    fit = costs.law(report, lead.law or "")
    if fit is None:
        return []
    star = "*" if misfit.rejected(fit) else ""
    b = fit_lines.estimate(costs.parameter(fit, "b"), star)
    if lead.kind == "floor":
        e = fit_lines.estimate(costs.parameter(fit, "E"))
        return [f"falls towards E {e} as x^-b, b {b} ({fit.law})"]
    local = report.local_exponent
    if lead.kind == "bends" and local is not None:
        end = fit_lines.estimate(local.exponent)
        return [f"falls and bends: at the largest x as x^-b, b {end} (average of the laws)"]
    alpha = "" if fit.paper_alpha is None else f", alpha {fit_lines.estimate(fit.paper_alpha, star)}"
    return [f"falls as x^-b, b {b}{alpha} ({fit.law})"]
