"""isoflop sweep: train the missing runs of a sweep, on this machine or through SLURM."""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isoflop import extras
from isoflop.cli import output, prices
from isoflop.config import Config, ConfigError

if TYPE_CHECKING:
    from isoflop.api.sweeping import Progress
    from isoflop.config.costs import Prices
    from isoflop.sweep.grid import PlannedRun
    from isoflop.sweep.slurm import stages


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    verb = add_verb("sweep", _sweep, "Train every missing run of a sweep: isoflop sweep sweep=digits")
    verb.usage = "isoflop sweep [OVERRIDES] [--cfg job] [--dry-run] [--config-dir D] [--debug]"
    output.add_config_dir(verb)
    output.add_cfg(verb)
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
    from isoflop.api import sweeping
    from isoflop.runner import ranks
    from isoflop.sweep import held_out, retry
    from isoflop.sweep.slurm import stages
    from isoflop.track import feed

    if options.cfg:
        return _print_config(options)
    if options.on is not None and not options.dry_run:
        raise ConfigError("--on predicts for another device and trains nothing: give --dry-run too")
    if options.cost and not options.dry_run:
        raise ConfigError(
            "--cost prices a --dry-run, or runs that are done (isoflop report DIR --cost SET): for the "
            "records of this sweep give cost=SET"
        )
    # A dry run counts FLOPs, on models without weights.
    extras.check(f"isoflop sweep{' --dry-run' if options.dry_run else ''}", "torch")
    priced = prices.chosen(options)
    base = sweeping.compose_sweep(options.overrides, options.config_dir)
    _check_slurm(base, metering_pass=options.metering_pass)
    progress = _progress()
    base, runs = sweeping.place(base, options.overrides, progress)
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
        progress.line(done)
    sweeping.declare(base, runs, progress)
    base, runs = sweeping.with_code_pinned(base, runs, request.states, metered=options.metering_pass)
    if base.launch.name == "slurm":
        fitted, held = held_out.split(runs)
        waited = stages.sweep(base, fitted, request, progress.line)
        if waited and held and sweeping.predict_held_out(base, fitted, held, progress):
            trained = stages.sweep(base, held, request, progress.line)
            waited = (*waited, *trained) if trained else None
        return _summary(waited, base.directory) if waited else output.DONE
    runs = sweeping.train(base, runs, request.states, progress, meter=options.metering_pass)
    return _summary(runs, base.directory)


def _print_config(options: argparse.Namespace) -> int:
    """Print the configuration of the sweep, with its axes and its folder."""
    from isoflop.api import progress, sweeping

    silent = sweeping.Progress(lambda line: None, lambda line: None, progress.silent_runs)
    base, _ = sweeping.place(
        sweeping.compose_sweep(options.overrides, options.config_dir), options.overrides, silent
    )
    return output.print_config(base)


def _progress() -> Progress:
    """Return how a sweep says what it does: lines, and a bar where there is a terminal."""
    from isoflop.api.sweeping import Progress
    from isoflop.cli.terminal import console

    line = functools.partial(console.OUT.print, markup=False)
    return Progress(line, output.print_line, console.runs_bar)


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


def run_missing(base: Config, runs: tuple[PlannedRun, ...], directory: Path, states: Sequence[str]) -> None:
    """Train the runs whose records in `directory` are missing or in one of `states` (api.sweeping)."""
    from isoflop.api import sweeping

    sweeping.run_missing(base, runs, directory, states, _progress())


def _summary(runs: tuple[PlannedRun, ...], directory: Path) -> int:
    """Show the table of the sweep's folder; return FAILED if a point of this sweep is missing from it."""
    from isoflop.api import sweeping
    from isoflop.cli.terminal import console
    from isoflop.table import aggregate

    table = aggregate.aggregate(directory)
    console.show_table(table.rows)
    console.show_dropped(table)
    points = sweeping.points(runs)
    missing = points - set(table.rows["run_id"])
    if missing:
        console.OUT.print(f"{len(missing)} of {len(points)} points are missing: the reasons are above")
    return output.FAILED if missing else output.DONE
