"""What the terminal shows: progress bars where there is a terminal, tables everywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from isoflop import aggregate
from isoflop.curve.result import FitReport
from isoflop.paper.section import Section
from isoflop.record import CurvePoint, Record

OUT = Console(soft_wrap=True, highlight=False)
STATES = ("done", "diverged", "oom", "failed", "interrupted")


def _progress() -> Progress:
    """A bar with counts, time left and a word on the last thing that ended; silent when not a terminal."""
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
def steps_bar() -> Iterator[Callable[[CurvePoint, int], None]]:
    """A bar of one run's steps."""
    with _progress() as progress:
        task = progress.add_task("steps", total=None, last="")

        def show(point: CurvePoint, steps: int) -> None:
            compute = "" if point.train_flops is None else f", {point.train_flops * 1e-9:.3g} GFLOPs"
            last = f"validation error {point.val_error:.2%}{compute}"
            progress.update(task, total=steps, completed=point.step, last=last)

        yield show


@contextlib.contextmanager
def cells_bar(total: int) -> Iterator[Callable[[str, tuple[Record, ...]], None]]:
    """A bar of a sweep's cells."""
    with _progress() as progress:
        task = progress.add_task("cells", total=total, last="")

        def show(run_id: str, found: tuple[Record, ...]) -> None:
            last = _word(found[-1]) if found else f"{run_id}: being run by another process"
            progress.update(task, advance=1, last=last)

        yield show


def _word(record: Record) -> str:
    name = aggregate.shape_label(record)
    if record.error is None:
        return f"{name}: {record.state}"
    train_flops = record.compute.train_flops if record.compute else None
    compute = "" if train_flops is None else f" at {train_flops * 1e-9:.3g} GFLOPs"
    return f"{name}: error {record.error.test:.2%}{compute}"


def show_run(record: Record) -> None:
    """One run in a few lines."""
    OUT.print(f"{record.run_id}  {_word(record)}  [{record.state}]", markup=False)
    if record.state != "done":
        OUT.print(f"  {record.reason}", markup=False)
    if record.error and record.time:
        low, high = record.error.ci_low, record.error.ci_high
        OUT.print(f"  test error {record.error.test:.2%}, Wilson 95% {low:.2%} to {high:.2%}", markup=False)
        OUT.print(f"  {record.time.train_seconds:.2f} s of training", markup=False)
        joules = record.energy
        energy = f"{joules.energy_joules:.4g} J, grade {joules.grade}" if joules else record.energy_reason
        OUT.print(f"  energy: {energy}", markup=False)


def show_choices(at_edge: int, shapes: int) -> None:
    """What the grid of learning rates decided."""
    OUT.print(f"learning rates chosen on validation for {shapes} shapes", markup=False)
    if at_edge:
        OUT.print(f"note: {at_edge} of them at the edge of sweep.lr_grid: widen it", markup=False)


def show_dropped(table: aggregate.Table) -> None:
    """Each record that is no point of the curve, with its reason."""
    for dropped in table.dropped:
        OUT.print(f"dropped {dropped.run_id} ({dropped.state}): {dropped.reason}", markup=False)


def show_table(rows: pd.DataFrame) -> None:
    """Shapes with their GFLOPs, mean error over seeds and its spread."""
    view = Table(box=None, pad_edge=False)
    for name in ("shape", "seeds", "train GFLOPs", "test error", "seed s.d.", "train s", "joules"):
        view.add_column(name, justify="left" if name == "shape" else "right")
    for _, cell in rows.groupby("place_id", sort=False):
        spread = cell["test_error"].std() if len(cell) > 1 else np.nan
        view.add_row(
            cell["label"].iloc[0],
            str(len(cell)),
            _number(cell["train_gflops"].mean(), ".4g"),
            _number(cell["test_error"].mean(), ".2%"),
            _number(spread, ".2%"),
            _number(cell["train_seconds"].mean(), ".3g"),
            _number(cell["energy_joules"].mean(), ".4g"),
        )
    OUT.print(view)


def _number(value: float, style: str) -> str:
    return "unknown" if np.isnan(value) else format(value, style)


def show_fit(report: FitReport) -> None:
    """The laws of one pair of axes, with intervals and warnings."""
    OUT.print(f"{report.y} against {report.x}: {report.points} runs of {report.configs} shapes", markup=False)
    view = Table(box=None, pad_edge=False)
    for name in ("law", "parameters (95% interval)", "paper alpha", "R2", "log10 RMSE"):
        view.add_column(name, overflow="fold")
    for fit in report.fits:
        words = [
            f"{e.name} {e.value:.3g} ({_bound(e.interval.low)}, {_bound(e.interval.high)})"
            for e in fit.parameters
        ]
        alpha = fit.paper_alpha
        shown = (
            f"{alpha.value:.3g} ({_bound(alpha.interval.low)}, {_bound(alpha.interval.high)})"
            if alpha
            else "-"
        )
        view.add_row(fit.law, "; ".join(words), shown, f"{fit.r_squared:.3f}", f"{fit.log10_rmse:.3f}")
    OUT.print(view)
    for warning in dict.fromkeys([*report.warnings, *(w for fit in report.fits for w in fit.warnings)]):
        OUT.print(f"note: {warning}", markup=False)


