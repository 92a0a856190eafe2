"""The metering pass: after a sweep that packed several runs on a GPU, each shape is metered alone.

NVML measures whole GPUs and not processes, so the energy of one of several runs on a GPU cannot be measured
while they train. The pass trains one run of each shape alone for a while, one shape after another in one
process, and completes the records of that shape (shape_records.py). It also completes what a sweep that was
stopped has left to its runs' own short readings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from isoflop import record as records
from isoflop.config import Config
from isoflop.notices import notify
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import launch, shape_records
from isoflop.sweep.slots import Slots


def shapes_to_meter(runs: Sequence[PlannedRun], directory: Path) -> tuple[Config, ...]:
    """Return a configuration of each shape that has a point for the metering pass."""
    shapes: dict[str, Config] = {}
    for planned in runs:
        config = planned.config
        for run_id in config.point_ids.values():
            record = records.find(records.path_of(directory, run_id))
            if record is not None and shape_records.needs_pass(record, config.meter.window_seconds):
                shapes.setdefault(config.shape_id, config)
    return tuple(shapes.values())


def run_pass(runs: Sequence[PlannedRun], directory: Path, *, seconds: float | None = None) -> int:
    """Meter each shape that needs it, and complete its records.

    Returns the number of completed points; tells the user for which shapes the energy stays unknown, and why.

    Args:
        runs: of the sweep.
        directory: its folder.
        seconds: time limit; shapes that are not metered by then are left to a later pass. None: no limit.

    Raises:
        KeyboardInterrupt: the pass was asked to stop.
        OSError: a record could not be written.
    """
    shapes = shapes_to_meter(runs, directory)
    notify(f"metering pass: {len(shapes)} shapes")
    threads = shapes[0].launch.threads if shapes else None
    if not shapes:
        return 0
    return launch.meter_shapes(shapes, runs, Slots(1, threads or 1, 1), seconds=seconds)
