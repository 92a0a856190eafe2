"""The command line: verbs, and the map from errors to one line and an exit code."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from isoflop import __version__, record
from isoflop.compose import compose_config, from_hydra, multirun, parse_overrides
from isoflop.config import Config, ConfigError

if TYPE_CHECKING:
    from isoflop.sweep.grid import Cell

DONE, FAILED, INPUT, DIVERGED, OOM, INTERRUPTED = 0, 1, 2, 3, 4, 75
EXIT_OF_STATE = {
    "done": DONE,
    "failed": FAILED,
    "diverged": DIVERGED,
    "oom": OOM,
    "interrupted": INTERRUPTED,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. Exit codes: 0 done, 1 failed or the machine's fault, 2 the input's fault, 3 diverged,
    4 out of memory, 75 interrupted and resumable."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    cut = given.index("--") if given[:1] == ["meter"] and "--" in given else len(given)
    given, command = given[:cut], given[cut + 1 :]
    options, overrides = parser().parse_known_args(given)
    try:
        if overrides and options.verb not in ("run", "sweep", "flops"):
            raise ConfigError(
                f"isoflop {options.verb} does not take {overrides[0]}: see isoflop {options.verb} --help"
            )
        if strange := [
            word for word in overrides if word.startswith("-") and word not in ("-m", "--multirun")
        ]:
            raise ConfigError(f"unknown option {strange[0]}: see isoflop {options.verb} --help")
        options.overrides, options.command = overrides, command
        return int(options.action(options))
    except KeyboardInterrupt:
        return _tell("interrupted: run the same command again to go on", INTERRUPTED, options.debug)
    except record.RecordBusyError as error:
        return _tell(str(error), FAILED, options.debug)
    except ValueError as error:
        return _tell(str(error), INPUT, options.debug)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _tell(f"{where}{error.strerror or error}", _os_exit(error), options.debug)
    except Exception as error:
        return _tell(f"{type(error).__name__}: {error} (--debug shows where)", FAILED, options.debug)


def _os_exit(error: OSError) -> int:
    """A folder that is not there or may not be written is the input's fault, a full disk the machine's."""
    users = (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError)
    return INPUT if isinstance(error, users) else FAILED


def _tell(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"isoflop: {' '.join(message.split())}", file=sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    """argparse, with its complaints in one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is; exit code 2."""
        self.exit(INPUT, f"isoflop: {message}: see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The verbs and their options; overrides are what it leaves over."""
    whole = _Parser(prog="isoflop", description="How error falls as training compute grows.")
    whole.add_argument("--version", action="version", version=f"isoflop {__version__}")
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, action: Any, words: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=words, description=words, allow_abbrev=False)
        made.add_argument("--debug", action="store_true", help="show stack traces")
        made.set_defaults(action=action)
        return made

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
            made.add_argument("--cells", metavar="A-B", help="lines A to B, a process a cell")
        else:
            told = "then meter alone the shapes of cells that shared a GPU, and complete their joules"
            made.add_argument("--metering-pass", action="store_true", help=told)
            made.add_argument("--dry-run", action="store_true", help="show what would run or be submitted")
            made.add_argument("--wait", action="store_true", help="stay until every SLURM task has ended")
            made.add_argument("--retry", metavar="STATES", help="run again (default failed,interrupted)")
        made.usage = f"isoflop {name} [OVERRIDES] [--config-dir D] [--debug]"
    for name, action, words in (
        ("aggregate", _aggregate, "Records to table.csv; every dropped record is named"),
        ("fit", _fit, "Table to fit.json: scaling laws with 95%% intervals"),
        ("report", _report, "Table and fit to figures and one self-contained page"),
        ("status", _status, "Where every cell of a sweep stands, and why"),
    ):
        made = verb(name, action, words)
        made.add_argument("directory", metavar="DIR", type=Path, help="the folder of a sweep")
        made.add_argument("--json", metavar="FILE", help="write the result as JSON, - for standard output")
        if name in ("fit", "report"):
            made.add_argument("--energy-grade", default="C", help="least grade on an axis of joules (C)")
            made.add_argument(
                "--resamples", type=int, default=1000, help="bootstrap resamples (default 1000)"
            )
        if name == "fit":
            made.add_argument("--x", help="a column of the table, such as train_gflops or energy_joules")
            made.add_argument("--y", help="a column of the table, such as test_error or test_loss")
    made = verb("wandb", _wandb, "Upload a sweep's records to W&B, with a workspace and a report")
    made.add_argument("directory", metavar="DIR", type=Path, help="the folder of a sweep")
    made.add_argument("--project", default="isoflop", help="W&B project (default isoflop)")
    made.add_argument("--entity", help="W&B user or team (default: your own)")
    made.add_argument("--dry-run", action="store_true", help="send nothing: print what would be sent")
    made.add_argument("--json", metavar="FILE", help="write the result as JSON, - for standard output")
    made = verb("flops", _flops, "Count a model's work: isoflop flops resnet, or torchvision:vit_b_16")
    made.add_argument("name", metavar="NAME", help="resnet, torchvision:NAME or path/to/file.py:factory")
    made.usage = "isoflop flops NAME [OVERRIDES] [--input C,H,W] [--batch N] [--classes N] [--json FILE]"
    made.add_argument("--input", default="3,224,224", help="channels,height,width (default 3,224,224)")
    made.add_argument("--batch", type=int, help="examples a step (default: optim.batch_size)")
    made.add_argument("--classes", type=int, default=1000)
    made.add_argument("--dtype", help="of the input to a file's model, such as int64 for tokens")
    made.add_argument("--json", metavar="FILE", help="write the result as JSON, - for standard output")
    made = verb("meter", _meter, "Meter any program: isoflop meter -- python train.py")
    made.usage = "isoflop meter [--idle S] [--gpu UUID] [--polls FILE] [--json FILE] -- COMMAND..."
    made.add_argument("--idle", type=float, default=0.0, help="seconds of idle baseline before the command")
    made.add_argument("--period", type=float, default=0.1, help="seconds between polls (default 0.1)")
    made.add_argument("--gpu", action="append", metavar="UUID", help="a board (default: CUDA's choice)")
    made.add_argument("--polls", metavar="FILE", type=Path, help="keep every poll in this file")
    made.add_argument("--json", metavar="FILE", help="write the result as JSON, - for standard output")
    made = verb("doctor", _doctor, "Say what this machine can measure, what it cannot, and why")
    made.add_argument("--measure", action="store_true", help="measure the roofline's ceilings, and keep them")
    made.add_argument("--seconds", type=float, help="how long to measure in all (default 10)")
    made.add_argument("--dtype", metavar="A,B", help="of fp32, tf32, bf16, fp16 (default: all it trains in)")
    made.add_argument("--threads", type=int, help="measure the CPU with so many threads")
    made.add_argument("--cpu", action="store_true", help="measure the CPU where there is a GPU too")
    made.add_argument("--json", metavar="FILE", help="write the result as JSON, - for standard output")
    return whole


