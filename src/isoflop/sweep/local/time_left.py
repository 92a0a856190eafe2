"""When a sweep will be done: from the seconds a FLOP of runs that have ended, those of the same shape first.

A wide network reaches more FLOP/s than a narrow one, and the shapes with the largest runs go first, so that
one rate for all would promise the end too soon. Everything here is arithmetic on what it is told.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from isoflop.sweep.grid import PlannedRun

LEAST_SHARE = 0.05
"""A run in hand says something of the speed of its shape once so much of it is done."""


@dataclasses.dataclass(frozen=True)
class Underway:
    """A run in hand: what share of it is done (None before its first heartbeat), after how many seconds."""

    planned: PlannedRun
    share_done: float | None
    seconds: float


@dataclasses.dataclass
class _Rate:
    """Seconds and FLOPs that were spent."""

    seconds: float = 0.0
    flops: float = 0.0

    def add(self, seconds: float, flops: float) -> None:
        self.seconds, self.flops = self.seconds + seconds, self.flops + flops


class TimeLeft:
    """Estimates the seconds until the last run of a sweep ends.

    Args:
        runs: all runs to execute, with their planned FLOPs; where those are not counted all runs weigh the
            same.
    """

    def __init__(self, runs: Sequence[PlannedRun]) -> None:
        # An id is a hash of the whole configuration, made anew at each access.
        self._shapes = {run.run_id: run.config.shape_id for run in runs}
        self._flops = {run.run_id: run.planned_train_flops or 1.0 for run in runs}
        self._all = _Rate()
        self._by_shape: dict[str, _Rate] = {}

    def ended(self, run_id: str, seconds: float) -> None:
        """Note that a run was done after so many seconds."""
        flops = self._flops[run_id]
        self._all.add(seconds, flops)
        self._by_shape.setdefault(self._shapes[run_id], _Rate()).add(seconds, flops)

    def seconds(self, waiting: Iterable[str], underway: Sequence[Underway], slots: int) -> float | None:
        """Return the seconds left, or None while nothing says how fast the runs are.

        Args:
            waiting: ids of the runs that have not begun.
            underway: the runs in hand.
            slots: runs at the same time.
        """
        known = [run for run in underway if run.share_done is not None and run.share_done >= LEAST_SHARE]
        now = _Rate(self._all.seconds, self._all.flops)
        shapes = {shape: _Rate(rate.seconds, rate.flops) for shape, rate in self._by_shape.items()}
        for run in known:
            run_id = run.planned.run_id
            done = (run.share_done or 0.0) * self._flops[run_id]
            now.add(run.seconds, done)
            shapes.setdefault(self._shapes[run_id], _Rate()).add(run.seconds, done)
        if not now.flops:
            return None

        def whole(run_id: str) -> float:
            rate = shapes.get(self._shapes[run_id], now)
            return self._flops[run_id] * rate.seconds / rate.flops

        rest = []
        for run in underway:
            expected = whole(run.planned.run_id)
            left = expected - run.seconds if run.share_done is None else expected * (1 - run.share_done)
            rest.append(max(0.0, left))
        later = sum(whole(run_id) for run_id in waiting)
        return max((sum(rest) + later) / max(1, slots), max(rest, default=0.0))
