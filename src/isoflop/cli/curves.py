"""isoflop aggregate, fit, report and score: from records to the page."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from isoflop.cli import fit_joint, output
from isoflop.config import ConfigError


def add(verb: output.Add) -> None:
    """aggregate, fit, report, score."""
    for name, action, words in (
        ("aggregate", _aggregate, "Records to table.csv; every dropped record is named"),
        ("fit", _fit, "Table to fit.json: scaling laws with 95%% intervals. Also of your own table"),
        ("report", _report, "Table and fit to figures and one self-contained page"),
        ("score", _score, "Score the forecast on the public benchmark of learning curves"),
    ):
        made = verb(name, action, words)
        what = {
            "fit": ("PATH", "the folder of a sweep, or a csv, parquet, json lines or W&B export"),
            "score": ("PATH", "benchmark.*.csv, or a folder that holds them"),
        }.get(name, ("DIR", "the folder of a sweep"))
        made.add_argument("directory", metavar=what[0], type=Path, help=what[1])
        output.add_json(made)
        if name in ("fit", "report"):
            _add_method(made)
        if name == "fit":
            _add_table(made)
            fit_joint.add(made)


def _add_method(made: argparse.ArgumentParser) -> None:
    made.add_argument("--energy-grade", default="C", help="least grade on an axis of joules (C)")
    made.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples (default 1000)")
    made.add_argument("--seed-of-resamples", type=int, default=0, metavar="N", help="their seed (default 0)")
    made.add_argument("--mixed", action="store_true", help="fit several code versions or machines together")
    made.add_argument("--chance", type=float, metavar="V", help="the error of guessing, as a fraction")
    made.add_argument("--wild", action="store_true", help="resample signs of residuals, not configurations")


def _add_table(made: argparse.ArgumentParser) -> None:
    made.add_argument("--x", help="a column of the table, such as train_gflops or energy_joules")
    made.add_argument("--y", help="a column of the table, such as test_error or test_loss")
    made.add_argument("--laws", metavar="A,B", help="only these laws")
    made.add_argument("--frontier", action="store_true", help="fit the efficient frontier, not all runs")
    made.add_argument("--quantile", type=float, metavar="Q", help="fit this quantile of y given x")
    made.add_argument(
        "--hold-out", metavar="RULE", help="fit the rest and judge on these: 'train_gflops>1e6'"
    )
    made.add_argument("--group", metavar="COL", help="of your own table: what makes a configuration")
    made.add_argument("--seed", metavar="COL", help="of your own table: the column that repeats one")
    made.add_argument("--counts", metavar="N", help="of your own table: test examples, a number or a column")


def _aggregate(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import console
    from isoflop.table import aggregate

    table = aggregate.aggregate(options.directory)
    paths = aggregate.write(table, options.directory)
    if options.json:
        rows = table.rows.astype(object).where(table.rows.notna(), None).to_dict("records")
        return output.write_json(
            {"rows": rows, "dropped": [dataclasses.asdict(d) for d in table.dropped]}, options.json
        )
    console.show_table(table.rows)
    console.show_dropped(table)
    console.OUT.print(f"{len(table.rows)} points, {len(table.dropped)} dropped: {paths[0]}", markup=False)
    return output.DONE


def _fit(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import console

    if options.directory.is_dir():
        for name in ("group", "seed", "counts"):
            if getattr(options, name) is not None:
                raise ConfigError(f"--{name} is for a table of your own: records say it themselves")
    if fit_joint.asked(options):
        return fit_joint.fit(options)
    if options.directory.is_dir():
        _, fits = _fitted(options)
        chosen = _chosen(options)
    else:
        fits, chosen = _fit_file(options), True
    if options.json:
        return output.write_json(fits, options.json)
    for report in fits.reports:
        console.show_fit(report)
    for unfitted in fits.unfitted:
        console.OUT.print(f"not fitted: {unfitted.run_id}: {unfitted.reason}", markup=False)
    if not chosen:
        console.OUT.print(f"{options.directory / 'fit.json'}", markup=False)
    return output.DONE


def _chosen(options: argparse.Namespace) -> bool:
    """Whether one pair of axes or another method was asked for: fit.json then keeps the default one."""
    names = ("x", "y", "laws", "frontier", "quantile", "hold_out")
    return any(getattr(options, name, None) not in (None, False) for name in names)


def _method(options: argparse.Namespace) -> Any:
    from isoflop.curve import fit
    from isoflop.curve.laws import LAWS

    if options.resamples < 100:
        raise ConfigError(f"--resamples {options.resamples}: an interval needs at least 100")
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


def _fit_rows(options: argparse.Namespace, rows: Any, x: str, y: str) -> Any:
    """The fit of one pair of axes, with runs held out if asked for."""
    from isoflop.curve import fit
    from isoflop.curve.forecast import holdout

    method = _method(options)
    if options.hold_out is None:
        return fit.fit_all(rows, source=str(options.directory), method=method, axes=((x, y),))
    report = holdout.fit_and_judge(rows, options.hold_out, x=x, y=y, method=method)
    return fit.file_of((report,), source=str(options.directory))


def _fit_file(options: argparse.Namespace) -> Any:
    from isoflop.cli.terminal import console
    from isoflop.table import external

    _method(options)
    found = external.read_runs(
        options.directory,
        x=options.x,
        y=options.y,
        group=options.group,
        seed=options.seed,
        chance=options.chance,
        counts=_number(options.counts),
    )
    for word in found.warnings if not options.json else ():
        console.OUT.print(f"note: {word}", markup=False)
    return _fit_rows(options, found.table, found.x, found.y)


def _number(text: str | None) -> float | str | None:
    """A number if it reads as one, else the name of a column."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return text


def _fitted(options: argparse.Namespace) -> tuple[Any, Any]:
    """Aggregate, fit, and write table.csv, dropped.csv and, for the default axes and method, fit.json."""
    from isoflop.curve import fit, result
    from isoflop.table import aggregate

    method = _method(options)
    table = aggregate.aggregate(options.directory)
    if _chosen(options):
        fits = _fit_rows(options, table.rows, options.x or "train_gflops", options.y or "test_error")
    else:
        fits = fit.fit_all(table.rows, source=str(options.directory), method=method)
    aggregate.write(table, options.directory)
    if not _chosen(options):
        result.write_fits(fits, options.directory / "fit.json")
    return table, fits


def _score(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import console, score_table
    from isoflop.curve.forecast import score

    found = score.score(options.directory)
    if options.json:
        return output.write_json(found, options.json)
    score_table.show(found, console.OUT)
    return output.DONE


def _report(options: argparse.Namespace) -> int:
    from isoflop.cli.terminal import console
    from isoflop.report import page

    table, fits = _fitted(options)
    path = page.write_report(options.directory, table, fits)
    if options.json:
        return output.write_json({"page": str(path), "fit": fits}, options.json)
    console.show_fit(fits.reports[0])
    console.OUT.print(f"page: {path}", markup=False)
    return output.DONE
