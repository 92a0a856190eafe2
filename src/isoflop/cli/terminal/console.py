"""What the terminal shows: progress bars where there is a terminal, tables everywhere."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from isoflop.curve.result import Estimate, FitReport, HeldOut
from isoflop.paper.section import PaperSection
from isoflop.record import CurvePoint, Record
from isoflop.report.text import costs
from isoflop.report.text.numerals import plural
from isoflop.table import aggregate

OUT = Console(soft_wrap=True, highlight=False)
if not OUT.is_terminal and "COLUMNS" not in os.environ:
    OUT.width = 100  # of a file or a pipe; rich would fold tables at 80
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


def show_dropped(table: aggregate.RunTable) -> None:
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
    """The laws of one pair of axes, the forecast, held-out runs and every warning, 100 columns wide."""
    of = " on the frontier" if report.of == "frontier" else ""
    OUT.print(f"{report.y} against {report.x}: {_counts(report)}{of}", markup=False)
    view = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    names = ("law", "b (95%)", "E (95%)", "alpha (95%)", "rmse", "2x", "4x", "10x", "wt")
    for name in names:
        view.add_column(name, overflow="fold")
    for fit in report.fits:
        ahead = [_factor(h.log_rmse).removeprefix("x") for h in fit.horizons] or ["-"] * 3
        shares = [m.weight for m in (report.forecast.members if report.forecast else ()) if m.law == fit.law]
        slope = costs.parameter(fit, "b") or costs.parameter(fit, "b1")
        view.add_row(
            *(fit.law, *(_estimate(e) for e in (slope, costs.parameter(fit, "E"), fit.paper_alpha))),
            *(f"{fit.log10_rmse:.3f}", *ahead, f"{sum(shares):.0%}" if shares else "-"),
        )
    OUT.print(view)
    OUT.print(
        "rmse: of log10 y; 2x, 4x, 10x: factor by which fits to smaller runs were off; wt: forecast weight"
    )
    _show_forecast(report)
    if report.held_out is not None:
        show_held_out(report.held_out)
    for warning in dict.fromkeys(report.warnings):
        OUT.print(f"note: {warning}", markup=False)
    for fit in report.fits:
        for warning in fit.warnings:
            OUT.print(f"note: {fit.law}: {warning}", markup=False)


def _counts(report: FitReport) -> str:
    runs, shapes = plural(report.points, "run"), plural(report.configs, "configuration")
    return f"{runs} of {shapes}, x from {report.x_min:.3g} to {report.x_max:.3g}"


def _show_forecast(report: FitReport) -> None:
    """What the average of the laws says ten times beyond, and how far it was tested."""
    found = report.forecast
    if found is None:
        OUT.print(f"no forecast: {report.forecast_reason}", markup=False)
        return
    band = found.band
    OUT.print(
        f"forecast at {band.x[-1] / report.x_max:.3g} times the largest x: {band.y[-1]:.3g}, 95% of the mean "
        f"{band.low[-1]:.3g} to {band.high[-1]:.3g}, of a new run {band.new_low[-1]:.3g} to "
        f"{band.new_high[-1]:.3g}",
        markup=False,
    )
    seen = [f"{_factor(h.log_rmse)} at {h.ratio:g}x" for h in found.horizons if h.log_rmse is not None]
    if seen:
        OUT.print(f"  off by {', '.join(seen)} where smaller runs predicted larger ones", markup=False)
    for warning in found.warnings:
        OUT.print(f"  {warning}", markup=False)


def show_held_out(held: HeldOut) -> None:
    """The held-out runs against the forecast that was made without them."""
    view = Table(box=None, pad_edge=False)
    for name in ("held out", "x", "seen", "predicted", "95%, new run", "inside"):
        view.add_column(name, justify="left" if name == "held out" else "right")
    for row in held.rows:
        inside = "yes" if row.low <= row.y <= row.high else "no"
        numbers = (f"{value:.4g}" for value in (row.x, row.y, row.predicted))
        view.add_row(row.run_id, *numbers, f"{row.low:.3g} to {row.high:.3g}", inside)
    OUT.print(view)
    OUT.print(
        f"{held.expression}: {plural(held.runs, 'run')} up to {held.largest_ratio:.3g} times the largest x "
        f"fitted; off by {_factor(held.log_rmse)}; {held.inside_new_run_interval} of {held.runs} inside",
        markup=False,
    )


def _estimate(found: Estimate | None) -> str:
    """`0.292 (0.15, 0.44)`; a dash where there is none."""
    if found is None:
        return "-"
    return f"{found.value:.3g} ({_bound(found.interval.low)}, {_bound(found.interval.high)})"


def _bound(value: float | None) -> str:
    return "?" if value is None else f"{value:.2g}"


def _factor(log_error: float | None) -> str:
    """A root mean square of ln y as a factor, such as x1.12."""
    return "-" if log_error is None else f"x{math.exp(min(log_error, 700.0)):.3g}"


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


def show_section(section: PaperSection) -> None:
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
