"""The steps of a sweep on this machine, which `isoflop sweep` and `run_sweep` share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from isoflop import extras
from isoflop.api.progress import OnRun
from isoflop.config import Config
from isoflop.config.compose import compose_config, parse_overrides
from isoflop.sweep import grid, held_out, one_data, planning, retry, tune, unnamed, user_copies
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import launch, metering_pass
from isoflop.sweep.slurm import submit
from isoflop.track import feed, resend


@dataclasses.dataclass(frozen=True)
class Progress:
    """How a sweep says what it does.

    Attributes:
        line: says one line.
        problem: says one line about what went wrong beside the training.
        runs: given how many runs are to come, is open while they are trained, and gives what is called as
            each ends.
    """

    line: Callable[[str], object]
    problem: Callable[[str], object]
    runs: Callable[[int], AbstractContextManager[OnRun]]


def compose_sweep(overrides: Sequence[str], config_dir: str | None) -> Config:
    """Return the configuration of a sweep.

    A plain override (model.width=8) of an axis of the sweep file takes that axis out of the grid; a list
    (model.width=8,16) is the axis.

    Raises:
        ConfigError: as compose_config.
    """
    composed = compose_config(overrides, config_dir)
    fixed: list[str] = []
    moved: list[str] = []
    for _, override in parse_overrides(overrides):
        (moved if override.is_sweep_override() else fixed).append(override.key_or_group)
    return dataclasses.replace(composed, sweep=grid.without_axes(composed.sweep, fixed, moved))


def place(
    base: Config, overrides: Sequence[str], progress: Progress
) -> tuple[Config, tuple[PlannedRun, ...]]:
    """Return a sweep and its runs, in a folder of its own if it has no name; say which.

    Raises:
        ConfigError: as grid.expand; or the runs, or they and a sweep in that folder, are of several data
            sets.
    """
    runs = grid.expand(base)
    explicit = {parsed.key_or_group for _, parsed in parse_overrides(overrides)}
    placed = unnamed.place(base, runs, explicit)
    one_data.check(placed.runs, placed.base.directory)
    if placed.message:
        (progress.problem if placed.repeats else progress.line)(placed.message)
    return placed.base, placed.runs


def declare(base: Config, runs: tuple[PlannedRun, ...], progress: Progress) -> None:
    """Write down which runs are held out, and send finished ones again that a tracker did not get whole.

    Raises:
        ConfigError: a run's input cannot be used; nothing was written.
    """
    if held_out.has_to_be_declared(base.directory, runs):
        planning.plan(runs)  # what is declared cannot be changed, so that bad input must be found before
    held_out.declare(base.directory, runs)
    if sent := resend.send_again((each.config for each in runs), base.directory):
        progress.line(f"tracker {base.tracker.name}: {sent} runs sent again from their records")
        feed.wait(base.directory, feed.longest_wait(base.tracker))


def with_code_pinned(
    base: Config, runs: tuple[PlannedRun, ...], states: Sequence[str], *, metered: bool
) -> tuple[Config, tuple[PlannedRun, ...]]:
    """Return a sweep of several stages with copies of the user's code as it is now, for all stages.

    Args:
        base: the configuration of the sweep.
        runs: its runs.
        states: of runs that are trained again.
        metered: whether a metering pass follows.

    Raises:
        ConfigError: a run's input cannot be used.
    """
    staged = bool(base.sweep.lr_grid or base.sweep.held_out or metered)
    if not (staged and user_copies.needed(runs) and retry.select(runs, base.directory, states)):
        return base, runs
    (submit.plan if base.launch.name == "slurm" else planning.plan)(runs)
    return user_copies.pin_base(base, base.directory), user_copies.pin(runs, base.directory)


def train(
    base: Config,
    runs: tuple[PlannedRun, ...],
    states: Sequence[str],
    progress: Progress,
    *,
    meter: bool = False,
) -> tuple[PlannedRun, ...]:
    """Train the missing runs of a sweep on this machine; return all runs at their final learning rates.

    Args:
        base: the configuration of the sweep.
        runs: its runs.
        states: of runs that are trained again.
        progress: how it says what it does.
        meter: then meter each shape that shared a GPU, or was metered for too short, alone.

    Raises:
        ConfigError: a run's input cannot be used; nothing was trained.
        KeyboardInterrupt: asked to stop; every run that was started has its records.
    """
    fitted, held = held_out.split(runs)
    if base.sweep.lr_grid:
        trials = tune.trials(runs, base.sweep.lr_grid)
        run_missing(base, trials, base.directory / tune.FOLDER, states, progress)
        choices = tune.choose(runs, base.sweep.lr_grid)
        _tell_choices(sum(not each.interior for each in choices.values()), len(choices), progress)
        fitted = runs = tune.apply_choices(runs, choices)
        tune.copy_trial_records(runs)
    run_missing(base, fitted, base.directory, states, progress)
    if held and predict_held_out(base, fitted, held, progress):
        run_missing(base, held, base.directory, states, progress)
    if meter:
        metering_pass.run_pass(runs, base.directory)
    return runs


def run_missing(
    base: Config, runs: tuple[PlannedRun, ...], directory: Path, states: Sequence[str], progress: Progress
) -> None:
    """Train the runs whose records in `directory` are missing or in one of `states`.

    All of `runs` are written to the folder's manifest, also those that are not trained now.

    Args:
        base: the configuration of the sweep.
        runs: of the folder.
        directory: their folder.
        states: of runs that are trained again.
        progress: how it says what it does.

    Raises:
        MissingExtraError: some are missing, and torch is not installed.
    """
    missing = {each.run_id for each in retry.select(runs, directory, states)}
    progress.line(f"{directory}: {len(runs)} runs, {len(missing)} to run")
    if not missing:
        return
    extras.check("training", "torch")
    planned, gpus = launch.plan(runs)
    planned = user_copies.pin(planned, directory)
    grid.write_manifest(planned, directory)
    ordered = tuple(each for each in planned if each.run_id in missing)
    with progress.runs(len(ordered)) as show:
        slots = launch.choose_slots(base.launch, gpus, ordered)
        launch.run_all(ordered, slots, lambda each, records: show(each.run_id, records), planned)
    feed.wait(directory, feed.longest_wait(base.tracker))
    if line := resend.missing(base.tracker, directory):
        progress.problem(line)


def predict_held_out(
    base: Config, fitted: tuple[PlannedRun, ...], held: tuple[PlannedRun, ...], progress: Progress
) -> bool:
    """Write down the prediction for the held-out runs, if the others are done; return whether they are."""
    if why := held_out.waits(base.directory, fitted):
        progress.line(why)
        return False
    plans, _ = planning.lay_out(held)
    prediction = held_out.predict(base.directory, held, plans)
    for line in held_out.lines(prediction):
        progress.line(line)
    return True


def points(runs: tuple[PlannedRun, ...]) -> set[str]:
    """Return the ids of all points of runs."""
    return {run_id for each in runs for run_id in each.config.point_ids.values()}


def _tell_choices(at_edge: int, shapes: int, progress: Progress) -> None:
    """Say how many shapes got a learning rate, and how many of those lie at the edge of the grid."""
    progress.line(f"learning rates chosen on validation for {shapes} shapes")
    if at_edge:
        progress.line(f"note: {at_edge} of them at the edge of sweep.lr_grid: widen it")
