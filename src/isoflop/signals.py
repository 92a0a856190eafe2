"""The signals by which a scheduler, a supervisor or a user asks a run to stop and keep what it has."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

ASKING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class InterruptedRunError(RuntimeError):
    """The run was asked to stop; what it had is kept."""


class Stop:
    """Whether the process has been asked to stop; `word` names the signal."""

    def __init__(self) -> None:
        self.word: str | None = None

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: note the first request; a second Ctrl-C does not wait for anything. (Schedulers and
        supervisors may send theirs twice.)"""
        if self.word is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.word = (
            "stopped by Ctrl-C" if number == signal.SIGINT else f"{signal.Signals(number).name} received"
        )


@contextlib.contextmanager
def watched() -> Iterator[Stop]:
    """Turn the asking signals into a note for as long as this is open.

    A signal that is ignored stays so (a supervisor's child leaves Ctrl-C to it). Outside the main thread no
    handler can be set and nothing is noted.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in ASKING}
    taken = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, stop.ask)
    try:
        yield stop
    finally:
        for number in taken:
            signal.signal(number, before[number] or signal.SIG_DFL)
