"""Rows of text as lines with columns."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines, each column as wide as its longest text; a last text of a short row is not."""
    columns = max(map(len, rows))
    widths = [
        max(
            (len(row[i]) for row in rows if len(row) > i and (len(row) == columns or i < len(row) - 1)),
            default=0,
        )
        for i in range(columns)
    ]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]
