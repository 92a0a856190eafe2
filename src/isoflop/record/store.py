"""Records on disk: atomic writing, checked reading, and one process a run."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from isoflop.record import lock
from isoflop.record.checks import problem
from isoflop.record.migrations import MIGRATIONS
from isoflop.record.schema import SCHEMA, Record, State


class RecordError(ValueError):
    """A record cannot be read: damaged, of a newer schema, or not a record."""


class RecordBusyError(RuntimeError):
    """Another process is working on the same run."""


def path_of(directory: Path, run_id: str) -> Path:
    """Return where the record of `run_id` lies in a sweep's folder."""
    return directory / "records" / f"{run_id}.json"


def write_bytes(path: Path, payload: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        OSError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        # Not mkstemp, whose files nobody else may read: in a shared folder files must follow the umask.
        with part.open("xb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write(record: Record, directory: Path) -> Path:
    """Write `record` atomically to its place in `directory` and return the path.

    Raises:
        OSError: disk full or not writable; an older record of the run stays as it was.
    """
    assert problem(record) is None, problem(record)
    path = path_of(directory, record.run_id)
    write_bytes(path, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    return path


class _Head(msgspec.Struct):
    schema: int
    state: State = "failed"


class _OfData(msgspec.Struct):
    split_sha256: str | None = None


class _Data(msgspec.Struct):
    state: State = "failed"
    data: _OfData | None = None


_HEAD = msgspec.json.Decoder(_Head)
_DATA = msgspec.json.Decoder(_Data)
_RECORD = msgspec.json.Decoder(Record)


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn the decoder's error about a bad file into one line that says what to do."""
    try:
        yield
    except msgspec.ValidationError as error:
        raise RecordError(f"{path}: not a record ({error}): remove it and train the run again") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: damaged ({error}): remove it and train the run again") from error


def _head(payload: bytes, path: Path) -> _Head:
    with _damage_named(path):
        head = _HEAD.decode(payload)
    if head.schema > SCHEMA:
        raise RecordError(
            f"{path}: schema {head.schema} is newer than this isoflop reads ({SCHEMA}): upgrade isoflop"
        )
    return head


def read_state(path: Path) -> State:
    """Return the state of a record; parses the whole file but checks little. Raises as `read`."""
    return _head(path.read_bytes(), path).state


def is_done(path: Path) -> bool:
    """Return whether there is a readable record of a finished point at `path`."""
    try:
        return read_state(path) == "done"
    except (RecordError, OSError):
        return False


def read_split_sha256(path: Path) -> str | None:
    """Return the hash of the data of a finished point; None without a readable record of one at `path`."""
    try:
        stored = _DATA.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, OSError):
        return None
    return stored.data.split_sha256 if stored.data and stored.state == "done" else None


def read(path: Path) -> Record:
    """Read one record; one of an older schema is migrated.

    Raises:
        RecordError: the file is truncated, not a record, or of a newer schema.
        OSError: the file cannot be opened.
    """
    payload = path.read_bytes()
    schema = _head(payload, path).schema
    with _damage_named(path):
        if schema == SCHEMA:
            record = _RECORD.decode(payload)
        else:
            raw: dict[str, Any] = msgspec.json.decode(payload)
            for older in range(schema, SCHEMA):
                if older not in MIGRATIONS:
                    raise RecordError(f"{path}: schema {older} was never released: remove the file")
                raw = MIGRATIONS[older](raw)
            record = msgspec.convert(raw, Record)
    if reason := problem(record):
        raise RecordError(f"{path}: {reason}: remove it and train the run again")
    return record


@contextlib.contextmanager
def claim(directory: Path, run_id: str) -> Iterator[None]:
    """Hold the run for this process; the lock is given up when the process ends, however it ends.

    Raises:
        RecordBusyError: another process holds it.
        OSError: the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock.exclusive(directory / ".locks" / f"{run_id}.lock", wait=False))
        except lock.LockHeldError:
            raise RecordBusyError(
                f"{path_of(directory, run_id)}: another process is working on this run: wait for it or end it"
            ) from None
        yield
