"""Published models as points: from a CSV by its column names, every row used or left out by name."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from isoflop.curve.result import Excluded
from isoflop.table import derived, formats
from isoflop.table.columns import is_percentage, nearest, no_number, number

BY_NAME = "the letters with which the model's name begins"


@dataclasses.dataclass(frozen=True)
class Models:
    """n published models: `error` a fraction in (0, 1), `compute` positive, in the unit that `compute_name`
    names; `parameters` and `year` (a decimal year of publication) None where unknown."""

    source: str
    compute_name: str
    family_rule: str
    names: tuple[str, ...]
    families: tuple[str, ...]
    error: tuple[float, ...]
    compute: tuple[float, ...]
    parameters: tuple[float | None, ...]
    year: tuple[float | None, ...]
    excluded: tuple[Excluded, ...]


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which columns of a CSV hold what. `exclude` is a regular expression of names to leave out, `max_error`
    the largest error used, in the column's unit."""

    error: str
    compute: str
    name: str | None = None
    family: str | None = None
    year: str | None = None
    parameters: str | None = None
    error_unit: Literal["fraction", "percent"] = "fraction"
    exclude: str | None = None
    max_error: float | None = None


def family_of(name: str) -> str:
    """Return the letters with which a name begins, in lower case, such as regnetx for RegNetX-200MF."""
    letters = re.match(r"[a-z]+", name.lower())
    return letters[0] if letters else name.lower()


def read_models_csv(path: Path, columns: Columns) -> Models:
    """Read the models of a CSV, or of another file that formats.read_rows reads.

    Raises:
        ValueError: no such file, it does not parse, no such column, or a bad expression; says what to change.
    """
    rows, columns, calculated = _with_calculated(formats.read_rows(path), columns)
    for name in (columns.error, columns.compute, *_chosen(columns)):
        if name not in rows:
            raise ValueError(f"{path}: no column {name}: {nearest(name, map(str, rows.columns))}")
    try:
        skip = re.compile(columns.exclude) if columns.exclude else None
    except re.error as wrong:
        raise ValueError(f"--exclude {columns.exclude}: not a regular expression ({wrong})") from None
    names = [str(v) for v in (rows[columns.name] if columns.name else [f"row {i}" for i in rows.index])]
    error, compute = _numbers(rows, columns.error), _numbers(rows, columns.compute)
    share = 0.01 if columns.error_unit == "percent" else 1.0
    if columns.error_unit == "fraction" and sum(e > 1 for e in error) > len(error) / 2:
        raise ValueError(f"{path}: {columns.error} is above 1 in most rows: give --error-unit percent")
    named = is_percentage(columns.error) and "error" not in calculated
    if columns.error_unit == "fraction" and named and not any(e > 1 for e in error):
        raise ValueError(
            f"{path}: {columns.error} is called a percentage but is at most 1: if these are percentages, "
            "give --error-unit percent; if they are fractions, rename the column"
        )
    kept, excluded = [], []
    for i, name in enumerate(names):
        text = next((t for c in (columns.error, columns.compute) if (t := _text(rows, c, i))), None)
        reason = text or _problem(columns, name, error[i], share * error[i], compute[i], skip)
        if reason:
            excluded.append(Excluded(name, reason))
        else:
            kept.append(i)
    return Models(
        source=path.name,
        compute_name=columns.compute,
        family_rule=f"column {columns.family}" if columns.family else BY_NAME if columns.name else "none",
        names=tuple(names[i] for i in kept),
        families=tuple(
            str(rows[columns.family].iloc[i]) if columns.family else family_of(names[i]) for i in kept
        )
        if columns.family or columns.name
        else tuple(names[i] for i in kept),
        error=tuple(share * error[i] for i in kept),
        compute=tuple(compute[i] for i in kept),
        parameters=_known(_numbers(rows, columns.parameters), kept)
        if columns.parameters
        else (None,) * len(kept),
        year=_known(years(rows[columns.year]), kept) if columns.year else (None,) * len(kept),
        excluded=tuple(excluded),
    )


def _with_calculated(rows: pd.DataFrame, columns: Columns) -> tuple[pd.DataFrame, Columns, frozenset[str]]:
    """Return the rows with the columns that expressions calculate, these columns, and which they are."""
    named = {"error": columns.error, "compute": columns.compute, "parameters": columns.parameters}
    calculated: dict[str, str] = {}
    for role, text in named.items():
        if text is not None and derived.calculates(rows, text):
            rows, calculated[role] = derived.resolve(rows, text, role)
    columns = dataclasses.replace(
        columns,
        error=calculated.get("error", columns.error),
        compute=calculated.get("compute", columns.compute),
        parameters=calculated.get("parameters", columns.parameters),
    )
    return rows, columns, frozenset(calculated)


def _chosen(columns: Columns) -> list[str]:
    return [c for c in (columns.name, columns.family, columns.year, columns.parameters) if c is not None]


def _numbers(rows: pd.DataFrame, name: str) -> list[float]:
    return [float(v) for v in pd.to_numeric(rows[name], errors="coerce")]


def _text(rows: pd.DataFrame, column: str, row: int) -> str | None:
    """Return what to change where text stands for a number, None where it is a number or unknown."""
    value = rows[column].iloc[row]
    return f"{column} is {no_number(value)}" if number(value) is None else None


def _known(values: Sequence[float], kept: Sequence[int]) -> tuple[float | None, ...]:
    return tuple(values[i] if math.isfinite(values[i]) else None for i in kept)


def years(values: pd.Series[str]) -> list[float]:
    """Return the decimal years of a column of years (2016, 2016.5) or dates (2016-05-10); nan for neither."""
    plain = pd.to_numeric(values, errors="coerce")
    dates = pd.to_datetime(values.where(plain.isna()), errors="coerce", format="mixed")
    decimal_years = plain.where(plain.notna(), dates.dt.year + (dates.dt.day_of_year - 1) / 365.25)
    return [float(v) for v in decimal_years]


def _problem(
    columns: Columns, name: str, given: float, error: float, compute: float, skip: re.Pattern[str] | None
) -> str | None:
    """Return why a row is not used, or None.

    Args:
        columns: the limits to keep.
        name: of the model.
        given: the error in the column's unit.
        error: the same as a fraction.
        compute: in any unit.
        skip: names to leave out.
    """
    if skip and skip.search(name):
        return f"its name matches {skip.pattern}"
    if not math.isfinite(error):
        return f"no {columns.error}"
    if not 0 < error < 1:
        return f"{columns.error} is {given:g}: an error lies between 0 and {1 if error == given else 100}"
    if columns.max_error is not None and given >= columns.max_error:
        return f"{columns.error} is {given:g}, not below {columns.max_error:g}"
    if not math.isfinite(compute) or compute <= 0:
        return f"no {columns.compute} above 0"
    return None
