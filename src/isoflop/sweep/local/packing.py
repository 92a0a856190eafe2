"""Number of runs of a sweep that train on one GPU at a time: as configured, or the best that a probe finds.

The probe trains the sweep's median run in 1, 2, 4 and 8 processes at once, the way the sweep will, and takes
the largest number for which every doubling gave at least 15% more examples a second in total.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from isoflop import signals
from isoflop.config import Config
from isoflop.config.launch import LaunchConfig
from isoflop.notices import notify
from isoflop.sweep import children
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import mps
from isoflop.sweep.slots import Slots, fixed_slots

PROCESS_COUNTS = (1, 2, 4, 8)
MIN_SPEEDUP = 1.15
"""Least gain in examples per second for which a doubling of the processes is worth it."""
PROBE_SECONDS = 3.0
READY_TIMEOUT_SECONDS = 300.0
"""Time for a process to get ready: starting CUDA, compiling and capturing the step."""
MEMORY_SHARE = 0.9
"""Share of a GPU's memory that the largest runs may fill together."""


def choose_slots(launch: LaunchConfig, gpus: int, runs: Sequence[PlannedRun]) -> Slots:
    """Return how many of `runs`, ordered by size with the largest first, execute at a time."""
    if launch.per_gpu != "auto":
        return fixed_slots(launch, gpus, launch.per_gpu)
    if not gpus or launch.workers is not None or not runs:
        return fixed_slots(launch, gpus)
    rates = measure_rates(runs, most=max(1, len(runs) // gpus))
    count = best_count(rates)
    measured = ", ".join(f"{number}: {rate:,.0f}" for number, rate in rates.items())
    notify(f"launch.per_gpu=auto: {count} at a time on a GPU (examples/s by number: {measured or 'none'})")
    return fixed_slots(launch, gpus, count)


def best_count(rates: Mapping[int, float]) -> int:
    """Return the largest number of processes up to which every doubling was worth it.

    `rates` maps a number of processes to their examples per second in total.
    """
    best = 1
    for number in PROCESS_COUNTS[1:]:
        if number not in rates or rates[number] < MIN_SPEEDUP * rates[best]:
            break
        best = number
    return best


def measure_rates(runs: Sequence[PlannedRun], *, most: int) -> dict[int, float]:
    """Map numbers of processes to their examples per second in total, on the first GPU.

    Ends when a doubling is no longer worth it, memory could run out, a process dies, or `most` processes have
    been tried. `runs` are ordered by size, the largest first: its memory limits the number, while the median
    run, as the typical one, gives the rates.
    """
    rates: dict[int, float] = {}
    with mps.daemon(wanted=True) as environment:
        with PackingProbe(runs[0].config, environment) as largest:
            share = largest.grow_to(1)
        most = min(most, int(MEMORY_SHARE / share)) if share else most
        with PackingProbe(runs[len(runs) // 2].config, environment) as median:
            for number in PROCESS_COUNTS:
                if number > most or median.grow_to(number) is None:
                    break
                if (rate := median.rate()) is None:
                    break
                rates[number] = rate
                if best_count(rates) != number:
                    break
    return rates


class PackingProbe:
    """Processes that train the same configuration at the same time on the first GPU. Nothing is recorded.

    Args:
        config: configuration to train.
        environment: variables for the processes, those of MPS.
    """

    def __init__(self, config: Config, environment: Mapping[str, str]) -> None:
        self._config, self._environment = config, environment
        self._processes: list[BaseProcess] = []
        self._pipes: list[Connection] = []

    def __enter__(self) -> PackingProbe:
        return self

    def __exit__(self, *error: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.kill()
            process.join()

    def grow_to(self, number: int) -> float | None:
        """Start processes until there are `number`, each ready to train.

        Returns the share of the GPU's memory in use after the last one started, or None if one failed or
        there was nothing to start.
        """
        share: float | None = None
        while len(self._processes) < number:
            parent_end, child_end = children.forkserver_context().Pipe()
            arguments = (child_end, self._config, dict(self._environment))
            process = children.start_child(_train_on_request, arguments)
            child_end.close()
            self._processes.append(process)
            self._pipes.append(parent_end)
            share = _receive_number(parent_end, READY_TIMEOUT_SECONDS)
            if share is None:
                return None
        return share

    def rate(self) -> float | None:
        """Return the examples per second of all processes together, or None if one failed."""
        for pipe in self._pipes:  # all are asked before any answer is awaited: they train at the same time
            with contextlib.suppress(OSError):
                pipe.send(PROBE_SECONDS)
        answers = [_receive_number(pipe, PROBE_SECONDS + READY_TIMEOUT_SECONDS) for pipe in self._pipes]
        rates = [rate for rate in answers if rate is not None]
        return sum(rates) if len(rates) == len(answers) else None


def _receive_number(pipe: Connection, timeout_seconds: float) -> float | None:
    """Return the next number from a process, or None if it died or took too long."""
    try:
        return float(pipe.recv()) if wait([pipe], timeout_seconds) else None
    except (EOFError, OSError):
        return None


def _train_on_request(pipe: Connection, config: Config, environment: Mapping[str, str]) -> None:
    """Send the share of the GPU's memory in use, then train for each number of seconds that comes through
    `pipe` and send the rate: the main function of a child.

    Whatever goes wrong, such as too little memory, ends the process, which the parent notices.
    """
    signals.unhold()
    os.environ.update(environment)
    from isoflop.runner import probe as solo

    with contextlib.suppress(Exception):
        pacer = solo.Pacer(config)
        pipe.send(pacer.memory_share())
        while True:
            examples, seconds = pacer.train(pipe.recv())
            pipe.send(examples / seconds)
