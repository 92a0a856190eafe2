"""Reconciliation of a submission with SLURM: records for runs whose task ended without writing any.

What happened is taken from SLURM's accounting and from the log of the task.
"""

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
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.slurm import queue, submission
from isoflop.sweep.slurm.queue import EndedTask
from isoflop.sweep.slurm.submission import Submission, Task

SETTLE_SECONDS = 30.0
"""Time by which accounting may lag behind the end of a task."""
TAIL_BYTES = 8192
OUT_OF_MEMORY = re.compile(r"exceeded (job |step )?memory limit|oom.?kill", re.IGNORECASE)
KILLED = "was killed by signal 9"
"""In the record that the worker pool writes for a process that died (sweep/local/outcomes.py)."""
ASKED_FOR = ("CANCELLED", "PREEMPTED", "REVOKED", "DEADLINE")
"""Job states that a person, or the scheduler for another job, asked for."""
NOT_THE_RUNS_FAULT = (*ASKED_FOR, "NODE_FAIL", "BOOT_FAIL")
UNKNOWN = "its process wrote no record"


@dataclasses.dataclass(frozen=True)
class TaskEnd:
    """State and reason for the record of a run whose task ended without one."""

    state: State
    reason: str


def interpret_end(task: Task, ended: EndedTask | None, log: Path) -> TaskEnd:
    """Return the state that the end of a task stands for, and a reason that quotes SLURM.

    A fault of the machine, or a request by a person, is an interruption, after which the run can resume.

    Args:
        task: the task.
        ended: how it ended according to SLURM; None if SLURM does not know.
        log: its output, where SLURM reports memory limits that it enforces by polling.
    """
    name = f"SLURM task {task[0]}_{task[1]}"
    if OUT_OF_MEMORY.search(_last_attempt(log)) or (ended and ended.state.startswith("OUT_OF_MEMORY")):
        return TaskEnd("oom", f"{name} needed more memory than launch.slurm.memory: killed (log: {log})")
    if ended is None:
        return TaskEnd("failed", f"{name} ended without a record, and SLURM no longer knows how (log: {log})")
    reason = f"{name} ended as {ended.state}, code {ended.exit_code}, without a record (log: {log})"
    interrupted = ended.state.startswith(NOT_THE_RUNS_FAULT)
    return TaskEnd("interrupted" if interrupted else "failed", reason)


def _last_attempt(log: Path) -> str:
    """Return the output of the last attempt, as far as it is in the last TAIL_BYTES of the log.

    Each attempt begins with a line "task ..." (array.sbatch); what an earlier one printed does not count.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return text.rpartition("\ntask ")[2]


def write_missing_records(directory: Path, submitted: Submission) -> tuple[Record, ...]:
    """Write a record for every point that the tasks of a submission, all ended, left without one.

    The record of a run whose process the kernel killed for memory is corrected to `oom`.

    Raises:
        OSError: a record cannot be written.
    """
    path = submission.runs_path(directory, submitted.name)
    written_at = path.stat().st_mtime
    open_runs = []
    for line, planned in enumerate(manifest.read_runs(path), 1):
        task = submitted.task(line)
        if task and (horizons := tuple(_open_horizons(planned, written_at))):
            open_runs.append(_OpenRun(planned, task, horizons))
    ended = _wait_for_accounting({each.task for each in open_runs}) if open_runs else {}
    written: list[Record] = []
    explained: set[Task] = set()
    for each in open_runs:
        end = interpret_end(each.task, ended.get(each.task), submission.log_path(directory, each.task))
        config = each.planned.config
        # Runs of a task are executed in order. The first open one is what the task ended in; a later one
        # without a heartbeat never started, so the end of the task says nothing about it.
        if each.task in explained and heartbeat.last(config.directory, each.planned.run_id) is None:
            end = TaskEnd("interrupted", f"{end.reason}; before this run started")
        explained.add(each.task)
        # A run that another process holds is being trained again: its record will come from there.
        with contextlib.suppress(records.RecordBusyError), records.claim(directory, each.planned.run_id):
            written += _write_records(each, end, ended.get(each.task))
    return tuple(written)


@dataclasses.dataclass(frozen=True)
class _OpenRun:
    """A run whose task ended without a final record at some horizons."""

    planned: PlannedRun
    task: Task
    horizons: tuple[float, ...]


def _open_horizons(planned: PlannedRun, submitted_at: float) -> list[float]:
    """Return the horizons without a final record that is newer than the submission, and those whose process
    was killed by signal 9, which may have been for memory."""
    horizons = []
    for horizon, run_id in planned.config.point_ids.items():
        path = records.path_of(planned.config.directory, run_id)
        try:
            record = records.find(path)
        except records.KeptRecordError:
            continue  # a newer isoflop has taken the folder over: what it wrote stands
        if record is None:
            horizons.append(horizon)
            continue
        newer = path.stat().st_mtime >= submitted_at
        beat = heartbeat.last(planned.config.directory, planned.run_id)
        resumed = beat is not None and beat[0].attempt > record.attempt
        if record.state != "done" and (not newer or resumed or _was_killed(record)):
            horizons.append(horizon)
    return horizons


def _was_killed(record: Record) -> bool:
    return record.state == "failed" and KILLED in (record.reason or "")


def _wait_for_accounting(tasks: set[Task]) -> Mapping[Task, EndedTask]:
    """Return how the tasks ended, once accounting knows all of them or SETTLE_SECONDS have passed."""
    jobs = sorted({job for job, _ in tasks})
    deadline = time.monotonic() + SETTLE_SECONDS
    while not tasks <= (ended := queue.ended_tasks(jobs)).keys() and time.monotonic() < deadline:
        time.sleep(1.0)
    return ended


def _write_records(open_run: _OpenRun, end: TaskEnd, ended: EndedTask | None) -> list[Record]:
    config = open_run.planned.config
    beat = heartbeat.last(config.directory, open_run.planned.run_id)
    attempt = max(provenance.next_attempt(config), beat[0].attempt if beat else 1)
    seconds = beat[0].train_seconds if beat else 0.0
    written = []
    for horizon in open_run.horizons:
        old = records.find(records.path_of(config.directory, config.point_ids[horizon]))
        if old is not None and _was_killed(old):
            if end.state != "oom":
                continue
            record = dataclasses.replace(old, state="oom", reason=end.reason)
        else:
            record = provenance.record_without_point(
                config,
                _provenance(config, open_run.task, ended),
                horizon,
                state=end.state,
                reason=end.reason,
                attempt=attempt,
                seconds=seconds,
            )
            seconds = 0.0  # the time was spent once: only the first horizon carries it
        records.write(record, config.directory)
        written.append(record)
    return written


def _provenance(config: Config, task: Task, ended: EndedTask | None) -> Provenance:
    """Return where the task ran, as far as SLURM knows."""
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
