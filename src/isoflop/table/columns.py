"""Columns of tables from elsewhere: looked up by name, read as numbers, checked for plausible units."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.table import number_text

Array = npt.NDArray[np.float64]
Column: TypeAlias = "pd.Series[Any]"

UNKNOWN = frozenset({"", "nan", "na", "n/a", "#n/a", "null", "none", "<na>"})
"""Texts, in lower case, that stand for an unknown number."""
NO_WORD = UNKNOWN - {"none", "na"}
"""The same for a label: none and NA may be words that someone chose."""
RISING = 0.5
"""A warning that y rises with x is given above this rank correlation."""

_PREFIXES = ("summary.", "config.", "summary_metrics.")
_ERROR = re.compile(r"error(?![a-z])|(?<![a-z])errs?(?![a-z])")
_ACCURACY = re.compile(r"accuracy|(?<![a-z])acc(?![a-z])|(?<![a-z])top[ _@-]?[15](?!\d)")
_PERCENT = re.compile(r"(pct|percent|percentage)(?![a-z])|(?<![\d%])(?<!\d )%(?=$|[\s)\]])", re.IGNORECASE)
"""Words for per cent; the sign only as a unit: last, or before a space or a parenthesis, without a number."""
_COMPLEMENT = re.compile(r"\(?\s*100(\.0*)?\s*-")
"""How an expression begins that turns an accuracy in per cent into an error."""
_FROM_ONE = re.compile(r"\(?\s*1(\.0*)?\s*-\s*(?P<rest>.*?)\)?$")
_NO_SHARE = re.compile(
    r"squared?|absolute|relative|standard|mse|rms|(?<![a-z])(mae|abs|sq|std|l[12])(?![a-z])"
)
_LOGARITHM = re.compile(r"(?<![a-z])(log|log10|log2|ln)(?![a-z])")


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return the part of an error message that offers the valid name closest to `name`."""
    names = list(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    return f"did you mean {close[0]}?" if close else "there are none"


def matches(name: str, names: Iterable[str]) -> list[str]:
    """Return the columns that `name` may mean: itself, else W&B's summary.NAME or config.NAME."""
    available = set(names)
    if name in available:
        return [name]
    tails = (name, f"{name}.value")
    return [column for prefix in _PREFIXES for tail in tails if (column := prefix + tail) in available]


def find(table: pd.DataFrame, name: str, option: str) -> str:
    """Return the column called `name`, or W&B's summary.NAME or config.NAME if there is one of them only.

    Raises:
        ValueError: there is none or several. The message offers the nearest name.
    """
    found = matches(name, map(str, table.columns))
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"--{option} {name} is several columns: give one of {', '.join(found)}")
    raise ValueError(f"--{option} {name}: no such column: {nearest(name, map(str, table.columns))}")


def is_share(name: str) -> bool:
    """Return whether the name is that of an error rate or an accuracy."""
    named = _ERROR.search(name.lower()) or _ACCURACY.search(name.lower())
    return bool(named) and not _NO_SHARE.search(name.lower())


def is_accuracy(name: str) -> bool:
    """Return whether the name is that of an accuracy."""
    return bool(_ACCURACY.search(name.lower())) and not _ERROR.search(name.lower())


def number(value: object) -> float | None:
    """Return a raw value as a number: NaN if it stands for an unknown one, None if it is other text."""
    if value is None:
        return math.nan
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.strip().lower() in UNKNOWN:
        return math.nan
    if isinstance(value, str) and "_" in value:
        return None
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return None


def numbers(column: Column) -> Array:
    """Return the raw values of a column as floats (n,), unknown as NaN.

    Raises:
        ValueError: a value is text; the message names its row by the index.
    """
    values = [number(value) for value in column]
    for row, value, as_number in zip(column.index, column, values, strict=True):
        if as_number is None and value == column.name:
            raise ValueError(f"row {row} repeats the header: remove that line")
        if as_number is None and not number_text.has_digit(value) and _all_text(values):
            raise ValueError(
                f"row {row}: {column.name} is {_shown(value)}, not a number, nor is any other row's: "
                "choose a column of numbers"
            )
        if as_number is None:
            raise ValueError(f"row {row}: {column.name} is {no_number(value)}")
    return np.asarray(values, dtype=float)


def no_number(value: object) -> str:
    """Return `'1,5', not a number: HINT`, which says what to write instead of a raw value."""
    return f"{_shown(value)}, not a number: {number_text.hint(str(value))}"


def _all_text(values: list[float | None]) -> bool:
    return all(value is None or math.isnan(value) for value in values)


def holds_text(table: pd.DataFrame, name: str) -> str:
    """Return `NAME holds text`, with what to change in the first cell that may be meant as a number."""
    texts = [value for value in table[name] if number(value) is None]
    meant = next((value for value in texts if number_text.has_digit(value)), None)
    return f"{name} holds text" if meant is None else f"{name} holds text ({no_number(meant)})"


