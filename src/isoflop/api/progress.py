"""Progress of runs, sweeps and fits: bars where there is a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from isoflop import tasks
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


WAIT_SECONDS = 2.0
"""What takes less shows no bar."""


class WorkBar:
    """A bar of the tasks that are done (tasks.watched), from WAIT_SECONDS on, until `close`.

    It is first shown when something is told and WAIT_SECONDS have passed, by a timer where need be.
    """

    def __init__(self, verb: str) -> None:
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._open, self._shown = True, False
        self._progress = Progress(
            TextColumn(f"{verb}: {{task.description}}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=None)

    def watch(self, name: str, done: int, total: int | None) -> None:
        """Show that `done` of `total` parts of what is called `name` are done."""
        self._progress.update(self._task, description=name, completed=done, total=total)
        left = WAIT_SECONDS - (time.monotonic() - self._began)
        if left <= 0:
            self._show()
        elif self._timer is None:
            self._timer = threading.Timer(left, self._show)
            self._timer.daemon = True
            self._timer.start()

    def _show(self) -> None:
        with self._lock:
            if self._open and not self._shown:
                self._shown = True
                self._progress.start()

    def close(self) -> None:
        """Take the bar away for good."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._open and self._shown:
                self._progress.stop()
            self._open = False


@contextlib.contextmanager
def work_bar(verb: str) -> Iterator[WorkBar]:
    """Show a bar of what is computed inside the context, where it takes long."""
    bar = WorkBar(verb)
    try:
        with tasks.watched(bar.watch):
            yield bar
    finally:
        bar.close()


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
