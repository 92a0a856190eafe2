"""Pool of worker processes: assigns the runs of a sweep and makes sure that each leaves its records."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import errno
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess

from isoflop.record import Record
from isoflop.runner import provenance
from isoflop.sweep import planning
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import worker
from isoflop.sweep.local.outcomes import EndedRun, ensure_records
from isoflop.sweep.local.stops import StopLevel, StopRequests, announce
from isoflop.sweep.local.watchdog import Watchdog
from isoflop.sweep.local.worker import Assignment, Reply
from isoflop.sweep.planning import Slots

TICK_SECONDS = 0.2
"""Period at which stop requests and time limits are checked while no run ends."""
BUSY_SECONDS = 15.0
"""How long to keep trying a run that another process holds: that process may be about to end."""
RETRY_SECONDS = 0.5
STOPPED = "its sweep was stopped before it wrote a checkpoint"
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""Errors that every other run would meet too: they stop the sweep."""

OnRunEnd = Callable[[PlannedRun, tuple[Record, ...]], None]
"""Called as each run ends with its records, which are empty if another process is executing the run."""


@dataclasses.dataclass(frozen=True)
class Worker:
    """A child process, its pipe, and the run that it executes."""

    process: ForkServerProcess
    pipe: Connection
    slot: int
    planned: PlannedRun
    attempt: int
    watchdog: Watchdog


class WorkerPool:
    """Executes the runs of one sweep in child processes.

    On a GPU a child continues with the next run if it is of the same shape, so that the captured step is
    used again. On a CPU each run has a child of its own, which costs a few hundredths of a second and leaves
    no state behind.

    Args:
        runs: the runs to execute, in this order.
        slots: how many at a time, on which devices.
        on_run_end: called in this process as each run ends.
        environment: variables for the children, those of MPS.
    """

    def __init__(
        self,
        runs: tuple[PlannedRun, ...],
        slots: Slots,
        on_run_end: OnRunEnd,
        environment: Mapping[str, str],
    ) -> None:
        self._context, self._queue = planning.forkserver_context(), collections.deque(runs)
        self._runs_of_shape = collections.Counter(planned.config.shape_id for planned in runs)
        self._slots, self._on_run_end, self._environment = slots, on_run_end, dict(environment)
        self._command_line = provenance.command()
        self._free_slots = collections.deque(range(slots.workers))
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
            while self._workers or (stops.level == StopLevel.NONE and (self._queue or self._postponed)):
                if stops.level > announced:
                    announced = stops.level
                    announce(announced, len(self._workers))
                if stops.level == StopLevel.NONE:
                    self._fill_slots()
                self._receive_replies(assign_more=stops.level == StopLevel.NONE)
                self._check_watchdogs(stops.level)
        except BaseException:
            self._stop_all()
            raise
        finally:
            self._join_exiting()

    def _fill_slots(self) -> None:
        """Start a worker in each free slot, first moving postponed runs that are due back to the queue."""
        now = time.monotonic()
        self._queue.extend(planned for due, planned in self._postponed if due <= now)
        self._postponed = [(due, planned) for due, planned in self._postponed if due > now]
        while self._free_slots and self._queue:
            self._start_worker(self._free_slots.popleft())

    def _start_worker(self, slot: int) -> None:
        """Start a child in a slot and assign the next run to it."""
        parent_end, child_end = self._context.Pipe()
        arguments = (child_end, self._slots.device_index(slot), self._command_line, self._environment)
        process = self._context.Process(target=worker.serve, args=arguments)
        process.start()
        child_end.close()  # only the child holds it now, so that its death shows as EOF on our end
        self._assign_next(process, parent_end, slot)

    def _assign_next(self, process: ForkServerProcess, pipe: Connection, slot: int) -> None:
        planned = self._queue.popleft()
        launch = dataclasses.replace(planned.config.launch, threads=self._slots.threads)
        config = dataclasses.replace(planned.config, launch=launch)
        attempt = provenance.next_attempt(config)
        watchdog = Watchdog(process, config)
        self._workers[pipe] = Worker(process, pipe, slot, planned, attempt, watchdog)
        with contextlib.suppress(BrokenPipeError):  # the child died already: the next wait() reports its EOF
            runs = self._runs_of_shape[config.shape_id]
            pipe.send(Assignment(config, planned.lr_interior, self._slots.shared, runs))

    def _receive_replies(self, *, assign_more: bool) -> None:
        """Wait for replies, and for children that die, for one tick at most."""
        for pipe in wait(list(self._workers), TICK_SECONDS):
            assert isinstance(pipe, Connection)
            self._handle_reply(pipe, assign_more=assign_more)
        self._exiting = [process for process in self._exiting if process.exitcode is None]

    def _handle_reply(self, pipe: Connection, *, assign_more: bool) -> None:
        """Write the records of the run that ended or whose child died, and reuse or release the child."""
        ended = self._workers.pop(pipe)
        reply: Reply | None = None
        try:
            reply = pipe.recv()
        except (EOFError, ConnectionResetError):
            ended.process.join()  # the child is dead: its exit code is known after this
        reuse = reply is not None and assign_more and self._can_reuse(ended)
        try:
            self._finish_run(ended, reply)
        except BaseException:
            self._release(ended)
            raise
        if reuse:
            self._assign_next(ended.process, pipe, ended.slot)
        else:
            self._release(ended)

    def _release(self, released: Worker) -> None:
        """Close the worker's pipe, upon which it exits, and free its slot without waiting for that."""
        released.pipe.close()
        self._exiting.append(released.process)
        self._free_slots.append(released.slot)

    def _can_reuse(self, idle: Worker) -> bool:
        """Return whether the child can execute the next run: on a GPU, if that is of the same shape.

        A child that was sent SIGTERM is not used again: the signal may still be pending.
        """
        if not self._slots.gpus or not self._queue or idle.watchdog.termination is not None:
            return False
        return self._queue[0].config.shape_id == idle.planned.config.shape_id

    def _postpone(self, planned: PlannedRun) -> None:
        """Try a run that another process holds again later, and leave it to that process in the end.

        The holder may be a worker of a killed sweep that is still writing its checkpoint.
        """
        now = time.monotonic()
        if now - self._busy_since.setdefault(planned.run_id, now) < BUSY_SECONDS:
            self._postponed.append((now + RETRY_SECONDS, planned))
        else:
            self._on_run_end(planned, ())

    def _finish_run(self, ended: Worker, reply: Reply | None) -> None:
        """Write the missing records of a run that ended.

        Raises:
            OSError: the disk is full or broken, here or in the child.
        """
        if reply is not None and reply.kind == "busy":
            self._postpone(ended.planned)
            return
        if reply is not None and reply.kind == "os_error" and reply.errno in DISK_ERRORS:
            raise OSError(reply.errno, reply.reason, reply.path or None)
        end = EndedRun(
            config=ended.planned.config,
            attempt=ended.attempt,
            seconds=ended.watchdog.seconds,
            exit_code=ended.process.exitcode if reply is None else None,
            error=reply.message if reply else None,
            termination=ended.watchdog.termination,
        )
        self._on_run_end(ended.planned, ensure_records(end, self._slots, self._command_line))

    def _check_watchdogs(self, level: StopLevel) -> None:
        for each in self._workers.values():
            if level == StopLevel.KILL:
                each.watchdog.kill("killed by the third Ctrl-C")
            elif level == StopLevel.STOP:
                each.watchdog.stop("interrupted", STOPPED)
            each.watchdog.check()

    def _stop_all(self) -> None:
        """Stop every run because the sweep cannot go on, and write the records that can be written."""
        self._queue.clear()
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
