"""The rows that are fitted: of a sweep's records, of a file of the user's own, or of a data frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from isoflop.config import ConfigError
from isoflop.config.costs import Prices
from isoflop.curve import fit as curve_fit
from isoflop.curve import result
from isoflop.curve.check import undertrained
from isoflop.curve.fit import Method
from isoflop.curve.forecast import holdout
from isoflop.curve.judge import checked
from isoflop.curve.judge.checked import Checked
from isoflop.curve.language import law
from isoflop.curve.result import Excluded, FitFile
from isoflop.report.text import check_lines, optimal_training
from isoflop.table import (
    axis,
    canonical,
    derived,
    external,
    formats,
    grouping,
    held_out,
    levers,
    pricing,
    selection,
    target,
)
from isoflop.table.aggregate import RunTable
from isoflop.table.axis import Axes
from isoflop.table.external import ExternalRuns
from isoflop.table.held_out import Prediction


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which columns and rows are used.

    Attributes:
        x, y: columns or expressions; None for those that the source is known to have.
        group, seed, counts: of a table of the user's own, as external.read_runs takes them.
        chance: the error of guessing.
        where: a condition on rows.
        by: a column that divides the rows.
        named: of a table of the user's own: column of a sweep's table -> the column that holds it.
        x_unit, y_unit: of a table of the user's own; per cent becomes fractions at reading.
        x_label, y_label: what x and y of a table of the user's own are called.
        prices: by which runs are priced; None leaves them as they are.
    """

    x: str | None = None
    y: str | None = None
    group: str | None = None
    seed: str | None = None
    counts: float | str | None = None
    chance: float | None = None
    where: str | None = None
    by: str | None = None
    named: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    x_unit: str | None = None
    y_unit: str | None = None
    x_label: str | None = None
    y_label: str | None = None
    prices: Prices | None = None

    def refuse_own(self) -> None:
        """Raise ConfigError where something is chosen that the records of a sweep hold already."""
        own = ("group", "seed", "counts", "x_unit", "y_unit", "x_label", "y_label")
        given = {name: getattr(self, name) for name in own} | dict(self.named)
        for name, value in given.items():
            if value is not None:
                option = OPTION_OF.get(name, name).replace("_", "-")
                raise ConfigError(f"--{option} is for a table of your own: records hold it already")


EXCLUDABLE = ("undertrained",)
"""Kinds of runs that a fit can leave out: those that a check names."""
OPTION_OF = {"parameters": "n", "examples_seen": "d"}
"""Column of a sweep's table -> the option that names it, where the two differ."""


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
        groups: the values of `by` in the order in which they are fitted; those before `where` too.
        described: what x and y of a table of the user's own are; None for a sweep.
        own: that table as it was read; None for a sweep.
        compared: rows of all levers, where `table` is the baseline's alone; else None.
    """

    table: pd.DataFrame
    checked: pd.DataFrame
    axes: tuple[str, str] | None
    stored: Prediction | None = None
    notes: tuple[str, ...] = ()
    excluded: tuple[Excluded, ...] = ()
    dropped: tuple[Excluded, ...] = ()
    groups: tuple[str, ...] = ()
    described: Axes | None = None
    own: ExternalRuns | None = None
    compared: pd.DataFrame | None = None

    @property
    def of_levers(self) -> tuple[str, ...]:
        """What is said of the runs with a lever that are not fitted; nothing where there are none."""
        return () if self.compared is None else (levers.note(self.compared),)

    def kept(self, runs: RunTable) -> RunTable:
        """Return a sweep's table with the rows that are chosen of it."""
        return dataclasses.replace(runs, rows=self.table, compared=self.compared)


def of_sweep(runs: RunTable, directory: Path, choice: Choice, *, custom: bool) -> Rows:
    """Return the rows of a sweep's table that are chosen; one pair of axes if `custom`.

    Of several levers they are the baseline's, unless `choice.by` divides the levers. Raises ValueError as
    selection.where, levers.one_arm and derived.resolve.
    """
    groups = grouping.values(runs.rows, choice.by) if choice.by is not None else ()
    table, notes = selection.where(runs.rows, choice.where)
    one = levers.one_arm(table, directory, choice.by)
    table, notes = one.rows.reset_index(drop=True), (*notes, *one.notes)
    judged_on = target.of(table, directory)
    axes = None
    if custom:
        table, x = derived.resolve(table, choice.x or "train_gflops", "x")
        table, y = derived.resolve(table, choice.y or judged_on.y, "y")
        axes = (x, y)
        notes = (*notes, *_of_prices(table, axes, runs.prices))
    stored = held_out.stored_prediction(directory)
    return Rows(table, table, axes, stored, notes, (), runs.excluded, groups, compared=one.compared)


def of_own(own: ExternalRuns, choice: Choice) -> Rows:
    """Return the rows of a table of the user's own."""
    checked, unused = canonical.canonical(own, choice.named)
    axes, described = (own.x, own.y), _described(own, choice)
    notes = (*own.warnings, *unused, *_of_prices(own.table, axes, choice.prices))
    return Rows(own.table, checked, axes, None, notes, own.excluded, (), own.groups, described, own)


