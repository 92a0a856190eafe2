"""Files of text: which they are, and their bytes, plain or unpacked from .gz and .xz."""

from __future__ import annotations

import dataclasses
import gzip
import lzma
import os
import stat
import sysconfig
import zlib
from pathlib import Path

from isoflop.train.data.parts import DataError
from isoflop.train.data.text import unpacked

UNPACK = {".gz": gzip.decompress, ".xz": lzma.decompress}
NOT_STANDARD = ("__pycache__", "site-packages", "dist-packages")
"""Folders of the standard library's folder that hold something else."""
OF_ONE_BUILD = ("_sysconfigdata_", "config-")
"""What names of files and folders begin with that describe how one interpreter was built, and where."""


@dataclasses.dataclass(frozen=True)
class File:
    """A regular file; a changed size or time tells that it must be read again."""

    path: Path
    size: int
    mtime_ns: int


def find(path: Path, key: str) -> File:
    """Return the regular file at `path`, which setting `key` names.

    Raises:
        DataError: it is missing, or a folder, a pipe or a device.
    """
    status = _status(path, key)
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is not a regular file: set {key} to one, such as a copy of its text")
    return File(path, status.st_size, status.st_mtime_ns)


def find_text(path: Path, key: str) -> tuple[File, ...]:
    """Return the file at `path`, or the folder's files, sorted by relative path, without hidden ones.

    Links to folders are not followed.

    Raises:
        DataError: nothing is there to read.
    """
    if not stat.S_ISDIR(_status(path, key).st_mode):
        return (find(path, key),)
    files = tuple(find(below, key) for below in _walk(path, key, hidden=(".",)))
    if not files:
        raise DataError(f"{path} holds no files (hidden ones are left out): set {key} to a folder of text")
    return files


def find_standard_library() -> tuple[File, ...]:
    """Return the Python source files of this interpreter's standard library, tests included.

    Files that describe the build are left out, so that builds of the same source give the same text.

    Raises:
        DataError: the interpreter came without its source.
    """
    folder = Path(sysconfig.get_path("stdlib"))
    hidden = (".", *NOT_STANDARD, *OF_ONE_BUILD)
    paths = _walk(folder, "data", hidden) if folder.is_dir() else []
    files = tuple(find(path, "data") for path in paths if path.suffix == ".py")
    if not files:
        raise DataError(f"{folder} holds no Python source, which data=python reads: set data=text")
    return files


def read(files: tuple[File, ...], key: str) -> list[bytes]:
    """Return the text of each file. What was unpacked is kept in the user's cache folder.

    Raises:
        DataError: a file cannot be read or is damaged.
    """
    stored = []
    for file in files:
        try:
            stored.append(file.path.read_bytes())
        except OSError as error:
            raise DataError(
                f"{file.path} cannot be read ({error.strerror}): set {key} to text that can"
            ) from error
    if not any(file.path.suffix in UNPACK for file in files):
        return stored
    name = unpacked.key([(file.path.suffix, data) for file, data in zip(files, stored, strict=True)])
    texts = unpacked.load(name)
    if texts is None:
        texts = [_unpack(file.path, data) for file, data in zip(files, stored, strict=True)]
        unpacked.save(name, texts)
    return texts


def _unpack(path: Path, stored: bytes) -> bytes:
    if path.suffix not in UNPACK:
        return stored
    try:
        return UNPACK[path.suffix](stored)
    except (lzma.LZMAError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path} is damaged ({error}): replace it, or unpack what can be saved") from error


def _status(path: Path, key: str) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        what = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise DataError(f"{path} {what}: set {key} to text that is there") from error


def _walk(folder: Path, key: str, hidden: tuple[str, ...]) -> list[Path]:
    """Return what is no folder below `folder`, sorted; names that begin with one of `hidden` are left out."""

    def refuse(error: OSError) -> None:
        raise DataError(
            f"{error.filename} cannot be read ({error.strerror}): set {key} to text that can"
        ) from error

    paths = []
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(hidden)]
        paths += [Path(parent, name) for name in names if not name.startswith(hidden)]
    return sorted(paths, key=lambda path: os.fsencode(path.relative_to(folder).as_posix()))
