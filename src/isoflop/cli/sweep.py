"""isoflop sweep: train the missing runs of a sweep, on this machine or through SLURM."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isoflop.cli import output, prices
from isoflop.config import Config, ConfigError
from isoflop.config.compose import compose_config, parse_overrides

if TYPE_CHECKING:
    from isoflop.config.costs import Prices
    from isoflop.sweep.grid import PlannedRun
    from isoflop.sweep.slurm import stages


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("sweep", _sweep, "Train every missing run of a sweep: isoflop sweep sweep=digits")
    verb.usage = "isoflop sweep [OVERRIDES] [--config-dir D] [--debug]"
    verb.add_argument("--config-dir", metavar="D", help="a folder of your own Hydra groups")
    verb.add_argument(
        "--metering-pass",
        action="store_true",
        help="then meter each shape that shared a GPU, or was metered for too short, alone",
    )
    verb.add_argument(
        "--dry-run", action="store_true", help="show the runs with FLOPs, predicted seconds and joules"
    )
    verb.add_argument("--on", metavar="DEVICE", help="with --dry-run: predict for this device, such as H200")
    prices.add_option(verb, "with --dry-run: dollars and CO2 of the whole sweep, as isoflop report has them")
    verb.add_argument("--wait", action="store_true", help="stay until every SLURM task has ended")
    verb.add_argument("--retry", metavar="STATES", help="run again (default failed,interrupted)")


def _sweep(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import console
    from isoflop.runner import ranks
    from isoflop.sweep import grid, held_out, planning, retry, tune, user_copies
    from isoflop.sweep.local import metering_pass
    from isoflop.sweep.slurm import stages, submit
    from isoflop.track import feed, resend

    if options.on is not None and not options.dry_run:
        raise ConfigError("--on predicts for another device and trains nothing: give --dry-run too")
    if options.cost and not options.dry_run:
        raise ConfigError(
            "--cost prices a --dry-run, or runs that are done (isoflop report DIR --cost SET): for the "
            "records of this sweep give cost=SET"
        )
    priced = prices.chosen(options)
    composed = compose_config(options.overrides, options.config_dir)
    _check_slurm(composed, metering_pass=options.metering_pass)
    # A plain override (model.width=8) of an axis of the sweep file takes that axis out of the grid; a list
    # (model.width=8,16) is the axis.
    fixed: list[str] = []
    moved: list[str] = []
    for _, override in parse_overrides(options.overrides):
        (moved if override.is_sweep_override() else fixed).append(override.key_or_group)
    base = dataclasses.replace(composed, sweep=grid.without_axes(composed.sweep, fixed, moved))
    runs = grid.expand(base)
    feed.check(base.tracker)
    if base.launch.name == "local" and not options.dry_run:
        # Each run looks too, but then every one of them would fail, with a record that says so.
        ranks.check(base.launch, ranks.from_environment(os.environ), os.environ)
    request = stages.Request(retry.parse_states(options.retry), options.dry_run, options.wait)
    if request.dry_run:
        return _dry_run(base, runs, request, options.on, priced or prices.of_config(base))
    done = prices.of_finished(
        (each.config for each in runs), base.directory, options.overrides, options.config_dir
    )
    if done is not None:
        console.OUT.print(done, markup=False)
    if held_out.has_to_be_declared(base.directory, runs):
        planning.plan(runs)  # what is declared cannot be changed, so that bad input must be found before
    held_out.declare(base.directory, runs)
    staged = bool(base.sweep.lr_grid or base.sweep.held_out or options.metering_pass)
    if staged and user_copies.needed(runs) and retry.select(runs, base.directory, request.states):
        # Later stages execute the files as they are now.
        (submit.plan if base.launch.name == "slurm" else planning.plan)(runs)
        base, runs = user_copies.pin_base(base, base.directory), user_copies.pin(runs, base.directory)
    fitted, held = held_out.split(runs)
    if sent := resend.send_again((each.config for each in runs), base.directory):
        console.OUT.print(f"tracker {base.tracker.name}: {sent} runs sent again from their records")
        feed.wait(base.directory, feed.longest_wait(base.tracker))
    if base.launch.name == "slurm":
        notify = functools.partial(console.OUT.print, markup=False)
        waited = stages.sweep(base, fitted, request, notify)
        if waited and held and _predict_held_out(base, fitted, held):
            trained = stages.sweep(base, held, request, notify)
            waited = (*waited, *trained) if trained else None
        return _summary(waited, base.directory) if waited else output.DONE
    if base.sweep.lr_grid:
        trials = tune.trials(runs, base.sweep.lr_grid)
        run_missing(base, trials, base.directory / tune.FOLDER, request.states)
        choices = tune.choose(runs, base.sweep.lr_grid)
        console.show_choices(sum(not c.interior for c in choices.values()), len(choices))
        fitted = runs = tune.apply_choices(runs, choices)
        tune.copy_trial_records(runs)
    run_missing(base, fitted, base.directory, request.states)
    if held and _predict_held_out(base, fitted, held):
        run_missing(base, held, base.directory, request.states)
    if options.metering_pass:
        metering_pass.run_pass(runs, base.directory)
    return _summary(runs, base.directory)


def _check_slurm(base: Config, *, metering_pass: bool) -> None:
    """Refuse what cannot be done in jobs of SLURM, before anything is written. Raises ConfigError."""
    from isoflop.sweep.slurm import submit

    if base.launch.name != "slurm":
        return
    if metering_pass:
        raise ConfigError(
            "--metering-pass meters on this machine, and launch=slurm trains in jobs: when they have ended, "
            "give the same command with launch=local on a node with such a GPU"
        )
    submit.check(base.launch)


def _dry_run(
    base: Config, runs: tuple[PlannedRun, ...], request: stages.Request, on: str | None, priced: Prices | None
) -> int:
    """Show the table of a sweep's runs and, for SLURM, the commands that would submit them.

    Args:
        base: the sweep.
        runs: its runs.
        request: what is asked for.
        on: the device to predict for, None for this machine's.
        priced: by what the whole sweep is priced, or None.
    """
    from isoflop.cli.terminal import console, plan_table
    from isoflop.sweep import dry_run, retry
    from isoflop.sweep.slurm import stages

    if base.launch.name == "slurm":
        stages.sweep(base, runs, request, functools.partial(console.OUT.print, markup=False))
    left = [each.run_id for each in retry.select(runs, base.directory, request.states)]
    plan = dry_run.plan_sweep(runs, base.directory, left=left, device=on)
    plan_table.show(plan, console.OUT)
    if priced is not None:
        plan_table.show_price(plan, priced, console.OUT)
    return output.DONE


def _predict_held_out(base: Config, fitted: tuple[PlannedRun, ...], held: tuple[PlannedRun, ...]) -> bool:
    """Write down the prediction for the held-out runs, if the others are done; return whether they are."""
    from isoflop.cli.terminal import console
    from isoflop.sweep import held_out, planning

    if why := held_out.waits(base.directory, fitted):
        console.OUT.print(why, markup=False)
        return False
    plans, _ = planning.lay_out(held)
    prediction = held_out.predict(base.directory, held, plans)
    for line in held_out.lines(prediction):
        console.OUT.print(line, markup=False)
    return True


def run_missing(base: Config, runs: tuple[PlannedRun, ...], directory: Path, states: Sequence[str]) -> None:
    """Train the runs whose records in `directory` are missing or in one of `states`.

    All of `runs` are written to the folder's manifest, also those that are not trained now.
    """
    from isoflop.cli.terminal import console
    from isoflop.sweep import grid, retry, user_copies
    from isoflop.sweep.local import launch
    from isoflop.track import feed, resend

    missing = {each.run_id for each in retry.select(runs, directory, states)}
    console.OUT.print(f"{directory}: {len(runs)} runs, {len(missing)} to run", markup=False)
    if not missing:
        return
    planned, gpus = launch.plan(runs)
    planned = user_copies.pin(planned, directory)
    grid.write_manifest(planned, directory)
    ordered = tuple(each for each in planned if each.run_id in missing)
    with console.runs_bar(len(ordered)) as show:
        slots = launch.choose_slots(base.launch, gpus, ordered)
        launch.run_all(ordered, slots, lambda each, records: show(each.run_id, records), planned)
    feed.wait(directory, feed.longest_wait(base.tracker))
    if line := resend.missing(base.tracker, directory):
        output.print_line(line)


def _summary(runs: tuple[PlannedRun, ...], directory: Path) -> int:
    """Show the table of the sweep's folder; return FAILED if a point of this sweep is missing from it."""
    from isoflop.cli.terminal import console
    from isoflop.table import aggregate

    table = aggregate.aggregate(directory)
    console.show_table(table.rows)
    console.show_dropped(table)
    points = {run_id for each in runs for run_id in each.config.point_ids.values()}
    missing = points - set(table.rows["run_id"])
    if missing:
        console.OUT.print(f"{len(missing)} of {len(points)} points are missing: the reasons are above")
    return output.FAILED if missing else output.DONE
