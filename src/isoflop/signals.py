"""The signals by which a scheduler, a supervisor or a user asks a run to stop and keep what it has."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType

ASKING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class InterruptedRunError(RuntimeError):
    """The run was asked to stop; what it had is kept."""


class Stop:
    """Whether the process has been asked to stop; `reason` names the signal."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: note the first request; a second Ctrl-C does not wait for anything. (Schedulers and
        supervisors may send theirs twice.)"""
        if self.reason is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.reason = (
            "stopped by Ctrl-C" if number == signal.SIGINT else f"{signal.Signals(number).name} received"
        )


Handler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def handled(numbers: Iterable[signal.Signals], handler: Handler) -> Iterator[None]:
    """Have `handler` take these signals for as long as this is open.

    A signal that is ignored stays so (a supervisor's child leaves Ctrl-C to it). Outside the main thread no
    handler can be set, and nothing is taken.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {n: was for n in numbers if (was := signal.getsignal(n)) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was or signal.SIG_DFL)


@contextlib.contextmanager
def watched() -> Iterator[Stop]:
    """Turn the asking signals into a note for as long as this is open."""
    stop = Stop()
    with handled(ASKING, stop.ask):
        yield stop
