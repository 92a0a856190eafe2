"""Others' tables: a file of runs that isoflop did not train, to the table that points.select takes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.table import columns, formats, grouping
from isoflop.table.grouping import Asked

Array = npt.NDArray[np.float64]

CND = frozenset({"C", "N", "D", "loss"})
"""The columns of a known file: training FLOPs C, parameters N, tokens D and loss, and no other."""
SWEEP = frozenset({"run_id", "config_id", "train_gflops", "test_error"})
"""Columns, among others, of the table.csv that `isoflop aggregate` writes."""

COUNTED = "test_error"
"""The column of errors that chance_error and test_n speak of."""

_STATES = frozenset(
    {"finished", "crashed", "failed", "killed", "running", "preempted", "preempting", "pending"}
)
_NAMED = 3
"""How many rows or runs a warning names."""


@dataclasses.dataclass(frozen=True)
class Read:
    """The rows of a file as points.select takes them, under the column names `x` and `y`.

    `table` has a row a run in the file's order: run_id, config_id, place_id, where given seed, chance_error
    and test_n, which replace columns of these names, and all columns of the file. Unknown x or y is NaN, with
    its reason in `<column>_reason`.
    `warnings` say in words what is doubtful. `source` is the path.
    """

    table: pd.DataFrame
    x: str
    y: str
    warnings: tuple[str, ...]
    source: str


def read(
    path: Path,
    *,
    x: str | None = None,
    y: str | None = None,
    group: str | None = None,
    seed: str | None = None,
    chance: float | str | None = None,
    counts: float | str | None = None,
) -> Read:
    """Read the runs of a CSV, TSV, Parquet or JSON file, or of a W&B export (formats.load).

    Args:
        path: the file.
        x: the column of the resource, in the unit of the file. Not needed, nor y, where the columns are CND
            or hold SWEEP.
        y: the column that falls with it: an error as a fraction, a loss.
        group: the columns, joined by commas, whose values make a configuration: what is resampled together.
            Without it rows of equal x are one configuration if `seed` is given, else each row is one.
            A W&B chart is grouped by run.
        seed: the column that repeats a configuration.
        chance: the error of guessing, a fraction or a column.
        counts: the test examples behind an error, a number or a column.

    With `chance` or `counts` y is an error rate and is called test_error in the table, whatever its name in
    the file.

    Raises:
        ValueError: the file does not read cleanly, has no such column, words where numbers should be, percent
            for fractions, or an accuracy for an error. One line that says what to change.
        OSError: the file cannot be opened.
    """
    return take(formats.load(path), path, x=x, y=y, group=group, seed=seed, chance=chance, counts=counts)


def take(
    raw: pd.DataFrame,
    path: Path,
    *,
    x: str | None = None,
    y: str | None = None,
    group: str | None = None,
    seed: str | None = None,
    chance: float | str | None = None,
    counts: float | str | None = None,
) -> Read:
    """As `read`, of rows that formats.load has read from the file."""
    try:
        raw, words = _without_repeats(raw)
        chart = formats.is_chart(raw)
        raw = formats.melt_chart(raw) if chart else raw
        asked = _asked(raw, x, y, group, seed, chart)
        of_runs = {
            name: _given(raw, value, option)
            for name, value, option in (("chance_error", chance, "chance"), ("test_n", counts, "counts"))
            if value is not None
        }
        table, more = _table(raw, asked)
        counted, last = _as_error_rate(table, asked.y, of_runs) if of_runs else (table, [])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Read(counted, asked.x, COUNTED if of_runs else asked.y, (*words, *more, *last), str(path))


def _without_repeats(raw: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The rows that do not repeat another in all columns, and what to say of the others."""
    repeated = raw.duplicated()
    rows = [f"row {i}" for i in raw.index[repeated]]
    if not rows:
        return raw, []
    told = f"{len(rows)} of {len(raw)} rows repeat an earlier one in all columns"
    return raw[~repeated], [f"{told} and are dropped: {_listed(rows)}"]


