"""The first thing a page says: one sentence, four figures that follow from it, and what the checks found.

The figures are chosen by the verdict's lead alone: an exponent is among them only where the sentence says
that one describes the curve.
"""

from __future__ import annotations

import dataclasses

from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.check.front import CheckReport
from isoflop.curve.language.result import OptimalTraining
from isoflop.curve.result import FitReport
from isoflop.report import cards
from isoflop.report.cards import Card
from isoflop.report.text import check_lines, costs, optimal_training
from isoflop.report.text.amounts import amount, bare
from isoflop.report.text.lead import FLOORED, PLAIN, Lead
from isoflop.report.text.numerals import interval, number
from isoflop.report.text.trust import reach
from isoflop.report.text.verdict import Verdict
from isoflop.table import target
from isoflop.table.aggregate import RunTable
from isoflop.table.axis import Axis
from isoflop.table.target import Quantity

MOST = 4
"""Figures of the first screen."""


@dataclasses.dataclass(frozen=True)
class Headline:
    """The first screen of a page.

    Attributes:
        sentence: what was found.
        against: how that stands to the paper's claim; empty where the paper claims nothing of it.
        figures: at most MOST numbers of what the sentence is about.
        check: how many findings of each severity, worst first.
    """

    sentence: str
    against: str
    figures: tuple[Card, ...]
    check: str


def headline(
    verdict: Verdict,
    table: RunTable,
    report: FitReport | None,
    checked: CheckReport,
    support: FloorSupport | None = None,
    optimal: OptimalTraining | None = None,
    resource: Axis | None = None,
    quantity: Quantity | None = None,
) -> Headline:
    """Return what a page says first.

    Args:
        verdict: its sentence, and the lead from which the figures follow.
        table: the runs.
        report: the fit of the main axes, if any.
        checked: what the checks found.
        support: what the fit says without undertrained shapes, where there are any.
        optimal: compute-optimal training, where it is the answer in place of the fit.
        resource: x of a table of the user's own, None for a sweep.
        quantity: what the rows are judged on; of a sweep's, it is known.
    """
    rows = table.rows
    quantity = quantity or target.of(rows).quantity
    if verdict.lead.kind == "joint" and optimal is not None:
        shown = _of_joint(optimal)
    else:
        found = [] if report is None else _of_lead(verdict.lead, report, support)
        shown = [*found, *cards.least(rows, quantity)]
    shown += cards.sizes(table, resource) if len(shown) < MOST else []
    return Headline(verdict.sentence, verdict.against, tuple(shown[:MOST]), check_lines.counts(checked))


def _of_lead(lead: Lead, report: FitReport, support: FloorSupport | None) -> list[Card]:
    """Return what the lead allows to be said in a number: nothing of a curve that is not established."""
    ahead = [card for card in (_forecast(report),) if card is not None]
    if lead.kind == "power" and lead.law in PLAIN:
        return [*_exponent(lead.law, report), _halving(lead.law, report), *ahead]
    if lead.kind == "floor":
        return [*_floor(report, support), *ahead]
    return ahead if lead.kind == "bends" else []


def _exponent(law: str, report: FitReport) -> list[Card]:
    fit = costs.law(report, law)
    b = costs.parameter(fit, "b")
    if fit is None or b is None:
        return []
    note = f"{report.percent} {interval(b.interval)}"
    if fit.paper_alpha is not None:
        note += f"; alpha = 1/b = {number(fit.paper_alpha.value)} ({interval(fit.paper_alpha.interval)})"
    return [Card("Exponent b", number(b.value), note)]


def _halving(law: str, report: FitReport) -> Card:
    """Return the price of half the error or loss by the law of the sentence."""
    fit = costs.law(report, law)
    assert fit is not None
    half = costs.halving(fit, report.x_max)
    value = "no finite factor" if half.factor is None else f"×{number(half.factor, 2)}"
    bounds = f"; {report.percent} {interval(half.interval, 2)}" if half.interval else ""
    return Card(f"To halve the {report.quantity.noun}", value, f"{report.resource.short}{bounds}")


def _floor(report: FitReport, support: FloorSupport | None) -> list[Card]:
    """Return E and its interval, without undertrained shapes where there are any, as the sentence does."""
    e = (support.floor_without if support is not None else None) or costs.parameter(
        costs.law(report, FLOORED), "E"
    )
    if e is None:
        return []
    low, high = (bare(end, report.quantity, 2) for end in (e.interval.low, e.interval.high))
    of_which = "" if support is None else "; without undertrained shapes"
    title = f"Irreducible {report.quantity.noun} E"
    return [Card(title, amount(e.value, report.quantity, 2), f"{report.percent} {low} to {high}{of_which}")]


def _forecast(report: FitReport) -> Card | None:
    """Return the forecast at the end of its band, with how far ahead forecasts were tested."""
    if report.forecast is None:
        return None
    band, quantity = report.forecast.band, report.quantity
    ratio = band.x[-1] / report.x_max
    bounds = f"{report.percent} {bare(band.low[-1], quantity, 2)} to {bare(band.high[-1], quantity, 2)}"
    title = f"Forecast at {number(ratio, 2)}× {report.resource.short}"
    # The average of the laws may lie below the irreducible error of the one that leads: it says whose it is.
    return Card(title, amount(band.y[-1], quantity, 2), f"{bounds}, of all laws; {reach(report)}")


def _of_joint(optimal: OptimalTraining) -> list[Card]:
    """Return what training at the best size of each budget comes to, by the joint law."""
    floor, largest, ahead = optimal.floor, optimal.largest, optimal.ahead
    above = "loss above E" if optimal.floor_identified else "loss"
    ratio = number(ahead.compute / largest.compute, 2)
    beyond = "; its size or bytes lie outside those measured" if ahead.outside else ""
    at_largest = "; its size or bytes lie outside those measured" if largest.outside else ""
    of_floor = Card(
        "Irreducible loss E",
        amount(floor.value, target.TEST_BITS) if optimal.floor_identified else "not identified",
        f"95% {optimal_training.bounds(floor)}",
    )
    return [
        Card(
            "Exponent, best sizes",
            number(optimal.exponent.value),
            f"95% {interval(optimal.exponent.interval)}; {above} ∝ compute to its negative",
        ),
        of_floor,
        Card(
            f"Loss at {number(largest.compute)} GFLOPs",
            amount(largest.bits.value, target.TEST_BITS),
            f"95% {optimal_training.bounds(largest.bits)}; the largest budget at its best size{at_largest}",
        ),
        Card(
            f"Forecast at {ratio}× compute",
            amount(ahead.bits.value, target.TEST_BITS),
            f"95% {optimal_training.bounds(ahead.bits)}; by the joint law, untested{beyond}",
        ),
    ]
