"""What the terminal shows of runs and sweeps, beside the bars of api.progress."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from isoflop.api.progress import bits, outcome, percent
from isoflop.api.progress import runs_bar as runs_bar
from isoflop.api.progress import steps_bar as steps_bar
from isoflop.record import Energy, Record
from isoflop.table import target, text_columns

if TYPE_CHECKING:  # pandas takes most of a second, and the progress of a run needs none of it
    import pandas as pd

    from isoflop.paper.section import PaperSection
    from isoflop.table.aggregate import RunTable
    from isoflop.table.target import Quantity

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


def show_table(rows: pd.DataFrame) -> None:
    """Print a table of configurations for each domain of the runs: mean GFLOPs, error or loss, seconds, raw
    and net joules, seed spread, and dollars and grams of CO2 where any run has them."""
    parts = [part for _, part in rows.groupby(target.DOMAIN, sort=False)] or [rows]
    for part in parts:
        _show_table(part, target.of(part).quantity)


def _show_table(rows: pd.DataFrame, quantity: Quantity) -> None:
    style = ".2%" if quantity.unit == "%" else ".3f"
    name = quantity.title.lower() if quantity.unit == "%" else quantity.unit
    table = Table(box=None, pad_edge=False)
    priced = [
        (name, title)
        for name, title in (("dollars", "dollars"), ("grams_co2", "g CO2"))
        if rows[name].notna().any()
    ]
    for column in (
        "shape",
        "seeds",
        "train GFLOPs",
        name,
        "seed s.d.",
        "train s",
        "joules",
        "net joules",
        *(title for _, title in priced),
    ):
        table.add_column(column, justify="left" if column == "shape" else "right")
    for _, seeds in rows.groupby("place_id", sort=False):
        spread = seeds[quantity.column].std() if len(seeds) > 1 else math.nan
        table.add_row(
            seeds["label"].iloc[0],
            str(len(seeds)),
            _number(seeds["train_gflops"].mean(), ".4g"),
            _number(seeds[quantity.column].mean(), style),
            _number(spread, style),
            _number(seeds["train_seconds"].mean(), ".3g"),
            _number(seeds["energy_joules"].mean(), ".4g"),
            _number(seeds["net_joules"].mean(), ".4g"),
            *(_number(seeds[name].mean(), ".4g") for name, _ in priced),
        )
    OUT.print(table)


def _number(value: float, style: str) -> str:
    return "unknown" if math.isnan(value) else format(value, style)


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
