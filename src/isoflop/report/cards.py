"""The headline numbers of a sweep's page, each with one line of context."""

from __future__ import annotations

import dataclasses

import pandas as pd

from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.language.result import OptimalTraining
from isoflop.curve.result import FitReport
from isoflop.report import bill
from isoflop.report.text import costs, misfit, optimal_training, units
from isoflop.report.text.amounts import amount, bare, seed_after
from isoflop.report.text.numerals import compact, interval, number, plural, seconds
from isoflop.table import target
from isoflop.table.aggregate import RunTable
from isoflop.table.axis import Axis, capital
from isoflop.table.target import Quantity


@dataclasses.dataclass(frozen=True)
class Card:
    """A headline number with its title and one line of context."""

    title: str
    value: str
    note: str


def _halving_card(report: FitReport, support: FloorSupport | None) -> Card:
    """Return the price of half the error or loss: by the law with a floor if one is seen, else the plain one.

    A floor that only undertrained shapes show is none.
    """
    shown = costs.floor_identified(report) and (support is None or support.stands)
    floored = costs.law(report, "power_law_floor") if shown else None
    plain = floored or costs.law(report, "power_law_ols")
    assert plain is not None
    half = costs.halving(plain, report.x_max)
    value = f"×{number(half.factor, 2)}" if half.factor is not None else "no finite factor"
    law = "the power law with a floor" if floored else "the power law"
    note = f"{report.resource.short} from the largest run, by {law}{misfit.mark(plain)}"
    return Card(f"To halve the {report.quantity.noun}", value, note + _of_all_points(support))


def _of_all_points(support: FloorSupport | None) -> str:
    """Return the end of a card's note that tells its number from the verdict's, which has no such points."""
    return "" if support is None else "; all points, undertrained shapes too"


def _forecast_card(report: FitReport, support: FloorSupport | None) -> Card | None:
    """Return the forecast at ten times the compute, or at the end of its band."""
    if report.forecast is None:
        return None
    band = report.forecast.band
    ratio = band.x[-1] / report.x_max
    quantity = report.quantity
    bounds = f"{report.percent} {bare(band.low[-1], quantity, 2)} to {bare(band.high[-1], quantity, 2)}; "
    tested = report.forecast.tested_ratio
    note = "untested" if tested is None or tested < ratio else f"tested to {compact(tested, 3)}×"
    return Card(
        f"Forecast at {number(ratio, 2)}× {report.resource.short}",
        amount(band.y[-1], quantity, 2),
        bounds + note + _of_all_points(support),
    )


def _of_compute(report: FitReport, support: FloorSupport | None) -> list[Card]:
    """Return what the law over compute says: exponent, alpha, the price of half, and the forecast."""
    cards, all_points, noun = [], _of_all_points(support), report.quantity.noun
    what = report.resource
    plain, b = costs.law(report, "power_law_ols"), costs.exponent(report)
    local = report.local_exponent
    if plain is not None and b is not None and misfit.rejected(plain):
        bends = f"the power law (b {number(b.value)}) is rejected"
        if local is not None:
            note = f"{report.percent} {interval(local.exponent.interval)}; {bends}{all_points}"
            cards.append(Card("Exponent at the largest run", number(local.exponent.value), note))
        else:
            cards.append(Card("Exponent b", "none", f"{bends}: the curve bends{all_points}"))
        cards.append(_halving_card(report, support))
    elif plain is not None and b is not None:
        note = f"{report.percent} {interval(b.interval)}; {noun} ∝ {what.short} to the −b{all_points}"
        cards.append(Card("Exponent b", number(b.value), note))
        if plain.paper_alpha is not None:
            note = f"{report.percent} {interval(plain.paper_alpha.interval)}; per {what.name}{all_points}"
            cards.append(Card("alpha = 1/b", number(plain.paper_alpha.value), note))
        cards.append(_halving_card(report, support))
    return cards


