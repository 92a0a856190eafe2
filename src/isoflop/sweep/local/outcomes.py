"""Records of a run that ended: those its process wrote and, for each point without one, a record that says
how the process died or why it was stopped."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from isoflop import record as records
from isoflop.config import Config
from isoflop.record import Record
from isoflop.runner import provenance
from isoflop.runner.provenance import Machine
from isoflop.sweep.local.watchdog import Termination
from isoflop.sweep.slots import Slots

NO_PROVENANCE = "the process ended before it recorded this"
SHARED_MEMORY = "while it shared the GPU with other runs: run it again with launch.per_gpu=1"


@dataclasses.dataclass(frozen=True)
class EndedRun:
    """A run that its process no longer executes.

    Attributes:
        config: configuration of the run.
        attempt: number of the attempt that ended.
        seconds: time since the run was given to the process.
        exit_code: of the process; None if it lives on.
        error: message of the error that the process reported; None if it reported nothing.
        termination: why the run was stopped from outside; None if it was not.
        interrupted: whether the process was sent a signal before it could train.
    """

    config: Config
    attempt: int
    seconds: float
    exit_code: int | None
    error: str | None
    termination: Termination | None
    interrupted: bool = False


def ensure_records(ended: EndedRun, slots: Slots, command_line: str) -> tuple[Record, ...]:
    """Return the record of every point of the run, all of them on disk.

    Raises:
        OSError: a record could not be written.
    """
    return tuple(_ensure_record(ended, slots, command_line, horizon) for horizon in ended.config.point_ids)


def _ensure_record(ended: EndedRun, slots: Slots, command_line: str, horizon: float) -> Record:
    config = ended.config
    path = records.path_of(config.directory, config.point_ids[horizon])
    written = _read_current(path, ended.attempt)
    if written:
        record = _corrected(written, ended.termination, slots)
    else:
        record = _record_of_death(ended, slots, command_line, horizon)
    if record is not written:
        records.write(record, config.directory)
    return record


def _read_current(path: Path, attempt: int) -> Record | None:
    """Return the record at `path` if it is of this attempt or of a finished point."""
    record = records.find(path)
    return record if record and (record.state == "done" or record.attempt >= attempt) else None


def _corrected(record: Record, termination: Termination | None, slots: Slots) -> Record:
    """Return the record with the state that the supervisor knows better than the run itself.

    A run that was stopped for a time limit wrote `interrupted`, as after any SIGTERM, but has failed. A run
    that ran out of memory beside others may fit when alone, so it fails, which is tried again, and is not
    `oom`, which is final.
    """
    if record.state == "interrupted" and termination is not None and termination.state == "failed":
        return dataclasses.replace(record, state="failed", reason=termination.reason)
    if record.state == "oom" and slots.shared == "gpu":
        return dataclasses.replace(record, state="failed", reason=f"{record.reason}, {SHARED_MEMORY}")
    return record


def _record_of_death(ended: EndedRun, slots: Slots, command_line: str, horizon: float) -> Record:
    """Return a record without measurements for a point whose process wrote none."""
    config, termination = ended.config, ended.termination
    died = f"its process {_how_it_ended(ended.exit_code)} before it wrote a record"
    machine = Machine(
        cpu=NO_PROVENANCE,
        device=NO_PROVENANCE,
        precision=config.precision.compute,
        threads=slots.threads,
        libraries={},
        gpu=None,
        gpu_reason=NO_PROVENANCE,
    )
    origin = provenance.gather(config, machine, started_at=provenance.now(), command_line=command_line)
    return provenance.record_without_point(
        config,
        origin,
        horizon,
        state=termination.state if termination else "interrupted" if ended.interrupted else "failed",
        reason=termination.reason if termination else ended.error or died,
        attempt=ended.attempt,
        seconds=ended.seconds,
    )


def _how_it_ended(code: int | None) -> str:
    # sweep/slurm/reconcile.py looks for "was killed by signal 9": change both together.
    if code is None:
        return "returned"
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
