"""A run as TensorBoard event files in DIR/tensorboard/LABEL-seed-N-RUN_ID, readable without an account."""

from __future__ import annotations

import json
from pathlib import Path

from tensorboardX import SummaryWriter

from isoflop.record import CurvePoint
from isoflop.table.power_rows import power_rows
from isoflop.track.events import Ending, RunInfo
from isoflop.track.numbers import curve_row, scores, summaries

AXES = {"examples": 1.0, "train_gflops": 1e6, "energy_joules": 1e6, "train_seconds": 1e6}
"""Factors to the units of the axes: examples, kFLOPs, microjoules and microseconds. A step is a whole number
of 64 bits: in these units those of the smallest run do not fall on each other, and 1e21 FLOPs fit."""
TAGS = {
    "examples": "examples",
    "train_gflops": "train_kflops",
    "energy_joules": "energy_microjoules",
    "train_seconds": "train_microseconds",
}


class TensorboardTracker:
    """Scores against examples, kFLOPs, microjoules and microseconds; the summary as scalars and as text."""

    def begin(self, run: RunInfo) -> None:
        """Open the event file."""
        self._of_text = run.of_text
        name = f"{run.label.replace(' ', '-').replace(':', '-')}-seed-{run.seed}-{run.run_id}"
        self._writer = SummaryWriter(logdir=str(Path(run.directory) / "tensorboard" / name))
        self._writer.add_text("cell", f"```\n{json.dumps(run.identity, indent=1)}\n```", 0)

    def point(self, point: CurvePoint, steps_done: int) -> None:
        """Write each score against every axis that is known."""
        row = curve_row(point, of_text=self._of_text)
        for axis in (axis for axis in AXES if axis in row):
            at = round(float(row[axis]) * AXES[axis])
            for score in scores(of_text=self._of_text):
                self._writer.add_scalar(f"{score}/against_{TAGS[axis]}", row[score], at)
        self._writer.flush()

    def end(self, ending: Ending) -> None:
        """Write the numbers of the table, at step 0, and the power trace in milliseconds."""
        summary = summaries(ending.records)
        for name, value in summary.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(f"summary/{name}", value, 0)
        self._writer.add_text("summary", "\n".join(f"    {n}: {v}" for n, v in summary.items()), 0)
        for row in power_rows(ending.power):
            at = round(1e3 * row.pop("power/seconds"))
            for name, watts in row.items():
                self._writer.add_scalar(f"{name}_against_milliseconds", watts, at)
        self._writer.close()
