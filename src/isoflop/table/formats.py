"""Files of rows from other tools as columns of raw values: CSV, TSV, Parquet, JSON, W&B exports.

Nothing is guessed: a file that does not parse is refused, and the message names the row.
"""

from __future__ import annotations

import ast
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Collection, Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from isoflop import extras
from isoflop.table import csv_text, json_rows
from isoflop.table.json_rows import RawRows

_NOT_A_NUMBER = re.compile(r"(?<=: )-?(nan|inf)(?=[,}])")
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<separator>[^\r\n"])"?(?=\r?\n)', re.IGNORECASE)
"""The line by which Excel, in countries with a decimal comma, is told the separator of the others."""
_NESTED = ("config", "summary")
"""Columns whose cells hold a mapping as text where W&B's API was saved by way of a data frame."""
_OF_A_RANGE = ("__MIN", "__MAX")


def read_rows(path: Path, wanted: Collection[str] = ()) -> pd.DataFrame:
    """Read the rows of a file: nested keys joined by dots, empty values None, all others as written.

    The index counts the rows of the file from 1, without the header; dtypes are object. By suffix:
    .csv, .tsv, .txt (comma, semicolon or tab, or what Excel's first line sep= names), .parquet, .jsonl,
    .ndjson, .json (json_rows.parse); the text formats also as .gz. Text that csv_text marked is as before.

    Args:
        path: the file.
        wanted: names of columns that it is to have, by which the rows and columns of JSON are told apart.

    Raises:
        ValueError: no such file, an unknown suffix, no rows, or it does not parse.
        OSError: the file cannot be opened.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file or folder")
    packed = path.suffix.lower() == ".gz"
    suffix = Path(path.stem).suffix.lower() if packed else path.suffix.lower()
    if suffix in (".parquet", ".pq") and not packed:
        rows = _parquet(path)
    elif suffix in _TEXT:
        rows = _TEXT[suffix](path, _text(path, packed), wanted)
    else:
        raise ValueError(
            f"{path}: no reader for {suffix or 'a name without a suffix'}: give .csv, .tsv, .parquet, .jsonl "
            "or .json (save a sheet as CSV)"
        )
    if not rows:
        raise ValueError(f"{path}: no rows")
    return _framed([_flat(row) for row in rows])


def of_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a data frame as read_rows returns those of a file. A named index becomes columns.

    Raises:
        ValueError: no rows, or two columns of one name.
    """
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    names = [str(name) for name in frame.columns]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two columns are called {twice[0]}: rename one")
    if frame.empty:
        raise ValueError("no rows")
    return _framed(_python_rows(frame.set_axis(names, axis=1)))


def _python_rows(table: pd.DataFrame) -> RawRows:
    """Return the rows of a table with Python's own values in place of numpy's, nested ones flattened."""
    return [
        _flat(
            {str(name): value.tolist() if hasattr(value, "tolist") else value for name, value in row.items()}
        )
        for row in table.to_dict("records")
    ]


def is_chart(table: pd.DataFrame) -> bool:
    """Return whether the columns are those of a W&B chart: its x, then `RUN - METRIC` for each run."""
    return len(table.columns) > 1 and all(" - " in name for name in map(str, table.columns[1:]))


def melt_chart(table: pd.DataFrame) -> pd.DataFrame:
    """Return a W&B chart with one row for each run and x: columns Name, that of x, and one for each metric.

    Cells that are empty, where the run logged nothing at that x, and the ends of the range that W&B draws
    around a smoothed line are left out.
    """
    x = str(table.columns[0])
    rows: dict[tuple[str, Hashable], dict[str, Any]] = {}
    for column in map(str, table.columns[1:]):
        if column.endswith(_OF_A_RANGE):
            continue
        name, metric = column.rsplit(" - ", 1)
        for at, value, x_value in zip(table.index, table[column], table[x], strict=True):
            if value is not None:
                rows.setdefault((name, at), {"Name": name, x: x_value})[metric] = value
    return _framed(list(rows.values()))


def _framed(rows: RawRows) -> pd.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row)
    count = pd.RangeIndex(1, len(rows) + 1)
    columns = {name: pd.Series([row.get(name) for row in rows], index=count, dtype=object) for name in names}
    return pd.DataFrame(columns, index=count)


