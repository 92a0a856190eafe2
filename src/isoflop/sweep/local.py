"""Run cells on this machine, a process a cell, so that whatever happens to one costs only that one.

Children come from a fork server with torch preloaded (a few hundredths of a second each; a cold import takes
seconds). The parent runs no torch operation and imports no torch.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from isoflop import provenance
from isoflop import record as records
from isoflop.config import Config, ConfigError
from isoflop.launch import LaunchConfig
from isoflop.provenance import Machine
from isoflop.record import Record, State
from isoflop.sweep.grid import Cell

PRELOAD = ["isoflop.sweep.preload"]
NEVER_STARTED = "the process ended before it could say"

BUSY = "another process is running this cell"
INTERRUPTED_EXIT = 75

Watch = Callable[[Cell, tuple[Record, ...]], None]
"""Called as each cell ends, with its records, none where another process is running that cell."""


@dataclasses.dataclass(frozen=True)
class Slots:
    """Processes at a time, and threads each. `gpus` is 0 on a CPU; slot i uses GPU i modulo `gpus`."""

    workers: int
    threads: int
    gpus: int


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def _ask(function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function` returns in a child process; its ValueError is raised here.

    Raises:
        RuntimeError: the child died, or raised something else.
    """
    here, there = multiprocessing.Pipe(duplex=False)
    child = _context().Process(target=_answer, args=(there, function, arguments))
    child.start()
    there.close()
    try:
        kind, value = here.recv()
    except EOFError:
        child.join()
        raise RuntimeError(f"planning failed: its process ended with code {child.exitcode}") from None
    child.join()
    if kind == "value":
        return value
    raise ConfigError(value) if kind == "input" else RuntimeError(value)


