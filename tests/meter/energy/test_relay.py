"""A command as a shell runs it: exit code, signals, and the terminal that it gets and gives back."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from isoflop.meter.energy import relay


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_the_exit_code_is_a_shells(script: str, code: int) -> None:
    assert relay.Relay().run(["sh", "-c", script]) == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_from_before_the_start_reaches_the_command(number: signal.Signals) -> None:
    relayed = relay.Relay()
    relayed.forward(number, None)
    assert relayed.run([sys.executable, "-c", "import time; time.sleep(30)"]) == 128 + number


def test_a_signal_after_the_end_is_kept_and_harms_nobody() -> None:
    relayed = relay.Relay()
    assert relayed.run(["true"]) == 0
    relayed.forward(signal.SIGTERM, None)
    assert relayed._command is None


@pytest.mark.parametrize("holds", [True, False])
def test_a_held_terminal_is_lent_to_the_command_and_taken_back(
    monkeypatch: pytest.MonkeyPatch, holds: bool
) -> None:
    given: list[int] = []
    monkeypatch.setattr(relay, "_holds_terminal", lambda: holds)
    monkeypatch.setattr(relay, "_give_terminal_to", given.append)
    assert relay.Relay().run(["true"]) == 0
    assert len(given) == (2 if holds else 0)
    if holds:
        assert given[0] != os.getpgrp()
        assert given[1] == os.getpgrp()


def test_a_program_that_is_not_there_is_an_oserror() -> None:
    with pytest.raises(OSError, match="no-such-program"):
        relay.Relay().run(["no-such-program"])


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_command_that_was_killed_has_the_exit_code_of_its_signal(number: signal.Signals) -> None:
    assert relay.Relay().run(["sh", "-c", f"kill -{int(number)} $$"]) == 128 + number
    assert relay.Relay().run(["sh", "-c", "exit 3"]) == 3
