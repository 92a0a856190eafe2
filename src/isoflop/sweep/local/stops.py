"""How a sweep is asked to stop: Ctrl-C once drains it, twice stops it, a third time kills; SIGTERM and
SIGUSR1, which schedulers send, stop it at once. Whichever it is, the same command goes on later."""

from __future__ import annotations

import contextlib
import enum
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from isoflop import signals

STOPPING = (signal.SIGTERM, signal.SIGUSR1)


class Level(enum.IntEnum):
    """How far a sweep has been asked to stop."""

    GO = 0
    DRAIN = 1
    STOP = 2
    KILL = 3


def say(words: str) -> None:
    """One line to the user, where progress bars are shown too."""
    sys.stderr.write(f"isoflop: {words}\n")


def cells(number: int) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number} cell" if number == 1 else f"{number} cells"


def announce(level: Level, in_hand: int) -> None:
    """Say what happens now."""
    words = {
        Level.DRAIN: f"nothing new is started; {cells(in_hand)} in hand finish (Ctrl-C again stops them)",
        Level.STOP: f"stopping {cells(in_hand)} in hand; each keeps what it has (Ctrl-C again kills them)",
        Level.KILL: f"killing {cells(in_hand)} in hand",
    }
    if level in words:
        say(words[level])


class Stops:
    """Counts the requests to stop."""

    def __init__(self) -> None:
        self.level = Level.GO

    def note(self, number: int, frame: FrameType | None) -> None:
        """Signal handler."""
        if number == signal.SIGINT:
            self.level = Level(min(self.level + 1, Level.KILL))
        else:
            self.level = max(self.level, Level.STOP)


@contextlib.contextmanager
def heard() -> Iterator[Stops]:
    """Hear requests to stop for as long as this is open."""
    stops = Stops()
    with signals.handled((signal.SIGINT, *STOPPING), stops.note):
        yield stops
