"""The words of progress: of runs in hand, of those that ended, and of a whole sweep.

Bars, log lines and `isoflop status` show what these functions return, and the numbers are written by those of
the page (report/text), so that a figure reads the same wherever it stands.
"""

from __future__ import annotations

import dataclasses

from isoflop.record import CurvePoint, Record
from isoflop.record.heartbeat import Heartbeat
from isoflop.record.label import shape_label
from isoflop.report.text.amounts import amount
from isoflop.report.text.numerals import UNKNOWN, number, percent, plural, seconds
from isoflop.report.text.units import gflops
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local.agenda import Job, MeterAnchor, MeterIdle
from isoflop.table import target, text_columns

FAILURES = ("failed", "oom", "diverged")
"""States that count as failures while a sweep trains: interrupted runs go on later."""


@dataclasses.dataclass(frozen=True)
class InHand:
    """A run in hand, or something that is metered: its name, and its last heartbeat if there was one."""

    name: str
    beat: Heartbeat | None = None


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """How far a sweep is.

    Attributes:
        total: runs to execute.
        ended: those that have ended, however.
        failed: those of them that failed, diverged or ran out of memory.
        seconds: since the first one began.
        seconds_left: estimated; None while nothing is known.
        in_hand: what is being executed.
    """

    total: int
    ended: int
    failed: int
    seconds: float
    seconds_left: float | None
    in_hand: tuple[InHand, ...]


def counted(snapshot: Snapshot) -> str:
    """Return `12 of 54 runs ended, 2 failed, about 14.0 min left`."""
    parts = [f"{snapshot.ended:,} of {plural(snapshot.total, 'run')} ended"]
    parts += [f"{snapshot.failed:,} failed"] if snapshot.failed else []
    parts += [] if snapshot.seconds_left is None else [f"about {seconds(snapshot.seconds_left)} left"]
    return ", ".join(parts)


def planned(done: int, total: int) -> str:
    """Return `planning 12 of 54 runs`."""
    return f"planning {done:,} of {plural(total, 'run')}"


def name_of_run(run: PlannedRun) -> str:
    """Return `mlp w16 d2, seed 0`, and what else the sweep sets for the run: `, epochs=16`."""
    others = [
        f"{key.rpartition('.')[2]}={f'{value:g}' if isinstance(value, float) else value}"
        for key, value in run.settings.items()
        if key != "seed" and not key.startswith("model")
    ]
    return ", ".join([run.config.model.label, f"seed {run.config.seed}", *others])


def name_of_job(job: Job) -> str:
    """Return the name of a run, or what is metered beside the runs."""
    if isinstance(job, PlannedRun):
        return name_of_run(job)
    if isinstance(job, MeterIdle):
        return "measuring the idle GPU"
    anchor = "the anchor, " if isinstance(job, MeterAnchor) else ""
    return f"metering {anchor}{job.config.model.label}"


PARTS = ("steps", "score", "compute", "power", "time left")
"""What `parts` returns, in this order; the terminal shows them without titles, since each says what it is."""


def parts(beat: Heartbeat | None) -> tuple[str, ...]:
    """Return steps, latest evaluation, compute, watts and time left of a run, empty where unknown."""
    if beat is None:
        return ("starting", "", "", "", "")
    steps = f"step {beat.steps_done:,}" + (f" of {beat.steps:,}" if beat.steps else "")
    evaluated = beat.val_error is not None or beat.val_loss is not None
    left = beat.seconds_left
    return (
        steps,
        score(beat.val_error, beat.val_loss, of_text=beat.of_text) if evaluated else "",
        "" if beat.train_flops is None else gflops(beat.train_flops * 1e-9),
        "" if beat.watts is None else f"{number(beat.watts)} W",
        "" if left is None else f"{seconds(left)} left",
    )


def sentence(run: InHand) -> str:
    """Return `mlp w16 d2, seed 0: step 1,200 of 4,000, validation error 12.3%, 45.6 GFLOPs, 12.0 s left`."""
    return f"{run.name}: {', '.join(part for part in parts(run.beat) if part)}"


def score(error: float | None, loss: float | None, *, of_text: bool) -> str:
    """Return the error of an evaluation on the validation part, or its loss where that is what counts.

    Args:
        error: as a share.
        loss: in nats.
        of_text: whether the run trains on text, whose loss is shown in bits a byte.
    """
    if of_text:
        return f"validation loss {bits(loss)}"
    if error is None and loss is not None:
        return f"validation loss {amount(loss, target.VAL_LOSS)}"
    return f"validation error {percent(error)}"


def evaluation(point: CurvePoint, *, of_text: bool) -> str:
    """Return the validation error or loss of an evaluation, and the compute so far."""
    compute = "" if point.train_flops is None else f", {gflops(point.train_flops * 1e-9)}"
    return f"{score(point.val_error, point.val_loss, of_text=of_text)}{compute}"


def ended(run: PlannedRun, records: tuple[Record, ...]) -> str:
    """Return what came of a run: its error or loss and compute, or its state with the reason."""
    if not records:
        return f"{name_of_run(run)}: being run by another process"
    last = records[-1]
    if last.state == "done":
        return f"{name_of_run(run)}: {result(last)}"
    return f"{name_of_run(run)}: {last.state}: {last.reason}"


def outcome(record: Record) -> str:
    """Return the shape of a run with its error or loss and compute, or with its state where it has none."""
    return f"{shape_label(record)}: {result(record)}"


def result(record: Record) -> str:
    """Return `error 3.61% at 1.23 GFLOPs` of a record, or its state where it has neither error nor loss."""
    if record.error is None and record.loss is None:
        return record.state
    train_flops = record.compute.train_flops if record.compute else None
    compute = "" if train_flops is None else f" at {gflops(train_flops * 1e-9)}"
    if text_columns.domain(record) == target.TEXT and record.loss is not None:
        return f"test loss {bits(record.loss.test)}{compute}"
    return f"error {percent(record.error.test if record.error else None)}{compute}"


def bits(nats: float | None) -> str:
    """Return a loss in nats as bits a byte."""
    return UNKNOWN if nats is None else amount(text_columns.bits(nats), target.TEST_BITS)
