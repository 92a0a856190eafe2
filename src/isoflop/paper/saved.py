"""The folder of results: NAME.json holds a result with its section, NAME.csv its rows; the page is made from
them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pandas as pd

from isoflop import __version__, record
from isoflop.paper.section import PaperSection
from isoflop.table import csv_text

SCHEMA = 2
ORDER = (
    "claims",
    "theory",
    "published",
    "implications",
    "hindsight",
    "growth",
    "overparameterised",
    "language",
    "levers",
    "limits",
)
"""The sections, in the order of the page."""

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Saved:
    """The content of NAME.json; `result` is that of the section's own type."""

    schema: int
    isoflop_version: str
    command: str
    result: Any
    section: PaperSection


def write(folder: Path, result: Any, section: PaperSection, rows: Sequence[Any], command: str) -> None:
    """Write FOLDER/NAME.json and NAME.csv atomically, NAME being the section's; `rows` are dataclasses.

    Raises:
        OSError: they cannot be written.
    """
    saved = Saved(SCHEMA, __version__, command, result, section)
    payload = msgspec.json.format(msgspec.json.encode(saved), indent=1) + b"\n"
    record.write_bytes(folder / f"{section.name}.json", payload)
    flat = pd.json_normalize([dataclasses.asdict(row) for row in rows], sep="_")
    record.write_bytes(folder / f"{section.name}.csv", csv_text.to_csv(flat).encode())


def read_sections(folder: Path) -> tuple[Saved, ...]:
    """Read every section that the folder holds, in the order of the page.

    Those of an earlier release are passed over until they are made again: else no part could be run in a
    folder that holds them.

    Raises:
        ValueError: a file is damaged or of a newer schema.
    """
    paths = [folder / f"{name}.json" for name in ORDER]
    return tuple(_read_saved(path) for path in paths if path.is_file() and not _is_old(path))


def _is_old(path: Path) -> bool:
    """Return whether a section is of an earlier schema; False where the file cannot be read at all."""
    try:
        raw = msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError:
        return False
    schema = raw.get("schema") if isinstance(raw, dict) else None
    return isinstance(schema, int) and schema < SCHEMA


def read_result(folder: Path, name: str, kind: type[T]) -> T | None:
    """Read the result of one section as `kind`; None where it has not been run.

    Raises:
        ValueError: the file is damaged or of another schema.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        return None
    try:
        return msgspec.convert(_read_saved(path).result, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{path}: not of this isoflop ({error}): run isoflop paper {name} again") from None


def _read_saved(path: Path) -> Saved:
    try:
        raw = msgspec.json.decode(path.read_bytes())
        if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
            raise ValueError(f"{path}: not of this isoflop: run isoflop paper {path.stem} again")
        return msgspec.convert(raw, Saved)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}: damaged ({error}): run isoflop paper {path.stem} again") from None
