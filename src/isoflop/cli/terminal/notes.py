"""Notes on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from isoflop.cli.terminal.console import OUT
from isoflop.report.text.notes import Note, lines_of


def show(given: Iterable[Note], *, every: bool, out: Console = OUT) -> None:
    """Print notes: `every` one in full, else at most five, and how many more there are."""
    for line in lines_of(given, out.width, every=every):
        out.print(line, markup=False)
