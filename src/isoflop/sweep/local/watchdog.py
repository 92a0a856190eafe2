"""Watchdog of one run: stops it when it takes too long, makes no progress, or the sweep is asked to stop.

Only the monotonic clock and the content of the heartbeat file count. A file is progress if its content has
changed since the last look; its modification time is ignored, because the wall clock may jump and because
a file of an earlier attempt may still be there.
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
class Termination:
    """Why a run was stopped from outside, and the state its record gets for it."""

    state: State
    reason: str


class Watchdog:
    """Watches the run that `process` executes, from construction on.

    For `quiet_seconds` no heartbeat is expected: something is metered, and there is no run.

    Stopping takes two steps. SIGTERM comes first, so that the run can write a checkpoint and its record; a
    process that is still there after GRACE_SECONDS gets SIGKILL, since one that hangs in native code never
    reaches Python's signal handler.
    """

    def __init__(
        self,
        process: BaseProcess,
        config: Config,
        clock: Callable[[], float] = time.monotonic,
        *,
        quiet_seconds: float = 0.0,
    ) -> None:
        self.termination: Termination | None = None
        self._process, self._launch, self._clock = process, config.launch, clock
        self._path = heartbeat.path_of(config.directory, config.run_id)
        self._began, self._quiet_seconds = clock(), quiet_seconds
        self._changed_at = self._began + quiet_seconds
        self._heartbeat = _read_bytes(self._path)  # an earlier attempt's, if any: it is no progress
        self._stop_sent_at: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the run was given to its process."""
        return self._clock() - self._began

    def check(self) -> None:
        """Stop the run if it is over a limit, and kill it if it did not stop in time."""
        now = self._clock()
        if self._stop_sent_at is None:
            if reason := self._limit_exceeded(now):
                self.stop("failed", reason)
        elif now - self._stop_sent_at >= worker.GRACE_SECONDS:
            self._process.kill()

    def _limit_exceeded(self, now: float) -> str | None:
        timeout, stall = self._launch.timeout_seconds, self._launch.stall_seconds
        if timeout is not None and now - self._began >= timeout + self._quiet_seconds:
            return f"took longer than launch.timeout_seconds={timeout:g}: stopped"
        if stall is None:
            return None
        if (content := _read_bytes(self._path)) != self._heartbeat:
            self._heartbeat, self._changed_at = content, now
        if now - self._changed_at >= stall:
            return f"no progress for {stall:g} s (launch.stall_seconds): stopped"
        return None

    def stop(self, state: State, reason: str) -> None:
        """Send SIGTERM, once: later calls change nothing, so the first reason is the one recorded."""
        if self._stop_sent_at is None:
            self._stop_sent_at, self.termination = self._clock(), Termination(state, reason)
            self._process.terminate()

    def kill(self, reason: str) -> None:
        """Send SIGKILL now; the record says interrupted unless the run was being stopped already."""
        if self.termination is None:
            self._stop_sent_at, self.termination = self._clock(), Termination("interrupted", reason)
        self._process.kill()


def _read_bytes(path: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return None
