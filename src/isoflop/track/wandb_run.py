"""A run in W&B: configuration, training, curve, summary, power trace, and its files as an artifact.

Online, all attempts of a run share one W&B id. Offline, each attempt has its own: attempts that shared one
would overwrite each other's folders when they are synced. The group is the sweep. W&B's own system metrics
are off: they would poll the sensors beside the meter, every 15 s, and stop at the first error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from isoflop.config import TrackerConfig
from isoflop.record import CurvePoint
from isoflop.table.power_rows import power_rows
from isoflop.track.events import Ending, Interval, RunInfo
from isoflop.track.numbers import (
    CURVE_AXES,
    INTERVAL_AXES,
    Row,
    Series,
    curve_row,
    interval_row,
    of_training,
    scores,
    summaries,
)
from isoflop.track.process import print_error

FIGURES = "figures/"
RUN, REPORT, PARALLEL = "run", "report", "parallel"
"""Job types: of the runs of a sweep, of the run that holds its figures, and of measured scaling."""
DIGITS = {"w": 4, "d": 2}
"""Digits of width and depth in a run's name: W&B sorts names as text."""


def run_id(info: RunInfo, *, offline: bool) -> str:
    """Return the W&B id: the run's, or offline the attempt's, numbered on where a killed process left one.

    A process started by the agent of a W&B sweep takes the id that it was given.
    """
    if "WANDB_SWEEP_ID" in os.environ and (given := os.environ.get("WANDB_RUN_ID")):
        return given
    if not offline:
        return info.run_id
    number = info.attempt
    while list(Path(info.directory, "wandb").glob(f"offline-run-*-{info.run_id}-{number}")):
        number += 1
    return f"{info.run_id}-{number}"


def config_of(info: RunInfo) -> dict[str, Any]:
    """Return the configuration for W&B, which flattens it to model.width and the like by itself."""
    own = {"run_id": info.run_id, "config_id": info.config_id, "sweep_name": info.sweep, "label": info.label}
    return info.identity | own | {"attempt": info.attempt}


def run_name(info: RunInfo) -> str:
    """Return `mlp w0064 d02 seed 0`, which sorts by size; of a later attempt with its number."""
    sizes = re.sub(r"\b([wd])(\d+)\b", lambda m: f"{m[1]}{m[2]:0>{DIGITS[m[1]]}}", info.label)
    return f"{sizes} seed {info.seed}" + (f" attempt {info.attempt}" if info.attempt > 1 else "")


def arguments(info: RunInfo, mode: str) -> dict[str, Any]:
    """Return the arguments of wandb.init, without its settings."""
    settings, offline = info.settings, mode == "offline"
    return {
        "project": settings.project,
        "entity": settings.entity,
        "mode": mode,
        "id": run_id(info, offline=offline),
        "resume": None if offline else "allow",
        "group": info.sweep,
        "job_type": RUN,
        "name": run_name(info),
        "tags": [tag[:64] for tag in (info.sweep, *settings.tags)],
        "dir": info.directory,
    }


def quiet(wait_seconds: float) -> wandb.Settings:
    """Return the settings of every run: no console capture, no code, no sensors, nothing on the terminal."""
    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        disable_job_creation=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        init_timeout=max(wait_seconds, 1.0),
    )


def keep_here(directory: str) -> None:
    """Let W&B keep what it stages in the sweep's folder, unless the user has chosen another."""
    os.environ.setdefault("WANDB_DATA_DIR", str(Path(directory) / "wandb" / "data"))


