"""What the terminal shows of runs and sweeps, beside the bars of api.progress."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from isoflop.api.result_text import bits, outcome
from isoflop.record import Energy, Record
from isoflop.report.text.numerals import percent
from isoflop.table import target, text_columns

if TYPE_CHECKING:  # pandas takes most of a second, and the progress of a run needs none of it
    import pandas as pd

    from isoflop.paper.section import PaperSection
    from isoflop.table.aggregate import RunTable

OUT = Console(soft_wrap=True, highlight=False)
if not OUT.is_terminal and "COLUMNS" not in os.environ:
    OUT.width = 100  # of a file or a pipe, where rich would fold tables at 80 columns


def show_run(record: Record) -> None:
    """Print one run in a few lines."""
    OUT.print(f"{record.run_id}  {outcome(record)}  [{record.state}]", markup=False)
    if record.state != "done":
        OUT.print(f"  {record.reason}", markup=False)
    if record.error and record.time:
        OUT.print(f"  {_score(record)}", markup=False)
        OUT.print(f"  {record.time.train_seconds:.2f} s of training", markup=False)
        joules = _joules(record.energy) if record.energy else record.energy_reason
        OUT.print(f"  energy: {joules}", markup=False)


def _score(record: Record) -> str:
    """Return the test error with its interval, or the test loss of text with its error over documents."""
    assert record.error is not None
    if text_columns.domain(record) != target.TEXT or record.loss is None:
        test, low, high = map(percent, (record.error.test, record.error.ci_low, record.error.ci_high))
        return f"test error {test}, Wilson 95% {low} to {high}"
    error = record.loss.test_document_se_nats
    known = f"standard error over documents {bits(error)}" if error is not None else ""
    unknown = f"standard error unknown ({record.loss.test_document_se_nats_reason})"
    return f"test loss {bits(record.loss.test)}, {known or unknown}"


def _joules(energy: Energy) -> str:
    net = (
        f"unknown ({energy.net_joules_reason})" if energy.net_joules is None else f"{energy.net_joules:.4g} J"
    )
    return f"{energy.energy_joules:.4g} J, above idle {net}, grade {energy.grade}"


def show_dropped(table: RunTable) -> None:
    """Print each record that gives no point of the curve, with its reason."""
    for dropped in table.dropped:
        OUT.print(f"dropped {dropped.run_id} ({dropped.state}): {dropped.reason}", markup=False)


LEFT_OUT = ("MFU (%)", "Learning rate", "Test loss (nats)")
"""Columns of the page's table of configurations that a terminal has no room for."""


def show_table(rows: pd.DataFrame, most: int | None = None) -> None:
    """Print the page's table of configurations for each domain of the runs: means over seeds of error or
    loss, GFLOPs, joules and seconds, the seeds' range, and dollars and grams of CO2 where any run has them.

    `most` limits the configurations that are printed, the largest first to stay; None prints all.
    """
    from isoflop.report.text import tables

    parts = [part for _, part in rows.groupby(target.DOMAIN, sort=False)] or [rows]
    for part in parts:
        if part.empty:
            continue
        grid = tables.configs(part)
        kept = [number for number, column in enumerate(grid.columns) if column.title not in LEFT_OUT]
        table = Table(box=None, pad_edge=False)
        for number in kept:
            column = grid.columns[number]
            table.add_column(column.title, justify="right" if column.numeric else "left")
        shown = grid.rows if most is None else grid.rows[-most:]
        if len(shown) < len(grid.rows):
            OUT.print(f"{len(grid.rows) - len(shown):,} smaller configurations: isoflop aggregate lists all")
        for row in shown:
            table.add_row(*(row[number].replace("[", "\\[") for number in kept))
        OUT.print(table)


def show_section(section: PaperSection) -> None:
    """Print a section of the paper's page: its text, claims and tables."""
    OUT.print(section.title, style="bold")
    for paragraph in section.paragraphs:
        OUT.print(paragraph, markup=False)
    for claim in section.found:
        OUT.print(f"{claim.verdict}: {claim.claim}", markup=False, style="bold")
        OUT.print(f"  paper: {claim.paper} [{claim.source_mark}]", markup=False)
        OUT.print(f"  found: {claim.found}; {claim.evidence}", markup=False)
        OUT.print(f"  why: {claim.why}", markup=False)
    for each in section.tables:
        table = Table(title=each.title, title_justify="left", box=None)
        for column in each.columns:
            table.add_column(column, overflow="fold")
        for row in each.rows:
            table.add_row(*(cell.replace("[", "\\[") for cell in row))
        OUT.print(table)
