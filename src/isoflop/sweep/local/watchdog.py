"""Watches over a cell in hand: ends it when it takes too long, makes no progress, or is asked to stop.

Only monotonic time counts: a sign of life is one whose content has changed since it was last looked at, so
that neither a clock that jumps nor a file left by an earlier attempt passes for progress.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from isoflop.config import Config
from isoflop.record import State, heartbeat
from isoflop.sweep.local import worker


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Why a cell was ended from outside, and the state that stands for."""

    state: State
    reason: str


class Vigil:
    """Over one cell in `process`, from now on."""

    def __init__(
        self, process: BaseProcess, config: Config, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.verdict: Verdict | None = None
        self._process, self._launch, self._clock = process, config.launch, clock
        self._path = heartbeat.path_of(config.directory, config.run_id)
        self._began = self._changed = clock()
        self._sign = _content(self._path)
        self._asked: float | None = None

    @property
    def seconds(self) -> float:
        """Since the cell was handed over."""
        return self._clock() - self._began

    def look(self) -> None:
        """End the cell if it is overdue, and kill it if it did not end in the time it was given."""
        now = self._clock()
        if self._asked is None:
            if reason := self._overdue(now):
                self.end("failed", reason)
        elif now - self._asked >= worker.GRACE_SECONDS:
            self._process.kill()

    def _overdue(self, now: float) -> str | None:
        limit, patience = self._launch.timeout_seconds, self._launch.stall_seconds
        if limit is not None and now - self._began >= limit:
            return f"took longer than launch.timeout_seconds={limit:g}: ended"
        if patience is None:
            return None
        if (sign := _content(self._path)) != self._sign:
            self._sign, self._changed = sign, now
        if now - self._changed >= patience:
            return f"no progress for {patience:g} s (launch.stall_seconds): ended"
        return None

    def end(self, state: State, reason: str) -> None:
        """Ask the cell once to stop and keep what it has; the first reason stands."""
        if self._asked is None:
            self._asked, self.verdict = self._clock(), Verdict(state, reason)
            self._process.terminate()

    def kill(self, reason: str) -> None:
        """End the cell at once."""
        if self.verdict is None:
            self._asked, self.verdict = self._clock(), Verdict("interrupted", reason)
        self._process.kill()


def _content(path: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return None
