"""The records of a cell that ended: those its process wrote, and for each point without one the account of
how the process died or why it was ended."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from isoflop import record as records
from isoflop.config import Config
from isoflop.record import Record
from isoflop.runner import provenance
from isoflop.runner.provenance import Machine
from isoflop.sweep.local.watchdog import Verdict
from isoflop.sweep.planning import Slots

NEVER_STARTED = "the process ended before it could say"
CROWDED = "while it shared the GPU with other cells: run it again with launch.per_gpu=1"


@dataclasses.dataclass(frozen=True)
class Ended:
    """A cell whose process is done with it. `exit_code` is None where the process lives on, `said` what it
    said against the cell, `verdict` why it was ended from outside."""

    config: Config
    attempt: int
    seconds: float
    exit_code: int | None
    said: str | None
    verdict: Verdict | None


def account(ended: Ended, slots: Slots, command_line: str) -> tuple[Record, ...]:
    """The records of every point of the cell, each on disk.

    Raises:
        OSError: one could not be written.
    """
    return tuple(_point(ended, slots, command_line, horizon) for horizon in ended.config.point_ids)


def _point(ended: Ended, slots: Slots, command_line: str, horizon: float) -> Record:
    config = ended.config
    path = records.path_of(config.directory, config.point_ids[horizon])
    found = _written(path, ended.attempt)
    record = _judged(found, ended.verdict, slots) if found else _lost(ended, slots, command_line, horizon)
    if record is not found:
        records.write(record, config.directory)
    return record


def _written(path: Path, attempt: int) -> Record | None:
    """The record at `path` if it is this attempt's or a finished point."""
    try:
        record = records.read(path)
    except (records.RecordError, OSError):
        return None
    return record if record.state == "done" or record.attempt >= attempt else None


def _judged(record: Record, verdict: Verdict | None, slots: Slots) -> Record:
    """A cell that was ended for being late has failed, though it stopped in order. One that ran out of memory
    beside others may fit alone, so that is no final state."""
    if record.state == "interrupted" and verdict is not None and verdict.state == "failed":
        return dataclasses.replace(record, state="failed", reason=verdict.reason)
    if record.state == "oom" and slots.shared == "gpu":
        return dataclasses.replace(record, state="failed", reason=f"{record.reason}, {CROWDED}")
    return record


def _lost(ended: Ended, slots: Slots, command_line: str, horizon: float) -> Record:
    config, verdict = ended.config, ended.verdict
    died = f"its process {_how_it_ended(ended.exit_code)} before it wrote a record"
    machine = Machine(
        cpu=NEVER_STARTED,
        device=NEVER_STARTED,
        precision=config.precision.compute,
        threads=slots.threads,
        libraries={},
        gpu=None,
        gpu_reason=NEVER_STARTED,
    )
    origin = provenance.gather(config, machine, started_at=provenance.now(), command_line=command_line)
    return provenance.record_without_point(
        config,
        origin,
        horizon,
        state=verdict.state if verdict else "failed",
        reason=verdict.reason if verdict else ended.said or died,
        attempt=ended.attempt,
        seconds=ended.seconds,
    )


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "went on"
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
