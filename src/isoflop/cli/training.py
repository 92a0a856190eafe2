"""isoflop run, sweep and status."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isoflop import record
from isoflop.cli import output
from isoflop.config import Config, ConfigError
from isoflop.config.compose import compose_config, from_hydra, multirun, parse_overrides

if TYPE_CHECKING:
    from isoflop.sweep.grid import PlannedRun


def add(verb: output.Add) -> None:
    """run, sweep, status."""
    for name, action, words in (
        ("run", _run, "Train one cell: isoflop run model.width=64 (with -m: Hydra's multirun)"),
        ("sweep", _sweep, "Train every missing cell of a sweep: isoflop sweep sweep=digits"),
    ):
        made = verb(name, action, words)
        made.add_argument("--config-dir", metavar="D", help="a folder of your own Hydra groups")
        if name == "run":
            made.add_argument("--again", action="store_true", help="run even if the record says done")
            made.add_argument("--manifest", metavar="FILE", type=Path, help="run cells of a sweep's manifest")
            made.add_argument("--line", type=int, help="the line of the manifest, counted from 1")
            made.add_argument("--runs", metavar="A-B", help="lines A to B, each run in its own process")
            made.add_argument("--cells", action=OldName, dest="runs", help=argparse.SUPPRESS)
        else:
            told = "then meter alone the shapes of cells that shared a GPU, and complete their joules"
            made.add_argument("--metering-pass", action="store_true", help=told)
            made.add_argument("--dry-run", action="store_true", help="show what would run or be submitted")
            made.add_argument("--wait", action="store_true", help="stay until every SLURM task has ended")
            made.add_argument("--retry", metavar="STATES", help="run again (default failed,interrupted)")
        made.usage = f"isoflop {name} [OVERRIDES] [--config-dir D] [--debug]"
    made = verb("status", _status, "Where every cell of a sweep stands, and why")
    made.add_argument("directory", metavar="DIR", type=Path, help="the folder of a sweep")
    output.add_json(made)


class OldName(argparse.Action):
    """An option under the name of an earlier release, accepted for one release with a line on stderr."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        """Store the value under the new name."""
        sys.stderr.write(f"isoflop: {option_string} is now called --{self.dest}: use the new name\n")
        setattr(namespace, self.dest, values)


def _run(options: argparse.Namespace) -> int:
    if {"-m", "--multirun"} & set(options.overrides):
        return _multirun(options)
    if options.manifest or options.line or options.runs:
        return _run_manifest(options)
    from isoflop.cli.terminal import console

    cell = compose_config(options.overrides, options.config_dir)
    if cell.sweep.grid or cell.sweep.points:
        raise ConfigError("this is a sweep: use isoflop sweep, or isoflop run -m")
    done = all(record.is_done(record.path_of(cell.directory, i)) for i in cell.point_ids.values())
    from isoflop.runner import run
    from isoflop.runner.request import RunRequest
    from isoflop.track import feed

    with console.steps_bar() as watch:
        finished = run.run(cell, RunRequest(again=options.again), watch=watch)
    if not run.is_main_process():
        return _worst(finished)
    feed.wait(cell.directory, cell.tracker.wait_seconds)
    for found in finished:
        console.show_run(found)
        console.OUT.print(f"record: {record.path_of(cell.directory, found.run_id)}", markup=False)
    if done and not options.again:
        console.OUT.print("done before: --again trains it once more")
    return _worst(finished)


def _run_manifest(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import console
    from isoflop.sweep import manifest

    if options.overrides or not options.manifest or (options.line is None) == (options.runs is None):
        raise ConfigError("give --manifest FILE with --line N or --runs A-B, and no overrides")
    if options.runs:
        ended = manifest.run_range(options.manifest, *manifest.parse_range(options.runs))
        found = [record for _, records in ended for record in records]
        code = output.EXIT_OF_STATE[manifest.worst_state(ended)]
    else:
        found = list(manifest.run_line(options.manifest, options.line, again=options.again))
        code = _worst(found)
    for each in found:
        console.show_run(each)
    return code


def _worst(found: Sequence[record.Record]) -> int:
    """The exit code of a cell's records: that of the last, since what fails a point fails the later ones."""
    return output.EXIT_OF_STATE[found[-1].state]


