"""Columns that options name: those of the table, and those calculated from them, such as '1 - acc1'."""

from __future__ import annotations

import ast
import re

import numpy as np
import pandas as pd

from isoflop.table import columns, evaluate, expression
from isoflop.table.expression import Expression

_CALCULATES = re.compile(r"[-+*/()`'\"<>=&|^%\[\]]")
"""What a text must hold to be tried as an expression, where no column has that name."""
_OF_COUNTS = "_error"
"""Ending of columns that hold shares of counted examples (points.select): a calculated column is none."""


def resolve(table: pd.DataFrame, text: str, option: str) -> tuple[pd.DataFrame, str]:
    """Return the table and the name of the column that an option means.

    It is the column called `text` (columns.find) or, where there is none, a new one with the values of the
    expression, named by it; then `NAME_reason` holds why a value is unknown.

    Raises:
        ValueError: there is no such column, or the expression is not one of numbers (expression.parse).
    """
    parsed = _parsed(table, text, option)
    if isinstance(parsed, str):
        return table, parsed
    values = evaluate.numbers(parsed, table)
    name = " ".join(text.split())
    name = f"({name})" if name.endswith(_OF_COUNTS) else name
    table = table.assign(**{name: values})
    return table.assign(**{f"{name}_reason": _reasons(parsed, table, values)}), name


def calculates(table: pd.DataFrame, text: str) -> bool:
    """Return whether a text is an expression and no column's name."""
    return bool(_CALCULATES.search(text)) and text not in table


def stand_in(table: pd.DataFrame, text: str, option: str) -> str:
    """Return a column of the table itself: that called `text`, or the first that the expression reads.

    Raises ValueError as `resolve`.
    """
    parsed = _parsed(table, text, option)
    return parsed if isinstance(parsed, str) else parsed.columns[0]


def behind(table: pd.DataFrame, name: str) -> frozenset[str]:
    """Return a column with those that `resolve` calculated it from, if it did."""
    if not _CALCULATES.search(name):
        return frozenset({name})
    others = [other for other in map(str, table.columns) if other not in (name, f"{name}_reason")]
    inner = name[1:-1] if name.startswith("(") and name.endswith(f"{_OF_COUNTS})") else name
    try:
        read = expression.parse(inner, others, "x").columns
    except ValueError:
        return frozenset({name})
    return frozenset({name, *read})


def _parsed(table: pd.DataFrame, text: str, option: str) -> Expression | str:
    """Return the column that is meant, or the expression."""
    if columns.matches(text, map(str, table.columns)) or not _CALCULATES.search(text):
        return columns.find(table, text, option)
    parsed = expression.parse(text, table.columns, option)
    if not parsed.columns:
        raise parsed.error(
            "no column is named: give one, or arithmetic of columns such as 6 * params * tokens"
        )
    return parsed.names[parsed.body.id] if isinstance(parsed.body, ast.Name) else parsed


def _reasons(parsed: Expression, table: pd.DataFrame, values: evaluate.Array) -> pd.Series[str]:
    """Return why each value is unknown, None where it is known."""
    reasons = np.full(len(table), None, dtype=object)
    unknown = np.isnan(values)
    reasons[unknown] = "not defined for these values"
    for name in reversed(parsed.columns):
        value = evaluate.column(table, name)
        if isinstance(value, evaluate.Numbers):
            reasons[unknown & np.isnan(value.array)] = f"{name} is unknown"
    return pd.Series(reasons, table.index, dtype=object)
