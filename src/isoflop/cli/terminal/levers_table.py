"""Levers on the terminal: one table with a row a lever, sentences, and what is not compared."""

from __future__ import annotations

import textwrap

from rich.console import Console
from rich.table import Table

from isoflop.cli.terminal import notes
from isoflop.curve.levers.result import LeversReport
from isoflop.report.text import lever_lines, lever_sentences
from isoflop.report.text.notes import Note

WIDTHS = (None, 12, 12, 5, 15, 6, 12)
"""Of the columns, whose titles take two lines; the names of levers have the rest."""


def show(report: LeversReport, out: Console) -> None:
    """Print the table, how to read it, what it says, and what is not in it."""
    out.print(f"{report.source}: {lever_lines.heading(report)}", markup=False)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name, width in zip(lever_lines.COLUMNS, WIDTHS, strict=True):
        table.add_column(name, width=width, overflow="fold")
    for row in lever_lines.cells(report):
        table.add_row(*("\n".join(cell) for cell in row))
    out.print(table)
    for line in lever_lines.legend(report):
        out.print(_wrapped(line, out), style="dim", markup=False)
    for line in (*lever_sentences.sentences(report), *lever_lines.missing(report)):
        out.print(_wrapped(line, out), markup=False)
    said = [*report.warnings, *(f"{row.name}: {each}" for row in report.levers for each in row.warnings)]
    notes.show([Note(each) for each in said], every=False, out=out)


def _wrapped(text: str, out: Console) -> str:
    return "\n".join(textwrap.wrap(text, out.width, break_on_hyphens=False))