def _multirun(options: argparse.Namespace) -> int:
    words = [word for word in options.overrides if word not in ("-m", "--multirun")]
    _CODES.clear()
    multirun(words, options.config_dir, _task)
    return max(_CODES, default=output.DONE)


_CODES: list[int] = []
"""Exit codes of the jobs of a multirun that ran in this process."""


def _task(composed: Any) -> None:
    """One job of a multirun. A bad state is kept in the record and in the exit code, never raised."""
    from isoflop.cli.terminal import console
    from isoflop.runner import run
    from isoflop.track import feed

    cell = from_hydra(composed)
    try:
        finished = run.run(cell)
    except ValueError as error:
        _CODES.append(output.tell(str(error), output.INPUT, debug=False))
        return
    feed.wait(cell.directory, cell.tracker.wait_seconds)
    for found in finished:
        console.show_run(found)
    _CODES.append(_worst(finished))


def _sweep(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import console
    from isoflop.sweep import grid, retry, tune
    from isoflop.sweep.local import metering_pass
    from isoflop.sweep.slurm import stages
    from isoflop.track import feed

    composed = compose_config(options.overrides, options.config_dir)
    fixed = [
        found.key_or_group for _, found in parse_overrides(options.overrides) if not found.is_sweep_override()
    ]
    base = dataclasses.replace(composed, sweep=grid.without_axes(composed.sweep, fixed))
    cells = grid.expand(base)
    feed.check(base.tracker)
    request = stages.Request(retry.parse_states(options.retry), options.dry_run, options.wait)
    if base.launch.name == "slurm" or request.dry_run:
        waited = stages.sweep(base, cells, request, lambda words: console.OUT.print(words, markup=False))
        return _summary(waited, base.directory) if waited else output.DONE
    if base.sweep.lr_grid:
        trials = tune.trials(cells, base.sweep.lr_grid)
        run_missing(base, trials, base.directory / tune.FOLDER, request.states)
        choices = tune.choose(cells, base.sweep.lr_grid)
        console.show_choices(sum(not c.interior for c in choices.values()), len(choices))
        cells = tune.apply_choices(cells, choices)
        tune.copy_trial_records(cells)
    run_missing(base, cells, base.directory, request.states)
    if options.metering_pass:
        metering_pass.run_pass(cells, base.directory)
    return _summary(cells, base.directory)


def run_missing(base: Config, cells: tuple[PlannedRun, ...], directory: Path, states: Sequence[str]) -> None:
    """Run the cells without a record in `directory`, or one in `states`; all are in its manifest."""
    from isoflop.cli.terminal import console
    from isoflop.sweep import grid, retry
    from isoflop.sweep.local import launch
    from isoflop.track import feed

    todo = {cell.run_id for cell in retry.select(cells, directory, states)}
    console.OUT.print(f"{directory}: {len(cells)} runs, {len(todo)} to run", markup=False)
    if not todo:
        return
    planned, gpus = launch.plan(cells)
    grid.write_manifest(planned, directory)
    ordered = tuple(cell for cell in planned if cell.run_id in todo)
    with console.cells_bar(len(ordered)) as show:
        slots = launch.choose_slots(base.launch, gpus, ordered)
        launch.run_all(ordered, slots, lambda cell, found: show(cell.run_id, found))
    feed.wait(directory, base.tracker.wait_seconds)


def _summary(cells: tuple[PlannedRun, ...], directory: Path) -> int:
    """Show the table of the sweep's folder; 1 if any cell of this sweep is not done."""
    from isoflop.cli.terminal import console
    from isoflop.table import aggregate

    table = aggregate.aggregate(directory)
    console.show_table(table.rows)
    console.show_dropped(table)
    wanted = {run_id for cell in cells for run_id in cell.config.point_ids.values()}
    not_done = wanted - set(table.rows["run_id"])
    if not_done:
        console.OUT.print(f"{len(not_done)} of {len(wanted)} points are missing: the reasons are above")
    return output.FAILED if not_done else output.DONE


def _status(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import status_table
    from isoflop.sweep import status

    found = status.read_status(options.directory)
    if options.json:
        return output.write_json(found, options.json)
    status_table.show(found)
    return output.DONE
