"""The rows that a verb fits, and how: of a sweep's folder or of a table of the user's own."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from isoflop.cli import exclusion, output, prices
from isoflop.config import ConfigError


@dataclasses.dataclass(frozen=True)
class Rows:
    """What is fitted.

    Attributes:
        table: one row a run.
        checked: the same rows under the names of a sweep's columns, for the checks.
        axes: the pair of x and y; None for all axes of a sweep's domain.
        stored: what held_out.json predicts of held-out runs, or None.
        notes: about the table.
        excluded: rows that the table leaves out.
        dropped: records that gave no row.
        groups: the values of --by in the order in which they are fitted; those before --where too.
    """

    table: Any
    checked: Any
    axes: tuple[str, str] | None
    stored: Any = None
    notes: tuple[str, ...] = ()
    excluded: tuple[Any, ...] = ()
    dropped: tuple[Any, ...] = ()
    groups: tuple[str, ...] = ()


def of_sweep(options: argparse.Namespace, runs: Any, *, custom: bool) -> Rows:
    """Return the rows of a sweep's table that --where keeps; one pair of axes if `custom`."""
    from isoflop.table import derived, held_out, selection, target

    groups = group_values(runs.rows, getattr(options, "by", None))
    table, notes = selection.where(runs.rows, options.where)
    table = table.reset_index(drop=True)
    judged_on = target.of(table, options.directory)
    axes = None
    if custom:
        table, x = derived.resolve(table, options.x or "train_gflops", "x")
        table, y = derived.resolve(table, options.y or judged_on.y, "y")
        axes = (x, y)
        notes = (*notes, *_of_prices(table, axes, runs.prices))
    stored = held_out.stored_prediction(options.directory)
    return Rows(table, table, axes, stored, notes, (), runs.excluded, groups)


def of_file(options: argparse.Namespace) -> Rows:
    """Return the rows of a table of the user's own."""
    own, checked, unused = read_own(options)
    axes = (own.x, own.y)
    notes = (*own.warnings, *unused, *_of_prices(own.table, axes, prices.chosen(options)))
    return Rows(own.table, checked, axes, None, notes, own.excluded, (), own.groups)


def _of_prices(table: Any, axes: tuple[str, str], chosen: Any) -> tuple[str, ...]:
    """Return how dollars or CO2 on an axis were formed, where --cost was given."""
    from isoflop.table import derived, pricing

    return pricing.rules(chosen, derived.behind(table, axes[0]) | derived.behind(table, axes[1]))


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
        where=options.where,
        by=getattr(options, "by", None),
        prices=prices.chosen(options),
    )
    return own, *canonical.canonical(own, check.named_columns(options))


def group_values(table: Any, by: str | None) -> tuple[str, ...]:
    """Return the values of the column of --by, numbers in ascending order, words as they come."""
    from isoflop.table import grouping

    return grouping.values(table, by) if by is not None else ()


def fit(options: argparse.Namespace, method: Any, rows: Rows) -> Any:
    """Return the fits of the rows (FitFile), with what was said of the table."""
    from isoflop.curve import fit as curve_fit
    from isoflop.curve import result
    from isoflop.curve.forecast import holdout

    method = dataclasses.replace(method, left_out=exclusion.left_out(options, rows.checked))
    source = str(options.directory)
    if getattr(options, "hold_out", None) is not None:
        assert rows.axes is not None
        x, y = rows.axes
        report = holdout.fit_and_judge(rows.table, options.hold_out, x=x, y=y, method=method)
        fits = curve_fit.file_of((report,), source=source)
    else:
        axes = None if rows.axes is None else (rows.axes,)
        fits = holdout.fit_sweep(rows.table, source=source, method=method, axes=axes, stored=rows.stored)
    reports = tuple(result.with_notes(report, rows.notes, rows.excluded) for report in fits.reports)
    return dataclasses.replace(fits, reports=reports, dropped=rows.dropped)


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
        level=level(options),
        fix=fixed(options),
        chance=options.chance,
        independent=_independent(options),
        mixed=options.mixed,
    )
    method.check()
    return method


def _independent(options: argparse.Namespace) -> bool:
    """Whether the rows are known to be configurations: a sweep's, or where --group or --seed says so."""
    named = (getattr(options, "group", None), getattr(options, "seed", None))
    return options.directory.is_dir() or any(name is not None for name in named)


def kept_draws(options: argparse.Namespace) -> Any:
    """Return what collects the draws of --draws, None without it. Raises ConfigError for a file of no use."""
    from isoflop.curve import draws

    if getattr(options, "draws", None) is None:
        return None
    try:
        draws.check(Path(options.draws))
    except ValueError as error:
        raise ConfigError(f"--draws {error}") from None
    return draws.Draws()


def level(options: argparse.Namespace) -> float:
    """Return the share of --level. Raises ConfigError where it is no per cent between 50 and 100."""
    given: float = options.level
    if not 50 < given < 100:
        raise ConfigError(f"--level {given:g}: give per cent above 50 and below 100, such as 90")
    return given / 100


def fixed(options: argparse.Namespace) -> tuple[tuple[str, float], ...]:
    """Return the names and values of --fix. Raises ConfigError where one is not NAME=NUMBER or is twice."""
    pairs: dict[str, float] = {}
    for text in getattr(options, "fix", None) or ():
        name, sign, value = (part.strip() for part in text.partition("="))
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not name or not sign or number != number or number in (float("inf"), float("-inf")):
            raise ConfigError(f"--fix {text}: give NAME=NUMBER, such as E=0")
        if name in pairs:
            raise ConfigError(f"--fix {text}: {name} is fixed twice")
        pairs[name] = number
    return tuple(pairs.items())


def _number_or_column(text: str | None) -> float | str | None:
    """Return `text` as a number if it is one, else as it is: the name of a column."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return text
