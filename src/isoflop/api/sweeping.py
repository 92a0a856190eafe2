"""The steps of a sweep on this machine, which `isoflop sweep` and `run_sweep` share."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from isoflop import extras
from isoflop import record as records
from isoflop.api.progress import Progress
from isoflop.config import Config
from isoflop.config.compose import compose_config, parse_overrides
from isoflop.record import Record
from isoflop.sweep import (
    children,
    grid,
    held_out,
    left_out,
    one_data,
    planning,
    prior_runs,
    retry,
    searched,
    supervisors,
    tune,
    unnamed,
    user_copies,
)
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import launch, metering_pass
from isoflop.sweep.local.agenda import Job
from isoflop.sweep.slurm import submit
from isoflop.sweep.unnamed import Placed
from isoflop.track import feed, resend


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


def place(base: Config, overrides: Sequence[str], *, has_folder: bool = False) -> Placed:
    """Return a sweep and its runs, in a folder of its own if it has no name.

    Args:
        base: the configuration of the sweep.
        overrides: that made it.
        has_folder: whether its folder was chosen beside the overrides.

    Raises:
        ConfigError: as grid.expand or searched.check_sweep; or the runs, or they and a sweep in that folder,
            are of several data sets.
    """
    explicit = {parsed.key_or_group for _, parsed in parse_overrides(overrides)}
    explicit |= {"out"} if has_folder else set()
    placed = unnamed.place(base, grid.expand(base), explicit)
    one_data.check(placed.runs, placed.base.directory)
    searched.check_sweep(placed.base, placed.runs)
    return placed


def tell_place(placed: Placed, progress: Progress) -> None:
    """Say which folder a sweep without a name has, and where runs are done that it will train again."""
    if placed.message:
        (progress.problem if placed.repeats else progress.line)(placed.message)


@contextlib.contextmanager
def planning_shown(
    runs: Sequence[PlannedRun], directory: Path, progress: Progress
) -> Iterator[children.OnDone]:
    """Show on the terminal, and to `isoflop status`, how many runs have been planned; yields what is called
    with their number."""
    with (
        progress.planning(len(runs)) as show,
        supervisors.announced(directory, "planning", len(runs)) as announce,
    ):

        def done(number: int) -> None:
            show(number)
            announce(number)

        yield done


def plan_for_jobs(
    runs: tuple[PlannedRun, ...], directory: Path, *, progress: Progress
) -> tuple[PlannedRun, ...]:
    """Plan runs for jobs of SLURM (submit.plan), and show how far that is."""
    with planning_shown(runs, directory, progress) as done:
        return submit.plan(runs, done)


def declare(base: Config, runs: tuple[PlannedRun, ...], progress: Progress) -> None:
    """Write down which runs are held out, and send finished ones again that a tracker did not get whole.

    Raises:
        ConfigError: a run's input cannot be used; nothing was written.
    """
    if held_out.has_to_be_declared(base.directory, runs):
        # What is declared cannot be changed, so that bad input must be found before.
        with planning_shown(runs, base.directory, progress) as done:
            planning.plan(runs, done)
    held_out.declare(base.directory, runs)
    if sent := resend.send_again((each.config for each in runs), base.directory):
        progress.line(f"tracker {base.tracker.name}: {sent} runs sent again from their records")
        _wait_for_trackers(base, base.directory, progress)


def with_code_pinned(
    base: Config, runs: tuple[PlannedRun, ...], states: Sequence[str], progress: Progress, *, metered: bool
) -> tuple[Config, tuple[PlannedRun, ...]]:
    """Return a sweep of several stages with copies of the user's code as it is now, for all stages.

    Args:
        base: the configuration of the sweep.
        runs: its runs.
        states: of runs that are trained again.
        progress: how it says what it does.
        metered: whether a metering pass follows.

    Raises:
        ConfigError: a run's input cannot be used.
    """
    searches = any(searched.is_open(each.config) for each in runs)
    staged = bool(base.sweep.lr_grid or base.sweep.held_out or metered or searches)
    if not (staged and user_copies.needed(runs) and retry.select(runs, base.directory, states)):
        return base, runs
    with planning_shown(runs, base.directory, progress) as done:
        (submit.plan if base.launch.name == "slurm" else planning.plan)(runs, done)
    return user_copies.pin_base(base, base.directory), user_copies.pin(runs, base.directory)


def train(
    base: Config,
    runs: tuple[PlannedRun, ...],
    states: Sequence[str],
    progress: Progress,
    *,
    meter: bool = False,
) -> tuple[PlannedRun, ...]:
    """Train the missing runs of a sweep on this machine; return all runs as they were trained: at the shapes
    that were searched for, and at their final learning rates.

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
    runs, refused = left_out.split(runs)
    for name, why in refused.items():
        progress.line(f"lever {name} is left out: {why}")
    left_out.write(refused, runs, base.directory)
    runs = search_shapes(base, runs, states, progress)
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
        with progress.busy("metering the shapes that were not metered alone"):
            metering_pass.run_pass(runs, base.directory)
    return runs


