"""Cells whose task ended without leaving a record: the account of them, from what SLURM says and the log."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from collections.abc import Mapping
from pathlib import Path

from isoflop import record as records
from isoflop.config import Config
from isoflop.record import Provenance, Record, Slurm, State, heartbeat
from isoflop.runner import provenance
from isoflop.runner.provenance import Machine
from isoflop.sweep import manifest
from isoflop.sweep.grid import Cell
from isoflop.sweep.slurm import queue, submission
from isoflop.sweep.slurm.queue import Ended
from isoflop.sweep.slurm.submission import Submission, Task

SETTLE_SECONDS = 30.0
"""How long accounting may lag behind the end of a task."""
TAIL_BYTES = 8192
OUT_OF_MEMORY = re.compile(r"exceeded (job |step )?memory limit|oom.?kill", re.IGNORECASE)
KILLED = "was killed by signal 9"
NOT_THE_CELLS_FAULT = ("CANCELLED", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REVOKED", "DEADLINE")
UNKNOWN = "its process left no word"


@dataclasses.dataclass(frozen=True)
class Fate:
    """What became of a task without a record."""

    state: State
    reason: str


def fate(task: Task, ended: Ended | None, log: Path) -> Fate:
    """The state that a task's end stands for, in SLURM's words.

    What happened to the machine or was asked for by somebody is an interruption; the cell can go on.
    """
    name = f"SLURM task {task[0]}_{task[1]}"
    if OUT_OF_MEMORY.search(_tail(log)) or (ended and ended.state.startswith("OUT_OF_MEMORY")):
        return Fate("oom", f"{name} needed more memory than launch.slurm.memory: killed (log: {log})")
    if ended is None:
        return Fate("failed", f"{name} ended without a record, and SLURM no longer knows how (log: {log})")
    words = f"{name} ended as {ended.state}, code {ended.exit_code}, without a record (log: {log})"
    interrupted = ended.state.startswith(NOT_THE_CELLS_FAULT)
    return Fate("interrupted" if interrupted else "failed", words)


def _tail(log: Path) -> str:
    """The end of a log: what the last attempt printed."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return text.rpartition("\ntask ")[2]


def account(directory: Path, made: Submission) -> tuple[Record, ...]:
    """Write a record for every point that the submission's tasks, all ended, left without one of this
    submission; and correct that of a cell whose process the kernel killed for memory.

    Raises:
        OSError: a record cannot be written.
    """
    path = submission.cells_path(directory, made.name)
    written = path.stat().st_mtime
    left = []
    for line, cell in enumerate(manifest.read(path), 1):
        task = made.task(line)
        if task and (horizons := tuple(_open(cell, written))):
            left.append(_Left(cell, task, horizons))
    ended = _settled({each.task for each in left}) if left else {}
    found: list[Record] = []
    culprits: set[Task] = set()
    for each in left:
        what = fate(each.task, ended.get(each.task), submission.log_path(directory, each.task))
        if each.task in culprits and heartbeat.last(each.cell.config.directory, each.cell.run_id) is None:
            what = Fate("interrupted", f"{what.reason}; before this cell's turn")
        culprits.add(each.task)
        with contextlib.suppress(records.RecordBusyError), records.claim(directory, each.cell.run_id):
            found += _write(each, what, ended.get(each.task))
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class _Left:
    """A cell that its task left open at some horizons."""

    cell: Cell
    task: Task
    horizons: tuple[float, ...]


def _open(cell: Cell, written: float) -> list[float]:
    """Horizons without a good record from after `written`, and those whose process was killed."""
    found = []
    for horizon, run_id in cell.config.point_ids.items():
        path = records.path_of(cell.config.directory, run_id)
        try:
            record = records.read(path)
            newer = path.stat().st_mtime >= written
        except (records.RecordError, OSError):
            found.append(horizon)
            continue
        sign = heartbeat.last(cell.config.directory, cell.run_id)
        went_on = sign is not None and sign[0].attempt > record.attempt
        if record.state != "done" and (not newer or went_on or _killed(record)):
            found.append(horizon)
    return found


def _killed(record: Record) -> bool:
    return record.state == "failed" and KILLED in (record.reason or "")


def _settled(tasks: set[Task]) -> Mapping[Task, Ended]:
    """How the tasks ended, once accounting knows of all of them or is not going to."""
    jobs = sorted({job for job, _ in tasks})
    deadline = time.monotonic() + SETTLE_SECONDS
    while not tasks <= (found := queue.ended(jobs)).keys() and time.monotonic() < deadline:
        time.sleep(1.0)
    return found


def _write(left: _Left, what: Fate, ended: Ended | None) -> list[Record]:
    config = left.cell.config
    sign = heartbeat.last(config.directory, left.cell.run_id)
    attempt = max(provenance.next_attempt(config), sign[0].attempt if sign else 1)
    seconds = sign[0].train_seconds if sign else 0.0
    made = []
    for horizon in left.horizons:
        old: Record | None = None
        with contextlib.suppress(records.RecordError, OSError):
            old = records.read(records.path_of(config.directory, config.point_ids[horizon]))
        if old is not None and _killed(old):
            if what.state != "oom":
                continue
            record = dataclasses.replace(old, state="oom", reason=what.reason)
        else:
            record = provenance.record_without_point(
                config,
                _origin(config, left.task, ended),
                horizon,
                state=what.state,
                reason=what.reason,
                attempt=attempt,
                seconds=seconds,
            )
            seconds = 0.0
        records.write(record, config.directory)
        made.append(record)
    return made


def _origin(config: Config, task: Task, ended: Ended | None) -> Provenance:
    """Where the task ran, as far as SLURM says."""
    machine = Machine(
        cpu=UNKNOWN,
        device=UNKNOWN,
        precision=config.precision.compute,
        threads=config.launch.threads or config.launch.slurm.cpus_per_task,
        libraries={},
        gpu=None,
        gpu_reason=UNKNOWN,
    )
    node = ended.node if ended else ""
    return dataclasses.replace(
        provenance.gather(config, machine, started_at=provenance.now(), command_line=provenance.command()),
        slurm=Slurm(task[0], str(task[1]), node),
        slurm_reason=None,
        host=node or UNKNOWN,
    )
