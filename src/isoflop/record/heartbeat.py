"""Heartbeat file of a run, rewritten about once a second.

DIR/progress/RUN_ID.json tells a supervisor that the run does not hang, `isoflop status` how far it is, and a
resumed run how much was done after its last checkpoint and is lost. It is removed when the run is done; of
one that failed or was killed it stays until then.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import time
from pathlib import Path

import msgspec

PERIOD_SECONDS = 1.0
FRESH_SECONDS = 120.0
"""Age up to which a file from another machine counts as alive: an evaluation may take a while."""


@dataclasses.dataclass(frozen=True)
class Heartbeat:
    """How far a run is, and which process says so.

    Attributes:
        attempt: number of the attempt.
        steps_done: steps taken so far, on the trunk and on every cooldown branch.
        steps: how many there are to take.
        train_seconds: seconds in training so far.
        host, pid: the process.
        slurm_job: its SLURM job, None without one.
        val_error, val_loss: of the latest evaluation on the validation part, the loss in nats; None before
            the first one.
        of_text: whether the run trains on text, whose loss is shown as bits a byte.
        train_flops: training FLOPs so far, on trunk and branches; None where they are not counted.
        watts: mean power of the last seconds; None where nothing meters it.
    """

    attempt: int
    steps_done: int
    steps: int
    train_seconds: float
    host: str
    pid: int
    slurm_job: str | None
    val_error: float | None = None
    val_loss: float | None = None
    of_text: bool = False
    train_flops: float | None = None
    watts: float | None = None

    @property
    def share_done(self) -> float | None:
        """Share of the steps done; None where their number is not known."""
        return self.steps_done / self.steps if self.steps else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds of training to come, if the steps to come take as long as those done."""
        share = self.share_done
        return self.train_seconds * (1 / share - 1) if share else None


def process_lives(host: str, pid: int, age_seconds: float) -> bool:
    """Return whether a process exists or, on another machine, wrote its file less than FRESH_SECONDS ago.

    Args:
        host, pid: the process.
        age_seconds: age of the file in which it says so, by the file system's clock.
    """
    if host != socket.gethostname():
        return age_seconds < FRESH_SECONDS
    try:
        os.kill(pid, 0)  # signal 0 tests for the process and sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists and belongs to another user
        return True
    return True


def path_of(directory: Path, run_id: str) -> Path:
    """Return where the heartbeat of `run_id` lies in a sweep's folder."""
    return directory / "progress" / f"{run_id}.json"


def last(directory: Path, run_id: str) -> tuple[Heartbeat, float] | None:
    """Return the last heartbeat and its age in seconds, by the file system's clock.

    None if there is none, or a damaged one.

    Raises:
        OSError: it is there and cannot be read.
    """
    path = path_of(directory, run_id)
    try:
        age = time.time() - path.stat().st_mtime
        return msgspec.json.decode(path.read_bytes(), type=Heartbeat), max(0.0, age)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def remove(directory: Path, run_id: str) -> None:
    """Remove the heartbeat of a run that is done: its record says the rest."""
    with contextlib.suppress(OSError):
        path_of(directory, run_id).unlink(missing_ok=True)


class HeartbeatWriter:
    """Writes heartbeats of one run, at most one a second; a full disk costs the heartbeat, not the run."""

    def __init__(self, directory: Path, run_id: str) -> None:
        self._path = path_of(directory, run_id)
        self._last = time.monotonic()

    def due(self) -> bool:
        """Return whether the last heartbeat, or the beginning, is at least a second ago."""
        return time.monotonic() - self._last >= PERIOD_SECONDS

    def write(self, heartbeat: Heartbeat) -> None:
        """Replace the last heartbeat in one step: a reader sees one or the other, never a part."""
        self._last = time.monotonic()
        part = self._path.with_suffix(f".{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(msgspec.json.encode(heartbeat))
            part.replace(self._path)
