"""A run as TensorBoard event files in DIR/tensorboard/LABEL-seed-N-RUN_ID, readable without an account."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from isoflop.record import CurvePoint
from isoflop.table.power_rows import power_rows
from isoflop.track import tensorboard_hparams as hparams
from isoflop.track.events import Ending, Interval, RunInfo
from isoflop.track.numbers import (
    CURVE_AXES,
    FINAL,
    INTERVAL_AXES,
    Row,
    Series,
    Value,
    curve_row,
    interval_row,
    of_training,
    scores,
    settings,
    summaries,
)

AXES = {"examples": 1.0, "train_gflops": 1e6, "energy_joules": 1e6, "train_seconds": 1e6}
"""Factors to the units of the axes: examples, kFLOPs, microjoules and microseconds. A step is a whole number
of 64 bits: in these units those of the smallest run do not fall on each other, and 1e21 FLOPs fit."""
TAGS = {
    "examples": "examples",
    "train_gflops": "train_kflops",
    "energy_joules": "energy_microjoules",
    "train_seconds": "train_microseconds",
}


def folder_name(run: RunInfo) -> str:
    """Return the name of a run's folder, which is its name in TensorBoard."""
    return f"{run.label.replace(' ', '-').replace(':', '-')}-seed-{run.seed}-{run.run_id}"


def final_tag(name: str) -> str:
    """Return the tag of a result, whose point stands at the run's kFLOPs: a sweep's points are its curve."""
    return f"final/{name}_against_train_kflops"


class TensorboardTracker:
    """Scores and training against examples, kFLOPs, microjoules and microseconds; settings and results for
    the HParams tab; the summary as text."""

    def __init__(
        self, folder: Path | None = None, began: float | None = None, experiment: Any = None
    ) -> None:
        """Make a tracker; live, all is left out.

        Args:
            folder: where folders of runs go, by default DIR/tensorboard.
            began: when training began, in seconds since 1970: what happened then is dated so. By default all
                is dated as it comes.
            experiment: what the HParams tab is to show (hparams.experiment); by default what TensorBoard
                finds.
        """
        self._folder, self._began, self._experiment = folder, began, experiment

    def begin(self, run: RunInfo) -> None:
        """Open the event file."""
        self._of_text = run.of_text
        self._evaluations = Series(CURVE_AXES, run.drawn)
        self._intervals = Series(INTERVAL_AXES, run.drawn)
        folder = self._folder or Path(run.directory) / "tensorboard"
        self._writer = SummaryWriter(logdir=str(folder / folder_name(run)))
        began = self._time(0.0)
        if self._experiment is not None:
            self._writer.file_writer.add_summary(self._experiment, walltime=began)
        chosen = settings(run.identity)
        self._writer.file_writer.add_summary(hparams.start(chosen, began), walltime=began)
        text = f"```\n{json.dumps(run.identity, indent=1)}\n```"
        self._writer.add_text("configuration", text, 0, walltime=began)
        self._writer.flush()

    def point(self, point: CurvePoint, steps_done: int) -> None:
        """Write each score against every axis that is known."""
        row = curve_row(point, of_text=self._of_text)
        for each, at in self._rows(self._evaluations, row, steps_done):
            for axis in (axis for axis in AXES if axis in each):
                step = round(float(each[axis]) * AXES[axis])
                for name in (name for name in scores(of_text=self._of_text) if name in each):
                    self._writer.add_scalar(f"{name}/against_{TAGS[axis]}", each[name], step, at)
        self._writer.flush()

    def interval(self, interval: Interval, steps_done: int) -> None:
        """Write what is known of training against examples."""
        row = interval_row(interval, of_text=self._of_text)
        for each, at in self._rows(self._intervals, row, steps_done):
            for name in (name for name in of_training(of_text=self._of_text) if name in each):
                tag = f"training/{name}_against_examples"
                self._writer.add_scalar(tag, each[name], int(each["examples"]), at)
        self._writer.flush()

    def end(self, ending: Ending) -> None:
        """Write the results of the run, its summary as text, and the power trace in milliseconds."""
        summary = summaries(ending.records)
        for series in (self._intervals, self._evaluations):
            summary = series.single | summary
        seconds = summary.get("train_seconds")
        ended = self._time(float(seconds) if isinstance(seconds, float) else 0.0)
        self._finals(summary, ended)
        self._writer.add_text("summary", "\n".join(f"    {n}: {v}" for n, v in summary.items()), 0, ended)
        power = power_rows(ending.power)
        for row in power if len(power) > 1 else ():
            at = row.pop("power/seconds")
            for name, watts in row.items():
                self._writer.add_scalar(
                    f"{name}_against_milliseconds", watts, round(1e3 * at), self._time(at)
                )
        self._writer.file_writer.add_summary(
            hparams.end(done=ending.state == "done", ended=ended), walltime=ended
        )
        self._writer.close()

    def _time(self, seconds: float) -> float:
        """Return the time of day, after so many seconds of training where it is of the past."""
        return time.time() if self._began is None else self._began + seconds

    def _rows(self, series: Series, row: Row, steps_done: int) -> list[tuple[Row, float]]:
        """Return the rows of a series that are to be drawn now that it has `row`, each with its time."""
        rows = series.add(row, steps_done)
        return [(each, self._time(float(each.get("train_seconds", 0.0)))) for each, _ in rows]

    def _finals(self, summary: Mapping[str, Value], ended: float) -> None:
        """Write each result at the run's kFLOPs, 0 where they are unknown."""
        compute = summary.get("train_gflops", 0.0)
        at = round(float(compute) * AXES["train_gflops"])
        for name in FINAL:
            if name in summary:
                self._writer.add_scalar(final_tag(name), summary[name], at, ended)
