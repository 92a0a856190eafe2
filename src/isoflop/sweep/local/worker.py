"""What runs in a child process: cells, one after another, as they come through its pipe.

A child leaves Ctrl-C to its supervisor, which the terminal tells as well. When the supervisor is gone, the
child asks itself to stop as the supervisor would (SIGTERM), so that its cell keeps what it has.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import signal
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Literal

from isoflop import record as records
from isoflop.config import Config
from isoflop.config.launch import Shared

GRACE_SECONDS = 30.0
"""From being asked to stop to being killed: time to write a checkpoint."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A cell to run; `shared` says what other cells use at the same time."""

    config: Config
    lr_interior: bool | None
    shared: Shared


@dataclasses.dataclass(frozen=True)
class Said:
    """How a cell ended, beside its records: `ran` to them; `busy` in another process; `refused` for the
    reason in `words`; or the `machine` could not write them (`number` is errno, `path` the file)."""

    kind: Literal["ran", "busy", "refused", "machine"]
    words: str = ""
    number: int = 0
    path: str = ""

    @property
    def told(self) -> str:
        """What is said against the cell, in one line."""
        return f"{self.path}: {self.words}" if self.path else self.words


def run_task(task: Task, device_index: int, command_line: str) -> Said:
    """Run one cell; its records say the rest."""
    from isoflop.runner import run
    from isoflop.runner.request import RunRequest

    try:
        run.run(task.config, RunRequest(device_index, command_line, task.lr_interior, shared=task.shared))
    except records.RecordBusyError:
        return Said("busy")
    except OSError as error:
        return Said("machine", error.strerror or str(error), error.errno or 0, str(error.filename or ""))
    except ValueError as error:
        return Said("refused", str(error))
    return Said("ran")


def work(pipe: Connection, device_index: int, command_line: str, environment: Mapping[str, str]) -> None:
    """Run the cells that come through the pipe until it closes. Those of one shape share the captured or
    compiled step (train.loop.warm_trainer)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(environment)
    busy = threading.Event()
    threading.Thread(target=_stop_when_alone, args=(pipe.fileno(), busy), daemon=True).start()
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        busy.set()
        said = run_task(task, device_index, command_line)
        busy.clear()
        with contextlib.suppress(OSError):  # the supervisor may be gone; the next recv says so
            pipe.send(said)


def _stop_when_alone(descriptor: int, busy: threading.Event) -> None:
    """Wait until the other end of the pipe is closed, and end the cell in hand if there is one."""
    watched = select.poll()
    watched.register(descriptor, 0)  # 0: only that it hung up
    watched.poll()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if busy.is_set():
            os.kill(os.getpid(), number)
            threading.Event().wait(GRACE_SECONDS)
