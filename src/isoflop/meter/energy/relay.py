"""Run a command as a shell would: it gets the terminal, signals are forwarded, its exit code is kept.

The command leads a process group of its own, so each signal reaches it once. If this process holds the
terminal, the command is made its foreground group, and Ctrl-C and Ctrl-Z go straight there. Signals sent to
this process are forwarded: those that end a job to the command's whole group, as a terminal does; SIGUSR1 and
SIGUSR2 to the command alone, since they kill a process that does not expect them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from types import FrameType

from isoflop import signals

TO_GROUP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
TO_COMMAND = (signal.SIGUSR1, signal.SIGUSR2)
TERMINAL = 0
"""File descriptor of the terminal, if there is one: standard input."""


@contextlib.contextmanager
def relayed() -> Iterator[Relay]:
    """Forward signals to the relay's command inside the context."""
    relay = Relay()
    with signals.handled((*TO_GROUP, *TO_COMMAND), relay.forward):
        yield relay


class Relay:
    """A command and the signals for it; signals that arrive before it has started are kept for it."""

    def __init__(self) -> None:
        self._pending: list[int] = []
        self._command: int | None = None

    def run(self, command: Sequence[str]) -> int:
        """Run the command and return its exit code, or 128 + the number of the signal that killed it.

        Raises:
            OSError: it cannot be started.
        """
        holds_terminal = _holds_terminal()
        process = subprocess.Popen(command, process_group=0)
        self._command = process.pid
        for number in self._pending:
            self._send(number)
        try:
            code = _wait(process.pid, holds_terminal)
        finally:
            self._command = None
            if holds_terminal:
                _give_terminal_to(os.getpgrp())
        process.returncode = code  # reaped here, not by Popen, which would otherwise warn that it still runs
        return 128 - code if code < 0 else code

    def forward(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: send the signal on, or keep it until the command has started."""
        if self._command is None:
            self._pending.append(number)
        else:
            self._send(number)

    def _send(self, number: int) -> None:
        assert self._command is not None
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            if number in TO_COMMAND:
                os.kill(self._command, number)
            else:
                os.killpg(self._command, number)


def _wait(command: int, holds_terminal: bool) -> int:
    """Wait for the command's end; if it is stopped (Ctrl-Z), stop this process too, as a shell's job does."""
    while True:
        if holds_terminal:
            _give_terminal_to(command)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(command, signal.SIGCONT)
        _, status = os.waitpid(command, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        # SIGTTIN or SIGTTOU: the command used the terminal before it was given to it. The next turn of the
        # loop continues it.
        if holds_terminal and os.WSTOPSIG(status) not in (signal.SIGTTIN, signal.SIGTTOU):
            _give_terminal_to(os.getpgrp())
            os.kill(os.getpid(), signal.SIGSTOP)


def _holds_terminal() -> bool:
    try:
        return os.tcgetpgrp(TERMINAL) == os.getpgrp()
    except OSError:
        return False


def _give_terminal_to(group: int) -> None:
    """Make `group` the terminal's foreground process group."""
    # When the command's group is in the foreground, this process is in the background, where tcsetpgrp sends
    # SIGTTOU, whose default is to stop.
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with contextlib.suppress(OSError):  # the group or the terminal is gone
            os.tcsetpgrp(TERMINAL, group)
    finally:
        signal.signal(signal.SIGTTOU, before)
