"""The first screen of a fit in one resource: curve, laws, forecast and notes in 24 lines of 80 columns."""

from __future__ import annotations

import math

from rich.table import Table

from isoflop.cli.terminal.console import OUT
from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.result import FitFile
from isoflop.report.text import notes
from isoflop.report.text.first_screen import first_screen

LINES = 24


def show(fits: FitFile, *, every_note: bool = False, support: FloorSupport | None = None) -> None:
    """Print what a fit says in a screen.

    Args:
        fits: the fit.
        every_note: print all notes, however many lines they take.
        support: what the fit says without undertrained shapes, where that is known.
    """
    said = first_screen(fits, OUT.width, support=support)
    for line in said.curve:
        OUT.print(line, markup=False)
    OUT.print(_table(said.laws))
    for line in said.result:
        OUT.print(line, markup=False)
    # The prompt takes the last line of the screen.
    left = LINES - 1 - sum(map(_lines, (*said.curve, *said.result, *said.last))) - len(said.laws)
    also = "; --full: alpha, errors, rows left out"
    for line in notes.lines_of(said.notes, OUT.width, every=every_note, most_lines=left, also=also):
        OUT.print(line, markup=False)
    for line in said.last:
        OUT.print(line, markup=False)


def _table(rows: tuple[tuple[str, ...], ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in rows[0]:
        table.add_column(name, no_wrap=True)
    for row in rows[1:]:
        table.add_row(*row)
    return table


def _lines(text: str) -> int:
    """Return the lines that a text takes on the screen."""
    return max(1, math.ceil(len(text) / OUT.width))
