"""CSV files that a spreadsheet may open: text that it would run as a formula is marked, and read back equal.

A cell of text that begins with = + - @, a tab or a line break gets an apostrophe in front (OWASP, "CSV
Injection"), by which spreadsheets know text. Numbers, negative ones too, are written as they are.
"""

from __future__ import annotations

import re

import pandas as pd

from isoflop.table import columns

MARK = "'"
_FORMULA = re.compile(r"'*(?P<text>[=+\-@\t\r\n].*)", re.DOTALL)


def marked(cell: str) -> str:
    """Return the text of a cell as it is written: with one apostrophe more in front of a formula."""
    return MARK + cell if _is_formula(cell) else cell


def unmarked(cell: str) -> str:
    """Return the text that `marked` wrote as `cell`; other cells are returned as they are."""
    return cell[1:] if cell.startswith(MARK) and _is_formula(cell) else cell


def to_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV with a header and without its index, text marked."""
    written = frame.copy()
    for name in frame:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            cells = [_cell(value) for value in frame[name]]
            written[name] = pd.Series(cells, frame.index, dtype=object)
    written.columns = pd.Index([marked(str(name)) for name in frame])
    return written.to_csv(index=False)


def _cell(value: object) -> object:
    return marked(value) if isinstance(value, str) else value


def _is_formula(cell: str) -> bool:
    """Return whether a spreadsheet would run the text, were it not for the apostrophes before it."""
    match = _FORMULA.fullmatch(cell)
    if match is None:
        return False
    number = columns.number(match["text"])
    return number is None or match["text"][0] not in "+-"  # -0.5 is a number, a tab before it is not
