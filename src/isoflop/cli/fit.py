"""isoflop fit: scaling laws of a sweep, or of a table of your own."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from isoflop.cli import exclusion, fit_joint, output
from isoflop.config import ConfigError

RECORDED = ("resamples", "seed_of_resamples")
"""Options of the method that fit.json holds, and that a saved fit may have."""


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    text = "Scaling laws with 95%% intervals, of a sweep or of your own table"
    verb = add_verb("fit", _fit, text)
    path_help = "the folder of a sweep, or a csv, parquet, json lines or W&B export"
    verb.add_argument("directory", metavar="PATH", type=Path, help=path_help)
    output.add_json(verb)
    save = "keep it: table.csv, dropped.csv and fit.json in the sweep's folder"
    verb.add_argument("--save", action="store_true", help=save)
    add_method(verb)
    _add_columns(verb)
    fit_joint.add_options(verb)


def add_method(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to fit, which `isoflop report` takes too."""
    parser.add_argument("--energy-grade", default="C", help="least grade on an axis of joules (C)")
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples (default 1000)")
    parser.add_argument(
        "--seed-of-resamples", type=int, default=0, metavar="N", help="their seed (default 0)"
    )
    parser.add_argument(
        "--mixed", action="store_true", help="fit several code versions, machines or experiments together"
    )
    parser.add_argument("--chance", type=float, metavar="V", help="the error of guessing, as a fraction")
    parser.add_argument("--wild", action="store_true", help="resample signs of residuals, not configurations")
    exclusion.add_option(parser)