def _of_prices(table: pd.DataFrame, axes: tuple[str, str], chosen: Prices | None) -> tuple[str, ...]:
    """Return how dollars or CO2 on an axis were formed, where prices were chosen."""
    return pricing.rules(chosen, derived.behind(table, axes[0]) | derived.behind(table, axes[1]))


def _described(own: ExternalRuns, choice: Choice) -> Axes:
    """Return what x and y of a table of the user's own are, by what was chosen and their names."""
    label = choice.y_label
    if label is None and choice.y is not None and choice.y != own.y:  # counted errors are called test_error
        label = axis.capital(axis.readable(choice.y))
    return Axes(
        axis.describe(own.x, choice.x_unit, choice.x_label), axis.describe_y(own.y, choice.y_unit, label)
    )


def of_file(path: Path, choice: Choice) -> Rows:
    """Return the rows of a file of the user's own. Raises as external.read_runs."""
    wanted = [name for name in (choice.x, choice.y) if name is not None] or external.CND
    return of_raw(formats.read_rows(path, wanted), path, choice)


def of_raw(raw: pd.DataFrame, source: Path, choice: Choice) -> Rows:
    """Return the rows of what formats.read_rows or formats.of_frame gave; `source` names it in messages."""
    return of_own(external_runs(raw, source, choice), choice)


def external_runs(raw: pd.DataFrame, source: Path, choice: Choice) -> ExternalRuns:
    """Return the runs of raw rows, under the columns that are chosen. Raises as external.to_runs."""
    return external.to_runs(
        raw,
        source,
        x=choice.x,
        y=choice.y,
        group=choice.group,
        seed=choice.seed,
        chance=choice.chance,
        counts=_number_or_column(choice.counts),
        where=choice.where,
        by=choice.by,
        y_unit=choice.y_unit,
        prices=choice.prices,
    )


def _number_or_column(given: float | str | None) -> float | str | None:
    """Return text as a number if it is one, else as it is: the name of a column."""
    try:
        return float(given) if given is not None else None
    except ValueError:
        return given


def left_out(exclude: str | None, table: pd.DataFrame) -> tuple[Excluded, ...]:
    """Return the runs of a table that `exclude` names, with reasons; none without it.

    Raises:
        ConfigError: there is no such kind, or the check could not be made.
    """
    if exclude is None:
        return ()
    if exclude not in EXCLUDABLE:
        raise ConfigError(f"--exclude {exclude}: give {' or '.join(EXCLUDABLE)}")
    outcome = undertrained.check(table)
    if outcome.not_checked is not None:
        raise ConfigError(f"--exclude {exclude}: not checked: {outcome.not_checked}")
    return undertrained.excluded(outcome)


def fit(
    rows: Rows, method: Method, *, source: str, exclude: str | None = None, hold_out: str | None = None
) -> FitFile:
    """Return the fits of the rows, with what was said of the table.

    Args:
        rows: what is fitted.
        method: how.
        source: as the result names it.
        exclude: the kind of runs that are left out (left_out).
        hold_out: a condition on rows that are not fitted but judged; the rows then have one pair of axes.

    Raises:
        ValueError: as left_out, holdout.fit_and_judge and holdout.fit_sweep.
    """
    units = rows.described.units if rows.described is not None else None
    method = dataclasses.replace(method, left_out=left_out(exclude, rows.checked), units=units)
    if hold_out is not None:
        assert rows.axes is not None
        x, y = rows.axes
        report = holdout.fit_and_judge(rows.table, hold_out, x=x, y=y, method=method)
        fits = curve_fit.file_of((report,), source=source)
    else:
        axes = None if rows.axes is None else (rows.axes,)
        fits = holdout.fit_sweep(rows.table, source=source, method=method, axes=axes, stored=rows.stored)
    reports = tuple(
        dataclasses.replace(result.with_notes(report, rows.notes, rows.excluded), axes=rows.described)
        for report in fits.reports
    )
    return dataclasses.replace(fits, reports=reports, dropped=rows.dropped)


def with_checks(fits: FitFile, rows: pd.DataFrame, command: str) -> tuple[FitFile, Checked]:
    """Return fits with what the checks say where it bears on the laws, and what they say whole.

    That is the verdict on the paper's limit, and a floor of undertrained shapes.

    Args:
        fits: of the rows.
        rows: those that were fitted (Rows.checked).
        command: that shows the checks whole.
    """
    said = checked.of_fits(rows, fits)
    supports = list(zip(fits.reports, said.supports, strict=True))
    notes = (
        *((f"{optimal_training.ALL_RUNS} (isoflop report)",) if law.is_crossed(rows) else ()),
        *check_lines.support_lines([(each, support) for each, support in supports if support is not None]),
        f"check: {check_lines.counts(said.report)}: {command}",
    )
    reports = tuple(
        dataclasses.replace(each, floor_by_undertrained=support is not None and support.only_by_undertrained)
        for each, support in supports
    )
    return dataclasses.replace(fits, notes=notes, reports=reports, verdict=said.limit), said
