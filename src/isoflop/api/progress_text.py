"""The words of progress: of runs in hand, of those that ended, and of a whole sweep.

Bars, log lines and `isoflop status` show what these functions return, and the numbers are written by those of
the page (report/text), so that a figure reads the same wherever it stands.
"""

from __future__ import annotations

import dataclasses

from isoflop.api.result_text import result, score
from isoflop.record import Record
from isoflop.record.heartbeat import Heartbeat
from isoflop.report.text.numerals import number, plural, seconds
from isoflop.report.text.units import gflops
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local.agenda import Job, MeterAnchor, MeterIdle

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


def ended(run: PlannedRun, records: tuple[Record, ...]) -> str:
    """Return what came of a run: its error or loss and compute, or its state with the reason."""
    if not records:
        return f"{name_of_run(run)}: being run by another process"
    last = records[-1]
    if last.state == "done":
        return f"{name_of_run(run)}: {result(last)}"
    return f"{name_of_run(run)}: {last.state}: {last.reason}"
