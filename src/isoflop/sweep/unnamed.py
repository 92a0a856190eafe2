"""The folder of a sweep without a name: results/DATA-MODEL-HASH, the same for the same runs.

Unnamed sweeps of earlier releases shared results/runs with the single runs. One that was begun there, so that
its runs stand in the manifest of that folder, goes on there.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection
from pathlib import Path

from isoflop import record as records
from isoflop.config import Config
from isoflop.config.identity import digest
from isoflop.sweep import grid, tune
from isoflop.sweep.grid import PlannedRun

NAME = "runs"
"""What sweep=single calls it (conf/sweep/single.yaml)."""
OUT = f"results/{NAME}"
DIGITS = 8
MOST_MODELS = 2


@dataclasses.dataclass(frozen=True)
class Placed:
    """A sweep in its folder, and what to say of the choice: nothing where the user made it.

    `repeats` says that some of its runs are done in results/runs and will be trained again.
    """

    base: Config
    runs: tuple[PlannedRun, ...]
    message: str | None = None
    repeats: bool = False


def place(base: Config, runs: tuple[PlannedRun, ...], explicit: Collection[str]) -> Placed:
    """Return a sweep in a folder of its own, if it has no name.

    Args:
        base: the configuration of the sweep.
        runs: its runs.
        explicit: keys that were set on the command line: a name or a folder given there stays.
    """
    if base.sweep.name != NAME or base.out != OUT or {"sweep.name", "out"} & set(explicit):
        return Placed(base, runs)
    name = name_of(base, runs)
    own = Path(OUT).with_name(name)
    if not own.exists() and _begun_at(Path(OUT), base, runs):
        message = (
            f"no sweep.name: an earlier isoflop began these runs in {OUT}, where they go on; sweep.name=NAME "
            "would train them anew in a folder of its own"
        )
        return Placed(base, runs, message)
    out = str(own)
    message = f"no sweep.name: the folder is {out}, and other values would make another"
    if done := _done_at(Path(OUT), runs):
        message += f"; {done} of its runs are done in {OUT}: out={OUT} goes on with them"
    moved = tuple(_planned_at(each, name, out) for each in runs)
    return Placed(_at(base, name, out), moved, message, repeats=bool(done))


def name_of(base: Config, runs: tuple[PlannedRun, ...]) -> str:
    """Return data set, models and a hash of the ids of all runs: the order of the axes does not change it."""
    models = list(dict.fromkeys(each.config.model.name for each in runs))
    of_models = "+".join(models) if len(models) <= MOST_MODELS else f"{len(models)}-models"
    # A grid of learning rates changes the runs only after it has been tried.
    ids = [sorted([each.run_id, each.held_out] for each in runs), sorted(base.sweep.lr_grid)]
    return re.sub(r"[^\w.+-]+", "-", f"{base.data.label}-{of_models}-{digest(ids)[:DIGITS]}")


def _at(config: Config, name: str, out: str) -> Config:
    return dataclasses.replace(config, out=out, sweep=dataclasses.replace(config.sweep, name=name))


def _planned_at(planned: PlannedRun, name: str, out: str) -> PlannedRun:
    return dataclasses.replace(planned, config=_at(planned.config, name, out))


def _begun_at(folder: Path, base: Config, runs: tuple[PlannedRun, ...]) -> bool:
    """Return whether the manifest of a folder lists every run, or every trial of a learning-rate grid."""
    if base.sweep.lr_grid:
        runs, folder = tune.trials(runs, base.sweep.lr_grid), folder / tune.FOLDER
    return {each.run_id for each in runs} <= grid.listed_ids(folder)


def _done_at(folder: Path, runs: tuple[PlannedRun, ...]) -> int:
    """Return how many runs have all of their records in a folder."""
    return sum(
        all(records.path_of(folder, i).is_file() for i in each.config.point_ids.values()) for each in runs
    )
