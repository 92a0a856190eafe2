"""How many cells of a sweep go on one GPU at a time: as asked for, or as a short probe finds it pays.

The probe trains the sweep's median cell in 1, 2, 4 and 8 processes at once, the way the sweep will run them,
and takes the most for which each doubling still gave 15% more examples a second in all.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from isoflop.config import Config
from isoflop.config.launch import LaunchConfig
from isoflop.sweep import planning
from isoflop.sweep.grid import Cell
from isoflop.sweep.local import mps
from isoflop.sweep.local.stops import say
from isoflop.sweep.planning import Slots

NUMBERS = (1, 2, 4, 8)
PAYS = 1.15
PROBE_SECONDS = 3.0
PATIENCE_SECONDS = 300.0
"""For a probe's process to be ready: CUDA, compiling and capturing."""
MEMORY_SHARE = 0.9
"""Of a GPU's memory that the largest cells may fill together."""


def slots(launch: LaunchConfig, gpus: int, cells: Sequence[Cell]) -> Slots:
    """How many of `cells`, which are in order of size, run at a time."""
    if launch.per_gpu != "auto":
        return planning.slots(launch, gpus, launch.per_gpu)
    if not gpus or launch.workers is not None or not cells:
        return planning.slots(launch, gpus)
    rates = probe(cells, most=max(1, len(cells) // gpus))
    found = chosen(rates)
    seen = ", ".join(f"{number}: {rate:,.0f}" for number, rate in rates.items())
    say(f"launch.per_gpu=auto: {found} at a time on a GPU (examples/s by number: {seen or 'none'})")
    return planning.slots(launch, gpus, found)


def chosen(rates: Mapping[int, float]) -> int:
    """The most processes for which every doubling before paid, from examples per second in all."""
    best = 1
    for number in NUMBERS[1:]:
        if number not in rates or rates[number] < PAYS * rates[best]:
            break
        best = number
    return best


def probe(cells: Sequence[Cell], *, most: int) -> dict[int, float]:
    """Examples per second in all by number of processes, until it no longer pays, memory could run out, a
    process dies or `most` is reached. `cells` are in order of size, the largest first."""
    rates: dict[int, float] = {}
    with mps.daemon(wanted=True) as environment:
        with Probe(cells[0].config, environment) as largest:
            share = largest.grow_to(1)
        most = min(most, int(MEMORY_SHARE / share)) if share else most
        with Probe(cells[len(cells) // 2].config, environment) as median:
            for number in NUMBERS:
                if number > most or median.grow_to(number) is None:
                    break
                if (rate := median.rate()) is None:
                    break
                rates[number] = rate
                if chosen(rates) != number:
                    break
    return rates


class Probe:
    """Processes that train the same cell at the same time on the first GPU."""

    def __init__(self, config: Config, environment: Mapping[str, str]) -> None:
        self._config, self._environment = config, environment
        self._processes: list[BaseProcess] = []
        self._pipes: list[Connection] = []

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *error: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.kill()
            process.join()

    def grow_to(self, number: int) -> float | None:
        """Have so many processes ready; the last one's share of the GPU's memory, None where one failed."""
        share: float | None = None
        while len(self._processes) < number:
            here, there = planning.context().Pipe()
            process = planning.context().Process(
                target=_pace, args=(there, self._config, dict(self._environment))
            )
            process.start()
            there.close()
            self._processes.append(process)
            self._pipes.append(here)
            share = _hear(here, PATIENCE_SECONDS)
            if share is None:
                return None
        return share

    def rate(self) -> float | None:
        """Examples per second of all processes together, or None where one failed."""
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send(PROBE_SECONDS)
        rates = [_hear(pipe, PROBE_SECONDS + PATIENCE_SECONDS) for pipe in self._pipes]
        found = [rate for rate in rates if rate is not None]
        return sum(found) if len(found) == len(rates) else None


def _hear(pipe: Connection, seconds: float) -> float | None:
    """The next number from a process, or None where it died or took too long."""
    try:
        return float(pipe.recv()) if wait([pipe], seconds) else None
    except (EOFError, OSError):
        return None


def _pace(pipe: Connection, config: Config, environment: Mapping[str, str]) -> None:
    """In a child: say how full the GPU is once ready, then train as often and as long as asked. One that
    cannot (no memory) just ends."""
    os.environ.update(environment)
    from isoflop.runner import probe as solo

    with contextlib.suppress(Exception):
        pacer = solo.Pacer(config)
        pipe.send(pacer.memory_share())
        while True:
            examples, seconds = pacer.train(pipe.recv())
            pipe.send(examples / seconds)