def _bound(value: float | None) -> str:
    return "unbounded" if value is None else f"{value:.3g}"


def show_flops(ledger: dict[str, Any]) -> None:
    """The ledger of one model (`flop_ledger.ModelLedger.flat`), in both conventions: one MAC is 2 FLOPs."""
    sizes, batch = "x".join(map(str, ledger["input_shape"])), ledger["batch_size"]
    OUT.print(f"{ledger['name']}: {sizes}, {ledger['parameters']:,} parameters", markup=False)
    if ledger["reason"]:
        OUT.print(f"\nFLOPs unknown: {ledger['reason']}", markup=False)
    OUT.print(f"\nper example, one MAC = 2 FLOPs; training in batches of {batch}", markup=False)
    _show_work(ledger)
    _show_witnesses(ledger)
    _show_operations(ledger["forward_macs_by_op"])
    uncounted = ", ".join(ledger["uncounted_ops"]) or "none"
    OUT.print(f"\noperations without a count: {uncounted}", markup=False)
    _show_traffic(ledger)


def _ledger_table(first: str, *numbers: str, note: str = "") -> Table:
    view = Table(box=None, pad_edge=False)
    view.add_column(first, min_width=22)
    for name in numbers:
        view.add_column(name, justify="right", min_width=11)
    view.add_column(note)
    return view


def _giga(value: float | None) -> str:
    return "unknown" if value is None else f"{value * 1e-9:,.6g}"


def _show_work(ledger: dict[str, Any]) -> None:
    view = _ledger_table("", "GMACs", "GFLOPs")

    def line(name: str, flops: float | None, note: str = "") -> None:
        view.add_row(name, _giga(None if flops is None else flops / 2), _giga(flops), note)

    forward, backward = ledger["inference_flops_per_example"], ledger["backward_flops_per_example"]
    train, ratio = ledger["train_flops_per_example"], ledger["train_to_forward_ratio"]
    line("forward (inference)", forward)
    if train is not None and abs(train - backward - forward) > 1e-4 * forward:
        line("forward (training)", train - backward)
    line("backward", backward)
    expected = "" if ratio is None else f"ratio {ratio:.3f}, expected {ledger['expected_ratio']:.3f}"
    line("training", train, expected)
    step, name = ledger["optimizer_flops_per_step"], f"optimizer ({ledger['optimizer']})"
    if step is None:
        line(name, None, ledger["optimizer_flops_per_step_reason"])
    else:
        view.add_row(name, "-", _giga(step / ledger["batch_size"]), f"{_giga(step)} GFLOPs a step")
    OUT.print(view)


def _show_witnesses(ledger: dict[str, Any]) -> None:
    view = _ledger_table("\nforward, by witness", "\nGMACs")
    for name in ("torch_forward", "fvcore_forward", "closed_form"):
        macs = ledger[f"{name}_macs_per_example"]
        view.add_row(name.removesuffix("_forward").replace("_", " "), "none" if macs is None else _giga(macs))
    OUT.print(view)


def _show_operations(by_op: dict[str, float]) -> None:
    view = _ledger_table("\nforward, by operation", "\nGMACs", "\nshare")
    total = sum(by_op.values())
    for op, macs in sorted(by_op.items(), key=lambda item: -item[1]):
        view.add_row(op, _giga(macs), f"{macs / total:.2%}")
    OUT.print(view)


def _show_traffic(ledger: dict[str, Any]) -> None:
    elements, train = ledger["train_elements_per_example"], ledger["train_flops_per_example"]
    if elements is None:
        return
    OUT.print(f"moved in training, unfused: {elements * 1e-6:,.4g} million elements", markup=False)
    if train is not None:
        rates = (f"{train / elements / size:.3g} in {name}" for name, size in (("fp32", 4), ("bf16", 2)))
        OUT.print(f"  that is, FLOPs a byte: {', '.join(rates)}", markup=False)


def show_section(section: Section) -> None:
    """A section of the paper's page: its words, claims and tables."""
    OUT.print(section.title, style="bold")
    for words in section.paragraphs:
        OUT.print(words, markup=False)
    for claim in section.found:
        OUT.print(f"{claim.verdict}: {claim.claim}", markup=False, style="bold")
        OUT.print(f"  paper: {claim.paper} [{claim.source_mark}]", markup=False)
        OUT.print(f"  found: {claim.found}; {claim.evidence}", markup=False)
    for found in section.tables:
        table = Table(title=found.title, title_justify="left", box=None)
        for column in found.columns:
            table.add_column(column, overflow="fold")
        for row in found.rows:
            table.add_row(*(cell.replace("[", "\\[") for cell in row))
        OUT.print(table)
