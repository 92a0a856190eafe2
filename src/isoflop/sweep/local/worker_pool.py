"""Pool of worker processes: assigns the runs of a sweep and makes sure that each leaves its records."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import errno
import multiprocessing
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Literal

from isoflop.config import Config
from isoflop.record import Record
from isoflop.runner import provenance
from isoflop.sweep import children, planning
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import worker
from isoflop.sweep.local.agenda import Agenda, Job
from isoflop.sweep.local.metering_results import MeteringResults
from isoflop.sweep.local.outcomes import EndedRun, ensure_records
from isoflop.sweep.local.stops import StopLevel, StopRequests, announce
from isoflop.sweep.local.watchdog import Watchdog
from isoflop.sweep.local.worker import Assignment, MeteringAssignment, Reply
from isoflop.sweep.slots import Slots

TICK_SECONDS = 0.2
"""Period at which stop requests and time limits are checked while no run ends."""
BUSY_SECONDS = 15.0
"""How long to keep trying a run that another process holds: that process may be about to end."""
RETRY_SECONDS = 0.5
STOPPED = "its sweep was stopped before it wrote a checkpoint"
SETUP_SECONDS = 600.0
"""Time that metering may take beside the seconds metered: a new CUDA context, compiling, capturing."""
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""Errors that every other run would meet too: they stop the sweep."""

OnTick = Callable[[tuple[Job, ...]], None]
"""Called several times a second with the jobs in hand, in the order of their slots: it has to return soon."""
OnRunEnd = Callable[[PlannedRun, tuple[Record, ...]], None]
"""Called as each run ends with its records, which are empty if another process is executing the run."""


@dataclasses.dataclass(frozen=True)
class Worker:
    """A child process, its pipe, and the job that it is at; `attempt` is 0 where that is no run."""

    process: ForkServerProcess
    pipe: Connection
    slot: int
    job: Job
    attempt: int
    watchdog: Watchdog


