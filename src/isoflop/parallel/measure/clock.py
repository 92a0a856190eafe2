"""The clock of one worker: seconds of a timing, split into compute, communication and waiting."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
import torch.distributed as dist

from isoflop.record.parallel import SplitTiming
from isoflop.train.distributed import World

BARRIERS = 50


class Clock:
    """Times one worker's part of a payload, whose collectives all pass `exchange`.

    With `split` a barrier stands before each of them. Whoever comes early waits in the barrier for those who
    are late, and all begin the collective at the same moment: what it then takes is communication. Each stamp
    ends one part and begins the next, so that the parts add up to the wall time.

    Args:
        world: the workers.
        device: theirs; a GPU is waited for at each stamp, since its work is only queued.
        split: whether to tell the parts apart; without, a collective is only called.
    """

    def __init__(self, world: World, device: torch.device, *, split: bool) -> None:
        self._world, self._device, self.split = world, device, split
        self._reset()

    def _reset(self) -> None:
        self._compute = self._communication = self._waiting = 0.0
        self.exchanges = self.exchanged_bytes = 0
        self._began = self._last = time.perf_counter()

    def start(self) -> None:
        """Begin a timing, together with the other workers. Collective."""
        self._wait_for_device()
        self.barrier()
        self._reset()

    def exchange(self, collective: Callable[[], object], sent_bytes: int) -> None:
        """Carry out a collective of so many bytes. Collective."""
        self.exchanges += 1
        self.exchanged_bytes += sent_bytes
        if not self.split:
            collective()
            return
        self._wait_for_device()
        self._compute += self._lap()
        self.barrier()
        self._waiting += self._lap()
        collective()
        self._wait_for_device()
        self._communication += self._lap()

    def stop(self) -> SplitTiming:
        """End a timing, and wait for the other workers, as the next step would. Collective."""
        self._wait_for_device()
        self._compute += self._lap()
        self.barrier()
        self._waiting += self._lap()
        wall = self._last - self._began
        return SplitTiming(wall, self._compute, self._communication, self._waiting)

    def barrier(self) -> None:
        """Wait until all workers are here; on the host, as a GPU's own barrier would only be queued."""
        if self._world.group is not None:
            dist.barrier(group=self._world.group)

    def _lap(self) -> float:
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        return seconds

    def _wait_for_device(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def barrier_seconds(world: World, device: torch.device) -> float:
    """Return the median seconds of a barrier that nobody is late for. Collective."""
    clock, taken = Clock(world, device, split=True), []
    clock.start()
    for _ in range(BARRIERS):
        began = time.perf_counter()
        clock.barrier()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
