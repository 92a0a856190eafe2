"""Child process of the worker pool: executes runs, one after another, as they come through its pipe.

A child ignores Ctrl-C: the terminal sends it to the supervisor too, which decides what happens. When the
supervisor is gone, the child sends itself SIGTERM, as the supervisor would, so that its run writes a
checkpoint.
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
"""Time from SIGTERM to SIGKILL: long enough to write a checkpoint."""


@dataclasses.dataclass(frozen=True)
class Assignment:
    """A run for a worker to execute; `shared` says what it shares with runs at the same time, `runs_of_shape`
    how many runs of the sweep can use its compiled step."""

    config: Config
    lr_interior: bool | None
    shared: Shared
    runs_of_shape: int = 1


@dataclasses.dataclass(frozen=True)
class Reply:
    """What a worker sends back when a run has ended.

    Attributes:
        kind: `ended`, the records tell how; `busy`, another process is executing the run; `invalid`, its
            input cannot be used; `os_error`, a file could not be written.
        reason: message of the error, for the last two kinds.
        errno: error number of an `os_error`.
        path: file of an `os_error`.
    """

    kind: Literal["ended", "busy", "invalid", "os_error"]
    reason: str = ""
    errno: int = 0
    path: str = ""

    @property
    def message(self) -> str:
        """The error in one line, with its file."""
        return f"{self.path}: {self.reason}" if self.path else self.reason


def execute(assignment: Assignment, device_index: int, command_line: str) -> Reply:
    """Execute one run. Errors that the run itself accounts for are in its records."""
    from isoflop.runner import run
    from isoflop.runner.request import RunRequest

    try:
        request = RunRequest(
            device_index,
            command_line,
            assignment.lr_interior,
            shared=assignment.shared,
            runs_of_shape=assignment.runs_of_shape,
        )
        run.run(assignment.config, request)
    except records.RecordBusyError:
        return Reply("busy")
    except OSError as error:
        return Reply("os_error", error.strerror or str(error), error.errno or 0, str(error.filename or ""))
    except ValueError as error:
        return Reply("invalid", str(error))
    return Reply("ended")


def serve(pipe: Connection, device_index: int, command_line: str, environment: Mapping[str, str]) -> None:
    """Execute the runs that come through `pipe` until it closes: the main function of a child process.

    Runs of one shape share the captured or compiled step (train.loop.warm_trainer).

    Args:
        pipe: receives an Assignment for each run and sends back a Reply.
        device_index: the first GPU to use.
        command_line: command of the sweep, kept in the records.
        environment: variables to set, those of MPS.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(environment)
    busy = threading.Event()
    threading.Thread(target=_stop_when_orphaned, args=(pipe.fileno(), busy), daemon=True).start()
    while True:
        try:
            assignment = pipe.recv()
        except (EOFError, OSError):
            return
        busy.set()
        reply = execute(assignment, device_index, command_line)
        busy.clear()
        with contextlib.suppress(OSError):  # the supervisor may be gone; then the next recv ends the loop
            pipe.send(reply)


def _stop_when_orphaned(descriptor: int, busy: threading.Event) -> None:
    """Wait, in a thread, until the supervisor's end of the pipe is closed; then stop the current run, if any.

    The main thread cannot notice: it is training and does not read the pipe. An idle worker needs no signal,
    since its recv ends with EOFError.
    """
    poll = select.poll()
    poll.register(descriptor, 0)  # 0: no data events, only the hang-up, which poll always reports
    poll.poll()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if busy.is_set():
            os.kill(os.getpid(), number)
            threading.Event().wait(GRACE_SECONDS)
