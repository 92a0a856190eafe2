"""Documents of a text: its files, or what a separator or a table of offsets divides them into."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isoflop.train.data.parts import DataError
from isoflop.train.data.text.files import File
from isoflop.train.data.text.files import read as read_files

START_COLUMNS = ("start_byte", "start", "offset")
LENGTH_COLUMNS = ("bytes", "length")


@dataclasses.dataclass(frozen=True)
class Source:
    """A text that is not read yet: its files, and what divides them.

    Attributes:
        key: setting that names the text, such as data.path.
        path: its value, for messages.
        files: the files, in order.
        separator: stands between documents; None for none.
        table: CSV table of the documents of the one file; None for none.
    """

    key: str
    path: str
    files: tuple[File, ...]
    separator: bytes | None = None
    table: File | None = None


@dataclasses.dataclass(frozen=True)
class Documents:
    """Documents in `text`: their `starts` and `lengths` in bytes, int64 [documents], none of them empty."""

    text: bytes
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def contents(self) -> list[bytes]:
        """Return a copy of each document."""
        pairs = zip(self.starts.tolist(), self.lengths.tolist(), strict=True)
        return [self.text[start : start + length] for start, length in pairs]

    def take(self, indices: NDArray[np.int64]) -> Documents:
        """Return the documents at `indices`, in that order."""
        return Documents(self.text, self.starts[indices], self.lengths[indices])


def read(source: Source) -> Documents:
    """Read a text and divide it; documents are in the order of the files and of their bytes.

    Raises:
        DataError: a file is damaged, the text is empty, or the table does not fit it.
    """
    texts = read_files(source.files, source.key)
    if not any(texts):
        raise DataError(f"{source.path} is empty: set {source.key} to text")
    if source.table is not None:
        starts, lengths = _listed(source.table.path, f"{source.key.removesuffix('path')}offsets", texts[0])
    else:
        starts, lengths = _divided(texts, source.separator)
    kept = lengths > 0
    if not kept.any():
        raise DataError(f"{source.path}: all its documents are empty: divide {source.key} otherwise")
    return Documents(b"".join(texts), starts[kept], lengths[kept])


def _divided(texts: Sequence[bytes], separator: bytes | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return start and length of each piece between separators, in the joined texts."""
    lengths: list[int] = []
    gaps: list[int] = []
    for text in texts:
        pieces = [len(text)] if separator is None else list(map(len, text.split(separator)))
        lengths += pieces
        gaps += [len(separator or b"")] * (len(pieces) - 1) + [0]
    of_pieces, of_gaps = np.array(lengths, np.int64), np.array(gaps, np.int64)
    return np.cumsum(of_pieces + of_gaps) - of_pieces - of_gaps, of_pieces


def _listed(table: Path, key: str, text: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return start and length of each document of the table, sorted by start.

    Raises:
        DataError: the table has no such columns or no numbers in them, or documents overlap or lie outside
            the text.
    """
    rows = _rows(table, key)
    ordered = sorted(rows)
    end, before = 0, 0
    for start, length, line in ordered:
        if start < 0 or length < 0:
            raise DataError(f"{table}, line {line}: a start or length below 0: correct {key}")
        if start + length > len(text):
            raise DataError(
                f"{table}, line {line}: the document ends at byte {start + length}, and the text has "
                f"{len(text)} bytes: correct {key}, or give the text that it describes"
            )
        if start < end:
            raise DataError(
                f"{table}, line {line}: the document overlaps that of line {before}: correct {key}"
            )
        end, before = start + length, line
    table_of = np.array([row[:2] for row in ordered], np.int64).reshape(-1, 2)
    return table_of[:, 0], table_of[:, 1]


def _rows(table: Path, key: str) -> list[tuple[int, int, int]]:
    """Return (start, length, line) of each row of the table."""
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table} cannot be read as a table ({error}): set {key} to a CSV file") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        start, length = (_column(table, key, header, names) for names in (START_COLUMNS, LENGTH_COLUMNS))
        return [(_number(row[start]), _number(row[length]), reader.line_num) for row in reader]
    except DataError:
        raise
    except (csv.Error, ValueError) as error:
        # The inner reader's count: DictReader's own stays behind at a line that cannot be parsed.
        raise DataError(f"{table}, line {reader.reader.line_num}: {error}: correct {key}") from error


def _column(table: Path, key: str, header: Sequence[str], names: Sequence[str]) -> str:
    present = [name for name in names if name in header]
    if not present:
        raise DataError(f"{table} has no column {' or '.join(names)}: add it to the table of {key}")
    return present[0]


def _number(field: str | None) -> int:
    """Return a field's number; a row that is too short has None."""
    try:
        return int(field or "")
    except ValueError:
        raise ValueError(f"{field or 'an empty field'} is not a whole number") from None
