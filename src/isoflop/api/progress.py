"""Progress of runs and sweeps: bars where there is a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from isoflop.record import CurvePoint, Record
from isoflop.record.label import shape_label
from isoflop.table import target, text_columns

OnRun = Callable[[str, tuple[Record, ...]], None]
"""Called with a run's id and its records as it ends."""
Watch = Callable[[CurvePoint, int], None]
"""Called with an evaluation, and the steps of its run."""


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
def steps_bar(*, of_text: bool = False) -> Iterator[Watch]:
    """Show a progress bar of one run's steps; yields a function that takes (evaluation, steps in all)."""
    with _progress() as progress:
        task = progress.add_task("steps", total=None, last="")

        def show(point: CurvePoint, steps: int) -> None:
            progress.update(task, total=steps, completed=point.step, last=evaluation(point, of_text=of_text))

        yield show


def evaluation(point: CurvePoint, *, of_text: bool) -> str:
    """Return the validation error or loss of an evaluation, and the compute so far."""
    compute = "" if point.train_flops is None else f", {point.train_flops * 1e-9:.3g} GFLOPs"
    score = bits(point.val_loss) if of_text else percent(point.val_error)
    return f"validation {'loss' if of_text else 'error'} {score}{compute}"


@contextlib.contextmanager
def runs_bar(total: int) -> Iterator[OnRun]:
    """Show a progress bar of a sweep's runs; yields a function that takes (run id, the run's records)."""
    with _progress() as progress:
        task = progress.add_task("runs", total=total, last="")

        def show(run_id: str, records: tuple[Record, ...]) -> None:
            progress.update(task, advance=1, last=_last(run_id, records))

        yield show


def _last(run_id: str, records: tuple[Record, ...]) -> str:
    return outcome(records[-1]) if records else f"{run_id}: being run by another process"


def outcome(record: Record) -> str:
    """Return the shape of a run with its error or loss and compute, or with its state where it has none."""
    name = shape_label(record)
    if record.error is None and record.loss is None:
        return f"{name}: {record.state}"
    train_flops = record.compute.train_flops if record.compute else None
    compute = "" if train_flops is None else f" at {train_flops * 1e-9:.3g} GFLOPs"
    if text_columns.domain(record) == target.TEXT and record.loss is not None:
        return f"{name}: test loss {bits(record.loss.test)}{compute}"
    return f"{name}: error {percent(record.error.test if record.error else None)}{compute}"


def bits(nats: float | None) -> str:
    """Return a loss in nats as bits a byte."""
    return "unknown" if nats is None else f"{text_columns.bits(nats):.3f} {target.BITS}"


def percent(share: float | None) -> str:
    """Return a share in per cent."""
    return "unknown" if share is None else f"{share:.2%}"


def line(text: str) -> None:
    """Write a line to standard output, which a notebook shows below its code."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def shown_steps(*, of_text: bool) -> Iterator[Watch]:
    """Show a bar of one run's steps, and where there is no terminal a line an evaluation."""
    if Console(stderr=True).is_terminal:
        with steps_bar(of_text=of_text) as show:
            yield show
        return
    yield lambda point, steps: line(f"step {point.step} of {steps}: {evaluation(point, of_text=of_text)}")


@contextlib.contextmanager
def shown_runs(total: int) -> Iterator[OnRun]:
    """Show a bar of a sweep's runs, and where there is no terminal, such as in a notebook, a line a run."""
    if Console(stderr=True).is_terminal:
        with runs_bar(total) as show:
            yield show
        return
    ended = 0

    def tell(run_id: str, records: tuple[Record, ...]) -> None:
        nonlocal ended
        ended += 1
        line(f"{ended} of {total}: {_last(run_id, records)}")

    yield tell


@contextlib.contextmanager
def silent_runs(total: int) -> Iterator[OnRun]:
    """Show nothing of a sweep's runs."""
    yield lambda run_id, records: None
