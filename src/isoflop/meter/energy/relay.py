"""Runs a command as a shell would: it has the terminal, signals pass through, and its exit code is kept.

The command leads a process group of its own, so each signal reaches it once. Where this process holds the
terminal the command is given it, and Ctrl-C and Ctrl-Z go straight there. A signal sent to this process is
passed on: one that ends a job to the command's whole group, as a terminal does it; SIGUSR1 and SIGUSR2 to the
command alone, since they kill a process that does not expect them.
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
"""Standard input: the terminal, if any, that the command is given."""


@contextlib.contextmanager
def relayed() -> Iterator[Relay]:
    """Pass on signals for as long as this is open."""
    relay = Relay()
    with signals.handled((*TO_GROUP, *TO_COMMAND), relay.pass_on):
        yield relay


class Relay:
    """A command and the signals for it. One that comes before the command is there waits for it."""

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._command: int | None = None

    def run(self, command: Sequence[str]) -> int:
        """Run the command to its end; its exit code, or 128 and the number of the signal that killed it.

        Raises:
            OSError: it cannot be started.
        """
        holds_terminal = _holds_terminal()
        process = subprocess.Popen(command, process_group=0)
        self._command = process.pid
        for number in self._waiting:
            self._send(number)
        try:
            code = _wait(process.pid, holds_terminal)
        finally:
            self._command = None
            if holds_terminal:
                _give_terminal_to(os.getpgrp())
        process.returncode = code
        return 128 - code if code < 0 else code

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        """Signal handler."""
        if self._command is None:
            self._waiting.append(number)
        else:
            self._send(number)

    def _send(self, number: int) -> None:
        assert self._command is not None
        with contextlib.suppress(ProcessLookupError):
            if number in TO_COMMAND:
                os.kill(self._command, number)
            else:
                os.killpg(self._command, number)


def _wait(command: int, holds_terminal: bool) -> int:
    """Wait for the command; as a shell's job it may be stopped (Ctrl-Z), and then this process stops too."""
    while True:
        if holds_terminal:
            _give_terminal_to(command)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(command, signal.SIGCONT)
        _, status = os.waitpid(command, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        # A command quicker than the terminal's handing over is stopped by SIGTTIN or SIGTTOU, and goes on.
        if holds_terminal and os.WSTOPSIG(status) not in (signal.SIGTTIN, signal.SIGTTOU):
            _give_terminal_to(os.getpgrp())
            os.kill(os.getpid(), signal.SIGSTOP)


def _holds_terminal() -> bool:
    try:
        return os.tcgetpgrp(TERMINAL) == os.getpgrp()
    except OSError:
        return False


def _give_terminal_to(group: int) -> None:
    """Make `group` the terminal's foreground; SIGTTOU would stop a background process that asks for it."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with contextlib.suppress(OSError):  # the group or the terminal is gone
            os.tcsetpgrp(TERMINAL, group)
    finally:
        signal.signal(signal.SIGTTOU, before)
