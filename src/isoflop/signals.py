"""Signals by which a scheduler, a supervisor, a terminal or a user asks a process to stop and save its work.

Each process of isoflop takes them in one of three ways: `interrupt_on_stop` for commands, which have nothing
to save; `watched` for a run, which saves a checkpoint at the next step; `shielded` for children that leave
the decision to the process that started them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType

BESIDE_CTRL_C = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""What schedulers and supervisors send (SIGTERM, SIGUSR1), and a terminal or an ssh session that closes."""
STOP_SIGNALS = (*BESIDE_CTRL_C, signal.SIGINT)


class InterruptedRunError(RuntimeError):
    """The run was asked to stop and has saved what it had."""


class StopNow(KeyboardInterrupt):
    """A signal came where there is nothing to save: raised by the handler, inside `Stop.at_once`.

    A KeyboardInterrupt, because code that tries one thing and then another catches Exception.
    """


class Stop:
    """Whether the process has been asked to stop; `reason` names the first signal, or is None."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._at_once = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: note the first request; a second Ctrl-C raises KeyboardInterrupt at once."""
        if number == signal.SIGHUP:
            leave_closed_terminal()
        # Only Ctrl-C twice means impatience: schedulers and supervisors may well send their signal twice.
        if self.reason is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.reason is None:
            self.reason = (
                "stopped by Ctrl-C" if number == signal.SIGINT else f"{signal.Signals(number).name} received"
            )
        if self._at_once:
            self._at_once = False  # once is enough: what follows is the way out
            raise StopNow(self.reason)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal end what happens inside at once: preparing, compiling, an evaluation.

        Raises:
            StopNow: a signal came, now or before.
        """
        self._at_once = True  # before the look at what came earlier, so that no signal falls between the two
        try:
            if self.reason is not None:
                raise StopNow(self.reason)
            yield
        finally:
            self._at_once = False


Handler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def handled(numbers: Iterable[signal.Signals], handler: Handler) -> Iterator[None]:
    """Install `handler` for these signals inside the context and restore the previous handlers afterwards.

    Signals that are ignored stay ignored (a supervisor's child leaves Ctrl-C to it; nohup ignores SIGHUP).
    Outside the main thread Python cannot install handlers, and this does nothing.
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


_watching: list[Stop] = []
"""The Stop of this process, while it watches."""


@contextlib.contextmanager
def watched() -> Iterator[Stop]:
    """Turn the stop signals into a note inside the context: yield the Stop that the first one sets.

    A worker watches all its life, and its runs inside that: they get the same Stop, so that a signal that
    came just before a run began is not lost.
    """
    if _watching:
        yield _watching[0]
        return
    stop = Stop()
    _watching.append(stop)
    try:
        with handled(STOP_SIGNALS, stop.ask):
            yield stop
    finally:
        _watching.clear()
        if stop.reason is not None:
            settle()


class _Interrupt:
    """Signal handler that raises KeyboardInterrupt, as Ctrl-C does, at the first signal only.

    A scheduler's signal often comes twice, to the process and through its batch script: the second must not
    interrupt the way out.
    """

    def __init__(self) -> None:
        self.came = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            leave_closed_terminal()
        if not self.came:
            self.came = True
            raise KeyboardInterrupt


def interrupt_on_stop() -> None:
    """Have stop signals raise KeyboardInterrupt in this process, for the rest of its life."""
    handler = _Interrupt()
    for number in BESIDE_CTRL_C:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def ignore_stop() -> None:
    """Survive the signals of schedulers and terminals from now on: the exit code says how the work went.

    Ctrl-C too, but once: who presses it again ends a process that hangs on its way out.
    """
    _disregard(BESIDE_CTRL_C)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: signal.signal(number, signal.SIG_DFL))


def interrupting() -> contextlib.AbstractContextManager[None]:
    """Have stop signals raise KeyboardInterrupt inside the context, where they do not do so already."""
    if any(isinstance(signal.getsignal(number), _Interrupt) for number in BESIDE_CTRL_C):
        return contextlib.nullcontext()
    return handled(BESIDE_CTRL_C, _Interrupt())


def settle() -> None:
    """Have no further signal interrupt this process: what the first asked for is being done."""
    for number in BESIDE_CTRL_C:
        handler = signal.getsignal(number)
        if isinstance(handler, _Interrupt):
            handler.came = True


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Block the stop signals in this thread and in processes started meanwhile, which inherit the mask.

    They are delivered afterwards here, and in a child once it has its handlers (`unhold`): a signal to the
    whole process group, or to all processes of a job, cannot kill a child that is just starting.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unhold() -> None:
    """Let the stop signals through that were blocked when this process was started."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def shielded() -> None:
    """Survive the stop signals in this process: the one that started it ends it."""
    _disregard(STOP_SIGNALS)
    unhold()


def _disregard(numbers: Iterable[signal.Signals]) -> None:
    """Have these signals do nothing, by a handler and not by SIG_IGN, which children would inherit."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: None)


_terminals = tuple(number for number in (0, 1, 2) if os.isatty(number))
"""Standard streams that were a terminal when the process began."""


def leave_closed_terminal() -> None:
    """Print nowhere from now on, where the terminal is gone: every line would be an OSError."""
    closed = [number for number in _terminals if not os.isatty(number)]
    if closed:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in closed:
            os.dup2(nowhere, number)
        os.close(nowhere)
