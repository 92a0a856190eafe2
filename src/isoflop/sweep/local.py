"""Run cells on this machine, a process a cell, so that whatever happens to one costs only that one.

Children come from a fork server with torch preloaded (a few hundredths of a second each; a cold import takes
seconds). The parent runs no torch operation and imports no torch.
"""

from __future__ import annotations

import dataclasses
import itertools
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
from isoflop.config import Config, ConfigError, LaunchConfig
from isoflop.provenance import Machine
from isoflop.record import Record, State
from isoflop.sweep.grid import Cell

PRELOAD = ["isoflop.sweep.preload"]
NEVER_STARTED = "the process ended before it could say"

BUSY_EXIT = 76
INTERRUPTED_EXIT = 75

Watch = Callable[[Cell, Record | None], None]
"""Called as each cell ends, with its record, or None where another process is running that cell."""


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
        pipe.send(("value", function(*arguments)))
    except ValueError as error:
        pipe.send(("input", str(error)))
    except Exception as error:
        pipe.send(("failed", f"planning failed: {type(error).__name__}: {error}"))


def _plan_all(configs: tuple[Config, ...]) -> tuple[tuple[float | None, ...], int]:
    """In a child: planned training FLOPs of each cell, and how many GPUs there are. One count a shape."""
    import torch

    from isoflop import prepare

    plans: dict[str, float | None] = {}
    for config in configs:
        if config.config_id not in plans:
            plan = prepare.prepare(config, torch.device("cpu")).plan
            plans[config.config_id] = plan.planned_train_flops
    device = prepare.pick_device(configs[0].launch.device)
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


def _run_cell(config: Config, device_index: int, command_line: str) -> None:
    """In a child: run one cell; the record says the rest. What cannot be recorded is the parent's to tell."""
    from isoflop import run

    try:
        run.run(config, device_index=device_index, command_line=command_line)
    except records.RecordBusyError:
        sys.exit(BUSY_EXIT)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_EXIT)
    except (ValueError, OSError) as error:
        sys.exit(str(error))


@dataclasses.dataclass(frozen=True)
class _Running:
    cell: Cell
    process: ForkServerProcess
    slot: int
    began: float
    attempt: int


def run_cells(cells: tuple[Cell, ...], slots: Slots, watch: Watch) -> None:
    """Run every cell and see that each has a record in the end.

    A child that dies without writing its record (killed, sys.exit, crash) gets one here, as failed.

    Raises:
        KeyboardInterrupt: Ctrl-C; the children have been given it too, and their cells are accounted for.
    """
    context, queue = _context(), iter(cells)
    command_line = provenance.command()
    running: dict[int, _Running] = {}
    free = list(range(slots.workers))

    def start(cell: Cell) -> None:
        slot = free.pop(0)
        launch = dataclasses.replace(cell.config.launch, threads=slots.threads)
        config = dataclasses.replace(cell.config, launch=launch)
        attempt = provenance.next_attempt(config.directory, config.run_id)
        index = slot % slots.gpus if slots.gpus else 0
        process = context.Process(target=_run_cell, args=(config, index, command_line))
        process.start()
        running[process.sentinel] = _Running(cell, process, slot, time.monotonic(), attempt)

    def finish(sentinel: int) -> None:
        ended = running.pop(sentinel)
        ended.process.join()
        free.append(ended.slot)
        busy = ended.process.exitcode == BUSY_EXIT
        watch(ended.cell, None if busy else _account(ended, slots, command_line))

    try:
        for cell in itertools.islice(queue, slots.workers):
            start(cell)
        while running:
            for sentinel in wait(list(running)):
                assert isinstance(sentinel, int)
                finish(sentinel)
                for cell in itertools.islice(queue, 1):
                    start(cell)
    except KeyboardInterrupt:
        for sentinel in list(running):
            finish(sentinel)
        raise


def _account(ended: _Running, slots: Slots, command_line: str) -> Record:
    """The record the child wrote, or one that says how it died."""
    config, code = ended.cell.config, ended.process.exitcode
    path = records.path_of(config.directory, config.run_id)
    with_record = _written(path, ended.attempt)
    if with_record is not None:
        return with_record
    assert code is not None
    state: State = "interrupted" if code == INTERRUPTED_EXIT else "failed"
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    machine = Machine(
        cpu=NEVER_STARTED,
        device=NEVER_STARTED,
        precision=config.precision.compute,
        threads=slots.threads,
        gpu=None,
        gpu_reason=NEVER_STARTED,
    )
    origin = provenance.gather(config, machine, started_at=provenance.now(), command_line=command_line)
    record = provenance.without_point(
        config,
        origin,
        state=state,
        reason=f"its process {how} before it wrote a record",
        attempt=ended.attempt,
        seconds=time.monotonic() - ended.began,
    )
    records.write(record, config.directory)
    return record


def _written(path: Path, attempt: int) -> Record | None:
    """The record at `path` if it is this attempt's."""
    try:
        record = records.read(path)
    except (records.RecordError, OSError):
        return None
    return record if record.attempt >= attempt else None
