"""Signals by which a scheduler, a supervisor or a user asks a run to stop and save what it has."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class InterruptedRunError(RuntimeError):
    """The run was asked to stop and has saved what it had."""


class Stop:
    """Whether the process has been asked to stop; `reason` names the signal, or is None."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: note the first request; a second Ctrl-C raises KeyboardInterrupt at once."""
        # Only Ctrl-C twice means impatience: schedulers and supervisors may well send their signal twice.
        if self.reason is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.reason = (
            "stopped by Ctrl-C" if number == signal.SIGINT else f"{signal.Signals(number).name} received"
        )


Handler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def handled(numbers: Iterable[signal.Signals], handler: Handler) -> Iterator[None]:
    """Install `handler` for these signals inside the context and restore the previous handlers afterwards.

    Signals that are ignored stay ignored (a supervisor's child leaves Ctrl-C to it). Outside the main thread
    Python cannot install handlers, and this does nothing.
    """
    previous = {}
    if threading.current_thread() is threading.main_thread():
        previous = {n: old for n in numbers if (old := signal.getsignal(n)) is not signal.SIG_IGN}
    for number in previous:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in previous.items():
            # None: a handler that was not installed from Python, and cannot be put back.
            signal.signal(number, old or signal.SIG_DFL)


@contextlib.contextmanager
def watched() -> Iterator[Stop]:
    """Turn the stop signals into a note inside the context: yield the Stop that the first one sets."""
    stop = Stop()
    with handled(STOP_SIGNALS, stop.ask):
        yield stop
