"""What is known of a sweep while it trains: runs in hand by their heartbeats, failures so far, time left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

from isoflop.api import progress_text as text
from isoflop.api.progress_text import InHand, Snapshot
from isoflop.record import Record, heartbeat
from isoflop.record.heartbeat import Heartbeat
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local.agenda import Job
from isoflop.sweep.local.time_left import TimeLeft, Underway


class SweepState:
    """Follows the runs of a sweep, as the worker pool tells which of them are in hand and which have ended.

    Args:
        runs: the runs to execute.
        clock: seconds, monotonic.
    """

    def __init__(self, runs: Sequence[PlannedRun], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._began = clock, clock()
        self._total, self._time_left = len(runs), TimeLeft(runs)
        self._waiting = {run.run_id for run in runs}
        self._begun_at: dict[str, float] = {}
        self._jobs: tuple[Job, ...] = ()
        self._slots = 1
        self.ended, self.failed = 0, 0

    def end(self, run: PlannedRun, records: tuple[Record, ...]) -> None:
        """Note that a run ended, with its records, or without any where another process executes it."""
        self.ended += 1
        self._waiting.discard(run.run_id)
        begun = self._begun_at.pop(run.run_id, None)
        states = {record.state for record in records}
        self.failed += bool(states & set(text.FAILURES))
        if begun is not None and states == {"done"}:
            self._time_left.ended(run.run_id, self._clock() - begun)

    def tick(self, jobs: tuple[Job, ...]) -> None:
        """Note which jobs are in hand."""
        self._jobs, self._slots = jobs, max(self._slots, len(jobs))
        for job in jobs:
            if isinstance(job, PlannedRun):
                self._begun_at.setdefault(job.run_id, self._clock())
                self._waiting.discard(job.run_id)

    def snapshot(self) -> Snapshot:
        """Return how far the sweep is; reads the heartbeat of each run in hand."""
        in_hand, underway = [], []
        for job in self._jobs:
            beat = None
            if isinstance(job, PlannedRun):
                if job.run_id not in self._begun_at:
                    continue  # it ended since the last look
                seconds = self._clock() - self._begun_at[job.run_id]
                beat = _beat(job, seconds)
                underway.append(Underway(job, beat.share_done if beat else None, seconds))
            in_hand.append(InHand(text.name_of_job(job), beat))
        return Snapshot(
            total=self._total,
            ended=self.ended,
            failed=self.failed,
            seconds=self._clock() - self._began,
            seconds_left=self._time_left.seconds(self._waiting, underway, self._slots),
            in_hand=tuple(in_hand),
        )


def _beat(run: PlannedRun, seconds: float) -> Heartbeat | None:
    """Return the last heartbeat of a run that began `seconds` ago; an older one is of an earlier attempt."""
    with contextlib.suppress(OSError):
        found = heartbeat.last(run.config.directory, run.run_id)
        if found is not None and found[1] <= seconds:
            return found[0]
    return None
