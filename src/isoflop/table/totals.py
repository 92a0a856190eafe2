"""Rows of totals at the end of a table, which are no runs.

Good runs are never to be lost: a row is left out only where its name says what it is and no number speaks
against that, or where its numbers are exactly the sums or means. In doubt it is kept, with a note.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.table import columns

Array = npt.NDArray[np.float64]

KINDS = {
    "sum": ("total", "totals", "grand total", "subtotal", "sub total", "sum"),
    "mean": ("mean", "average", "avg"),
    "median": ("median", "50%"),
    "std": ("std", "std dev", "stddev", "stdev", "st dev", "sd", "standard deviation"),
    "min": ("min", "minimum"),
    "max": ("max", "maximum"),
    "count": ("count",),
}
"""Texts, in lower case, that name a row of totals, by what it holds; also 25% and the like, quantiles."""
LEAST_ROWS = 3
CLOSE = 1e-3
"""Relative difference up to which a value is the sum or mean that its row is named after: maybe rounded."""
EXACT = 1e-9
"""The same where no name says so: the rounding of sums of floats."""

_QUANTILE = re.compile(r"(\d+(?:\.\d+)?)%")
_NAME = re.compile(r"(?<![a-z])(names?|runs?|id|model|label|experiment|index|row)(?![a-z])|column 1$")
"""Headers, in lower case, of columns of row names; `column 1` is what a column without a header is called."""


@dataclasses.dataclass(frozen=True)
class Found:
    """Rows of totals, index -> why each is taken for one, and notes on rows that are kept in doubt."""

    rows: dict[int, str]
    doubts: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Named:
    """A row that a word calls a total: its position, the column and the cell that say so, what it holds."""

    at: int
    column: str
    cell: str
    kind: str


def find(raw: pd.DataFrame, x: str, y: str, seed: str | None = None) -> Found:
    """Return the rows at the end of a table that hold totals.

    Only the last rows are looked at, up to the first that neither its name nor its numbers call a total; rows
    without x and y, such as remarks, are passed over. A word counts in the column of row names, or in one of
    numbers, where no row above has it.

    Args:
        raw: the rows as read, named by the index.
        x, y: the columns that are fitted.
        seed: the column that repeats a configuration, if there is one.
    """
    if len(raw) <= LEAST_ROWS:
        return Found({}, ())
    text, of_numbers = _label_columns(raw, x, y)
    unnamed_by = list(dict.fromkeys(name for name in (text, seed, *_seeds(raw, x, y)) if name is not None))
    at = len(raw)
    named: list[_Named] = []
    unnamed: list[int] = []
    while at > LEAST_ROWS:
        row = raw.iloc[at - 1]
        word = _named(raw, at - 1, [*of_numbers, *([text] if text is not None else [])])
        if word is not None:
            named.append(word)
        elif _unknown(row[x]) and _unknown(row[y]):
            pass
        elif all(_unknown(row[name]) for name in unnamed_by) if unnamed_by else not (unnamed or named):
            unnamed.append(at - 1)
        else:
            break
        at -= 1
    above = raw.iloc[:at]
    rows, doubts = _judge_named(raw, above, named, (x, y))
    for position in unnamed:
        if _sums_up(raw.iloc[position], above, (x, y), means_count=bool(unnamed_by)):
            rows[raw.index[position]] = f"a row of totals: {x} and {y} are sums or means of the rows above"
    return Found(rows, tuple(doubts))


def _label_columns(raw: pd.DataFrame, x: str, y: str) -> tuple[str | None, list[str]]:
    """Return the column of row names, None if there is none, and the columns that begin with numbers."""
    head = raw.iloc[:LEAST_ROWS]
    values = {str(name): [columns.number(cell) for cell in head[name]] for name in raw}
    texts = [name for name, seen in values.items() if None in seen and name not in (x, y)]
    texts.sort(key=lambda name: not _NAME.search(name.lower()))
    of_numbers = [
        name for name, seen in values.items() if all(n is not None and not math.isnan(n) for n in seen)
    ]
    return (texts[0] if texts else None), of_numbers


def _seeds(raw: pd.DataFrame, x: str, y: str) -> list[str]:
    return [name for name in map(str, raw.columns) if name.lower() == "seed" and name not in (x, y)]


def _named(raw: pd.DataFrame, at: int, of: Iterable[str]) -> _Named | None:
    """Return the row at a position as a named total: in one of the columns a word that no row above has."""
    for column in of:
        cell = raw[column].iloc[at]
        kind = _kind(cell)
        if kind is not None and all(_word(other) != _word(cell) for other in raw[column].iloc[:at]):
            return _Named(at, column, str(cell), kind)
    return None


def _word(cell: object) -> str | None:
    """Return a cell's words in lower case, without marks between them; the point of 2.5% stays."""
    if not isinstance(cell, str):
        return None
    return re.sub(r"(?:[\s_-]|\.(?!\d))+", " ", cell.strip().rstrip(":").lower()).strip()


