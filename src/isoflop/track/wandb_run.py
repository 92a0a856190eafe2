"""A W&B run of one cell: identity, curve, summary, power trace, and its files as an artifact.

Online a cell has one id over all its attempts; offline each attempt has its own (attempts of one id would
overwrite each other's folders when they are synced) and the group is the cell. The key of the sweep is in the
configuration and the tags of both. W&B's own system metrics are off: they would poll the sensors beside the
meter, every 15 s, and stop at the first error.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import wandb

from isoflop.config import TrackerConfig
from isoflop.record import CurvePoint
from isoflop.table.power_rows import power_rows
from isoflop.track.events import Cell, Ending
from isoflop.track.numbers import CURVE_AXES, curve_row, summaries
from isoflop.track.process import tell

FIGURES = "figures/"
SCORES = ("val_error", "val_loss")


def run_id(cell: Cell, *, offline: bool) -> str:
    """The id of the cell's run; offline that of the attempt, numbered on where a killed process left one.

    A process that an agent of a W&B sweep started takes the id it was given."""
    if "WANDB_SWEEP_ID" in os.environ and (given := os.environ.get("WANDB_RUN_ID")):
        return given
    if not offline:
        return cell.run_id
    number = cell.attempt
    while list(Path(cell.directory, "wandb").glob(f"offline-run-*-{cell.run_id}-{number}")):
        number += 1
    return f"{cell.run_id}-{number}"


def config_of(cell: Cell) -> dict[str, Any]:
    """The configuration W&B shows, which it flattens to model.width and the like by itself."""
    own = {"run_id": cell.run_id, "config_id": cell.config_id, "sweep_name": cell.sweep, "label": cell.label}
    return cell.identity | own | {"attempt": cell.attempt}


def arguments(cell: Cell, mode: str) -> dict[str, Any]:
    """What wandb.init is called with, less its settings."""
    settings, offline = cell.settings, mode == "offline"
    return {
        "project": settings.project,
        "entity": settings.entity,
        "mode": mode,
        "id": run_id(cell, offline=offline),
        "resume": None if offline else "allow",
        "group": cell.run_id if offline else cell.sweep,
        "job_type": "cell",
        "name": f"{cell.label} seed {cell.seed}",
        "tags": [word[:64] for word in (cell.sweep, *settings.tags)],
        "dir": cell.directory,
    }


def quiet(wait_seconds: float) -> wandb.Settings:
    """Settings of every run: no console capture, no code, no sensors, no second line on the terminal."""
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
    """One cell as one run. Without a key or a network it goes on offline and says so."""

    def begin(self, cell: Cell) -> None:
        """Open the run."""
        self._cell, mode = cell, cell.settings.mode or "online"
        keep_here(cell.directory)
        try:
            self._open(mode)
        except wandb.Error as error:
            if mode != "online":
                raise
            words = (str(error).strip() or type(error).__name__).splitlines()[0]
            tell("wandb", f"{words}: kept offline in {cell.directory}/wandb for wandb sync")
            wandb.teardown()
            self._open("offline")

    def _open(self, mode: str) -> None:
        cell = self._cell
        self._run = wandb.init(**arguments(cell, mode), settings=quiet(cell.settings.wait_seconds))
        self._run.config.update(config_of(cell), allow_val_change=True)
        for axis in ("step", *CURVE_AXES):
            self._run.define_metric(f"curve/{axis}", summary="none")
        for score in SCORES:
            self._run.define_metric(f"curve/{score}", step_metric="curve/examples", summary="none")
        self._run.define_metric("power/seconds", summary="none")
        self._run.define_metric("power/*", step_metric="power/seconds", summary="none")

    def point(self, point: CurvePoint, steps_done: int) -> None:
        """A row of the curve; W&B's own step is the steps of the cell, so a row sent twice counts once."""
        self._run.log({f"curve/{name}": value for name, value in curve_row(point).items()}, step=steps_done)

    def end(self, ending: Ending) -> None:
        """The summary, the power trace of a finished run, and the files."""
        run, cell = self._run, self._cell
        run.summary.update(summaries(ending.records))
        for row in power_rows(ending.power):
            run.log(row)
        if ending.files:
            files = wandb.Artifact(f"cell-{cell.run_id}", type="record")
            for path in ending.files:
                files.add_file(str(path), name=f"{path.parent.name}/{path.name}")
            run.log_artifact(files)
        if ending.state == "interrupted":
            run.mark_preempting()
        run.finish(exit_code=0 if ending.state == "done" else 1)


def send_report(sweep: str, directory: Path, settings: TrackerConfig) -> None:
    """A run of the sweep itself: its figures as images, its table, fit and page as an artifact."""
    keep_here(str(directory.absolute()))
    run = wandb.init(
        project=settings.project,
        entity=settings.entity,
        mode=settings.mode,
        group=sweep,
        job_type="report",
        name=f"{sweep} report",
        tags=[sweep[:64]],
        dir=str(directory.absolute()),
        config={"sweep_name": sweep},
        settings=quiet(settings.wait_seconds),
    )
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
