"""isoflop sweep: train the missing runs of a sweep, on this machine or through SLURM."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isoflop import extras
from isoflop.cli import output, prices
from isoflop.config import Config, ConfigError
from isoflop.sweep.on_end import Ended

if TYPE_CHECKING:
    from isoflop.api.ending import Ending
    from isoflop.api.progress import Progress
    from isoflop.config.costs import Prices
    from isoflop.sweep.grid import PlannedRun
    from isoflop.sweep.slurm import stages
    from isoflop.sweep.unnamed import Placed
    from isoflop.table.aggregate import RunTable

SOON_READ = 200
"""Runs whose records are read before anybody wonders what is going on."""
MOST_CONFIGS = 40
"""Configurations that the table at the end of a sweep shows."""


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
    from isoflop.api import live, sweeping

    # Reading the settings takes a second or two, most of it to load what reads them.
    with live.busy("reading the settings") if live.console().is_terminal else contextlib.nullcontext():
        priced, placed, request = _composed(options)
    base, runs = placed.base, placed.runs
    progress = _progress()
    sweeping.tell_place(placed, progress)
    if request.dry_run:
        return _dry_run(base, runs, request, options.on, priced or prices.of_config(base))
    done = prices.of_finished(
        (each.config for each in runs), base.directory, options.overrides, options.config_dir
    )
    if done is not None:
        progress.line(done)
    try:
        trained = _execute(base, runs, request, progress, metered=options.metering_pass)
        return output.DONE if trained is None else _summary(base, trained, progress)
    except ValueError:  # bad input, ConfigError among it: the sweep has not begun
        raise
    except Exception:
        _on_end(base, Ended(base.directory, base.sweep.name, output.FAILED, len(runs), sweeping.done(runs)))
        raise


def _composed(options: argparse.Namespace) -> tuple[Prices | None, Placed, stages.Request]:
    """Return the chosen prices, the sweep with its runs, and what is asked for. Raises ConfigError."""
    from isoflop.api import sweeping
    from isoflop.runner import ranks
    from isoflop.sweep import retry
    from isoflop.sweep.slurm import stages
    from isoflop.track import feed

    priced = prices.chosen(options)
    base = sweeping.compose_sweep(options.overrides, options.config_dir)
    _check_slurm(base, metering_pass=options.metering_pass)
    placed = sweeping.place(base, options.overrides)
    feed.check(base.tracker)
    if base.launch.name == "local" and not options.dry_run:
        # Each run looks too, but then every one of them would fail, with a record that says so.
        ranks.check(base.launch, ranks.from_environment(os.environ), os.environ)
    request = stages.Request(retry.parse_states(options.retry), options.dry_run, options.wait)
    return priced, placed, request


def _execute(
    base: Config, runs: tuple[PlannedRun, ...], request: stages.Request, progress: Progress, *, metered: bool
) -> tuple[PlannedRun, ...] | None:
    """Train what is missing, here or in jobs; return the runs at their final learning rates, or None where
    jobs have been submitted and are not waited for.

    Args:
        base: the sweep.
        runs: its runs.
        request: what is asked for.
        progress: how it says what it does.
        metered: whether a metering pass follows.
    """
    from isoflop.api import sweeping
    from isoflop.sweep import held_out
    from isoflop.sweep.slurm import stages

    sweeping.declare(base, runs, progress)
    base, runs = sweeping.with_code_pinned(base, runs, request.states, progress, metered=metered)
    if base.launch.name != "slurm":
        return sweeping.train(base, runs, request.states, progress, meter=metered)
    plan = functools.partial(sweeping.plan_for_jobs, progress=progress)
    fitted, held = held_out.split(runs)
    waited = stages.sweep(base, fitted, request, progress.line, plan)
    if waited and held and sweeping.predict_held_out(base, fitted, held, progress):
        trained = stages.sweep(base, held, request, progress.line, plan)
        waited = (*waited, *trained) if trained else None
    return waited


def _print_config(options: argparse.Namespace) -> int:
    """Print the configuration of the sweep, with its axes and its folder."""
    from isoflop.api import sweeping

    base = sweeping.compose_sweep(options.overrides, options.config_dir)
    return output.print_config(sweeping.place(base, options.overrides).base)


def _progress() -> Progress:
    """Return how a sweep says what it does: lines, and a display where there is a terminal."""
    from isoflop.api import progress
    from isoflop.cli.terminal import console

    return progress.of_sweep(functools.partial(console.OUT.print, markup=False), output.print_line)


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
    from isoflop.sweep import dry_run, prior_runs, retry, searched
    from isoflop.sweep.slurm import stages

    runs = searched.with_known_shapes(runs)
    if base.launch.name == "slurm":
        stages.sweep(base, runs, request, functools.partial(console.OUT.print, markup=False))
    left = [each.run_id for each in retry.select(runs, base.directory, request.states)]
    with _progress().planning(len(runs)) as done:
        plan = dry_run.plan_sweep(runs, base.directory, left=left, device=on, on_done=done)
    plan_table.show(plan, console.OUT)
    for line in (*prior_runs.dry_run_lines(runs), *searched.dry_run_lines(runs)):
        console.OUT.print(line, markup=False, highlight=False)
    if priced is not None:
        plan_table.show_price(plan, priced, console.OUT)
    return output.DONE


def run_missing(base: Config, runs: tuple[PlannedRun, ...], directory: Path, states: Sequence[str]) -> None:
    """Train the runs whose records in `directory` are missing or in one of `states` (api.sweeping)."""
    from isoflop.api import sweeping

    sweeping.run_missing(base, runs, directory, states, _progress())


def _summary(base: Config, runs: tuple[PlannedRun, ...], progress: Progress) -> int:
    """Show what the sweep found, and run the user's command; return FAILED if a point of this sweep is
    missing from its table."""
    from isoflop.api import sweeping
    from isoflop.cli.terminal import console, sweep_end
    from isoflop.table import aggregate

    directory = base.directory
    reading = f"reading the records of {len(runs):,} runs"
    with progress.busy(reading) if len(runs) > SOON_READ else contextlib.nullcontext():
        table = aggregate.aggregate(directory)
    console.show_table(table.rows, MOST_CONFIGS)
    console.show_dropped(table)
    points = sweeping.points(runs)
    missing = points - set(table.rows["run_id"])
    if missing:
        console.OUT.print(f"{len(missing)} of {len(points)} points are missing: the reasons are above")
    found = _found(directory, table, progress)
    sweep_end.show(found, directory, missing=len(missing))
    code = output.FAILED if missing else output.DONE
    _on_end(base, Ended(directory, base.sweep.name, code, len(runs), sweeping.done(runs), found.verdict))
    return code


def _found(directory: Path, table: RunTable, progress: Progress) -> Ending:
    """Return what the sweep found. A fault of the fit costs the sentence, not the sweep's exit code."""
    from isoflop.api import ending

    doing = f"fitting {len(table.rows):,} runs for the verdict"
    try:
        with progress.busy(doing) if ending.is_bounded(table) else contextlib.nullcontext():
            return ending.of_sweep(directory, table)
    except Exception as error:
        where = f"isoflop report {shlex.quote(str(directory))} --debug shows where"
        return ending.Ending("", (f"no verdict: {type(error).__name__}: {error} ({where})",))


def _on_end(base: Config, ended: Ended) -> None:
    """Run launch.on_end, except where jobs of SLURM train: the one that finishes them does."""
    from isoflop.sweep import on_end

    if base.launch.name != "slurm":
        on_end.run(base.launch.on_end, ended)
