"""Rows of totals at the end of a table, which are no runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.table import columns

Array = npt.NDArray[np.float64]

NAMES = frozenset(
    {"total", "totals", "grand total", "subtotal", "sum", "mean", "average", "avg", "median", "std"}
)
"""Texts, in lower case, that name a row of totals in whichever column they stand."""
LEAST_ROWS = 3
CLOSE = 1e-3
"""Relative difference up to which a value is the sum or mean of those above, which may have been rounded."""


def find(raw: pd.DataFrame, x: str, y: str) -> dict[int, str]:
    """Return the rows at the end of a table that hold totals: index -> why it is taken for one.

    A row is one if a cell says so in a word of NAMES, or if both x and y are the sum or the mean of the
    rows above. Only the last rows are looked at, up to the first that is none.

    Args:
        raw: the rows as read, named by the index.
        x, y: the columns that are fitted.
    """
    found: dict[int, str] = {}
    for at in range(len(raw) - 1, LEAST_ROWS - 1, -1):
        row = raw.iloc[at]
        name = next((column for column in raw.columns if _names_totals(row[column])), None)
        if name is not None:
            found[raw.index[at]] = f"a row of totals: {name} is {row[name]} (rename it if it is a run)"
        elif _sums_up(raw[x].iloc[: at + 1]) and _sums_up(raw[y].iloc[: at + 1]):
            found[raw.index[at]] = f"a row of totals: {x} and {y} are sums or means of the rows above"
        else:
            break
    return found


def _names_totals(cell: object) -> bool:
    return isinstance(cell, str) and cell.strip().rstrip(":").lower() in NAMES


def _sums_up(column: columns.Column) -> bool:
    """Return whether the last value is the sum or the mean of the others, as far as those are known."""
    values = np.array([columns.number(value) for value in column], dtype=float)
    last, above = values[-1], values[:-1][np.isfinite(values[:-1])]
    if len(above) < LEAST_ROWS:
        return False
    return bool(np.isclose(last, [above.sum(), above.mean()], rtol=CLOSE, atol=0.0).any())
