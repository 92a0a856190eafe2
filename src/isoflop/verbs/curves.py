"""isoflop aggregate, fit and report: from records to the page."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from isoflop.config import ConfigError
from isoflop.verbs import terminal


def add(verb: terminal.Add) -> None:
    """aggregate, fit, report."""
    for name, action, words in (
        ("aggregate", _aggregate, "Records to table.csv; every dropped record is named"),
        ("fit", _fit, "Table to fit.json: scaling laws with 95%% intervals"),
        ("report", _report, "Table and fit to figures and one self-contained page"),
    ):
        made = verb(name, action, words)
        made.add_argument("directory", metavar="DIR", type=Path, help="the folder of a sweep")
        terminal.add_json(made)
        if name in ("fit", "report"):
            made.add_argument("--energy-grade", default="C", help="least grade on an axis of joules (C)")
            made.add_argument(
                "--resamples", type=int, default=1000, help="bootstrap resamples (default 1000)"
            )
            made.add_argument(
                "--mixed", action="store_true", help="fit several code versions or machines together"
            )
        if name == "fit":
            made.add_argument("--x", help="a column of the table, such as train_gflops or energy_joules")
            made.add_argument("--y", help="a column of the table, such as test_error or test_loss")


def _aggregate(options: argparse.Namespace) -> int:
    from isoflop import aggregate
    from isoflop.report import console

    table = aggregate.aggregate(options.directory)
    paths = aggregate.write(table, options.directory)
    if options.json:
        rows = table.rows.astype(object).where(table.rows.notna(), None).to_dict("records")
        return terminal.write_json(
            {"rows": rows, "dropped": [dataclasses.asdict(d) for d in table.dropped]}, options.json
        )
    console.show_table(table.rows)
    console.show_dropped(table)
    console.OUT.print(f"{len(table.rows)} points, {len(table.dropped)} dropped: {paths[0]}", markup=False)
    return terminal.DONE


def _fit(options: argparse.Namespace) -> int:
    from isoflop.report import console

    _, fits = _fitted(options, x=options.x, y=options.y)
    if options.json:
        return terminal.write_json(fits, options.json)
    for report in fits.reports:
        console.show_fit(report)
    for unfitted in fits.unfitted:
        console.OUT.print(f"not fitted: {unfitted.run_id}: {unfitted.reason}", markup=False)
    if options.x is None and options.y is None:
        console.OUT.print(f"{options.directory / 'fit.json'}", markup=False)
    return terminal.DONE


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
    method = fit.Method(resamples=options.resamples, least_energy_grade=grade, mixed=options.mixed)
    fits = fit.fit_all(table.rows, source=source, method=method, axes=axes)
    aggregate.write(table, options.directory)
    if not chosen:
        result.write(fits, options.directory / "fit.json")
    return table, fits


def _report(options: argparse.Namespace) -> int:
    from isoflop.report import console, page

    table, fits = _fitted(options)
    path = page.write_report(options.directory, table, fits)
    if options.json:
        return terminal.write_json({"page": str(path), "fit": fits}, options.json)
    console.show_fit(fits.reports[0])
    console.OUT.print(f"page: {path}", markup=False)
    return terminal.DONE
