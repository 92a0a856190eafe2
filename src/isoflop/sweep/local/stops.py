"""Requests to stop a sweep, and the lines that tell the user what happens.

Ctrl-C once drains the sweep (runs that have started finish), twice stops it (they write a checkpoint), three
times kills it. SIGTERM and SIGUSR1, which schedulers send shortly before they kill, and SIGHUP, which a
closed terminal sends, stop it at once. After any of them the same command resumes the sweep.
"""

from __future__ import annotations

import contextlib
import enum
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from isoflop import signals
from isoflop.notices import notify


class StopLevel(enum.IntEnum):
    """How urgently a sweep has been asked to stop."""

    NONE = 0
    DRAIN = 1
    STOP = 2
    KILL = 3


def count_runs(number: int) -> str:
    """Return `1 run`, `2 runs`."""
    return f"{number} run" if number == 1 else f"{number} runs"


def announce(level: StopLevel, running: int) -> None:
    """Tell the user what a request to stop does to the `running` runs."""
    messages = {
        StopLevel.DRAIN: f"starting no new runs; waiting for {count_runs(running)} (Ctrl-C again stops them)",
        StopLevel.STOP: f"stopping {count_runs(running)} with a checkpoint each (Ctrl-C again kills them)",
        StopLevel.KILL: f"killing {count_runs(running)}",
    }
    if level in messages:
        notify(messages[level])


class StopRequests:
    """The level that the signals received so far, or a time limit, ask for.

    `signalled` is whether a signal was among them.
    """

    def __init__(self) -> None:
        self.level = StopLevel.NONE
        self.signalled = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: each Ctrl-C raises the level by one, the others raise it to STOP.

        The handler only sets two values, which is safe at any point of the main loop, and that loop reads
        them; and it leaves a terminal that was closed, before anything is printed there.
        """
        self.signalled = True
        if number == signal.SIGHUP:
            signals.leave_closed_terminal()
        if number == signal.SIGINT:
            self.level = StopLevel(min(self.level + 1, StopLevel.KILL))
        else:
            self.stop()

    def stop(self) -> None:
        """Ask for a stop at once, with a checkpoint of each run; may be called from another thread."""
        self.level = max(self.level, StopLevel.STOP)


@contextlib.contextmanager
def stop_after(seconds: float | None, requests: StopRequests) -> Iterator[None]:
    """Call `requests.stop()` after `seconds` unless the context has ended before; never if that is None."""
    timer = threading.Timer(max(0.0, seconds), requests.stop) if seconds is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()


@contextlib.contextmanager
def handle_stop_signals() -> Iterator[StopRequests]:
    """Collect the signals that ask the sweep to stop, instead of their default action, within the context."""
    requests = StopRequests()
    with signals.handled(signals.STOP_SIGNALS, requests.handle):
        yield requests