def _asked(
    raw: pd.DataFrame, x: str | None, y: str | None, group: str | None, seed: str | None, chart: bool
) -> Asked:
    names = set(raw.columns)
    if names == CND:
        x, y = x or "C", y or "loss"
    elif names >= SWEEP:
        x, y = x or "train_gflops", y or "test_error"
    if x is None or y is None:
        raise ValueError(f"say --{'x' if x is None else 'y'}: the columns are {', '.join(raw.columns)}")
    group = group or ("Name" if chart else None)
    found = Asked(
        columns.find(raw, x, "x"),
        columns.find(raw, y, "y"),
        tuple(columns.find(raw, name.strip(), "group") for name in group.split(",")) if group else (),
        columns.find(raw, seed, "seed") if seed else None,
        chart,
    )
    if found.x == found.y:
        raise ValueError(f"{found.x} against itself says nothing: choose another x or y")
    if found.y in (*found.group, found.seed):
        raise ValueError(f"{found.y} is y: group by what was chosen, not by what was measured")
    return found


def _table(raw: pd.DataFrame, asked: Asked) -> tuple[pd.DataFrame, list[str]]:
    """All columns of the file with ids in front, and the doubts about them."""
    x, y = (columns.numbers(raw[name]) for name in (asked.x, asked.y))
    words = [
        *columns.check_x(asked.x, x, raw.index),
        *columns.check_y(asked.x, x, asked.y, y, raw.index),
        *_unfinished(raw, y),
    ]
    ids = grouping.ids(raw, asked, x)
    found: dict[str, object] = {name: pd.Series(ids[name], raw.index, dtype=object) for name in ids}
    found |= {str(name): columns.if_numbers(raw[name]) for name in raw if name not in found}
    for name, values in ((asked.x, x), (asked.y, y)):
        found[name] = values
        found[f"{name}_reason"] = pd.Series(_reasons(raw, name, values), raw.index, dtype=object)
    if asked.seed is not None:
        found["seed"] = columns.if_numbers(raw[asked.seed])
    words += grouping.doubts(raw, asked, ids["config_id"])
    return pd.DataFrame(found).reset_index(drop=True), words


def _given(raw: pd.DataFrame, given: float | str, option: str) -> Array:
    """A number for all rows, or a column (n,), checked."""
    alone = columns.number(given)
    if alone is not None:
        values = np.full(len(raw), alone)
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


def _as_error_rate(table: pd.DataFrame, y: str, of_runs: dict[str, Array]) -> tuple[pd.DataFrame, list[str]]:
    """The table with y as test_error and what is known of it, and what to say where it is renamed.

    The file's own column y is kept.
    """
    counted = table.assign(**of_runs)
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
    """Why the column's value is unknown, None where it is known; the file's own reason first."""
    own = f"{name}_reason"
    said = grouping.labels(raw, own) if own in raw else [None] * len(raw)
    found: grouping.Labels = []
    for i, cell, reason, state, value in zip(raw.index, raw[name], said, _states(raw), values, strict=True):
        what = "is empty" if cell is None else f"says {cell}"
        ended = f" (state {state})" if state else ""
        found.append(reason or f"row {i} {what}{ended}" if math.isnan(value) else reason)
    return found


def _states(raw: pd.DataFrame) -> grouping.Labels:
    """The states of W&B's runs; None for each row of another table."""
    for name in raw:
        if str(name).lower() == "state":
            found = grouping.labels(raw, str(name))
            if {state.lower() for state in found if state} <= _STATES:
                return found
    return [None] * len(raw)


def _unfinished(raw: pd.DataFrame, y: Array) -> list[str]:
    """W&B's runs that have a y though they did not finish."""
    runs = [
        f"{run} is {state}"
        for run, state, value in zip(grouping.run_ids(raw), _states(raw), y, strict=True)
        if state and state.lower() != "finished" and math.isfinite(value)
    ]
    if not runs:
        return []
    told = f"{len(runs)} of {len(raw)} rows are of runs that did not finish"
    return [f"{told} ({_listed(runs)}): x and y may not belong together"]


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more