def search_shapes(
    base: Config, runs: tuple[PlannedRun, ...], states: Sequence[str], progress: Progress
) -> tuple[PlannedRun, ...]:
    """Make the searches of a sweep that have not been made; return its runs at the shapes found.

    Args:
        base: the configuration of the sweep.
        runs: its runs.
        states: of candidates that are trained again, as long as their search is not done.
        progress: how it says what it does.

    Raises:
        ConfigError: a search begins above the budget of a run; nothing was trained.
        MissingExtraError: optuna is not installed.
        KeyboardInterrupt: asked to stop; the candidates that were started have their records.
    """
    if not any(searched.is_open(each.config) for each in runs):
        return runs
    budgets = searched.budgets(runs)
    for config in searched.needed(runs).values():
        progress.line(f"searching for shapes: at most {config.lever.candidates} candidates")

        def train_candidates(configs: Sequence[Config]) -> None:
            candidates = tuple(PlannedRun(each.run_id, {}, each) for each in configs)
            run_missing(base, candidates, configs[0].directory, states, progress)

        searched.make(config, train_candidates)
    runs = searched.with_shapes(runs, budgets)
    progress.line(searched.shape_line(runs))
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
    before = prior_runs.needed(each for each in runs if each.run_id in missing)
    if before:
        # A run of any other stage finds what it needs in one folder: trials and final runs share it.
        run_missing(base, before, before[0].config.directory, states, progress)
        prior_runs.copy_records(runs, directory)
        missing = {each.run_id for each in retry.select(runs, directory, states)}
    with planning_shown(runs, directory, progress) as done:
        planned, gpus = launch.plan(runs, done)
    planned = user_copies.pin(planned, directory)
    grid.write_manifest(planned, directory)
    ordered = tuple(each for each in planned if each.run_id in missing)
    with (
        progress.runs(ordered) as view,
        supervisors.announced(directory, "training", len(ordered)) as announce,
    ):
        ended = 0

        def on_run_end(run: PlannedRun, written: tuple[Record, ...]) -> None:
            nonlocal ended
            ended += 1
            view.ended(run, written)

        def on_tick(jobs: tuple[Job, ...]) -> None:
            view.tick(jobs)
            announce(ended)

        slots = launch.choose_slots(base.launch, gpus, ordered)
        launch.run_all(ordered, slots, on_run_end, planned, on_tick=on_tick)
    _wait_for_trackers(base, directory, progress)
    if line := resend.missing(base.tracker, directory):
        progress.problem(line)


def _wait_for_trackers(base: Config, directory: Path, progress: Progress) -> None:
    """Wait until trackers have finished; say so where there are any to wait for."""
    if feed.wait(directory, 0.0):
        return
    with progress.busy(f"waiting until tracker {base.tracker.name} has sent the rest"):
        feed.wait(directory, feed.longest_wait(base.tracker))


def predict_held_out(
    base: Config, fitted: tuple[PlannedRun, ...], held: tuple[PlannedRun, ...], progress: Progress
) -> bool:
    """Write down the prediction for the held-out runs, if the others are done; return whether they are."""
    if why := held_out.waits(base.directory, fitted):
        progress.line(why)
        return False
    with planning_shown(held, base.directory, progress) as done:
        plans, _ = planning.lay_out(held, done)
    with progress.busy("predicting the held-out runs by a fit of the others"):
        prediction = held_out.predict(base.directory, held, plans)
    for line in held_out.lines(prediction):
        progress.line(line)
    return True


def points(runs: tuple[PlannedRun, ...]) -> set[str]:
    """Return the ids of all points of runs."""
    return {run_id for each in runs for run_id in each.config.point_ids.values()}


def done(runs: tuple[PlannedRun, ...]) -> int:
    """Return how many runs have a record of each point."""
    return sum(
        all(records.is_done(records.path_of(run.config.directory, i)) for i in run.config.point_ids.values())
        for run in runs
    )


def _tell_choices(at_edge: int, shapes: int, progress: Progress) -> None:
    """Say how many shapes got a learning rate, and how many of those lie at the edge of the grid."""
    progress.line(f"learning rates chosen on validation for {shapes} shapes")
    if at_edge:
        progress.line(f"note: {at_edge} of them at the edge of sweep.lr_grid: widen it")
