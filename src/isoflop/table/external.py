"""Tables from elsewhere: a file of runs that isoflop did not train, as the table that points.select takes."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.config.costs import Prices
from isoflop.table import (
    axis,
    categories,
    columns,
    derived,
    formats,
    grouping,
    pricing,
    selection,
    target,
    totals,
)
from isoflop.table.grouping import ChosenColumns
from isoflop.table.left_out import Excluded

Array = npt.NDArray[np.float64]

COUNTED = target.TEST_ERROR.column
"""The column of errors to which chance_error and test_n belong."""

CND = frozenset({"C", "N", "D", "loss"})
"""All columns of a recognised kind of file: training FLOPs C, parameters N, tokens D and loss."""
SWEEP = frozenset({"run_id", "config_id", "train_gflops", COUNTED})
"""Columns, among others, of the table.csv that `isoflop aggregate` writes."""

_STATES = frozenset(
    {"finished", "crashed", "failed", "killed", "running", "preempted", "preempting", "pending"}
)
_NEARLY_SHARE = re.compile(r"%|p\.?c\.?t|per ?cent|perc|frac|share|ratio", re.IGNORECASE)
_NAMED = 3
"""How many rows or runs a warning names."""


@dataclasses.dataclass(frozen=True)
class ExternalRuns:
    """The rows of a file as points.select takes them, under the column names `x` and `y`.

    `table` has one row a run, in the file's order. Its columns are run_id, config_id, place_id and, if given,
    seed, chance_error and test_n, which replace columns of these names, and all columns of the file. An
    unknown x or y is NaN, with its reason in `<column>_reason`. `source` is the path, `rows` are the numbers
    of the rows in the file, from 1. `excluded` are those that the table leaves out: repetitions and totals.
    They and the `warnings` belong to whatever is made of the table (result.with_notes). `groups` are the
    values of a column by which the rows are to be divided, also those that no row that is left has.
    """

    table: pd.DataFrame
    x: str
    y: str
    warnings: tuple[str, ...]
    excluded: tuple[Excluded, ...]
    source: str
    rows: tuple[int, ...]
    groups: tuple[str, ...] = ()


def read_runs(
    path: Path,
    *,
    x: str | None = None,
    y: str | None = None,
    group: str | None = None,
    seed: str | None = None,
    chance: float | str | None = None,
    counts: float | str | None = None,
    where: str | None = None,
    by: str | None = None,
    y_unit: str | None = None,
    prices: Prices | None = None,
) -> ExternalRuns:
    """Read the runs of a CSV, TSV, Parquet or JSON file, or of a W&B export (formats.read_rows).

    Args:
        path: the file.
        x: the column of the resource, in the unit of the file, or an expression of columns. Not needed, nor
            y, where the columns are CND or hold SWEEP.
        y: the column that falls with it: an error as a fraction, a loss; or an expression of columns.
        group: the columns, joined by commas, whose values make a configuration: what is resampled together.
            Without it rows of equal x are one configuration if `seed` is given, else each row is one.
            A W&B chart is grouped by run.
        seed: the column that repeats a configuration.
        chance: the error of guessing, a fraction or a column.
        counts: the test examples behind an error, a number or a column.
        where: a condition (selection.where): only rows that meet it are read.
        by: a column whose values, before `where`, are returned as `groups`.
        y_unit: of y. `percent` makes fractions of it, once and here, after `where`, which sees the file's
            numbers; `fraction` says that it holds fractions, whatever its name; any other names its unit.
        prices: adds the columns dollars and grams_co2 (pricing.price_rows).

    With `chance` or `counts` y is an error rate and is called test_error in the table, whatever its name in
    the file.

    Raises:
        ValueError: the file does not parse, lacks a column, or holds text instead of numbers, percentages
            instead of fractions or an accuracy instead of an error. One line that says what to change.
        OSError: the file cannot be opened.
    """
    wanted = [name for name in (x, y) if name is not None] or CND
    raw = formats.read_rows(path, wanted)
    chosen = {"group": group, "seed": seed, "where": where, "by": by, "y_unit": y_unit}
    return to_runs(raw, path, x=x, y=y, chance=chance, counts=counts, prices=prices, **chosen)


def to_runs(
    raw: pd.DataFrame,
    path: Path,
    *,
    x: str | None = None,
    y: str | None = None,
    group: str | None = None,
    seed: str | None = None,
    chance: float | str | None = None,
    counts: float | str | None = None,
    where: str | None = None,
    by: str | None = None,
    y_unit: str | None = None,
    prices: Prices | None = None,
) -> ExternalRuns:
    """Return the runs of rows that formats.read_rows has read.

    Args:
        raw: the rows.
        path: their file, for messages.
        x, y, group, seed, chance, counts, where, by, y_unit, prices: as in read_runs, which names the errors
            too.
    """
    try:
        raw, repeats, warnings = _without_repeats(raw)
        chart = formats.is_chart(raw)
        raw = formats.melt_chart(raw) if chart else raw
        raw = raw if prices is None else pricing.price_rows(raw, prices)
        file_columns = frozenset(map(str, raw.columns))
        raw, chosen, runs_by = _choose(raw, x, y, group, seed, chart)
        raw, summed, of_totals = _without_totals(raw, runs_by)
        groups = grouping.values(raw, by) if by is not None else ()
        raw, of_where = selection.where(raw, where)
        raw, ungrouped = _without_ungrouped(raw, chosen)
        raw = _in_fractions(raw, chosen.y, y_unit)
        known = {
            name: _number_or_column(raw, value, option)
            for name, value, option in (("chance_error", chance, "chance"), ("test_n", counts, "counts"))
            if value is not None
        }
        table, more = _table_of_runs(raw, chosen, file_columns, y_unit)
        table, last = _as_error_rate(table, chosen.y, known) if known else (table, [])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    notes = (*of_where, *warnings, *of_totals, *more, *last)
    y_name = COUNTED if known else chosen.y
    left_out = (*repeats, *summed, *ungrouped)
    return ExternalRuns(table, chosen.x, y_name, notes, left_out, str(path), tuple(raw.index), groups)


def _without_repeats(raw: pd.DataFrame) -> tuple[pd.DataFrame, list[Excluded], list[str]]:
    """Return the rows without exact repetitions, those, and a warning about them."""
    repeated = raw.duplicated()
    rows = [f"row {i}" for i in raw.index[repeated]]
    if not rows:
        return raw, [], []
    first: dict[tuple[object, ...], int] = {}
    cells = (tuple(None if pd.isna(cell) else cell for cell in row) for row in raw.to_numpy())
    earlier = [first.setdefault(row, i) for i, row in zip(raw.index, cells, strict=True)]
    excluded = [
        Excluded(run, f"repeats row {original} in all columns")
        for run, original, again in zip(grouping.run_ids(raw), earlier, repeated, strict=True)
        if again
    ]
    repeats = f"{len(rows)} of {len(raw)} rows repeat an earlier one in all columns"
    return raw[~repeated], excluded, [f"{repeats} and are dropped: {_listed(rows)}"]


def _without_totals(
    raw: pd.DataFrame, chosen: ChosenColumns
) -> tuple[pd.DataFrame, list[Excluded], list[str]]:
    """Return the rows without totals at the end, those, and the warnings about them."""
    if chosen.of_runs:
        return raw, [], []
    judged = totals.find(raw, chosen.x, chosen.y, chosen.seed)
    found = judged.rows
    if not found:
        return raw, [], [*judged.doubts]
    rows = [f"row {i}" for i in sorted(found)]
    excluded = [Excluded(f"row {i}", found[i]) for i in sorted(found)]
    what = "is a row of totals" if len(rows) == 1 else "are rows of totals"
    return (
        raw.drop(index=list(found)),
        excluded,
        [
            f"{_listed(rows)} {what} and no run: left out",
            *judged.doubts,
        ],
    )


def _without_ungrouped(raw: pd.DataFrame, chosen: ChosenColumns) -> tuple[pd.DataFrame, list[Excluded]]:
    """Return the rows whose configuration is known, and those of which a column of --group is unknown."""
    labels = {name: grouping.labels(raw, name) for name in chosen.group}
    unknown = [
        next((name for name in chosen.group if labels[name][i] is None), None) for i in range(len(raw))
    ]
    if len(raw) and None not in unknown:
        raise ValueError(f"--group {','.join(chosen.group)}: no row has a value in each of these columns")
    excluded = [
        Excluded(run, f"{name}, a column of --group, is unknown: its configuration cannot be told")
        for run, name in zip(grouping.run_ids(raw), unknown, strict=True)
        if name is not None
    ]
    return raw[[name is None for name in unknown]], excluded


def _in_fractions(raw: pd.DataFrame, y: str, unit: str | None) -> pd.DataFrame:
    """Return the rows with y as fractions, where its unit is per cent; cells such as `12.5%` count as 12.5.

    Raises:
        ValueError: a unit that is nearly `percent` or `fraction`, or y is outside [0, 100].
    """
    if unit is not None and unit not in axis.SHARES and _NEARLY_SHARE.match(unit):
        raise ValueError(f"--y-unit {unit}: did you mean percent or fraction?")
    if unit not in axis.SHARES:
        return raw
    signed = raw[y].map(lambda cell: cell.strip().removesuffix("%") if isinstance(cell, str) else cell)
    values = columns.numbers(signed if unit == "percent" else raw[y])
    most = 100.0 if unit == "percent" else 1.0
    outside = np.flatnonzero((values < 0) | (values > most))
    if len(outside):
        at = int(outside[0])
        raise ValueError(
            f"--y-unit {unit}: {y} is {values[at]:g} in row {raw.index[at]}, outside 0 to {most:g}: leave "
            "the row out (--where), or say another unit"
        )
    return raw.assign(**{y: pd.Series(values / most, raw.index, dtype=object)})


def _choose(
    raw: pd.DataFrame, x: str | None, y: str | None, group: str | None, seed: str | None, chart: bool
) -> tuple[pd.DataFrame, ChosenColumns, ChosenColumns]:
    """Return the columns that are fitted: those that are named, or that the file is recognised by.

    They come after the rows, to which columns are added that x and y calculate, and before the same choice
    with columns of the file in the places of calculated ones: what rows of totals are known by.

    Args:
        raw: the rows of the file.
        x, y, group, seed: names as in read_runs.
        chart: whether the rows are of a W&B chart.
    """
    names = set(raw.columns)
    if names == CND:
        x, y = x or "C", y or "loss"
    elif names >= SWEEP:
        x, y = x or "train_gflops", y or target.of(raw).y
    if x is None or y is None:
        raise ValueError(f"say --{'x' if x is None else 'y'}: the columns are {', '.join(raw.columns)}")
    group = group or ("Name" if chart else None)
    x_of_file, y_of_file = derived.stand_in(raw, x, "x"), derived.stand_in(raw, y, "y")
    raw, x = derived.resolve(raw, x, "x")
    raw, y = derived.resolve(raw, y, "y")
    chosen = ChosenColumns(
        x,
        y,
        tuple(columns.find(raw, name.strip(), "group") for name in group.split(",")) if group else (),
        columns.find(raw, seed, "seed") if seed else None,
        chart,
    )
    if chosen.x == chosen.y:
        raise ValueError(f"{chosen.x} against itself says nothing: choose another x or y")
    if chosen.y in (*chosen.group, chosen.seed):
        raise ValueError(f"{chosen.y} is y: group by what was chosen, not by what was measured")
    return raw, chosen, dataclasses.replace(chosen, x=x_of_file, y=y_of_file)


def _table_of_runs(
    raw: pd.DataFrame, chosen: ChosenColumns, file_columns: frozenset[str], y_unit: str | None
) -> tuple[pd.DataFrame, list[str]]:
    """Return all columns of the file with ids in front, and the warnings about them."""
    x, y = (columns.numbers(raw[name]) for name in (chosen.x, chosen.y))
    warnings = [
        *columns.warnings_of_x(chosen.x, x, raw.index, calculated=chosen.x not in file_columns),
        *columns.warnings_of_y(
            *(chosen.x, x, chosen.y, y, raw.index), calculated=chosen.y not in file_columns, unit=y_unit
        ),
        *_unfinished(raw, y),
    ]
    ids = grouping.ids(raw, chosen, x)
    columns_of_runs: dict[str, object] = {name: pd.Series(ids[name], raw.index, dtype=object) for name in ids}
    columns_of_runs |= {
        str(name): columns.if_numbers(raw[name]) for name in raw if name not in columns_of_runs
    }
    for name, values in ((chosen.x, x), (chosen.y, y)):
        columns_of_runs[name] = values
        columns_of_runs[f"{name}_reason"] = pd.Series(_reasons(raw, name, values), raw.index, dtype=object)
    if chosen.seed is not None:
        columns_of_runs["seed"] = columns.if_numbers(raw[chosen.seed])
    warnings += grouping.ambiguities(raw, chosen, ids["config_id"])
    table = pd.DataFrame(columns_of_runs).reset_index(drop=True)
    warnings += categories.same_numbers(table, chosen.x, chosen.y, chosen.seed)
    return table, warnings


def _number_or_column(raw: pd.DataFrame, given: float | str, option: str) -> Array:
    """Return a number for all rows, or the values of a column, as a checked (n,) array."""
    number = columns.number(given)
    if number is not None:
        values = np.full(len(raw), number)
    else:
        values = columns.numbers(raw[columns.find(raw, str(given), option)])
    known = values[~np.isnan(values)]
    if not len(known):
        raise ValueError(f"--{option} {given}: no number")
    if option == "chance" and not ((known > 0) & (known <= 1)).all():
        raise ValueError(f"--chance {given}: give the error of guessing as a fraction, above 0 and at most 1")
    if option == "counts" and not ((known >= 1) & np.isfinite(known) & (known == np.floor(known))).all():
        raise ValueError(f"--counts {given}: give how many test examples are behind an error, 1 or more")
    return values


def _as_error_rate(table: pd.DataFrame, y: str, known: dict[str, Array]) -> tuple[pd.DataFrame, list[str]]:
    """Return the table with y as test_error and the `known` columns, and a warning if y is renamed.

    The file's own column y is kept.
    """
    counted = table.assign(**known)
    values = table[y]
    if (values > 1).any():
        raise ValueError(f"--chance and --counts are of an error rate, but {y} is up to {values.max():g}")
    if y == COUNTED:
        return counted, []
    if COUNTED in table:
        raise ValueError(
            f"--chance and --counts make {y} the {COUNTED}, but another column has that name: rename it"
        )
    named = counted.assign(**{COUNTED: values, f"{COUNTED}_reason": table[f"{y}_reason"]})
    return named, [f"{y} is an error rate and is fitted under the name {COUNTED}"]


def _reasons(raw: pd.DataFrame, name: str, values: Array) -> grouping.Labels:
    """Return why each value is unknown, None where it is known. The file's own reason comes first."""
    own = f"{name}_reason"
    stated = grouping.labels(raw, own) if own in raw else [None] * len(raw)
    reasons: grouping.Labels = []
    for i, cell, reason, state, value in zip(raw.index, raw[name], stated, _states(raw), values, strict=True):
        what = "is empty" if cell is None else f"says {cell}"
        ended = f" (state {state})" if state else ""
        reasons.append(reason or f"row {i} {what}{ended}" if math.isnan(value) else reason)
    return reasons


def _states(raw: pd.DataFrame) -> grouping.Labels:
    """Return the states of W&B's runs; None for each row of another table."""
    for name in raw:
        if str(name).lower() == "state":
            states = grouping.labels(raw, str(name))
            if {state.lower() for state in states if state} <= _STATES:
                return states
    return [None] * len(raw)


def _unfinished(raw: pd.DataFrame, y: Array) -> list[str]:
    """Return a warning about W&B's runs that have a y but did not finish."""
    runs = [
        f"{run} is {state}"
        for run, state, value in zip(grouping.run_ids(raw), _states(raw), y, strict=True)
        if state and state.lower() != "finished" and math.isfinite(value)
    ]
    if not runs:
        return []
    unfinished = f"{len(runs)} of {len(raw)} rows are of runs that did not finish"
    return [f"{unfinished} ({_listed(runs)}): x and y may not belong together"]


def _listed(names: Iterable[str]) -> str:
    all_names = list(names)
    more = f" and {len(all_names) - _NAMED} more" if len(all_names) > _NAMED else ""
    return ", ".join(all_names[:_NAMED]) + more
