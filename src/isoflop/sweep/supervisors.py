"""Files by which others see who works on a sweep: DIR/.supervisors/HOST-PID.json, one a process.

`isoflop sweep` writes one while it plans, before there is a manifest, and until its last run has ended, and
removes it then. Of a process that was killed it stays, and counts for nothing: readers look whether the
process exists, and the next sweep on that machine removes it. A folder that cannot be written costs the file,
not the sweep.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from isoflop.record import heartbeat
from isoflop.runner import provenance

FOLDER = ".supervisors"
PERIOD_SECONDS = 1.0
Phase = Literal["planning", "training"]


class Supervisor(msgspec.Struct, frozen=True):
    """What a process does for a sweep.

    Attributes:
        phase: planning, while shapes are counted and inputs are checked, or training.
        done: runs that have been planned, or have ended.
        runs: how many there are to plan, or to train.
        user, host, pid: whose process it is, where.
        command: what was typed.
        seconds: time since it began: by its monotonic clock in the file, and since then by the age of that.
    """

    phase: Phase
    done: int
    runs: int
    user: str
    host: str
    pid: int
    command: str
    seconds: float


class Announcement:
    """Keeps the file of this process, rewritten about once a second while it is called."""

    def __init__(self, directory: Path, phase: Phase, runs: int) -> None:
        self._path = directory / FOLDER / f"{socket.gethostname()}-{os.getpid()}.json"
        self._began, self._written_at = time.monotonic(), float("-inf")
        self._last = Supervisor(
            phase, 0, runs, _user(), socket.gethostname(), os.getpid(), provenance.command(), 0.0
        )

    def __call__(self, done: int) -> None:
        """Say how many runs have been planned, or have ended."""
        now = time.monotonic()
        if now - self._written_at < PERIOD_SECONDS:
            return
        self._written_at = now
        current = msgspec.structs.replace(self._last, done=done, seconds=now - self._began)
        part = self._path.with_suffix(".tmp")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)  # another sweep that ended may have removed it
            part.write_bytes(msgspec.json.encode(current))
            part.replace(self._path)


@contextlib.contextmanager
def announced(directory: Path, phase: Phase, runs: int) -> Iterator[Announcement]:
    """Let others see inside the context that this process works on a sweep.

    Folders that were made for it and hold nothing else are removed at the end, so that input that turns out
    to be bad while it is planned leaves nothing behind.
    """
    made = _make(directory / FOLDER)
    announcement = Announcement(directory, phase, runs)
    announcement(0)
    try:
        yield announcement
    finally:
        with contextlib.suppress(OSError):
            announcement._path.unlink(missing_ok=True)
            for folder in made:
                folder.rmdir()


def _make(folder: Path) -> tuple[Path, ...]:
    """Make a folder, and remove files of dead processes of this machine; return what may go again, the
    innermost first."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    for path, each, age in _files(folder):
        if not heartbeat.process_lives(each.host, each.pid, age) and each.host == socket.gethostname():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    return tuple(dict.fromkeys((folder, *missing)))


def active(directory: Path) -> tuple[Supervisor, ...]:
    """Return the processes that work on the sweep in a folder."""
    return tuple(
        msgspec.structs.replace(each, seconds=each.seconds + age)
        for _, each, age in _files(directory / FOLDER)
        if heartbeat.process_lives(each.host, each.pid, age)
    )


def _files(folder: Path) -> list[tuple[Path, Supervisor, float]]:
    """Return the files of a folder with what they say and their age in seconds; damaged ones are left out."""
    read = []
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            age = max(0.0, time.time() - path.stat().st_mtime)
            read.append((path, msgspec.json.decode(path.read_bytes(), type=Supervisor), age))
    return read


def _user() -> str:
    """Return the name of the user, or the number where the system has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
