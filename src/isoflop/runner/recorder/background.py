"""What goes on beside a loop: heartbeats from a thread, and signals that become exceptions of the loop."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from isoflop import signals

BEAT_SECONDS = 5.0
"""Time between heartbeats where the loop logs nothing, well below what `isoflop status` waits."""


@contextlib.contextmanager
def repeating(action: Callable[[], None]) -> Iterator[None]:
    """Call `action` every BEAT_SECONDS in a thread, until the context is left."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(BEAT_SECONDS):
            action()

    thread = threading.Thread(target=repeat, name="isoflop heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def stopping_by_exception() -> Iterator[Stopper]:
    """Have the signals of schedulers raise StopNow inside the context, so that the loop leaves a record.

    Only those that nobody handles: a trainer that has handlers of its own keeps them.
    """
    free = [number for number in signals.BESIDE_CTRL_C if signal.getsignal(number) is signal.SIG_DFL]
    stopper = Stopper(os.getpid())
    with signals.handled(free, stopper):
        yield stopper


class Stopper:
    """Signal handler that raises StopNow in the process that made it, once."""

    def __init__(self, pid: int) -> None:
        self._pid, self._came = pid, False

    def settle(self) -> None:
        """Have no further signal interrupt this process: it is ending, and has a record to write.

        torchrun sends one to the processes that are left when another has failed.
        """
        self._came = True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise StopNow, the first time."""
        if os.getpid() != self._pid:  # a forked child, such as a loader, ends as it would have without us
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        elif not self._came:
            self._came = True
            raise signals.StopNow(f"{signal.Signals(number).name} received")
