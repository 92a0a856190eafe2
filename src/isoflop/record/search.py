"""A search over shapes: the candidates that it trained, in OUT/prior/search-ID.json.

The records of the candidates lie beside it. What stands here is what a shape was chosen by; it is written
once, when the last candidate has been trained, so that no shape of a sweep changes afterwards.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec

from isoflop.record.store import RecordError, write_bytes


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A shape that was trained.

    Attributes:
        width, depth: of the model.
        run_id: of its record.
        val_error: validation error at the end of the shortened training; None where it gave no result.
        inference_flops: of a forward pass of one example; None as above.
    """

    width: int
    depth: int
    run_id: str
    val_error: float | None
    inference_flops: float | None


@dataclasses.dataclass(frozen=True)
class Search:
    """All candidates of a search, each shape once, in the order in which they were proposed."""

    candidates: tuple[Candidate, ...]


def path_of(directory: Path, search_id: str) -> Path:
    """Return the file of a search, in the folder of its candidates' runs."""
    return directory / f"search-{search_id}.json"


def write(search: Search, directory: Path, search_id: str) -> Path:
    """Write a search atomically.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    path = path_of(directory, search_id)
    write_bytes(path, msgspec.json.format(msgspec.json.encode(search)) + b"\n")
    return path


def find(directory: Path, search_id: str) -> Search | None:
    """Return a search, None where its file is not there.

    Raises:
        RecordError: the file is damaged.
        OSError: it cannot be read.
    """
    path = path_of(directory, search_id)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Search)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} is damaged ({error}): remove it, and the sweep makes it again") from error