def _kind(cell: object) -> str | None:
    """Return what a row holds by its name: a key of KINDS, a quantile such as 25%, or None."""
    word = _word(cell)
    if word is None:
        return None
    kind = next((kind for kind, words in KINDS.items() if word in words), None)
    return kind or (word if _QUANTILE.fullmatch(word) else None)


def _unknown(cell: object) -> bool:
    number = columns.number(cell)
    return number is not None and math.isnan(number)


def _judge_named(
    raw: pd.DataFrame, above: pd.DataFrame, named: list[_Named], axes: tuple[str, str]
) -> tuple[dict[int, str], list[str]]:
    """Return which rows with such names are totals, index -> why, and a note on each that is kept.

    A name in a column whose header and values are those of row names is enough if no number is out of the
    range that it allows. In another column, which may hold a setting such as pooling=mean, the numbers of one
    row must be what its name says, and then those below and above it are believed too.
    """
    rows, doubts = {}, []
    for each in named:
        alike = [other for other in named if other.column == each.column]
        proved = any(_fits(raw.iloc[other.at], above, other.kind, axes, exact=True) for other in alike)
        names_rows = bool(_NAME.search(each.column.lower())) and above[each.column].is_unique
        possible = _fits(raw.iloc[each.at], above, each.kind, axes, exact=False)
        index = raw.index[each.at]
        if possible and (proved or names_rows):
            rows[index] = f"a row of totals: {each.column} is {each.cell} (rename it if it is a run)"
        else:
            doubts.append(
                f"row {index} is kept as a run: {each.column} is {each.cell}, which its numbers do not bear "
                "out: remove the row if it is none"
            )
    return rows, doubts


def _fits(row: columns.Column, above: pd.DataFrame, kind: str, axes: tuple[str, str], *, exact: bool) -> bool:
    """Return whether x and y are what the kind of total says, or with exact=False, whether they may be.

    Args:
        row: its cells.
        above: the rows it would sum up.
        kind: as _kind returns it.
        axes: names of x and y.
        exact: whether the numbers must be equal, up to CLOSE, or only within what is possible.
    """
    judged = 0
    for name in axes:
        value, values = columns.number(row[name]), _known(above[name])
        if value is None or math.isnan(value) or len(values) < LEAST_ROWS:
            continue
        judged += 1
        equal = np.isclose(value, _amounts(kind, values), rtol=CLOSE, atol=0.0).any()
        low, high = _range(kind, values)
        if not equal and (exact or not low <= value <= high):
            return False
    return judged > 0 or not exact


def _known(column: columns.Column) -> Array:
    values: Array = np.array([columns.number(cell) for cell in column], dtype=float)
    finite: Array = values[np.isfinite(values)]
    return finite


def _amounts(kind: str, values: Array) -> list[float]:
    """Return what a total of this kind may be; a row called total may hold the mean of one column."""
    quantile = _QUANTILE.fullmatch(kind)
    if quantile:
        return [float(np.quantile(values, min(float(quantile[1]) / 100, 1.0)))]
    amounts = {
        "sum": [values.sum(), values.mean()],
        "mean": [values.mean()],
        "median": [np.median(values)],
        "std": [values.std(ddof=1), values.std()],
        "min": [values.min()],
        "max": [values.max()],
        "count": [float(len(values))],
    }
    return [float(amount) for amount in amounts[kind]]


def _range(kind: str, values: Array) -> tuple[float, float]:
    """Return the least and largest value that a total of this kind may have, however it was computed."""
    low, high = float(values.min()), float(values.max())
    if kind == "sum":
        return (low if low >= 0 else -math.inf), math.inf
    if kind == "std":
        return 0.0, high - low
    return (0.0, float(len(values))) if kind == "count" else (low, high)


def _sums_up(row: columns.Column, above: pd.DataFrame, axes: tuple[str, str], *, means_count: bool) -> bool:
    """Return whether x and y of a row without a name are exactly the sums or means of the rows above.

    A mean of x that is also an x above is no sign: a run in the middle of a grid, repeated at the end. Nor
    is a mean of y where nothing in the row is empty: it may be any run.
    """
    sums = []
    for name in axes:
        value, values = columns.number(row[name]), _known(above[name])
        if value is None or len(values) < LEAST_ROWS:
            return False
        is_sum = math.isclose(value, values.sum(), rel_tol=EXACT)
        if not is_sum and not math.isclose(value, values.mean(), rel_tol=EXACT):
            return False
        sums.append(is_sum)
    if not means_count:
        return all(sums)
    return sums[0] or columns.number(row[axes[0]]) not in _known(above[axes[0]])
