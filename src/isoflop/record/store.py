"""Records on disk: atomic writing, checked reading, and one process a run."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from isoflop.record import lock
from isoflop.record.checks import problem
from isoflop.record.migrations import MIGRATIONS
from isoflop.record.schema import SCHEMA, Record, State

_T = TypeVar("_T")


class RecordError(ValueError):
    """A record cannot be read: damaged, of a newer schema, or not a record."""


class KeptRecordError(RecordError):
    """A record cannot be read and must not be replaced: of a newer schema, or a folder in its place."""


class RecordBusyError(RuntimeError):
    """Another process is working on the same run."""


def path_of(directory: Path, run_id: str) -> Path:
    """Return where the record of `run_id` lies in a sweep's folder."""
    return directory / "records" / f"{run_id}.json"


def write_bytes(path: Path, payload: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    A link stays one, and the file that it names is written. A device or a pipe is written to as it is: put a
    file in its place, and root would have no /dev/null any more.

    Raises:
        OSError: the disk is full or the folder cannot be written; it names `path`. Nothing is left behind.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(payload)
            return
        path = path.resolve() if path.is_symlink() else path
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


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have every OSError name `path`: a full disk names no file at all, and a rename the temporary one.

    A file in the place of a folder above `path` is named itself: that is what has to be moved away.
    """
    try:
        yield
    except (FileExistsError, NotADirectoryError):
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def append_bytes(path: Path, payload: bytes) -> None:
    """Add to the end of a file, which is made if it is missing.

    Raises:
        OSError: as write_bytes; a part may have been written.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())


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
    data: _OfData | None = None


class _OfProvenance(msgspec.Struct):
    user_files: dict[str, dict[str, str]] = {}


class _Provenance(msgspec.Struct):
    provenance: _OfProvenance = msgspec.field(default_factory=_OfProvenance)


_HEAD = msgspec.json.Decoder(_Head)
_DATA = msgspec.json.Decoder(_Data)
_PROVENANCE = msgspec.json.Decoder(_Provenance)
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
        raise KeptRecordError(newer_schema(path, head.schema))
    return head


def newer_schema(path: Path | str, schema: int) -> str:
    """Return the line about a record of a newer schema, the same for every command that meets one."""
    return f"{path}: schema {schema} is newer than this isoflop reads ({SCHEMA}): upgrade isoflop"


def _payload(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except IsADirectoryError as error:
        raise KeptRecordError(
            f"{path}: a folder is in the place of a record: move it away or remove it"
        ) from error


def read_state(path: Path) -> State:
    """Return the state of a record; parses the whole file but checks little. Raises as `read`."""
    return _head(_payload(path), path).state


# What is to be trained is decided by the three functions below. A record that is missing, and one that is
# damaged, are trained again; whatever else keeps a record from being read (a newer schema, no permission, a
# broken disk) is an error, because a new record would take the place of the one that is there.


def find_state(path: Path) -> State | None:
    """Return the state of the record at `path`; None where there is none, or a damaged one.

    Raises:
        KeptRecordError: the record is of a newer schema, or a folder is in its place.
        OSError: the file is there and cannot be read.
    """
    return _or_none(read_state, path)


def find(path: Path) -> Record | None:
    """Return the record at `path`; None where there is none, or a damaged one. Raises as `find_state`."""
    return _or_none(read, path)


def is_done(path: Path) -> bool:
    """Return whether there is a record of a finished point at `path`. Raises as `find_state`."""
    return find_state(path) == "done"


def _or_none(reader: Callable[[Path], _T], path: Path) -> _T | None:
    try:
        return reader(path)
    except KeptRecordError:
        raise
    except (RecordError, FileNotFoundError):
        return None


def read_split_sha256(path: Path) -> str | None:
    """Return the hash of the data of a finished point; None without a record of one at `path`.

    Raises:
        KeptRecordError, OSError: as `find_state`.
    """
    if not is_done(path):
        return None
    try:
        data = _DATA.decode(_payload(path)).data
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return data.split_sha256 if data else None


def read_user_files(path: Path) -> dict[str, dict[str, str]]:
    """Return the hashes of the user's own files that a finished point was trained with; none without one.

    Raises:
        KeptRecordError, OSError: as `find_state`.
    """
    if not is_done(path):
        return {}
    try:
        return _PROVENANCE.decode(_payload(path)).provenance.user_files
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def read(path: Path) -> Record:
    """Read one record; one of an older schema is migrated.

    Raises:
        RecordError: the file is truncated or not a record; KeptRecordError: it is of a newer schema, or a
            folder is in its place.
        OSError: the file cannot be opened.
    """
    payload = _payload(path)
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