def _of_optimal(optimal: OptimalTraining, support: FloorSupport | None) -> list[Card]:
    """Return what training at the best size of each budget comes to, by the joint law."""
    floor, largest, ahead = optimal.floor, optimal.largest, optimal.ahead
    ratio, above = (
        number(ahead.compute / largest.compute, 2),
        "loss above E" if optimal.floor_identified else "loss",
    )
    exponent, half = optimal.exponent, optimal_training.halving(optimal)
    beyond, at_largest = (
        "; its size or bytes lie outside those measured" if at.outside else "" for at in (ahead, largest)
    )
    return [
        Card(
            "Exponent, best sizes",
            number(exponent.value),
            f"95% {interval(exponent.interval)}; {above} ∝ compute to its negative{_of_all_points(support)}",
        ),
        Card(
            "Irreducible loss E",
            amount(floor.value, target.TEST_BITS) if optimal.floor_identified else "not identified",
            f"95% {optimal_training.bounds(floor)}",
        ),
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
        Card(
            f"To halve the {above}", f"×{number(half.value, 2)}", f"compute, 95% {interval(half.interval, 2)}"
        ),
    ]


def _compute(rows: pd.DataFrame, resource: Axis | None) -> list[Card]:
    """Return the training compute of all runs, or the range of another x of a table of the user's own."""
    column = "train_gflops" if resource is None or resource.of_training else resource.column
    compute = rows[column].dropna()
    if not len(compute):
        return []
    if resource is not None and not resource.of_training:
        span = f"{number(compute.min())} to {number(compute.max())}"
        unit = resource.unit or resource.short
        return [Card(capital(resource.name), span, f"{unit}, over all runs")]
    span = f"one run: {units.gflops(compute.min())} to {units.gflops(compute.max())}"
    return [Card("Training compute", units.gflops(bill.total(rows, "train_gflops")), span)]


def _used(rows: pd.DataFrame, resource: Axis | None) -> list[Card]:
    """Return what all runs used and cost; what points of one trunk share is counted once.

    What a table of the user's own (`resource` is its x) lacks is not said.
    """
    cards = _compute(rows, resource)
    joules, net = rows["energy_joules"].dropna(), rows["net_joules"].dropna()
    if len(joules):
        known = len(net) == len(joules)
        above_idle = f", {units.joules(bill.total(rows, 'net_joules'))} above idle" if known else ""
        whence = "by --gpu-watts, not metered" if bill.is_by_rate(rows) else "known"
        note = f"{whence} for {plural(len(joules), 'run')}{above_idle}"
        cards.append(Card("Training energy", units.joules(bill.total(rows, "energy_joules")), note))
    elif resource is None:
        cards.append(Card("Training energy", "unknown", "see the reason below"))
    if resource is None or rows["train_seconds"].notna().any():
        time = seconds(bill.total(rows, "train_seconds"))
        cards.append(Card("Training time", time, "summed over runs"))
    for name, title, show in (("dollars", "Price", units.dollars), ("grams_co2", "CO2", units.grams)):
        if rows[name].notna().any():
            note = f"known for {plural(int(rows[name].notna().sum()), 'run')}; see the bill"
            cards.append(Card(title, show(bill.total(rows, name)), note))
    return cards


def cards(
    table: RunTable,
    report: FitReport | None,
    support: FloorSupport | None,
    optimal: OptimalTraining | None = None,
    resource: Axis | None = None,
    quantity: Quantity | None = None,
) -> tuple[Card, ...]:
    """Return the headline numbers of a sweep.

    Args:
        table: the runs, and the records that were dropped.
        report: the fit against training compute.
        support: what it says without undertrained shapes, where there are any.
        optimal: compute-optimal training, which comes in place of the law through all runs.
        resource: x of a table of the user's own, None for a sweep, whose records say what it took.
        quantity: what the rows are judged on; of a sweep's, it is known.
    """
    rows = table.rows
    quantity = quantity or target.of(rows).quantity
    cards = _of_optimal(optimal, support) if optimal else _of_compute(report, support) if report else []
    if len(rows):
        best = rows.sort_values(quantity.column).iloc[0]
        least = amount(float(best[quantity.column]), quantity)
        note = f"{best['label']}{seed_after(dict(best))}"
        cards.append(Card(f"Least {quantity.name}", least, note))
    shapes = plural(rows["config_id"].nunique(), "configuration")
    seeds = rows["seed"].nunique()
    of_seeds = f", {plural(seeds, 'seed')}" if seeds else ""
    cards.append(Card("Runs", f"{len(rows):,}", f"of {shapes}{of_seeds}"))
    cards += _used(rows, resource)
    forecast = _forecast_card(report, support) if report and not optimal else None
    if forecast is not None:
        cards.insert(min(3, len(cards)), forecast)
    excluded = len(report.excluded) if report else 0
    cards.append(
        Card("Left out", f"{len(table.dropped) + excluded:,}", "dropped or not fitted, with reasons")
    )
    return tuple(cards)