def _run(options: argparse.Namespace) -> int:
    if {"-m", "--multirun"} & set(options.overrides):
        return _multirun(options)
    if options.manifest or options.line or options.cells:
        return _run_manifest(options)
    from isoflop.report import console

    cell = compose_config(options.overrides, options.config_dir)
    if cell.sweep.grid or cell.sweep.points:
        raise ConfigError("this is a sweep: use isoflop sweep, or isoflop run -m")
    done = all(record.is_done(record.path_of(cell.directory, i)) for i in cell.point_ids.values())
    from isoflop import parallel_run
    from isoflop.report import tracker

    with console.steps_bar() as watch:
        finished = parallel_run.run(cell, again=options.again, watch=watch)
    if not parallel_run.is_chief():
        return _worst(finished)
    tracker.wait(cell.directory, cell.tracker.wait_seconds)
    for found in finished:
        console.show_run(found)
        console.OUT.print(f"record: {record.path_of(cell.directory, found.run_id)}", markup=False)
    if done and not options.again:
        console.OUT.print("done before: --again trains it once more")
    return _worst(finished)


def _run_manifest(options: argparse.Namespace) -> int:
    from isoflop.report import console
    from isoflop.sweep import manifest

    if options.overrides or not options.manifest or (options.line is None) == (options.cells is None):
        raise ConfigError("give --manifest FILE with --line N or --cells A-B, and no overrides")
    if options.cells:
        ended = manifest.run_range(options.manifest, *manifest.bounds(options.cells))
        found = [record for _, records in ended for record in records]
        code = EXIT_OF_STATE[manifest.worst(ended)]
    else:
        found = list(manifest.run_line(options.manifest, options.line, again=options.again))
        code = _worst(found)
    for each in found:
        console.show_run(each)
    return code


def _worst(found: Sequence[record.Record]) -> int:
    """The exit code of a cell's records: that of the last, since what fails a point fails the later ones."""
    return EXIT_OF_STATE[found[-1].state]


def _multirun(options: argparse.Namespace) -> int:
    words = [word for word in options.overrides if word not in ("-m", "--multirun")]
    _CODES.clear()
    multirun(words, options.config_dir, _task)
    return max(_CODES, default=DONE)


_CODES: list[int] = []
"""Exit codes of the jobs of a multirun that ran in this process."""


