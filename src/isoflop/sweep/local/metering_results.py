"""The supervisor's side of metering: takes what workers measured, keeps it, and completes the records."""

from __future__ import annotations

from collections.abc import Sequence

from isoflop.config import Config
from isoflop.meter.energy.shape_energy import ShapeEnergy
from isoflop.meter.energy.window_meter import IdlePower
from isoflop.notices import notify
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import drift, shape_records
from isoflop.sweep.local.agenda import MeterAnchor, MeterIdle, Metering, MeterShape
from isoflop.sweep.local.stops import count_runs
from isoflop.sweep.local.worker import Reply


class MeteringResults:
    """Keeps what is metered beside the runs of a sweep.

    Attributes:
        completed: number of points that got the energy of their shape.

    Args:
        runs: all runs of the sweep, those that are done already included.
    """

    def __init__(self, runs: Sequence[PlannedRun]) -> None:
        self.completed = 0
        self._runs: dict[str, list[PlannedRun]] = {}
        for run in runs:
            self._runs.setdefault(run.config.shape_id, []).append(run)
        self._idle: dict[int, IdlePower] = {}

    def idle_of(self, slot: int) -> IdlePower | None:
        """Return the power of the slot's idle GPU at the beginning, for a worker that has not measured it."""
        return self._idle.get(slot)

    def needs_measurement(self, config: Config) -> bool:
        """Return whether the shape of a run has to be metered; complete its records if it was metered before.

        Raises:
            OSError: a record could not be written.
        """
        runs, directory = self._runs.get(config.shape_id, []), config.directory
        if not shape_records.incomplete_points(runs, directory):
            return False
        kept = shape_records.read(directory, config.shape_id, config.meter.window_seconds)
        if kept is None:
            return True
        made = shape_records.complete_runs(runs, kept, directory)
        self.completed += made.points
        return bool(made.reasons)

    def take(self, slot: int, job: Metering, reply: Reply | None) -> None:
        """Keep what a worker measured; tell the user if it could not, as the sweep goes on without.

        Raises:
            OSError: a file or a record could not be written.
        """
        measured = reply.measured if reply is not None else None
        directory = job.config.directory
        if isinstance(job, MeterIdle) and isinstance(measured, dict):
            if job.when == "first":
                self._idle[slot] = measured
            drift.append_idle(directory, job.when, job.config.meter.idle_seconds, measured)
        elif isinstance(job, MeterAnchor) and isinstance(measured, ShapeEnergy):
            drift.append_anchor(directory, job.when, job.config, measured)
        elif isinstance(job, MeterShape) and isinstance(measured, ShapeEnergy):
            self._complete(job, measured)
        else:
            why = reply.message if reply is not None else "its process died"
            notify(f"metering {_subject(job)} failed: {why}")

    def _complete(self, job: MeterShape, measured: ShapeEnergy) -> None:
        runs, directory = self._runs.get(job.shape_id, []), job.config.directory
        if measured.energy is None:
            unknown = [r for r in shape_records.incomplete_points(runs, directory) if r.energy is None]
            # A reason that the records give already needs no second line.
            if any(record.energy_reason != measured.reason for record in unknown):
                self._report(job, len(unknown), measured.reason)
            return
        shape_records.write(measured, directory)
        made = shape_records.complete_runs(runs, measured, directory)
        self.completed += made.points
        if made.reasons:
            self._report(job, len(made.reasons), made.reasons[0])

    def _report(self, job: MeterShape, number: int, reason: str | None) -> None:
        notify(f"{job.config.run_id}: energy of {count_runs(number)} stays unknown: {reason}")


def _subject(job: Metering) -> str:
    if isinstance(job, MeterIdle):
        return f"the idle GPU ({job.when})"
    return f"the anchor ({job.when})" if isinstance(job, MeterAnchor) else f"the shape of {job.config.run_id}"