class WorkerPool:
    """Executes the runs of one sweep in child processes.

    On a GPU a child goes on from run to run, because a new one costs seconds: a CUDA context, cuDNN, a
    capture. It is replaced after a run that died, was stopped, failed or ran out of memory. On a CPU each run
    has a child of its own, which costs a few hundredths of a second and leaves no state behind.

    Args:
        agenda: what to do.
        slots: how many runs at a time, on which devices.
        on_run_end: called in this process as each run ends.
        metering: takes what was metered beside the runs.
        environment: variables for the children, those of MPS.
        own_processes: compute processes of this sweep on a GPU.
        on_tick: shown the jobs in hand.
    """

    def __init__(
        self,
        agenda: Agenda,
        slots: Slots,
        on_run_end: OnRunEnd,
        metering: MeteringResults,
        environment: Mapping[str, str],
        own_processes: int = 1,
        on_tick: OnTick | None = None,
    ) -> None:
        self._own_processes, self._on_tick = own_processes, on_tick
        self._agenda, self._metering = agenda, metering
        self._slots, self._on_run_end, self._environment = slots, on_run_end, dict(environment)
        self._command_line = provenance.command()
        self._free_slots = collections.deque(range(agenda.slots))
        self._workers: dict[Connection, Worker] = {}
        self._exiting: list[ForkServerProcess] = []
        self._postponed: list[tuple[float, PlannedRun]] = []
        self._busy_since: dict[str, float] = {}

    def execute(self, stops: StopRequests) -> None:
        """Execute until every run has its records or, once asked to stop, every run that was started.

        Everything happens in this one thread: signal handlers only raise `stops.level`, and the loop acts on
        it within a tick.

        Raises:
            OSError: a record cannot be written. All runs have been stopped.
        """
        announced = StopLevel.NONE
        try:
            while self._workers or (stops.level == StopLevel.NONE and self._has_more):
                if stops.level > announced:
                    announced = stops.level
                    announce(announced, len(self._workers))
                if stops.level == StopLevel.NONE:
                    self._fill_slots()
                if self._on_tick is not None:
                    in_hand = sorted(self._workers.values(), key=lambda each: each.slot)
                    self._on_tick(tuple(each.job for each in in_hand))
                self._receive_replies(assign_more=stops.level == StopLevel.NONE)
                self._check_watchdogs(stops.level)
        except BaseException:
            self._stop_all()
            raise
        finally:
            self._join_exiting()

    @property
    def _has_more(self) -> bool:
        return bool(self._postponed or self._agenda.has_more)

    def _fill_slots(self) -> None:
        """Start a worker in each free slot that has work, after putting back postponed runs that are due."""
        now = time.monotonic()
        for due, planned in self._postponed:
            if due <= now:
                self._agenda.put_back(planned)
        self._postponed = [(due, planned) for due, planned in self._postponed if due > now]
        for slot in tuple(self._free_slots):
            if (job := self._agenda.next(slot)) is not None:
                self._free_slots.remove(slot)
                self._start_worker(slot, job)

    def _start_worker(self, slot: int, job: Job) -> None:
        """Start a child in a slot and give it a job."""
        parent_end, child_end = multiprocessing.Pipe()
        device_index, idle = self._slots.device_index(slot), self._metering.idle_of(slot)
        settings = worker.WorkerSettings(
            device_index,
            self._command_line,
            self._environment,
            self._slots.shared,
            idle,
            self._own_processes,
        )
        process = children.start_child(worker.serve, (child_end, settings))
        child_end.close()  # only the child holds it now, so that its death shows as EOF on our end
        self._assign(process, parent_end, slot, job)

    def _assign(self, process: ForkServerProcess, pipe: Connection, slot: int, job: Job) -> None:
        config, attempt, quiet_seconds = self._with_threads(job.config), 0, 0.0
        counted = planning.counted_work(job.config.shape_id)
        runs_of_step = self._agenda.runs_of_step(job.config.step_id)
        assignment: Assignment | MeteringAssignment
        if isinstance(job, PlannedRun):
            attempt = provenance.next_attempt(config)
            metering: Literal["run", "shape"] = "shape" if self._agenda.meters else "run"
            assignment = Assignment(config, job.lr_interior, counted, runs_of_step, metering)
        else:
            quiet_seconds = config.meter.idle_seconds + config.meter.window_seconds + SETUP_SECONDS
            job_here = dataclasses.replace(job, config=config)
            assignment = MeteringAssignment(job_here, counted, runs_of_step)
        watchdog = Watchdog(process, config, quiet_seconds=quiet_seconds)
        self._workers[pipe] = Worker(process, pipe, slot, job, attempt, watchdog)
        with contextlib.suppress(BrokenPipeError):  # the child died already: the next wait() reports its EOF
            pipe.send(assignment)

    def _with_threads(self, config: Config) -> Config:
        launch = dataclasses.replace(config.launch, threads=self._slots.threads)
        return dataclasses.replace(config, launch=launch)

    def _receive_replies(self, *, assign_more: bool) -> None:
        """Wait for replies, and for children that die, for one tick at most."""
        for pipe in wait(list(self._workers), TICK_SECONDS):
            assert isinstance(pipe, Connection)
            self._handle_reply(pipe, assign_more=assign_more)
        self._exiting = [process for process in self._exiting if process.exitcode is None]

    def _handle_reply(self, pipe: Connection, *, assign_more: bool) -> None:
        """Take what came of a job that ended or whose child died, and reuse or release the child."""
        ended = self._workers.pop(pipe)
        reply: Reply | None = None
        try:
            reply = pipe.recv()
        except (EOFError, ConnectionResetError):
            ended.process.join()  # the child is dead: its exit code is known after this
        try:
            clean = self._finish(ended, reply)
        except BaseException:
            self._release(ended)
            raise
        # A child that was sent SIGTERM is not used again: the signal may still be pending.
        can_go_on = clean and self._slots.warm and ended.watchdog.termination is None
        job = self._agenda.next(ended.slot) if can_go_on and assign_more else None
        if job is not None:
            self._assign(ended.process, pipe, ended.slot, job)
        else:
            self._release(ended)

    def _finish(self, ended: Worker, reply: Reply | None) -> bool:
        """Take what came of a job; return whether its process can do another one.

        One whose run failed or ran out of memory might not: after an error of CUDA no kernel of that process
        works, and an exception's traceback holds on to tensors. One that was sent a signal has been asked to
        stop for good.
        """
        if isinstance(ended.job, PlannedRun):
            written = self._finish_run(ended, ended.job, reply)
            clean = all(record.state not in ("failed", "oom", "interrupted") for record in written)
        else:
            self._metering.take(ended.slot, ended.job, reply)
            clean = reply is not None and reply.kind == "metered"
        return clean and reply is not None

    def _release(self, released: Worker) -> None:
        """Close the worker's pipe, upon which it exits, and free its slot without waiting for that."""
        released.pipe.close()
        self._exiting.append(released.process)
        self._free_slots.append(released.slot)

    def _postpone(self, slot: int, planned: PlannedRun) -> None:
        """Try a run that another process holds again later, and leave it to that process in the end.

        The holder may be a worker of a killed sweep that is still writing its checkpoint.
        """
        now = time.monotonic()
        if now - self._busy_since.setdefault(planned.run_id, now) < BUSY_SECONDS:
            self._agenda.postponed(slot)
            self._postponed.append((now + RETRY_SECONDS, planned))
        else:
            self._end_run(slot, planned, ())

    def _finish_run(self, ended: Worker, planned: PlannedRun, reply: Reply | None) -> tuple[Record, ...]:
        """Write the missing records of a run that ended, and return its records.

        Raises:
            OSError: the disk is full or broken, here or in the child.
        """
        if reply is not None and reply.kind == "busy":
            self._postpone(ended.slot, planned)
            return ()
        if reply is not None and reply.kind == "os_error" and reply.errno in DISK_ERRORS:
            raise OSError(reply.errno, reply.reason, reply.path or None)
        end = EndedRun(
            config=planned.config,
            attempt=ended.attempt,
            seconds=ended.watchdog.seconds,
            exit_code=ended.process.exitcode if reply is None else None,
            error=reply.message if reply else None,
            interrupted=reply is not None and reply.kind == "stopped",
            termination=ended.watchdog.termination,
        )
        written = ensure_records(end, self._slots, self._command_line)
        self._end_run(ended.slot, planned, written)
        return written

    def _end_run(self, slot: int, planned: PlannedRun, written: tuple[Record, ...]) -> None:
        self._on_run_end(planned, written)
        if self._agenda.ended(slot, planned) and self._metering.needs_measurement(planned.config):
            self._agenda.meter_shape(planned.config)

    def _check_watchdogs(self, level: StopLevel) -> None:
        for each in self._workers.values():
            if level == StopLevel.KILL:
                each.watchdog.kill("killed by the third Ctrl-C")
            elif level == StopLevel.STOP:
                each.watchdog.stop("interrupted", STOPPED)
            each.watchdog.check()

    def _stop_all(self) -> None:
        """Stop every run because the sweep cannot go on, and write the records that can be written."""
        self._agenda.clear()
        self._postponed.clear()
        while self._workers:
            self._check_watchdogs(StopLevel.STOP)
            with contextlib.suppress(OSError):  # the disk may be full for these records too
                self._receive_replies(assign_more=False)

    def _join_exiting(self) -> None:
        """Wait for children without a run to exit; kill those that do not."""
        for process in self._exiting:
            process.join(worker.GRACE_SECONDS)
            if process.exitcode is None:
                process.kill()
                process.join()
