"""Rows chosen by a condition: those that --where keeps, and those that --hold-out judges and does not fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from isoflop.table import evaluate, expression
from isoflop.table.expression import Expression

SHOWN = 6
"""Words of a column that a message names."""


@dataclasses.dataclass(frozen=True)
class Split:
    """`held_rows` meet the rule, `fit_rows` do not; `unknown` counts rows in neither, which lack a value."""

    fit_rows: pd.DataFrame
    held_rows: pd.DataFrame
    unknown: int


def split(table: pd.DataFrame, text: str, option: str = "hold-out") -> Split:
    """Return the rows that do not meet a condition and those that do, both in the table's order.

    A row is in neither part where an unknown value would decide.

    Args:
        table: the rows.
        text: the condition (expression.parse).
        option: that takes it, for messages.

    Raises:
        ValueError: the expression is no condition over the columns, or a side is empty.
    """
    parsed = expression.parse(text, table.columns, option)
    held = evaluate.truths(parsed, table)
    for side, what in ((held.true, "no row is held out"), (held.false, "no row is left to fit")):
        if not side.any():
            raise parsed.error(f"{what}{_held_by(parsed, table)}")
    return Split(table[held.false], table[held.true], int((~held.true & ~held.false).sum()))


def where(table: pd.DataFrame, text: str | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the rows that meet the condition of --where, and a note on how many these are.

    Without a condition they are all rows, and there is no note. Rows where an unknown value would decide are
    left out and counted.

    Raises:
        ValueError: the expression is no condition over the columns, or no row meets it.
    """
    if text is None:
        return table, ()
    parsed = expression.parse(text, table.columns, "where")
    held = evaluate.truths(parsed, table)
    if not held.true.any():
        raise parsed.error(f"no row is left{_held_by(parsed, table)}")
    unknown = int((~held.true & ~held.false).sum())
    note = f"--where {text}: {int(held.true.sum())} of {len(table)} rows"
    if unknown:
        note += f"; {unknown} without a value that decides are left out"
    return table[held.true], (note,)


def _held_by(parsed: Expression, table: pd.DataFrame) -> str:
    """Return what the columns of an expression hold, for an error message."""
    said = [_contents(name, evaluate.column(table, name)) for name in parsed.columns]
    known = [each for each in said if each is not None]
    return f": {', '.join(known)}" if known else ""


def _contents(name: str, value: evaluate.Value) -> str | None:
    if isinstance(value, evaluate.Numbers):
        known = value.array[~np.isnan(value.array)]
        return f"{name} is from {known.min():g} to {known.max():g}" if len(known) else f"{name} is unknown"
    if isinstance(value, evaluate.Truths):
        return f"{name} is true in {int(value.true.sum())} rows"
    words = list(dict.fromkeys(word for word in value.array if word is not None))
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return f"{name} is {', '.join(words[:SHOWN])}{more}" if words else f"{name} is unknown"
