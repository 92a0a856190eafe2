"""Rows held out by a rule that is fixed before the fit: 'train_gflops>1e6 and width!=64'."""

from __future__ import annotations

import dataclasses
import math
import operator
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.table import columns

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

OPERATORS: dict[str, Callable[[Array, float], Mask]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_COMPARISON = re.compile(
    r"\s*(?P<column>[^<>=!]+?)\s*(?P<sign>>=|<=|==|!=|>|<)\s*(?P<value>'[^']*'|\"[^\"]*\"|[^<>=!\s]+)"
    r"(?:\s+and\s+(?=\S)|\s*$)"
)


@dataclasses.dataclass(frozen=True)
class Condition:
    """A comparison of a column with a number or, for == and !=, a text."""

    column: str
    sign: str
    value: float | str


@dataclasses.dataclass(frozen=True)
class Rule:
    """Rows are held out if all conditions hold. `expression` is the rule as the user wrote it."""

    expression: str
    conditions: tuple[Condition, ...]


@dataclasses.dataclass(frozen=True)
class Split:
    """`held_rows` meet the rule, `fit_rows` do not; `unknown` counts rows in neither, which lack a value."""

    fit_rows: pd.DataFrame
    held_rows: pd.DataFrame
    unknown: int


def parse(expression: str) -> Rule:
    """Parse COLUMN OPERATOR VALUE, several joined by `and`, to a rule.

    A column's name may hold spaces; a value in quotes is text even if it could be a number.

    Raises:
        ValueError: the expression does not parse.
    """
    conditions, at = [], 0
    while match := _COMPARISON.match(expression, at):
        conditions.append(_condition(expression, match))
        at = match.end()
    if at < len(expression) or not conditions:
        raise _refused(expression)
    return Rule(expression, tuple(conditions))


def split(table: pd.DataFrame, rule: Rule) -> Split:
    """Return the rows to fit and the rows that are held out, both in the table's order.

    A row is held out if all conditions hold, fitted if one is known not to hold, and in neither part if an
    unknown value would decide.

    Raises:
        ValueError: there is no such column, it holds text where numbers are compared, or a side is empty.
    """
    holds = np.ones(len(table), dtype=bool)
    fails = np.zeros(len(table), dtype=bool)
    for condition in rule.conditions:
        true, known = _compare(table, condition, rule.expression)
        holds &= true
        fails |= known & ~true
    for side, what in ((holds, "no row is held out"), (fails, "no row is left to fit")):
        if not side.any():
            raise ValueError(f"--hold-out {rule.expression}: {what}{_ranges(table, rule)}")
    return Split(table[fails], table[holds], int((~holds & ~fails).sum()))


def _condition(expression: str, match: re.Match[str]) -> Condition:
    column, sign, text = match["column"], match["sign"], match["value"]
    if text[0] in "'\"":
        value: float | str = text[1:-1]
    else:
        try:
            value = float(text)
        except ValueError:
            value = text
    if isinstance(value, str) and sign not in ("==", "!="):
        raise _refused(expression, f"{column} {sign} {text} compares with a text. ")
    if isinstance(value, float) and not math.isfinite(value):
        raise _refused(expression, f"{text} is no bound. ")
    return Condition(column, sign, value)


def _refused(expression: str, why: str = "") -> ValueError:
    return ValueError(
        f"--hold-out {expression}: {why}Give a column, one of {' '.join(OPERATORS)}, and a number, such as "
        "'train_gflops>1e6'; join several by and"
    )


def _compare(table: pd.DataFrame, condition: Condition, expression: str) -> tuple[Mask, Mask]:
    """Return where the condition holds and where that is known, (n,) each."""
    if condition.column not in table:
        nearest = columns.nearest(condition.column, map(str, table.columns))
        raise ValueError(f"--hold-out {expression}: no column {condition.column}: {nearest}")
    column = table[condition.column]
    if isinstance(condition.value, str):
        if pd.api.types.is_numeric_dtype(column):
            raise ValueError(
                f"--hold-out {expression}: {condition.column} holds numbers, not text like {condition.value}"
            )
        known = column.notna().to_numpy(bool)
        same = (column.astype(object) == condition.value).to_numpy(bool)
        return known & (same if condition.sign == "==" else ~same), known
    try:
        values = np.asarray(pd.to_numeric(column), dtype=float)
    except (ValueError, TypeError):
        raise ValueError(
            f"--hold-out {expression}: {columns.holds_text(table, condition.column)}: compare it by == or != "
            "with a text in quotes"
        ) from None
    known = ~np.isnan(values)
    return known & OPERATORS[condition.sign](values, condition.value), known


def _ranges(table: pd.DataFrame, rule: Rule) -> str:
    """Return the ranges of the compared columns of numbers, for an error message."""
    ranges = []
    for name in dict.fromkeys(c.column for c in rule.conditions if isinstance(c.value, float)):
        values = np.asarray(pd.to_numeric(table[name]), dtype=float)
        known = values[~np.isnan(values)]
        if len(known):
            ranges.append(f"{name} is from {known.min():g} to {known.max():g}")
    return f": {', '.join(ranges)}" if ranges else ""
