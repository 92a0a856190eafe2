"""A sign of life of a cell: how far it is, in one small file that is written over about once a second.

DIR/progress/RUN_ID.json tells a supervisor that the cell does not hang, `isoflop status` how far it is, and a
resumed run how much was done after its last checkpoint and is lost. It is removed when the cell is done; of a
cell that failed or was killed it stays until then.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from pathlib import Path

import msgspec

PERIOD_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a cell is: `steps_done` of `steps` steps and `train_seconds` in training, in attempt `attempt` on
    `host` in process `pid`. With cooldowns the trunk and every cool-down count."""

    attempt: int
    steps_done: int
    steps: int
    train_seconds: float
    host: str
    pid: int
    slurm_job: str | None


def path_of(directory: Path, run_id: str) -> Path:
    """Where the sign of life of `run_id` lies in a sweep's folder."""
    return directory / "progress" / f"{run_id}.json"


def read(directory: Path, run_id: str) -> tuple[Progress, float] | None:
    """The last sign of life and its age in seconds by the file system's clock, or None."""
    path = path_of(directory, run_id)
    try:
        age = time.time() - path.stat().st_mtime
        return msgspec.json.decode(path.read_bytes(), type=Progress), max(0.0, age)
    except (OSError, msgspec.DecodeError):
        return None


class Beat:
    """Writes signs of life, at most one a second; a disk that is full loses the sign, not the run."""

    def __init__(self, directory: Path, run_id: str) -> None:
        self._path = path_of(directory, run_id)
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether the last sign, or the beginning, is a second ago."""
        return time.monotonic() - self._last >= PERIOD_SECONDS

    def write(self, progress: Progress) -> None:
        """Put `progress` in the place of the last sign: a reader sees one or the other."""
        self._last = time.monotonic()
        part = self._path.with_suffix(f".{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(msgspec.json.encode(progress))
            part.replace(self._path)

    def end(self) -> None:
        """Remove the sign: the record says the rest."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
