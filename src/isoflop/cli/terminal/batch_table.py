"""Steps against examples on the terminal: a row a batch size, the critical size, and what follows from it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from isoflop.cli.terminal import notes
from isoflop.cli.terminal.left_out import show_excluded
from isoflop.curve.batch.result import CriticalBatch
from isoflop.report.text import batch_lines
from isoflop.report.text.notes import Note


def show(fit: CriticalBatch, out: Console) -> None:
    """Print the table, the fit with its intervals, the limits and what to beware of."""
    out.print(f"{fit.source}: {batch_lines.heading(fit)}", markup=False)
    table = Table(box=None, pad_edge=False)
    for name in batch_lines.columns(fit):
        table.add_column(name, justify="right")
    for row in batch_lines.rows(fit):
        table.add_row(*row)
    out.print(table)
    for line in (*batch_lines.found(fit), *batch_lines.limits(fit), *batch_lines.left_out(fit)):
        out.print(line, markup=False)
    show_excluded(fit.excluded, out)
    notes.show([Note(warning) for warning in fit.warnings], every=True, out=out)
