"""isoflop fit: scaling laws of a sweep, or of a table of your own."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isoflop.cli import dialect, exclusion, fit_groups, fit_joint, output, prices, rows
from isoflop.config import ConfigError

RECORDED = ("resamples", "seed_of_resamples", "cost")
"""Options of the method that fit.json holds, and that a saved fit may have."""


def add(add_verb: output.AddVerb) -> None:
    """Add the verb to the parser."""
    text = "Scaling laws with 95%% intervals, of a sweep or of your own table"
    verb = add_verb("fit", _fit, text)
    verb.add_argument("directory", metavar="PATH", type=Path, help=dialect.PATH)
    output.add_json(verb)
    save = "keep it: table.csv, dropped.csv and fit.json in the sweep's folder"
    verb.add_argument("--save", action="store_true", help=save)
    add_method(verb)
    _add_columns(verb)
    fit_joint.add_options(verb)


def add_method(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to fit, which `isoflop report` takes too."""
    parser.add_argument(
        "--energy-grade", default="C", help="least grade on an axis of joules, or priced by them (C)"
    )
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples (default 1000)")
    parser.add_argument(
        "--seed-of-resamples", type=int, default=0, metavar="N", help="their seed (default 0)"
    )
    parser.add_argument(
        "--mixed", action="store_true", help="fit several code versions, machines or experiments together"
    )
    parser.add_argument("--chance", type=float, metavar="V", help="the error of guessing, as a fraction")
    dialect.add_where(parser)
    parser.add_argument(
        "--level", type=float, default=95.0, metavar="P", help="level of the intervals in per cent (95)"
    )
    parser.add_argument("--wild", action="store_true", help="resample signs of residuals, not configurations")
    exclusion.add_option(parser)
    prices.add_option(parser)


def _add_columns(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose columns, laws and rows."""
    dialect.add_axes(parser)
    parser.add_argument("--laws", metavar="A,B", help="only these laws")
    parser.add_argument("--frontier", action="store_true", help="fit the efficient frontier, not all runs")
    parser.add_argument("--quantile", type=float, metavar="Q", help="fit this quantile of y given x")
    parser.add_argument(
        "--hold-out", metavar="COND", help="fit the rest and judge on these: 'train_gflops > 1e6'"
    )
    parser.add_argument(
        "--by", metavar="COL", help="a fit for each value of this column, and their comparison"
    )
    parser.add_argument(
        *("--fix",),
        action="append",
        metavar="NAME=V",
        help="hold a law's parameter, such as E=0 (may be repeated)",
    )
    parser.add_argument(
        "--draws", metavar="FILE", help="resamples, predictions and residuals of each law, as CSV or Parquet"
    )
    parser.add_argument(
        "--full", action="store_true", help="every law's numbers, every row left out, all notes"
    )
    parser.add_argument("--notes", action="store_true", help="all notes, not only the five that change most")
    dialect.add_grouping(parser)


def _fit(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import console, first_screen, fit_table

    if options.json:
        output.check_target(options.json)
    _check_save(options)
    if options.directory.is_dir():
        dialect.refuse_of_folder(options)
    joint = fit_joint.is_requested(options)
    if options.by is not None:
        return fit_groups.fit(options, joint=joint)
    if joint:
        return fit_joint.fit(options)
    if options.directory.is_dir():
        runs, fits, _ = fit_sweep(options)
        if options.save:
            save(options.directory, runs, fits)
    else:
        fits = _fit_file(options)
    if options.json:
        return output.write_json(fits, options.json)
    if options.full:
        fit_table.show_all(fits)
    else:
        first_screen.show(fits, every_note=options.notes)
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


def fit_sweep(options: argparse.Namespace, beyond: float | None = None) -> tuple[Any, Any, Any]:
    """Aggregate a sweep's records and fit them; return the table, the fits and their checks (judge.checked).

    Nothing is written.

    The table holds the rows that --where keeps, of several levers the baseline's. `beyond`: bands end at
    this many times the largest x.
    """
    from isoflop.table import aggregate

    method, kept = _method(options, beyond)
    runs = aggregate.aggregate(options.directory, prices.chosen(options))
    chosen = rows.of_sweep(options, runs, custom=_is_custom(options))
    fits = rows.fit(options, method, chosen)
    fits, checked = _with_checks(options, fits, chosen)
    if kept is not None:
        kept.write(Path(options.draws))
    kept_rows = chosen.kept(runs) if options.where or chosen.compared is not None else runs
    return kept_rows, fits, checked


def save(directory: Path, table: Any, fits: Any) -> None:
    """Write table.csv, dropped.csv and fit.json, which `isoflop paper` and `isoflop wandb` read."""
    from isoflop.curve import result
    from isoflop.table import aggregate

    aggregate.write(table, directory)
    result.write_fits(fits, directory / "fit.json")


def _is_custom(options: argparse.Namespace) -> bool:
    """Whether an option asks for one pair of axes, or for another method than the one of fit.json."""
    names = ("x", "y", "laws", "frontier", "quantile", "hold_out", "by", "fix")
    return any(getattr(options, name, None) not in (None, False) for name in names)


def _method(options: argparse.Namespace, beyond: float | None = None) -> tuple[Any, Any]:
    """Return the method, and what keeps the draws of --draws, None without it."""
    method, kept = rows.method_of(options), rows.kept_draws(options)
    if beyond is not None:
        method = dataclasses.replace(method, beyond=beyond)
    return (method if kept is None else dataclasses.replace(method, keep=kept.add)), kept


def _fit_file(options: argparse.Namespace) -> Any:
    """Return the fits of a table of the user's own, with what was said of the table."""
    return fit_file(options)[1]


def fit_file(
    options: argparse.Namespace, check: Callable[[Any], None] | None = None, beyond: float | None = None
) -> tuple[Any, Any, Any]:
    """Fit a table of the user's own; return its rows (rows.Rows), the fits and their checks (judge.checked).

    Nothing is written.

    `check` is given the rows before they are fitted, and raises ConfigError where they are of no use.
    `beyond`: bands end at this many times the largest x.
    """
    method, kept = _method(options, beyond)  # refuse bad options before a long file is read
    own = rows.of_file(options)
    if check is not None:
        check(own)
    fits = rows.fit(options, method, own)
    if kept is not None:
        kept.write(Path(options.draws))
    return own, *_with_checks(options, fits, own)


def _with_checks(options: argparse.Namespace, fits: Any, chosen: Any) -> tuple[Any, Any]:
    from isoflop.api import rows

    return rows.with_checks(fits, chosen.checked, f"isoflop check {options.directory}")
