"""Published models as points: from a CSV by its column names, every row used or left out by name."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from isoflop.curve.result import Excluded
from isoflop.table import axis, derived, formats, selection
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
    """Which columns of a file of models hold what; the names are those of the options.

    Attributes:
        y: the error, or an expression.
        x: the compute, in any unit, or an expression.
        y_unit: `percent` or `fraction`; None where the values are to say it.
        x_unit, x_label: of x, and what it is called.
        name: of the model.
        group: the family, whose models are resampled together.
        year: or date of publication.
        n: the number of parameters.
        where: a condition on rows (selection.where), in the units of the file.
        exclude_name: a regular expression of names to leave out.
    """

    y: str
    x: str
    y_unit: str | None = None
    x_unit: str | None = None
    x_label: str | None = None
    name: str | None = None
    group: str | None = None
    year: str | None = None
    n: str | None = None
    where: str | None = None
    exclude_name: str | None = None

    @property
    def share(self) -> float:
        """What the numbers of y are multiplied by to be fractions."""
        return 0.01 if self.y_unit == "percent" else 1.0


def family_of(name: str) -> str:
    """Return the letters with which a name begins, in lower case, such as regnetx for RegNetX-200MF."""
    letters = re.match(r"[a-z]+", name.lower())
    return letters[0] if letters else name.lower()


def read_models_csv(path: Path, columns: Columns) -> Models:
    """Read the models of a CSV, or of another file that formats.read_rows reads.

    Raises:
        ValueError: no such file, it does not parse, no such column, or a bad expression; says what to change.
    """
    if columns.y_unit not in (None, *axis.SHARES):
        raise ValueError(f"--y-unit {columns.y_unit}: an error is in percent or a fraction")
    every = formats.read_rows(path, [columns.y, columns.x])
    try:
        rows, columns, calculated = _with_calculated(selection.where(every, columns.where)[0], columns)
    except ValueError as wrong:
        raise ValueError(f"{path}: {wrong}") from wrong
    for name in (columns.y, columns.x, *_chosen(columns)):
        if name not in rows:
            raise ValueError(f"{path}: no column {name}: {nearest(name, map(str, rows.columns))}")
    try:
        skip = re.compile(columns.exclude_name) if columns.exclude_name else None
    except re.error as wrong:
        raise ValueError(
            f"--exclude-name {columns.exclude_name}: not a regular expression ({wrong})"
        ) from None
    names = [str(v) for v in (rows[columns.name] if columns.name else [f"row {i}" for i in rows.index])]
    error, compute = _numbers(rows, columns.y), _numbers(rows, columns.x)
    _check_unit(path, columns, error, named=is_percentage(columns.y) and "y" not in calculated)
    kept, excluded = [], []
    for i, name in enumerate(names):
        text = next((t for c in (columns.y, columns.x) if (t := _text(rows, c, i))), None)
        reason = text or _problem(columns, name, error[i], compute[i], skip)
        if reason:
            excluded.append(Excluded(name, reason))
        else:
            kept.append(i)
    left = sorted(set(every.index) - set(rows.index))
    excluded += [Excluded(f"row {i}", f"--where {columns.where} does not hold") for i in left]
    families = [str(v) for v in rows[columns.group]] if columns.group else [family_of(n) for n in names]
    return Models(
        source=path.name,
        compute_name=_compute_name(columns),
        family_rule=f"column {columns.group}" if columns.group else BY_NAME if columns.name else "none",
        names=tuple(names[i] for i in kept),
        families=tuple((families if columns.group or columns.name else names)[i] for i in kept),
        error=tuple(columns.share * error[i] for i in kept),
        compute=tuple(compute[i] for i in kept),
        parameters=_known(_numbers(rows, columns.n), kept) if columns.n else (None,) * len(kept),
        year=_known(years(rows[columns.year]), kept) if columns.year else (None,) * len(kept),
        excluded=tuple(excluded),
    )


def _compute_name(columns: Columns) -> str:
    """Return what x is called: its column, or the label and unit that were given."""
    if columns.x_label is None and columns.x_unit is None:
        return columns.x
    described = axis.describe(columns.x, columns.x_unit, columns.x_label)
    return described.title


def _check_unit(path: Path, columns: Columns, error: Sequence[float], *, named: bool) -> None:
    """Refuse per cent whose unit is not said; `named` says that the column is called a percentage.

    Raises:
        ValueError: with what to say.
    """
    if columns.y_unit is not None:
        return
    if sum(e > 1 for e in error) > len(error) / 2:
        raise ValueError(f"{path}: {columns.y} is above 1 in most rows: say --y-unit percent")
    if named and not any(e > 1 for e in error):
        raise ValueError(
            f"{path}: {columns.y} is called a percentage but is at most 1: say --y-unit percent if these are "
            "percentages, --y-unit fraction if they are fractions"
        )


def _with_calculated(rows: pd.DataFrame, columns: Columns) -> tuple[pd.DataFrame, Columns, frozenset[str]]:
    """Return the rows with the columns that expressions calculate, these columns, and which they are."""
    calculated: dict[str, str] = {}
    for role in ("y", "x", "n"):
        text = getattr(columns, role)
        if text is not None and derived.calculates(rows, text):
            rows, calculated[role] = derived.resolve(rows, text, role)
    given: dict[str, Any] = dict(calculated)
    return rows, dataclasses.replace(columns, **given), frozenset(calculated)


def _chosen(columns: Columns) -> list[str]:
    return [c for c in (columns.name, columns.group, columns.year, columns.n) if c is not None]


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
    columns: Columns, name: str, given: float, compute: float, skip: re.Pattern[str] | None
) -> str | None:
    """Return why a row is not used, or None.

    Args:
        columns: what they hold.
        name: of the model.
        given: the error in the column's unit.
        compute: in any unit.
        skip: names to leave out.
    """
    error = columns.share * given
    if skip and skip.search(name):
        return f"its name matches {skip.pattern}"
    if not math.isfinite(given):
        return f"no {columns.y}"
    if not 0 < error < 1:
        return f"{columns.y} is {given:g}: an error lies between 0 and {1 if error == given else 100}"
    if not math.isfinite(compute) or compute <= 0:
        return f"no {columns.x} above 0"
    return None
