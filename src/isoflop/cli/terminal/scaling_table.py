"""Measured scaling on the terminal: a table for each payload, and what its rows come to."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from isoflop.parallel.scaling import Group
from isoflop.report.text import scaling as scaling_text


def show(groups: Sequence[Group], out: Console) -> None:
    """Print the groups one below the other, and what the columns mean."""
    for group in groups:
        out.print(scaling_text.title(group), markup=False)
        out.print(_table(group))
        for line in scaling_text.lines(group):
            out.print(Padding(line, (0, 0, 0, 2)), markup=False, soft_wrap=False)
        out.print()
    for note in scaling_text.notes(groups):
        out.print(note, markup=False, soft_wrap=False)


def _table(group: Group) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in scaling_text.columns(group):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for row in scaling_text.rows(group):
        table.add_row(*row)
    return table
