"""What the terminal shows of runs and sweeps: progress bars where there is a terminal, lines everywhere."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from isoflop.record import CurvePoint, Energy, Record
from isoflop.record.label import shape_label
from isoflop.table import target, text_columns

if TYPE_CHECKING:  # pandas takes most of a second, and the progress of a run needs none of it
    import pandas as pd

    from isoflop.paper.section import PaperSection
    from isoflop.table.aggregate import RunTable
    from isoflop.table.target import Quantity

OUT = Console(soft_wrap=True, highlight=False)
if not OUT.is_terminal and "COLUMNS" not in os.environ:
    OUT.width = 100  # of a file or a pipe, where rich would fold tables at 80 columns


def _progress() -> Progress:
    """Return a progress bar with counts, time left and the latest result; it is silent without a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
        console=Console(stderr=True),
        disable=not Console(stderr=True).is_terminal,
        transient=True,
    )


@contextlib.contextmanager
def steps_bar(*, of_text: bool = False) -> Iterator[Callable[[CurvePoint, int], None]]:
    """Show a progress bar of one run's steps; yields a function that takes (evaluation, steps in all)."""
    with _progress() as progress:
        task = progress.add_task("steps", total=None, last="")

        def show(point: CurvePoint, steps: int) -> None:
            compute = "" if point.train_flops is None else f", {point.train_flops * 1e-9:.3g} GFLOPs"
            score = _bits(point.val_loss) if of_text else _percent(point.val_error)
            last = f"validation {'loss' if of_text else 'error'} {score}{compute}"
            progress.update(task, total=steps, completed=point.step, last=last)

        yield show


@contextlib.contextmanager
def runs_bar(total: int) -> Iterator[Callable[[str, tuple[Record, ...]], None]]:
    """Show a progress bar of a sweep's runs; yields a function that takes (run id, the run's records)."""
    with _progress() as progress:
        task = progress.add_task("runs", total=total, last="")

        def show(run_id: str, records: tuple[Record, ...]) -> None:
            last = _outcome(records[-1]) if records else f"{run_id}: being run by another process"
            progress.update(task, advance=1, last=last)

        yield show


def _outcome(record: Record) -> str:
    """Return the shape of a run with its error or loss and compute, or with its state where it has none."""
    name = shape_label(record)
    if record.error is None and record.loss is None:
        return f"{name}: {record.state}"
    train_flops = record.compute.train_flops if record.compute else None
    compute = "" if train_flops is None else f" at {train_flops * 1e-9:.3g} GFLOPs"
    if text_columns.domain(record) == target.TEXT and record.loss is not None:
        return f"{name}: test loss {_bits(record.loss.test)}{compute}"
    return f"{name}: error {_percent(record.error.test if record.error else None)}{compute}"


def _bits(nats: float | None) -> str:
    return "unknown" if nats is None else f"{text_columns.bits(nats):.3f} {target.BITS}"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.2%}"


def show_run(record: Record) -> None:
    """Print one run in a few lines."""
    OUT.print(f"{record.run_id}  {_outcome(record)}  [{record.state}]", markup=False)
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
        test, low, high = map(_percent, (record.error.test, record.error.ci_low, record.error.ci_high))
        return f"test error {test}, Wilson 95% {low} to {high}"
    error = record.loss.test_document_se_nats
    known = f"standard error over documents {_bits(error)}" if error is not None else ""
    unknown = f"standard error unknown ({record.loss.test_document_se_nats_reason})"
    return f"test loss {_bits(record.loss.test)}, {known or unknown}"


def _joules(energy: Energy) -> str:
    net = (
        f"unknown ({energy.net_joules_reason})" if energy.net_joules is None else f"{energy.net_joules:.4g} J"
    )
    return f"{energy.energy_joules:.4g} J, above idle {net}, grade {energy.grade}"


def show_choices(at_edge: int, shapes: int) -> None:
    """Print how many shapes got a learning rate, and how many of those lie at the edge of the grid."""
    OUT.print(f"learning rates chosen on validation for {shapes} shapes", markup=False)
    if at_edge:
        OUT.print(f"note: {at_edge} of them at the edge of sweep.lr_grid: widen it", markup=False)


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
    for each in section.tables:
        table = Table(title=each.title, title_justify="left", box=None)
        for column in each.columns:
            table.add_column(column, overflow="fold")
        for row in each.rows:
            table.add_row(*(cell.replace("[", "\\[") for cell in row))
        OUT.print(table)
