"""The children of one sweep: who has which cell in hand, what each ended with, and who gets the next one."""

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
from isoflop.sweep.grid import Cell
from isoflop.sweep.local import worker as child
from isoflop.sweep.local.outcomes import Ended, account
from isoflop.sweep.local.stops import Level, Stops, announce
from isoflop.sweep.local.watchdog import Vigil
from isoflop.sweep.local.worker import Said, Task
from isoflop.sweep.planning import Slots

TICK_SECONDS = 0.2
"""How often signals and time-outs are looked at while no cell ends."""
BUSY_SECONDS = 15.0
"""How long a cell that another process holds is tried again: that process may be ending."""
RETRY_SECONDS = 0.5
STOPPED = "its sweep was stopped before it could keep anything"
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What no other cell can get round: the sweep stops."""

Watch = Callable[[Cell, tuple[Record, ...]], None]
"""Called as each cell ends, with its records, none where another process is running that cell."""


@dataclasses.dataclass(frozen=True)
class Worker:
    """A child process, its pipe, and the cell it has in hand."""

    process: ForkServerProcess
    pipe: Connection
    slot: int
    cell: Cell
    attempt: int
    vigil: Vigil


class Crew:
    """On a GPU a child goes on with the next cell of the same shape; on a CPU each cell has a child of its
    own, which costs a few hundredths of a second and leaves nothing behind."""

    def __init__(
        self, cells: tuple[Cell, ...], slots: Slots, watch: Watch, environment: Mapping[str, str]
    ) -> None:
        self._context, self._queue = planning.context(), collections.deque(cells)
        self._slots, self._watch, self._environment = slots, watch, dict(environment)
        self._command_line = provenance.command()
        self._free = collections.deque(range(slots.workers))
        self._at_work: dict[Connection, Worker] = {}
        self._leaving: list[ForkServerProcess] = []
        self._later: list[tuple[float, Cell]] = []
        self._busy_since: dict[str, float] = {}

    def run(self, stops: Stops) -> None:
        """Until every cell is accounted for or, once asked to stop, every cell in hand.

        Raises:
            OSError: a record cannot be written. Cells in hand have been stopped.
        """
        told = Level.GO
        try:
            while self._at_work or (stops.level == Level.GO and (self._queue or self._later)):
                if stops.level > told:
                    told = stops.level
                    announce(told, len(self._at_work))
                if stops.level == Level.GO:
                    self._hand_out()
                self._listen(more=stops.level == Level.GO)
                self._look(stops.level)
        except BaseException:
            self._abandon()
            raise
        finally:
            self._see_off()

    def _hand_out(self) -> None:
        """Give cells to free slots; those that were busy come again when they are due."""
        now = time.monotonic()
        self._queue.extend(cell for due, cell in self._later if due <= now)
        self._later = [(due, cell) for due, cell in self._later if due > now]
        while self._free and self._queue:
            self._start(self._free.popleft())

    def _start(self, slot: int) -> None:
        """Give the next cell to a new child."""
        here, there = self._context.Pipe()
        arguments = (there, self._slots.device_index(slot), self._command_line, self._environment)
        process = self._context.Process(target=child.work, args=arguments)
        process.start()
        there.close()
        self._hand_over(process, here, slot)

    def _hand_over(self, process: ForkServerProcess, pipe: Connection, slot: int) -> None:
        cell = self._queue.popleft()
        launch = dataclasses.replace(cell.config.launch, threads=self._slots.threads)
        config = dataclasses.replace(cell.config, launch=launch)
        attempt = provenance.next_attempt(config)
        vigil = Vigil(process, config)
        self._at_work[pipe] = Worker(process, pipe, slot, cell, attempt, vigil)
        with contextlib.suppress(BrokenPipeError):  # a child that died already is found when it is waited for
            pipe.send(Task(config, cell.lr_interior, self._slots.shared))

    def _listen(self, *, more: bool) -> None:
        """Hear what comes within a tick."""
        for pipe in wait(list(self._at_work), TICK_SECONDS):
            assert isinstance(pipe, Connection)
            self._hear(pipe, more=more)
        self._leaving = [process for process in self._leaving if process.exitcode is None]

    def _hear(self, pipe: Connection, *, more: bool) -> None:
        """A child has ended its cell, or its life: account for the cell and, with `more`, go on."""
        worker = self._at_work.pop(pipe)
        said: Said | None = None
        try:
            said = pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
        stays = said is not None and more and self._goes_on(worker)
        try:
            self._settle(worker, said)
        except BaseException:
            self._let_go(worker)
            raise
        if stays:
            self._hand_over(worker.process, pipe, worker.slot)
        else:
            self._let_go(worker)

    def _let_go(self, worker: Worker) -> None:
        """The child leaves once its pipe is closed; others need not wait for that."""
        worker.pipe.close()
        self._leaving.append(worker.process)
        self._free.append(worker.slot)

    def _goes_on(self, worker: Worker) -> bool:
        """Whether the child takes the next cell too: on a GPU, where that is of the same shape."""
        if not self._slots.gpus or not self._queue or worker.vigil.verdict is not None:
            return False
        return self._queue[0].config.shape_id == worker.cell.config.shape_id

    def _put_off(self, cell: Cell) -> None:
        """Another process has the cell: try again after the others, and in the end leave it to that one."""
        now = time.monotonic()
        if now - self._busy_since.setdefault(cell.run_id, now) < BUSY_SECONDS:
            self._later.append((now + RETRY_SECONDS, cell))
        else:
            self._watch(cell, ())

    def _settle(self, worker: Worker, said: Said | None) -> None:
        """Account for a cell. Raises OSError where the machine cannot hold its records."""
        if said is not None and said.kind == "busy":
            self._put_off(worker.cell)
            return
        if said is not None and said.kind == "machine" and said.number in DISK:
            raise OSError(said.number, said.words, said.path or None)
        ended = Ended(
            config=worker.cell.config,
            attempt=worker.attempt,
            seconds=worker.vigil.seconds,
            exit_code=worker.process.exitcode if said is None else None,
            said=said.told if said else None,
            verdict=worker.vigil.verdict,
        )
        self._watch(worker.cell, account(ended, self._slots, self._command_line))

    def _look(self, level: Level) -> None:
        for worker in self._at_work.values():
            if level == Level.KILL:
                worker.vigil.kill("killed by the third Ctrl-C")
            elif level == Level.STOP:
                worker.vigil.end("interrupted", STOPPED)
            worker.vigil.look()

    def _abandon(self) -> None:
        """The sweep cannot go on: stop what is in hand; what can be accounted for is."""
        self._queue.clear()
        while self._at_work:
            self._look(Level.STOP)
            with contextlib.suppress(OSError):
                self._listen(more=False)

    def _see_off(self) -> None:
        """Wait for children that have no cell left; one that does not leave is killed."""
        for process in self._leaving:
            process.join(child.GRACE_SECONDS)
            if process.exitcode is None:
                process.kill()
                process.join()