def _task(composed: Any) -> None:
    """One job of a multirun. A bad state is kept in the record and in the exit code, never raised."""
    from isoflop import parallel_run
    from isoflop.report import console, tracker

    cell = from_hydra(composed)
    try:
        finished = parallel_run.run(cell)
    except ValueError as error:
        _CODES.append(_tell(str(error), INPUT, debug=False))
        return
    tracker.wait(cell.directory, cell.tracker.wait_seconds)
    for found in finished:
        console.show_run(found)
    _CODES.append(_worst(finished))


def _sweep(options: argparse.Namespace) -> int:
    from isoflop.report import console, tracker
    from isoflop.sweep import grid, metering_pass, retry, stages, tune

    composed = compose_config(options.overrides, options.config_dir)
    fixed = [
        found.key_or_group for _, found in parse_overrides(options.overrides) if not found.is_sweep_override()
    ]
    base = dataclasses.replace(composed, sweep=grid.without(composed.sweep, fixed))
    cells = grid.expand(base)
    tracker.check(base.tracker)
    request = stages.Request(retry.states(options.retry), options.dry_run, options.wait)
    if base.launch.name == "slurm" or request.dry_run:
        waited = stages.sweep(base, cells, request, lambda words: console.OUT.print(words, markup=False))
        return _summary(waited, base.directory) if waited else DONE
    if base.sweep.lr_grid:
        trials = tune.trials(cells, base.sweep.lr_grid)
        _run_missing(base, trials, base.directory / tune.FOLDER, request.states)
        choices = tune.choose(cells, base.sweep.lr_grid)
        console.show_choices(sum(not c.interior for c in choices.values()), len(choices))
        cells = tune.tuned(cells, choices)
        tune.adopt(cells)
    _run_missing(base, cells, base.directory, request.states)
    if options.metering_pass:
        metering_pass.run_pass(cells, base.directory)
    return _summary(cells, base.directory)


def _run_missing(base: Config, cells: tuple[Cell, ...], directory: Path, states: Sequence[str]) -> None:
    """Run the cells without a record in `directory`, or one in `states`; all are in its manifest."""
    from isoflop.report import console, tracker
    from isoflop.sweep import grid, local, retry

    todo = {cell.run_id for cell in retry.select(cells, directory, states)}
    console.OUT.print(f"{directory}: {len(cells)} cells, {len(todo)} to run", markup=False)
    if not todo:
        return
    planned, gpus = local.plan(cells)
    grid.write_manifest(planned, directory)
    ordered = tuple(cell for cell in planned if cell.run_id in todo)
    with console.cells_bar(len(ordered)) as show:
        slots = local.slots(base.launch, gpus, ordered)
        local.run_cells(ordered, slots, lambda cell, found: show(cell.run_id, found))
    tracker.wait(directory, base.tracker.wait_seconds)


def _summary(cells: tuple[Cell, ...], directory: Path) -> int:
    """Show the table of the sweep's folder; 1 if any cell of this sweep is not done."""
    from isoflop import aggregate
    from isoflop.report import console

    table = aggregate.aggregate(directory)
    console.show_table(table.rows)
    console.show_dropped(table)
    wanted = {run_id for cell in cells for run_id in cell.config.point_ids.values()}
    not_done = wanted - set(table.rows["run_id"])
    if not_done:
        console.OUT.print(f"{len(not_done)} of {len(wanted)} points are missing: the reasons are above")
    return FAILED if not_done else DONE


def _status(options: argparse.Namespace) -> int:
    from isoflop.sweep import board, status

    found = status.read(options.directory)
    if options.json:
        return _json(found, options.json)
    board.show(found)
    return DONE


def _aggregate(options: argparse.Namespace) -> int:
    from isoflop import aggregate
    from isoflop.report import console

    table = aggregate.aggregate(options.directory)
    paths = aggregate.write(table, options.directory)
    if options.json:
        rows = table.rows.astype(object).where(table.rows.notna(), None).to_dict("records")
        return _json({"rows": rows, "dropped": [dataclasses.asdict(d) for d in table.dropped]}, options.json)
    console.show_table(table.rows)
    console.show_dropped(table)
    console.OUT.print(f"{len(table.rows)} points, {len(table.dropped)} dropped: {paths[0]}", markup=False)
    return DONE


def _fit(options: argparse.Namespace) -> int:
    from isoflop.report import console

    _, fits = _fitted(options, x=options.x, y=options.y)
    if options.json:
        return _json(fits, options.json)
    for report in fits.reports:
        console.show_fit(report)
    for unfitted in fits.unfitted:
        console.OUT.print(f"not fitted: {unfitted.run_id}: {unfitted.reason}", markup=False)
    if options.x is None and options.y is None:
        console.OUT.print(f"{options.directory / 'fit.json'}", markup=False)
    return DONE


