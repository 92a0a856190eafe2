"""Steps of coming shapes compiled in the background, on cores that the sweep's runs leave idle.

A few processes of the lowest priority each compile their share of the shapes into the compiler's cache, where
the runs find them (train/step/compiler.py). They run no kernel of the step, so the GPU's time and joules are
the runs' own; each holds a CUDA context, which is memory. What fails here fails without a word: the run
compiles for itself, or says in its record why it took the plain step. They end with the sweep.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

from isoflop import signals
from isoflop.config import Config
from isoflop.sweep import children
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.slots import Slots

CORES_A_PROCESS = 4
"""Threads that one process compiles kernels with."""
CORES_A_WORKER = 2
"""Cores left to each run: one launches kernels, the other polls sensors and writes."""
LOWEST_PRIORITY = 19

Job = tuple[Config, int]
"""A run of a shape, and how many runs of the sweep share its compiled step."""


def jobs(runs: Sequence[PlannedRun], slots: Slots) -> tuple[Job, ...]:
    """Return one job a shape, in the order in which the runs come.

    There is none for runs on a CPU, for runs of several GPUs, whose steps are not captured, and for engines
    that compile nothing; nor for the shapes that start at once and could only be compiled twice.
    """
    number = Counter(planned.config.step_id for planned in runs)
    first = {planned.config.shape_id: planned.config for planned in reversed(runs)}
    wanted = (first[shape] for shape in list(dict.fromkeys(p.config.shape_id for p in runs))[slots.workers :])
    if not slots.gpus or slots.devices > 1:
        return ()
    return tuple((config, number[config.step_id]) for config in wanted if _may_compile(config))


def _may_compile(config: Config) -> bool:
    step = config.launch.step
    return step == "compiled_graph" or (step == "auto" and not config.launch.deterministic)


def processes(cores: int, workers: int, number: int) -> int:
    """Return how many processes compile `number` jobs beside `workers` runs on a machine of `cores`."""
    return max(0, min(number, (cores - CORES_A_WORKER * workers) // CORES_A_PROCESS))


def planned_processes(runs: Sequence[PlannedRun], slots: Slots) -> int:
    """Return how many processes `background` will start; each is a compute process in NVML's count."""
    return processes(len(os.sched_getaffinity(0)), slots.workers, len(jobs(runs, slots)))


@contextlib.contextmanager
def background(runs: Sequence[PlannedRun], slots: Slots) -> Iterator[None]:
    """Compile the coming shapes of `runs` until the context is left; on too few cores, do nothing."""
    work = jobs(runs, slots)
    number = planned_processes(runs, slots)
    started: list[tuple[ForkServerProcess, Connection]] = []
    try:
        # Without a process, memory or a pipe to spare the sweep goes on without them.
        with contextlib.suppress(OSError, EOFError):
            for index in range(number):
                started.append(_start(work[index::number], index))
        yield
    finally:
        for process, pipe in started:
            process.kill()
            pipe.close()
            process.join()


def _start(work: tuple[Job, ...], index: int) -> tuple[ForkServerProcess, Connection]:
    """Start process `index`; it ends when the returned end of its pipe closes, and so with the sweep."""
    ours, its = multiprocessing.Pipe()
    process = children.start_child(compile_all, (its, work), name=f"precompile-{index}", daemon=True)
    its.close()
    return process, ours


def compile_all(pipe: Connection, work: tuple[Job, ...]) -> None:
    """Compile each job, one after another: the main function of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals.unhold()
    os.nice(LOWEST_PRIORITY)
    threading.Thread(target=_end_when_orphaned, args=(pipe.fileno(),), daemon=True).start()
    # Read when the compiler is imported, which is below.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = str(CORES_A_PROCESS)
    import torch

    from isoflop.runner.precompile import compile_ahead

    # Whatever the compiler prints belongs to no run.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    for config, runs in work:
        # Anything: the compiler's exceptions are of many kinds, and none of them may reach the sweep.
        with contextlib.suppress(Exception):
            compile_ahead(config, runs, torch.device("cuda", 0))


def _end_when_orphaned(descriptor: int) -> None:
    """Wait, in a thread, until the sweep's end of the pipe is closed, and end this process at once."""
    poll = select.poll()
    poll.register(descriptor, 0)  # 0: no data events, only the hang-up, which poll always reports
    poll.poll()
    os._exit(0)