def if_numbers(column: Column) -> Column:
    """Return the column as floats if it holds only numbers and at least one, else unchanged."""
    values = [number(value) for value in column]
    if any(as_number is None for as_number in values) or all(value is None for value in column):
        return column
    return pd.Series(np.asarray(values, dtype=float), index=column.index, name=column.name)


def label(value: object) -> str | None:
    """Return a raw value as a label: 64.0 is "64"; None if it is unknown."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str) and value.strip().lower() in NO_WORD:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def warnings_of_y(
    x_name: str,
    x: Array,
    y_name: str,
    y: Array,
    rows: pd.Index[int],
    *,
    calculated: bool = False,
    unit: str | None = None,
) -> list[str]:
    """Return warnings about y, from its name and its values.

    Args:
        x_name, x: name and values (n,) of x, unknown as NaN.
        y_name, y: name and values (n,) of y.
        rows: names (n,) of the rows.
        calculated: y is an expression, whose name says nothing of the unit.
        unit: of --y-unit: with it, nothing is guessed from names.

    Raises:
        ValueError: an accuracy where an error is asked for, or percent where a fraction is.
    """
    rise = _rank_correlation(x, y)
    known = np.where(np.isfinite(y), y, -math.inf)
    largest = float(known.max())
    if not calculated and unit is None:
        refuse_small_percentages(y_name, largest)
    if is_accuracy(y_name) and rise > 0:
        error = f"100 - {y_name}" if unit == "percent" or largest > 1 else f"1 - {y_name}"
        percent = " --y-unit percent" if unit != "percent" and largest > 1 else ""
        raise ValueError(
            f"{y_name} rises with {x_name}: it looks like an accuracy. The laws are of what falls: "
            f"give errors, such as --y '{error}'{percent}"
        )
    if calculated and unit is None and (accuracy := _FROM_ONE.match(y_name)) and float(np.nanmin(y)) < -1:
        row = rows[int(np.nanargmin(y))]
        raise ValueError(
            f"{y_name} is {np.nanmin(y):g} in row {row}: is {accuracy['rest']} in per cent? Say "
            f"--y '100 - {accuracy['rest']}' --y-unit percent"
        )
    if unit is None and largest > 1 and (calculated or is_share(y_name) or is_percentage(y_name)):
        row = rows[int(known.argmax())]
        refuse_percentages(y_name, largest, f" in row {row}", calculated=calculated)
    if rise > RISING:
        return [f"{y_name} rises with {x_name} (rank correlation {rise:.2f}): the laws are of what falls"]
    return []


def is_percentage(name: str) -> bool:
    """Return whether the name is that of a percentage."""
    return bool(_PERCENT.search(name.lower()))


def refuse_percentages(name: str, largest: float, where: str = "", *, calculated: bool = False) -> None:
    """Refuse values above 1 where an error rate is meant, whose unit is not said.

    An expression is meant as one where it subtracts from 100, such as `100 - top1`.

    Args:
        name: of the column, or the expression.
        largest: of its values.
        where: the row, for the message.
        calculated: whether it is an expression.

    Raises:
        ValueError: always, but for an expression of another kind.
    """
    if calculated and not _COMPLEMENT.match(name):
        return
    raise ValueError(
        f"{name} is {largest:g}{where}: is it in per cent? Say --y-unit percent (an error rate is a "
        "fraction unless its unit is said)"
    )


def refuse_small_percentages(name: str, largest: float) -> None:
    """Refuse a column whose name says per cent and whose values may be fractions.

    Raises:
        ValueError: its largest value is at most 1. The message offers both cures.
    """
    if is_percentage(name) and 0 < largest <= 1:
        raise ValueError(
            f"{name} is called a percentage but is at most {largest:g}: say --y-unit percent if these are "
            "percentages, --y-unit fraction if they are fractions"
        )


def without_percent(name: str) -> str:
    """Return a name without the part that says per cent: `error (%)` is `error`."""
    return re.sub(r"[\s_(\[]*$", "", re.sub(r"\(\s*\)|\[\s*\]", "", _PERCENT.sub("", name)))


def warnings_of_x(name: str, x: Array, rows: pd.Index[int], *, calculated: bool = False) -> list[str]:
    """Return warnings about x (n,); `rows` names its rows, `calculated` says that it is an expression."""
    warnings = []
    below = np.flatnonzero(x <= 0)
    if len(below):
        warnings.append(
            f"{name} is at or below 0 in {len(below)} of {len(x)} rows, first in row {rows[below[0]]}: they "
            "have no logarithm and are left out"
        )
    if _LOGARITHM.search(name.lower()) and not calculated:
        warnings.append(f"{name} sounds like a logarithm: the laws need the amount itself")
    return warnings


def _rank_correlation(x: Array, y: Array) -> float:
    """Return Spearman's rank correlation over the rows where both are known; 0 if it is not defined."""
    known = np.isfinite(x) & np.isfinite(y)
    if len(np.unique(x[known])) < 3 or len(np.unique(y[known])) < 2:
        return 0.0
    return float(pd.Series(x[known]).rank().corr(pd.Series(y[known]).rank()))


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 30 else text[:27] + "...")