class WandbTracker:
    """One run as one W&B run. Without a key or a network it goes on offline and says so."""

    def begin(self, run: RunInfo) -> None:
        """Open the W&B run."""
        self._info, mode = run, run.settings.mode or "online"
        self._evaluations = Series(CURVE_AXES, run.drawn)
        self._intervals = Series(INTERVAL_AXES, run.drawn)
        self._last_step = -1
        keep_here(run.directory)
        try:
            self._open(mode)
        except wandb.Error as error:
            if mode != "online":
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            print_error("wandb", f"{reason}: kept offline in {run.directory}/wandb for wandb sync")
            wandb.teardown()
            self._open("offline")

    def _open(self, mode: str) -> None:
        info = self._info
        self._run = wandb.init(**arguments(info, mode), settings=quiet(info.settings.wait_seconds))
        self._run.config.update(config_of(info), allow_val_change=True)
        for axis in ("step", *CURVE_AXES):
            self._run.define_metric(f"curve/{axis}", summary="none")
        for score in scores(of_text=info.of_text):
            self._run.define_metric(f"curve/{score}", step_metric="curve/examples", summary="none")
        for axis in ("step", *INTERVAL_AXES):
            self._run.define_metric(f"training/{axis}", summary="none")
        for name in of_training(of_text=info.of_text):
            self._run.define_metric(f"training/{name}", step_metric="training/examples", summary="none")
        self._run.define_metric("power/seconds", summary="none")
        self._run.define_metric("power/*", step_metric="power/seconds", summary="none")

    def point(self, point: CurvePoint, steps_done: int) -> None:
        """Log a row of the curve."""
        row = curve_row(point, of_text=self._info.of_text)
        self._log("curve", self._evaluations.add(row, steps_done))

    def interval(self, interval: Interval, steps_done: int) -> None:
        """Log a row of training."""
        row = interval_row(interval, of_text=self._info.of_text)
        self._log("training", self._intervals.add(row, steps_done))

    def _log(self, kind: str, rows: list[tuple[Row, int]]) -> None:
        """Log rows. W&B's own step is the run's steps, so that a row sent twice counts once.

        It never falls: a first value that was held back is left out where another row was logged meanwhile.
        """
        for row, steps_done in rows:
            if steps_done == rows[-1][1] or steps_done > self._last_step:
                self._run.log({f"{kind}/{name}": value for name, value in row.items()}, step=steps_done)
                self._last_step = max(self._last_step, steps_done)

    def end(self, ending: Ending) -> None:
        """Send the summary, the power trace of a finished run, and the files."""
        run = self._run
        for kind, series in (("curve", self._evaluations), ("training", self._intervals)):
            run.summary.update({f"{kind}/{name}": value for name, value in series.single.items()})
        run.summary.update(summaries(ending.records))
        power = power_rows(ending.power)
        if len(power) == 1:
            run.summary.update(power[0])
        for row in power if len(power) > 1 else ():
            run.log(row)
        if ending.files:
            files = wandb.Artifact(f"run-{self._info.run_id}", type="record")
            for path in ending.files:
                files.add_file(str(path), name=f"{path.parent.name}/{path.name}")
            run.log_artifact(files)
        if ending.state == "interrupted":
            run.mark_preempting()
        run.finish(exit_code=0 if ending.state == "done" else 1)


def _of_sweep(sweep: str, directory: Path, settings: TrackerConfig, kind: str) -> wandb.Run:
    """Open a W&B run of a sweep itself, of the job type `kind`."""
    keep_here(str(directory.absolute()))
    return wandb.init(
        project=settings.project,
        entity=settings.entity,
        mode=settings.mode,
        group=sweep,
        job_type=kind,
        name=f"{sweep} {kind}",
        tags=[sweep[:64]],
        dir=str(directory.absolute()),
        config={"sweep_name": sweep},
        settings=quiet(settings.wait_seconds),
    )


def send_parallel(sweep: str, directory: Path, settings: TrackerConfig, rows: Mapping[int, Row]) -> None:
    """Send a W&B run of measured scaling: a row for each number of workers, figures, records as an artifact.

    W&B's own step is the number of workers, against which each column is drawn.
    """
    run = _of_sweep(sweep, directory, settings, PARALLEL)
    for workers, row in sorted(rows.items()):
        run.log({"workers": workers, **row}, step=workers)
    run.summary.update({name: value for _, row in sorted(rows.items()) for name, value in row.items()})
    for path in sorted((directory / "figures").glob("parallel-*.png")):
        run.summary[f"{FIGURES}{path.stem}"] = wandb.Image(str(path))
    files = wandb.Artifact("parallel-" + sweep.replace("+", "-"), type="record")
    for path in sorted((directory / "parallel").glob("[!.]*.json")):
        files.add_file(str(path), name=path.name)
    run.log_artifact(files)
    run.finish()
    wandb.teardown()  # returns once every file is whole


def send_report(sweep: str, directory: Path, settings: TrackerConfig) -> None:
    """Send a W&B run of the sweep itself: its figures as images, its table, fit and page as an artifact."""
    run = _of_sweep(sweep, directory, settings, REPORT)
    files = wandb.Artifact("sweep-" + sweep.replace("+", "-"), type="report")
    for name in ("table.csv", "dropped.csv", "fit.json", "index.html"):
        if (directory / name).is_file():
            files.add_file(str(directory / name), name=name)
    for path in sorted((directory / "figures").glob("*.png")):
        run.log({f"{FIGURES}{path.stem}": wandb.Image(str(path))}, step=0)
        files.add_file(str(path), name=f"{FIGURES}{path.name}")
    run.log_artifact(files)
    run.finish()
    wandb.teardown()  # returns once every file is whole