def _add_columns(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose columns, laws and rows."""
    parser.add_argument("--x", help="a column of the table, such as train_gflops or energy_joules")
    parser.add_argument("--y", help="a column of the table, such as test_error or test_bits_per_byte")
    parser.add_argument("--laws", metavar="A,B", help="only these laws")
    parser.add_argument("--frontier", action="store_true", help="fit the efficient frontier, not all runs")
    parser.add_argument("--quantile", type=float, metavar="Q", help="fit this quantile of y given x")
    parser.add_argument(
        "--hold-out", metavar="RULE", help="fit the rest and judge on these: 'train_gflops>1e6'"
    )
    add_grouping(parser)


def add_grouping(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which rows of a table of one's own belong together."""
    parser.add_argument("--group", metavar="COL", help="of your own table: what makes a configuration")
    parser.add_argument("--seed", metavar="COL", help="of your own table: the column that repeats one")
    parser.add_argument(
        "--counts", metavar="N", help="of your own table: test examples, a number or a column"
    )


def _fit(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import console, fit_table

    if options.json:
        output.check_target(options.json)
    _check_save(options)
    if options.directory.is_dir():
        for name in ("group", "seed", "counts"):
            if getattr(options, name) is not None:
                raise ConfigError(f"--{name} is for a table of your own: records hold it already")
    if fit_joint.is_requested(options):
        return fit_joint.fit(options)
    if options.directory.is_dir():
        runs, fits = fit_sweep(options)
        if options.save:
            save(options.directory, runs, fits)
    else:
        fits = _fit_file(options)
    if options.json:
        return output.write_json(fits, options.json)
    fit_table.show_all(fits)
    if options.save:
        console.OUT.print(f"{options.directory / 'fit.json'}", markup=False)
    return output.DONE


def _check_save(options: argparse.Namespace) -> None:
    """Raise ConfigError where --save is given and there is nothing that may be saved."""
    if not options.save:
        return
    if options.directory.is_file():
        raise ConfigError("--save is for a sweep's folder: of a table of your own, --json FILE keeps the fit")
    if options.json == "-":
        raise ConfigError("--save and --json - exclude each other: what is printed as JSON writes no file")
    if _is_custom(options) or options.law is not None or options.isoflop is not None:
        raise ConfigError(
            "--save keeps the fit that the report and paper read, which no option of axes, laws or rows "
            "changes: leave them out, or keep this one by --json FILE"
        )
    if changed := changed_method(options):
        raise ConfigError(
            f"--save keeps the fit that the report and paper read, which {changed[0]} would change: leave it "
            "out, or keep this one by --json FILE"
        )


def changed_method(options: argparse.Namespace) -> list[str]:
    """Return the options of add_method that are given and change what is fitted.

    How often and from which seed is resampled changes no fit, and fit.json records both.
    """
    parser = argparse.ArgumentParser(add_help=False)
    add_method(parser)
    defaults = vars(parser.parse_args([]))
    changed = [name for name in defaults if getattr(options, name) != defaults[name]]
    return [f"--{name.replace('_', '-')}" for name in changed if name not in RECORDED]


def fit_sweep(options: argparse.Namespace) -> tuple[Any, Any]:
    """Aggregate a sweep's records and fit them; return the table and the fits. Nothing is written."""
    from isoflop.curve.forecast import holdout
    from isoflop.table import aggregate, held_out, target

    method = method_of(options)
    table = aggregate.aggregate(options.directory)
    judged_on = target.of(table.rows, options.directory)
    method = dataclasses.replace(method, left_out=exclusion.left_out(options, table.rows))
    if _is_custom(options):
        axes = (options.x or "train_gflops", options.y or judged_on.y)
        fits = _fit_axes(options, method, table.rows, *axes)
    else:
        stored = held_out.stored_prediction(options.directory)
        fits = holdout.fit_sweep(table.rows, source=str(options.directory), method=method, stored=stored)
    notes = _notes(options.directory, table.rows, fits)
    return table, dataclasses.replace(fits, dropped=table.excluded, notes=notes)


def save(directory: Path, table: Any, fits: Any) -> None:
    """Write table.csv, dropped.csv and fit.json, which `isoflop paper` and `isoflop wandb` read."""
    from isoflop.curve import result
    from isoflop.table import aggregate

    aggregate.write(table, directory)
    result.write_fits(fits, directory / "fit.json")


def _is_custom(options: argparse.Namespace) -> bool:
    """Whether an option asks for one pair of axes, or for another method than the one of fit.json."""
    names = ("x", "y", "laws", "frontier", "quantile", "hold_out")
    return any(getattr(options, name, None) not in (None, False) for name in names)


def method_of(options: argparse.Namespace) -> Any:
    """Return the checked `fit.Method` of the options. Raises ConfigError or ValueError."""
    from isoflop.curve import fit
    from isoflop.curve.laws import LAWS

    output.check_resamples(options.resamples)
    laws = getattr(options, "laws", None)
    method = fit.Method(
        laws=tuple(name.strip() for name in laws.split(",")) if laws else tuple(LAWS),
        resamples=options.resamples,
        seed=options.seed_of_resamples,
        least_energy_grade=options.energy_grade,
        of_frontier=getattr(options, "frontier", False),
        quantile=getattr(options, "quantile", None),
        wild=options.wild,
        chance=options.chance,
        mixed=options.mixed,
    )
    method.check()
    return method


def _fit_axes(options: argparse.Namespace, method: Any, rows: Any, x: str, y: str) -> Any:
    """Fit one pair of axes, without the rows that --hold-out names, on which the forecast is then judged.

    Args:
        options: of the command.
        method: the `fit.Method`.
        rows: the table of runs.
        x, y: names of its columns.
    """
    from isoflop.curve import fit
    from isoflop.curve.forecast import holdout
    from isoflop.table import held_out

    source = str(options.directory)
    if options.hold_out is None:
        stored = held_out.stored_prediction(options.directory) if options.directory.is_dir() else None
        return holdout.fit_sweep(rows, source=source, method=method, axes=((x, y),), stored=stored)
    report = holdout.fit_and_judge(rows, options.hold_out, x=x, y=y, method=method)
    return fit.file_of((report,), source=source)


def _fit_file(options: argparse.Namespace) -> Any:
    """Return the fits of a table of the user's own, with what was said of the table."""
    from isoflop.curve import result

    method = method_of(options)  # refuse bad options before a long file is read
    own, table, unused = read_own(options)
    method = dataclasses.replace(method, left_out=exclusion.left_out(options, table))
    fits = _fit_axes(options, method, own.table, own.x, own.y)
    said = (*own.warnings, *unused)
    reports = tuple(result.with_notes(report, said, own.excluded) for report in fits.reports)
    notes = _notes(options.directory, table, fits)
    return dataclasses.replace(fits, reports=reports, notes=notes)


def read_own(options: argparse.Namespace) -> tuple[Any, Any, tuple[str, ...]]:
    """Return a table of the user's own as it is fitted, the same under the names of a sweep's columns, and
    notes on columns that are not used there."""
    from isoflop.cli import check
    from isoflop.table import canonical, external

    own = external.read_runs(
        options.directory,
        x=options.x,
        y=options.y,
        group=options.group,
        seed=options.seed,
        chance=options.chance,
        counts=_number_or_column(options.counts),
    )
    return own, *canonical.canonical(own, check.named_columns(options))


def _notes(path: Path, table: Any, fits: Any) -> tuple[str, ...]:
    """Return what the checks say where it bears on the laws: an irreducible error of undertrained shapes."""
    from isoflop.cli.terminal import check_table, optimal_lines
    from isoflop.curve.check import floor, front
    from isoflop.curve.language import law

    checked = front.check(table)
    supports = [(report, floor.support(table, report, checked)) for report in fits.reports]
    return (
        *((f"{optimal_lines.ALL_RUNS} (isoflop report)",) if law.is_crossed(table) else ()),
        *check_table.support_lines([(report, each) for report, each in supports if each is not None]),
        f"check: {check_table.counts(checked)}: isoflop check {path}",
    )


def _number_or_column(text: str | None) -> float | str | None:
    """Return `text` as a number if it is one, else as it is: the name of a column."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return text
