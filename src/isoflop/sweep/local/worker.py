"""Child process of the worker pool: executes runs, and meters, one after another, as its pipe tells it.

A child ignores Ctrl-C: the terminal sends it to the supervisor too, which decides what happens. Upon the
other stop signals its run writes a checkpoint, or says that it had not begun to train. When the supervisor is
gone, the child sends itself SIGTERM, as the supervisor would.
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
from isoflop import signals
from isoflop.config import Config
from isoflop.config.launch import Shared
from isoflop.meter.energy.shape_energy import ShapeEnergy
from isoflop.meter.energy.window_meter import IdlePower
from isoflop.sweep import planning
from isoflop.sweep.local.agenda import MeterAnchor, MeterIdle, Metering
from isoflop.sweep.local.drift import anchor_seconds

GRACE_SECONDS = 30.0
"""Time from SIGTERM to SIGKILL: long enough to write a checkpoint."""


@dataclasses.dataclass(frozen=True)
class Assignment:
    """A run for a worker to execute.

    Attributes:
        config: the run.
        lr_interior: as in RunRequest.
        counted: counted work of its shape where the sweep has planned it (planning.counted_work).
        runs_of_step: how many runs of the sweep can use its compiled step.
        metering: as in RunRequest.
    """

    config: Config
    lr_interior: bool | None
    counted: bytes | None = None
    runs_of_step: int = 1
    metering: Literal["run", "shape"] = "run"


@dataclasses.dataclass(frozen=True)
class MeteringAssignment:
    """Something for a worker to meter beside its runs; `counted` and `runs_of_step` as in Assignment."""

    job: Metering
    counted: bytes | None = None
    runs_of_step: int = 1


@dataclasses.dataclass(frozen=True)
class Reply:
    """What a worker sends back when a run has ended, or something has been metered.

    Attributes:
        kind: `ended`, the records tell how; `metered`, `measured` tells what; `busy`, another process is
            executing the run; `stopped`, a signal came before it could train; `invalid`, its input cannot be
            used; `failed`, metering raised an error; `os_error`, a file could not be written.
        reason: message of the error, for the last four kinds.
        errno: error number of an `os_error`.
        path: file of an `os_error`.
        measured: the energy of a shape, or the power of idle GPUs.
    """

    kind: Literal["ended", "metered", "busy", "stopped", "invalid", "failed", "os_error"]
    reason: str = ""
    errno: int = 0
    path: str = ""
    measured: ShapeEnergy | IdlePower | None = None

    @property
    def message(self) -> str:
        """The error in one line, with its file."""
        return f"{self.path}: {self.reason}" if self.path else self.reason


@dataclasses.dataclass(frozen=True)
class WorkerSettings:
    """What holds for all jobs of a worker.

    Attributes:
        device_index: the first GPU to use.
        command_line: command of the sweep, kept in the records.
        environment: variables to set, those of MPS.
        shared: what runs at the same time share.
        idle: power of the idle GPU, if a worker before this one has measured it.
        own_processes: compute processes of the sweep on a GPU, those that only compile included.
    """

    device_index: int
    command_line: str
    environment: Mapping[str, str]
    shared: Shared
    idle: IdlePower | None = None
    own_processes: int = 1


def execute(assignment: Assignment, settings: WorkerSettings) -> Reply:
    """Execute one run. Errors that the run itself accounts for are in its records."""
    from isoflop.runner import run
    from isoflop.runner.request import RunRequest

    planning.take_over_counted_work(assignment.counted)
    try:
        request = RunRequest(
            settings.device_index,
            settings.command_line,
            assignment.lr_interior,
            shared=settings.shared,
            runs_of_step=assignment.runs_of_step,
            metering=assignment.metering,
        )
        run.run(assignment.config, request)
    except records.RecordBusyError:
        return Reply("busy")
    except signals.StopNow as stop:
        return Reply("stopped", f"{stop} before the run was prepared: run it again")
    except OSError as error:
        return Reply("os_error", error.strerror or str(error), error.errno or 0, str(error.filename or ""))
    except ValueError as error:
        return Reply("invalid", str(error))
    return Reply("ended")


def meter(assignment: MeteringAssignment, settings: WorkerSettings, stop: signals.Stop) -> Reply:
    """Meter what is asked for. No error ends the process: the sweep goes on without the figure. A signal ends
    the metering at once."""
    from isoflop.runner import shape

    planning.take_over_counted_work(assignment.counted)
    job = assignment.job
    try:
        with stop.at_once():
            if isinstance(job, MeterIdle):
                idle = shape.measure_idle(job.config, settings.device_index, use=job.when == "first")
                return Reply("metered", measured=idle)
            seconds = anchor_seconds(job.config) if isinstance(job, MeterAnchor) else None
            runs = assignment.runs_of_step
            measured = shape.meter_shape(job.config, settings.device_index, seconds, runs_of_step=runs)
            return Reply("metered", measured=measured)
    except signals.StopNow as stopped:
        return Reply("failed", str(stopped))
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Reply("failed", f"{type(error).__name__}: {first}")


def serve(pipe: Connection, settings: WorkerSettings) -> None:
    """Execute the runs that come through `pipe` until it closes: the main function of a child process.

    Runs of one shape share the captured or compiled step, and a run of another shape frees its memory
    (train.loop.warm_trainer).

    Args:
        pipe: receives an Assignment for each run, or a MeteringAssignment, and sends back a Reply.
        settings: where it works, and for which sweep.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with signals.watched() as stop:
        signals.unhold()
        os.environ.update(settings.environment)
        from isoflop.runner import session

        session.configure(idle=settings.idle, shared=settings.shared, own_processes=settings.own_processes)
        try:
            _serve(pipe, settings, stop)
        finally:
            session.close_all()


def _serve(pipe: Connection, settings: WorkerSettings, stop: signals.Stop) -> None:
    busy = threading.Event()
    threading.Thread(target=_stop_when_orphaned, args=(pipe.fileno(), busy), daemon=True).start()
    while True:
        try:
            assignment = pipe.recv()
        except (EOFError, OSError):
            return
        busy.set()
        if isinstance(assignment, MeteringAssignment):
            reply = meter(assignment, settings, stop)
        else:
            reply = execute(assignment, settings)
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
