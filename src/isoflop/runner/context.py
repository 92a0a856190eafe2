"""What accompanies one attempt at a run from its first line to its last."""

from __future__ import annotations

import contextlib
import dataclasses
import time

from isoflop.runner.request import Watch
from isoflop.signals import Stop
from isoflop.track.feed import Feed
from isoflop.train.distributed import World


class WallClock:
    """Wall time since the run began that no record has accounted for yet, in seconds."""

    def __init__(self) -> None:
        self._since, self.earlier_seconds = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        """Unaccounted seconds, those of earlier attempts included."""
        return time.perf_counter() - self._since + self.earlier_seconds

    def charge(self) -> float:
        """Return the unaccounted seconds, which a record now accounts for, and start again from 0."""
        seconds = self.seconds
        self._since, self.earlier_seconds = time.perf_counter(), 0.0
        return seconds


@dataclasses.dataclass(frozen=True)
class RunContext:
    """What accompanies one attempt at a run.

    Attributes:
        attempt: its number, from 1.
        clock: the wall time to be accounted for.
        stop: whether a signal has asked the process to stop.
        feed: the tracker's feed.
        world: the processes that train together.
        watch: what is called after each evaluation, in the main process.
    """

    attempt: int
    clock: WallClock
    stop: Stop
    feed: Feed
    world: World
    watch: Watch | None = None

    def at_once(self) -> contextlib.AbstractContextManager[None]:
        """Let a signal end what happens inside at once, by signals.StopNow, where this process trains alone.

        One of several processes cannot leave the others in the middle of an exchange: they agree on a stop
        before the next step.
        """
        return contextlib.nullcontext() if self.world.group else self.stop.at_once()
