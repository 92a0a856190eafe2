"""Numbers in large type, each with one line of context: what the runs used, and the best of them."""

from __future__ import annotations

import dataclasses

import pandas as pd

from isoflop.report import bill
from isoflop.report.text import units
from isoflop.report.text.amounts import amount, seed_after
from isoflop.report.text.numerals import number, plural, seconds
from isoflop.table.aggregate import RunTable
from isoflop.table.axis import Axis, capital
from isoflop.table.target import Quantity


@dataclasses.dataclass(frozen=True)
class Card:
    """A headline number with its title and one line of context."""

    title: str
    value: str
    note: str


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

    What is not known is not said.
    """
    cards = _compute(rows, resource)
    joules, net = rows["energy_joules"].dropna(), rows["net_joules"].dropna()
    if len(joules):
        known = len(net) == len(joules)
        above_idle = f", {units.joules(bill.total(rows, 'net_joules'))} above idle" if known else ""
        whence = "by --gpu-watts, not metered" if bill.is_by_rate(rows) else "known"
        note = f"{whence} for {plural(len(joules), 'run')}{above_idle}"
        cards.append(Card("Training energy", units.joules(bill.total(rows, "energy_joules")), note))
    if rows["train_seconds"].notna().any():
        time = seconds(bill.total(rows, "train_seconds"))
        cards.append(Card("Training time", time, "summed over runs"))
    for name, title, show in (("dollars", "Price", units.dollars), ("grams_co2", "CO2", units.grams)):
        if rows[name].notna().any():
            note = f"known for {plural(int(rows[name].notna().sum()), 'run')}; see the bill"
            cards.append(Card(title, show(bill.total(rows, name)), note))
    return cards


def least(rows: pd.DataFrame, quantity: Quantity) -> list[Card]:
    """Return the least error or loss, and which run reached it."""
    known = rows.dropna(subset=[quantity.column])
    if known.empty:
        return []
    best = known.sort_values(quantity.column).iloc[0]
    value = amount(float(best[quantity.column]), quantity)
    return [Card(f"Least {quantity.name}", value, f"{best['label']}{seed_after(dict(best))}")]


def sizes(table: RunTable, resource: Axis | None = None) -> list[Card]:
    """Return how many runs there are, and what all of them used and cost.

    Args:
        table: the runs.
        resource: x of a table of the user's own, None for a sweep, whose records say what it took.
    """
    rows = table.rows
    shapes, seeds = plural(rows["config_id"].nunique(), "configuration"), rows["seed"].nunique()
    of_seeds = f", {plural(seeds, 'seed')}" if seeds else ""
    return [Card("Runs", f"{len(rows):,}", f"of {shapes}{of_seeds}"), *_used(rows, resource)]