def _flat(row: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a row: nested names joined by dots, lists as JSON text, empty values None."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{name}.")
        elif isinstance(value, (list, tuple, set)):
            flat[name] = json.dumps(value, default=str)
        else:
            flat[name] = None if value == "" or value is pd.NaT or value is pd.NA else value
    return flat


def _text(path: Path, packed: bool) -> str:
    try:
        raw = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged ({error})") from error
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}: line {line} is not {encoding[:5].upper()}: save it as UTF-8") from error


def _without_separator_line(text: str) -> tuple[str, str | None]:
    """Return the text with an empty line for Excel's `sep=;`, and the separator that it names, or None."""
    match = _SEPARATOR_LINE.match(text)
    return (text[: match.start()] + text[match.end() :], match["separator"]) if match else (text, None)


def _separator(path: Path, text: str) -> str:
    header = text.lstrip("\r\n").partition("\n")[0]
    if ".tsv" in (suffix.lower() for suffix in path.suffixes):
        return "\t"
    return max((",", "\t", ";"), key=header.count)


def _separated(path: Path, text: str, _wanted: Collection[str]) -> RawRows:
    text, named = _without_separator_line(text)
    delimiter = named or _separator(path, text)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    rows: RawRows = []
    header: list[str] = []
    try:
        for fields in reader:
            if not fields:
                continue
            if not header:
                header = _header(path, fields)
                continue
            if len(fields) != len(header):
                raise ValueError(
                    f"{path}: row {len(rows) + 1} (line {reader.line_num}) has {len(fields)} fields, the "
                    f"header {len(header)}"
                )
            cells = (csv_text.unmarked(field.strip()) for field in fields)
            rows.append(dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise ValueError(f"{path}: line {reader.line_num}: {error}") from error
    return _nested(_without_index(header, rows))


def _header(path: Path, fields: list[str]) -> list[str]:
    names = [csv_text.unmarked(name.strip()) or f"column {i}" for i, name in enumerate(fields, 1)]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{path}: two columns are called {name}: rename one")
    return names


def _without_index(header: list[str], rows: RawRows) -> RawRows:
    """Drop the unnamed first column that pandas writes, an index that counts the rows from 0."""
    name = "column 1"
    if not rows or header[0] != name or any(row[name] != str(i) for i, row in enumerate(rows)):
        return rows
    return [{key: value for key, value in row.items() if key != name} for row in rows]


def _nested(rows: RawRows) -> RawRows:
    """Parse the mappings that the cells of config and summary hold as text."""
    return [
        {name: _mapping(value) if name in _NESTED else value for name, value in row.items()} for row in rows
    ]


def _mapping(cell: str) -> object:
    """Parse a mapping written as JSON or as a Python literal; return other cells unchanged."""
    if not cell.startswith("{"):
        return cell
    try:
        return json.loads(cell)
    except ValueError:
        pass
    try:
        return ast.literal_eval(_NOT_A_NUMBER.sub("None", cell))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return cell


def _parquet(path: Path) -> RawRows:
    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        extras.check(f"{path}: reading Parquet", "pyarrow")
        raise ValueError(f"{path}: pyarrow cannot read it: {error}") from error
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: damaged Parquet: {error}") from error
    if any(name is not None for name in table.index.names):
        table = table.reset_index()
    return _python_rows(table)


_TEXT: dict[str, Callable[[Path, str, Collection[str]], RawRows]] = {
    ".csv": _separated,
    ".tsv": _separated,
    ".txt": _separated,
    ".jsonl": json_rows.parse,
    ".ndjson": json_rows.parse,
    ".json": json_rows.parse,
}