def _answer(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        said = ("value", function(*arguments))
    except ValueError as error:
        said = ("input", str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_EXIT)
    except Exception as error:
        said = ("failed", f"planning failed: {type(error).__name__}: {error}")
    with contextlib.suppress(OSError):  # the parent may be gone
        pipe.send(said)


def _plan_all(configs: tuple[Config, ...]) -> tuple[tuple[float | None, ...], int]:
    """In a child: planned training FLOPs of each cell, and how many GPUs there are. One count a shape."""
    import torch

    from isoflop import prepare

    plans: dict[str, float | None] = {}
    for config in configs:
        if config.config_id not in plans:
            plan = prepare.prepare(config, torch.device("cpu")).plan
            plans[config.config_id] = plan.planned_train_flops
    device = prepare.pick_device(configs[0].launch)
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    return tuple(plans[config.config_id] for config in configs), gpus


def plan(cells: tuple[Cell, ...]) -> tuple[tuple[Cell, ...], int]:
    """The cells with their planned FLOPs, largest first, and the number of GPUs.

    Every input is tried here, so that bad input is found before anything is trained.

    Raises:
        ConfigError: a cell's data, model or batch cannot be used.
        RuntimeError: the planning process died.
    """
    planned, gpus = _ask(_plan_all, tuple(cell.config for cell in cells))
    made = [dataclasses.replace(c, planned_train_flops=p) for c, p in zip(cells, planned, strict=True)]
    return tuple(sorted(made, key=lambda cell: -(cell.planned_train_flops or 0.0))), gpus


def slots(launch: LaunchConfig, gpus: int) -> Slots:
    """How many processes run at a time: one a GPU, or one a CPU core, unless the configuration says."""
    cores = len(os.sched_getaffinity(0))
    threads = launch.threads or 1
    workers = launch.workers or gpus or max(1, cores // threads)
    if gpus and not launch.threads:
        threads = max(1, cores // workers)
    return Slots(workers, threads, gpus)


def _run_cell(config: Config, device_index: int, command_line: str, lr_interior: bool | None) -> str | None:
    """In a child: run one cell; the record says the rest. Returns what cannot be recorded, in words."""
    from isoflop import run

    try:
        run.run(config, device_index=device_index, command_line=command_line, lr_interior=lr_interior)
    except records.RecordBusyError:
        return BUSY
    except (ValueError, OSError) as error:
        return str(error)
    return None


def _work(pipe: Connection, device_index: int, command_line: str) -> None:
    """In a child: run the cells that come through the pipe until it closes. Those of one shape share the
    captured or compiled step (train.loop.warm_trainer)."""
    try:
        while True:
            config, lr_interior = pipe.recv()
            pipe.send(_run_cell(config, device_index, command_line, lr_interior))
    except EOFError:
        return
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_EXIT)


@dataclasses.dataclass(frozen=True)
class _Worker:
    """A child process, its pipe, and the cell it has in hand."""

    process: ForkServerProcess
    pipe: Connection
    slot: int
    cell: Cell
    began: float
    attempt: int


class _Crew:
    """The children of one sweep. On a GPU a child goes on with the next cell of the same shape; on a CPU each
    cell has a child of its own, which costs a few hundredths of a second and leaves nothing behind."""

    def __init__(self, cells: tuple[Cell, ...], slots: Slots, watch: Watch) -> None:
        self._context, self._queue = _context(), collections.deque(cells)
        self._slots, self._watch = slots, watch
        self._command_line = provenance.command()
        self.at_work: dict[Connection, _Worker] = {}

    def start(self, slot: int) -> None:
        """Give the next cell, if there is one, to a new child."""
        if not self._queue:
            return
        here, there = multiprocessing.Pipe()
        index = slot % self._slots.gpus if self._slots.gpus else 0
        process = self._context.Process(target=_work, args=(there, index, self._command_line))
        process.start()
        there.close()
        self._hand_over(process, here, slot)

    def _hand_over(self, process: ForkServerProcess, pipe: Connection, slot: int) -> None:
        cell = self._queue.popleft()
        launch = dataclasses.replace(cell.config.launch, threads=self._slots.threads)
        config = dataclasses.replace(cell.config, launch=launch)
        attempt = provenance.next_attempt(config)
        self.at_work[pipe] = _Worker(process, pipe, slot, cell, time.monotonic(), attempt)
        with contextlib.suppress(BrokenPipeError):  # a child that died already is found when it is waited for
            pipe.send((config, cell.lr_interior))

    def hear(self, pipe: Connection) -> None:
        """A child has ended its cell, or its life: account for the cell and give out the next one."""
        worker = self.at_work.pop(pipe)
        try:
            said = pipe.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
            pipe.close()
            self._watch(worker.cell, _account(worker, self._slots, self._command_line, None))
            self.start(worker.slot)
            return
        found = () if said == BUSY else _account(worker, self._slots, self._command_line, said)
        self._watch(worker.cell, found)
        if self._slots.gpus and self._queue and self._queue[0].config.shape_id == worker.cell.config.shape_id:
            self._hand_over(worker.process, pipe, worker.slot)
            return
        pipe.close()
        worker.process.join()
        self.start(worker.slot)

    def dismiss(self) -> None:
        """After Ctrl-C, which the children got too: wait for them and account for their cells."""
        self._queue.clear()
        while self.at_work:
            for pipe in wait(list(self.at_work)):
                assert isinstance(pipe, Connection)
                self.hear(pipe)


def run_cells(cells: tuple[Cell, ...], slots: Slots, watch: Watch) -> None:
    """Run every cell and see that each has its records in the end.

    A child that dies without writing them (killed, sys.exit, crash) gets them here, as failed.

    Raises:
        KeyboardInterrupt: Ctrl-C; the children have been given it too, and their cells are accounted for.
    """
    crew = _Crew(cells, slots, watch)
    try:
        for slot in range(slots.workers):
            crew.start(slot)
        while crew.at_work:
            for pipe in wait(list(crew.at_work)):
                assert isinstance(pipe, Connection)
                crew.hear(pipe)
    except KeyboardInterrupt:
        crew.dismiss()
        raise


def _account(ended: _Worker, slots: Slots, command_line: str, said: str | None) -> tuple[Record, ...]:
    """The records the child wrote, and for each point without one a record that says how it died, or what it
    said where it lives on."""
    config, code = ended.cell.config, ended.process.exitcode
    state: State = "interrupted" if code == INTERRUPTED_EXIT else "failed"
    reason = said or f"its process {_how_it_ended(code)} before it wrote a record"
    found = []
    for horizon, run_id in config.point_ids.items():
        record = _written(records.path_of(config.directory, run_id), ended.attempt)
        if record is None:
            origin = provenance.gather(
                config,
                _unknown_machine(config, slots),
                started_at=provenance.now(),
                command_line=command_line,
            )
            record = provenance.without_point(
                config,
                origin,
                horizon,
                state=state,
                reason=reason,
                attempt=ended.attempt,
                seconds=time.monotonic() - ended.began,
            )
            records.write(record, config.directory)
        found.append(record)
    return tuple(found)


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "went on"
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _unknown_machine(config: Config, slots: Slots) -> Machine:
    return Machine(
        cpu=NEVER_STARTED,
        device=NEVER_STARTED,
        precision=config.precision.compute,
        threads=slots.threads,
        libraries={},
        gpu=None,
        gpu_reason=NEVER_STARTED,
    )


def _written(path: Path, attempt: int) -> Record | None:
    """The record at `path` if it is this attempt's or a finished point."""
    try:
        record = records.read(path)
    except (records.RecordError, OSError):
        return None
    return record if record.state == "done" or record.attempt >= attempt else None