def _fitted(options: argparse.Namespace, x: str | None = None, y: str | None = None) -> tuple[Any, Any]:
    """Aggregate, fit, and write table.csv, dropped.csv and, for the default axes, fit.json."""
    from isoflop import aggregate
    from isoflop.curve import fit, result

    if options.resamples < 100:
        raise ConfigError(f"--resamples {options.resamples}: an interval needs at least 100")
    table = aggregate.aggregate(options.directory)
    chosen = x is not None or y is not None
    axes = ((x or "train_gflops", y or "test_error"),) if chosen else fit.DEFAULT_AXES
    source = str(options.directory)
    grade = options.energy_grade
    fits = fit.fit_all(
        table.rows, source=source, resamples=options.resamples, axes=axes, least_energy_grade=grade
    )
    aggregate.write(table, options.directory)
    if not chosen:
        result.write(fits, options.directory / "fit.json")
    return table, fits


def _report(options: argparse.Namespace) -> int:
    from isoflop.report import console, page

    table, fits = _fitted(options)
    path = page.write_report(options.directory, table, fits)
    if options.json:
        return _json({"page": str(path), "fit": fits}, options.json)
    console.show_fit(fits.reports[0])
    console.OUT.print(f"page: {path}", markup=False)
    return DONE


def _wandb(options: argparse.Namespace) -> int:
    from isoflop.report.trackers import upload

    where = (options.directory, options.project, options.entity)
    if options.dry_run:
        return _json(upload.dry_run(*where), options.json or "-")
    found = upload.upload(*where)
    if options.json:
        return _json(found, options.json)
    print(upload.told(found))
    return DONE


def _flops(options: argparse.Namespace) -> int:
    from isoflop import flop_ledger

    own = flop_ledger.is_file(options.name)
    sizes = flop_ledger.shape(options.input, image=not own)
    if options.classes < 1:
        raise ConfigError(f"--classes {options.classes}: must be at least 1")
    if options.dtype and not own:
        raise ConfigError("--dtype is for path/to/file.py:factory: the others take images")
    family, _, architecture = options.name.partition(":")
    chosen = [] if own else [f"model={family}"]
    chosen += [f"model.architecture={architecture}"] if architecture and not own else []
    chosen += [] if options.batch is None else [f"optim.batch_size={options.batch}"]
    settings = compose_config([*chosen, *options.overrides], None)
    if own:
        ledger = flop_ledger.of_file(options.name, settings, sizes, options.classes, options.dtype)
    else:
        ledger = flop_ledger.of_config(settings, sizes, options.classes)
    if options.json:
        _json(ledger.flat(), options.json)
    else:
        from isoflop.report import console

        console.show_flops(ledger.flat())
    return FAILED if ledger.count.reason else DONE


def _meter(options: argparse.Namespace) -> int:
    from isoflop.meter import command

    if options.json:
        _check_target(options.json)
    found = command.meter(
        options.command,
        gpus=options.gpu,
        idle_seconds=options.idle,
        period_seconds=options.period,
        polls_path=options.polls,
    )
    command.tell(found)
    if options.json:
        _json(found, options.json)
    return found.exit_code


def _doctor(options: argparse.Namespace) -> int:
    from isoflop import doctor

    if options.measure:
        return _ceilings(options)
    for option in ("seconds", "dtype", "threads", "cpu"):
        if getattr(options, option) not in (None, False):
            raise ConfigError(f"--{option} needs --measure")
    found = doctor.examine(Path(os.environ.get("ISOFLOP_DATA", ".data")), Path())
    if options.json:
        return _json(found, options.json)
    from isoflop.report import console

    for line in found:
        console.OUT.print(f"{'yes' if line.ok else 'no ':3}  {line.subject:9} {line.detail}", markup=False)
    return DONE


def _ceilings(options: argparse.Namespace) -> int:
    from isoflop import doctor
    from isoflop.report import console

    found = doctor.measure(
        seconds=options.seconds, dtypes=options.dtype, threads=options.threads, on_cpu=options.cpu
    )
    if options.json:
        return _json(found, options.json)
    for measured in found:
        console.OUT.print(doctor.told(measured), markup=False)
    return DONE


def _check_target(target: str) -> None:
    if target != "-" and (Path(target).is_dir() or not Path(target).absolute().parent.is_dir()):
        raise ConfigError(f"--json {target}: give a file in a folder that exists, or - for standard output")


def _json(value: Any, target: str) -> int:
    _check_target(target)
    payload = msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
    if target == "-":
        sys.stdout.write(payload.decode())
    else:
        record.write_bytes(Path(target), payload)
    return DONE


if __name__ == "__main__":
    sys.exit(main())
