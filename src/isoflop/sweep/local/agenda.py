"""What each slot of a sweep does next: runs and, on GPUs that no runs share, the metering beside them.

The runs of a shape stay with one slot as long as it has any, so that they share a captured step and their
windows are one measurement. When the last of them has ended, the slot that trained it meters the shape.
Everything here decides; nothing is started, measured or written.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Sequence

from isoflop.config import Config
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local.drift import When
from isoflop.sweep.slots import Slots


@dataclasses.dataclass(frozen=True)
class MeterIdle:
    """Measure the power of the slot's idle GPU."""

    config: Config
    when: When


@dataclasses.dataclass(frozen=True)
class MeterAnchor:
    """Meter the anchor's shape."""

    config: Config
    when: When


@dataclasses.dataclass(frozen=True)
class MeterShape:
    """Measure the energy of a shape whose runs have ended."""

    config: Config
    shape_id: str


Metering = MeterIdle | MeterAnchor | MeterShape
Job = PlannedRun | Metering


def can_meter_shapes(slots: Slots, config: Config) -> bool:
    """Return whether the runs of a sweep are metered shape by shape: one at a time on each GPU, in a process
    that goes on from run to run."""
    alone = slots.shared != "gpu" and slots.devices == 1 and config.launch.processes == 1
    return slots.warm and alone and config.meter.energy != "none"


def anchor_of(runs: Sequence[PlannedRun]) -> Config:
    """Return the configuration of the middle shape by planned FLOPs: neither all overhead nor the longest."""
    by_shape: dict[str, PlannedRun] = {}
    for run in runs:  # the largest of each shape comes first
        by_shape.setdefault(run.config.shape_id, run)
    ordered = sorted(by_shape.values(), key=lambda run: run.planned_train_flops or 0.0)
    return ordered[len(ordered) // 2].config


class Agenda:
    """The jobs of a sweep that are still to be done.

    Attributes:
        slots: number of slots that are used.
        meters: whether runs are metered shape by shape.

    Args:
        runs: the runs to execute, in this order.
        slots: where they execute.
        anchor: the configuration to meter first, in the middle and last, if any.
        shapes: shapes to meter whether or not a run of them is executed.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        slots: Slots,
        *,
        anchor: Config | None = None,
        shapes: Iterable[MeterShape] = (),
    ) -> None:
        shapes = tuple(shapes)
        self._queue = collections.deque(runs)
        self._jobs = len(runs) + len(shapes)
        # A GPU for which there is no run needs no process.
        self.slots = min(slots.workers, max(1, self._jobs))
        some = runs[0].config if runs else (shapes[0].config if shapes else None)
        self.meters = some is not None and can_meter_shapes(slots, some)
        self._config = some
        self._anchor = anchor if self.meters else None
        self._anchors_due: list[When] = ["first", "middle", "last"] if self._anchor else []
        self._shapes_due = list(shapes)
        self._has_idle: dict[int, When] = {}
        self._in_hand: dict[int, PlannedRun] = {}
        self._last_shape: dict[int, str] = {}
        # An id is a hash of the whole configuration, made anew at each access.
        self._shapes = {run.run_id: run.config.shape_id for run in runs}
        self._runs_of_step = collections.Counter(run.config.step_id for run in runs)
        self._open = collections.Counter(self._shapes.values())
        self._todo_flops = sum(run.planned_train_flops or 0.0 for run in runs)
        self._all_flops = self._todo_flops

    @property
    def has_more(self) -> bool:
        """Whether there is a job for any slot now."""
        return any(self._choose(slot) is not None for slot in range(self.slots))

    def next(self, slot: int) -> Job | None:
        """Return the next job of a slot, which counts as begun, or None."""
        job = self._choose(slot)
        if isinstance(job, PlannedRun):
            self._queue.remove(job)
            self._in_hand[slot] = job
            self._last_shape[slot] = self._shapes.get(job.run_id, "")
        elif isinstance(job, MeterIdle):
            self._has_idle[slot] = job.when
        elif isinstance(job, MeterAnchor):
            self._anchors_due.remove(job.when)
        elif isinstance(job, MeterShape):
            self._shapes_due.remove(job)
        return job

    def _choose(self, slot: int) -> Job | None:
        if not self.meters:
            if self._shapes_due:
                return self._shapes_due[0]
            return self._queue[0] if self._queue else None
        assert self._config is not None
        has_work = bool(self._queue or self._shapes_due)
        takes_idle = self._config.meter.idle_seconds > 0
        if has_work and takes_idle and slot not in self._has_idle:
            return MeterIdle(self._config, "first")
        if self._anchor and "first" in self._anchors_due and has_work:
            return MeterAnchor(self._anchor, "first")
        if self._shapes_due:
            return self._shapes_due[0]
        if self._anchor and "middle" in self._anchors_due and self._is_halfway(slot):
            return MeterAnchor(self._anchor, "middle")
        if self._queue:
            return self._choose_run(slot)
        if self._anchor and "last" in self._anchors_due and not self._in_hand:
            return MeterAnchor(self._anchor, "last")
        # One run alone has one baseline, as under `isoflop run`.
        if takes_idle and self._jobs > 1 and self._has_idle.get(slot) == "first":
            return MeterIdle(self._config, "last")
        return None

    def _is_halfway(self, slot: int) -> bool:
        """Return whether half the work is done and the slot stands between two shapes."""
        next_shape = self._shapes[self._queue[0].run_id] if self._queue else None
        between = self._last_shape.get(slot) not in (None, next_shape)
        return between and self._todo_flops <= self._all_flops / 2

    def _choose_run(self, slot: int) -> PlannedRun:
        """Return the next run: of the shape in hand, else of a shape that no other slot has, else any."""
        mine = self._last_shape.get(slot)
        others = {self._shapes[run.run_id] for where, run in self._in_hand.items() if where != slot}
        same = (run for run in self._queue if self._shapes[run.run_id] == mine)
        untaken = (run for run in self._queue if self._shapes[run.run_id] not in others)
        return next(same, None) or next(untaken, None) or self._queue[0]

    def runs_of_step(self, step_id: str) -> int:
        """Return how many runs of the sweep share a compiled step; 1 of one that is only metered."""
        return max(1, self._runs_of_step[step_id])

    def postponed(self, slot: int) -> None:
        """Note that another process holds the slot's run: it comes back by `put_back`, or is left to it."""
        self._in_hand.pop(slot, None)

    def put_back(self, run: PlannedRun) -> None:
        """Queue a postponed run again, after the others."""
        self._queue.append(run)

    def ended(self, slot: int, run: PlannedRun) -> bool:
        """Note that a run ended, however; return whether it was the last of its shape here."""
        self._in_hand.pop(slot, None)
        self._todo_flops -= run.planned_train_flops or 0.0
        if not self.meters:
            return False
        shape = self._shapes[run.run_id]
        self._open[shape] -= 1
        return self._open[shape] == 0

    def meter_shape(self, config: Config) -> None:
        """Have a shape metered, by the slot that asks for its next job first."""
        self._shapes_due.append(MeterShape(config, config.shape_id))

    def clear(self) -> None:
        """Drop what has not begun."""
        self._queue.clear()
        self._shapes_due.clear()
        self._anchors_due.clear()
        self._has_idle = dict.fromkeys(range(self.slots), "last")
