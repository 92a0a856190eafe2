"""Which trackers of a sweep's folder run on this machine: an empty file DIR/.trackers/NAME for each process.

NAME holds the host, the process-id namespace, the process id and the time at which the process started. This
needs no locks, which some network file systems lack, and a kill -9 leaves only a stale file: where no such
process runs, or the id now belongs to a process with another start time, the file is ignored and removed.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

FOLDER = ".trackers"
UNKNOWN = "unknown"
"""The start time where there is no /proc to say it: the process id must do."""


def register(directory: Path, pid: int) -> None:
    """Write the file of the tracker process `pid`, which has not been waited for yet. Raises OSError."""
    started = start_time(pid)
    if started is not None:
        path = directory / FOLDER / f"{_machine()}-{pid}-{started}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def any_running(directory: Path) -> bool:
    """Return whether a tracker of this folder runs on this machine; remove the files of those that ended."""
    alive = False
    for path in (directory / FOLDER).glob("*-*-*"):
        machine, pid, started = path.name.rsplit("-", 2)
        if machine != _machine() or not pid.isdecimal():
            continue  # another machine's process, which cannot be seen from here
        if start_time(int(pid)) == started:
            alive = True
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    return alive


def start_time(pid: int) -> str | None:
    """Return when a process started, in clock ticks since boot, or None if it does not run.

    A zombie, which has ended but was not collected by its parent, does not run. Where there is no /proc the
    start time of a running process is `UNKNOWN`.
    """
    try:
        # The second field, the program's name in brackets, may itself hold spaces and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return UNKNOWN if not Path("/proc/self/stat").exists() and _exists(pid) else None
    return None if fields[0] in "ZX" else fields[19]


def _exists(pid: int) -> bool:
    """Return whether a process has this id, whoever owns it."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _machine() -> str:
    """Return the host with its process-id namespace: containers may share a host's name, but not its ids."""
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        namespace = 0
    return f"{socket.gethostname()}-{namespace}"
