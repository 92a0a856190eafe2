"""Rows of JSON files: a list of objects, one object a line, or columns as pandas' to_json writes them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

RawRows = list[dict[str, Any]]

ADVICE = (
    "a file of JSON holds a list of objects, or one object a line, or a list for each column: in pandas "
    "to_json(orient='records')"
)


class _TwiceError(ValueError):
    """An object names one key twice."""


def parse(path: Path, text: str, wanted: Collection[str] = ()) -> RawRows:
    """Return the rows of a JSON file: a list of objects, one object a line, or one object of columns.

    One object that is the whole file is read by its form: lists of one length, one a column; pandas'
    `to_json` without an orient ({column: {row: value}}), orient='index' ({row: {column: value}}), 'split'
    and 'table'. Of the first two the columns are those with the `wanted` names, or else the rows are those
    whose names are whole numbers. Other names of rows become the column `name`.

    Args:
        path: the file, for messages.
        text: what it holds.
        wanted: names of columns that it is to have, as far as they are known.

    Raises:
        ValueError: it does not parse, a row is no object, a name stands twice, columns have different
            lengths, the rows are deeper in the object, or rows and columns cannot be told apart.
    """
    if text.lstrip().startswith("["):
        return _objects(path, enumerate(_decoded(path, text), 1), "row")
    whole = _whole_object(path, text)
    rows = None if whole is None else _of_columns(path, whole, wanted)
    return _lines(path, text) if rows is None else rows


def _whole_object(path: Path, text: str) -> dict[str, Any] | None:
    """Return the object that is all of the text, None if the text is something else."""
    try:
        whole = _load(text)
    except _TwiceError as error:
        raise ValueError(f"{path}: {error}") from error
    except (json.JSONDecodeError, RecursionError):
        return None
    return whole if isinstance(whole, dict) else None


def _of_columns(path: Path, whole: dict[str, Any], wanted: Collection[str]) -> RawRows | None:
    """Return the rows of an object of columns, None if it is no such thing, such as a single row."""
    if {"columns", "data"} <= set(whole) and isinstance(whole["data"], list):
        return _split(path, whole["columns"], whole["data"])
    if {"schema", "data"} <= set(whole) and isinstance(whole["data"], list):
        return _objects(path, enumerate(whole["data"], 1), "row")
    _refuse_rows_inside(path, whole, wanted)
    parts = list(whole.values())
    if parts and all(isinstance(part, list) for part in parts):
        return _of_lists(path, whole)
    if parts and all(isinstance(part, dict) and part for part in parts):
        return _of_mappings(path, whole, wanted)
    return None


def _refuse_rows_inside(path: Path, whole: Mapping[str, Any], wanted: Collection[str]) -> None:
    """Raise ValueError where one part is a list of objects, unless the wanted names make it one row."""
    inside = [
        name
        for name, part in whole.items()
        if isinstance(part, list) and part and all(isinstance(each, dict) for each in part)
    ]
    known = {*whole, *(key for part in whole.values() if isinstance(part, dict) for key in part)}
    if inside and not (wanted and _holds(known, wanted)):
        raise ValueError(f"{path}: the objects are in the part {inside[0]}: give that list alone: {ADVICE}")


def _holds(keys: Collection[str], wanted: Collection[str]) -> bool:
    """Return whether all wanted columns are among the keys, `a.b` also as a."""
    return all(name in keys or name.partition(".")[0] in keys for name in wanted)


def _split(path: Path, names: object, data: list[Any]) -> RawRows:
    """Return the rows of pandas' orient='split'."""
    if not isinstance(names, list) or not all(isinstance(r, list) and len(r) == len(names) for r in data):
        raise ValueError(f"{path}: columns and data do not fit each other: {ADVICE}")
    return [dict(zip(map(str, names), row, strict=True)) for row in data]


def _of_lists(path: Path, whole: Mapping[str, list[Any]]) -> RawRows:
    lengths = {name: len(values) for name, values in whole.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"{path}: columns of different lengths: {shown}: write null for an unknown value")
    return [dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True)]


def _of_mappings(
    path: Path, whole: Mapping[str, Mapping[str, Any]], wanted: Collection[str]
) -> RawRows | None:
    """Return the rows of {column: {row: value}} or {row: {column: value}}.

    None where the parts have different names, as of one run of W&B ({config, summary}).
    """
    inner = list(dict.fromkeys(key for part in whole.values() for key in part))
    outside = bool(wanted) and _holds(whole, wanted)
    inside = bool(wanted) and sum(_holds(part, wanted) for part in whole.values()) * 2 > len(whole)
    if outside != inside and (outside or len(whole) > 1):
        by_column = outside
    elif all(map(_is_number, inner)) or all(map(_is_number, whole)):
        by_column = all(map(_is_number, inner))
    elif len(whole) > 1 and all(set(part) == set(inner) for part in whole.values()):
        raise ValueError(f"{path}: names of rows and of columns cannot be told apart: {ADVICE}")
    else:
        return None
    if by_column:
        rows = {row: {name: part.get(row) for name, part in whole.items()} for row in inner}
    else:
        rows = {row: dict(part) for row, part in whole.items()}
    named = not all(map(_is_number, rows)) and not any("name" in row for row in rows.values())
    return [({"name": name} if named else {}) | row for name, row in rows.items()]


def _is_number(key: str) -> bool:
    return key.removeprefix("-").isdecimal()


def _lines(path: Path, text: str) -> RawRows:
    def decoded() -> Iterable[tuple[int, object]]:
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                yield number, _load(line)
            except _TwiceError as error:
                raise ValueError(f"{path}: line {number}: {error}") from error
            except (json.JSONDecodeError, RecursionError) as error:
                what = ADVICE if number == 1 else f"damaged JSON: {error}"
                raise ValueError(f"{path}: line {number}: {what}") from error

    return _objects(path, decoded(), "line")


def _decoded(path: Path, text: str) -> list[Any]:
    try:
        rows: list[Any] = _load(text)
    except _TwiceError as error:
        raise ValueError(f"{path}: {error}") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: damaged JSON: {error}") from error
    return rows


def _objects(path: Path, numbered: Iterable[tuple[int, object]], what: str) -> RawRows:
    rows: RawRows = []
    for number, row in numbered:
        if not isinstance(row, dict):
            raise ValueError(f"{path}: {what} {number} is {json.dumps(row)[:40]}, not an object with columns")
        rows.append(row)
    return rows


def _load(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; json.loads itself keeps the last of two values of one name, without a word."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _TwiceError(f"two columns are called {twice}: rename one")
    return row
