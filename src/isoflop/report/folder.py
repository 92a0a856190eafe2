"""A report's folder, written whole or not at all, and never over a sweep's records."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

OF_SWEEP = ("records", "manifest.jsonl", "curves", "checkpoints")
"""What shows that a folder is a sweep's."""
PAGE = "index.html"
LISTED = ".isoflop-report"
"""The files of a report, one a line: what a later report may replace or delete, and nothing else."""


def check(folder: Path) -> None:
    """Refuse a folder that a report would be lost in, or would destroy something in.

    Raises:
        ValueError: it is a file, holds a sweep, or holds files and no report of isoflop; or what it is to be
            made in is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"-o {folder}: this is a file: give a folder")
    if not folder.is_dir():
        parent = folder.absolute().parent
        if not parent.is_dir() and parent.exists():
            raise ValueError(f"-o {folder}: {parent.name} is a file: give another folder")
        return
    if held := next((name for name in OF_SWEEP if (folder / name).exists()), None):
        raise ValueError(f"-o {folder}: this folder holds a sweep ({held}): give another one")
    if any(folder.iterdir()) and not (folder / LISTED).is_file():
        raise ValueError(f"-o {folder}: this folder holds files and no report of isoflop: give a new one")


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yield a folder to write to, whose files move to `folder` when all of them are written.

    Where the body raises, `folder` is as it was. The page moves last. Of the files in `folder`, those of the
    report before are replaced or deleted; all others stay.

    Raises:
        OSError: disk full or not writable.
        ValueError: a file that no report wrote lies where one of this report goes; nothing was changed.
    """
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".tmp", dir=folder.absolute().parent))
    try:
        yield made
        made.chmod(0o777 & ~_umask())
        files = sorted(each.relative_to(made) for each in made.rglob("*") if each.is_file())
        (made / LISTED).write_text("".join(f"{name.as_posix()}\n" for name in files))
        if folder.exists():
            _move(made, folder, files)
        else:
            made.replace(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _move(made: Path, folder: Path, files: list[Path]) -> None:
    """Move a report's files over those of the report before it, and delete what only that one had."""
    before = _listed(folder)
    for name in files:
        if (folder / name).exists() and name not in before:
            raise ValueError(f"-o {folder}: {name} there is not of a report of isoflop: give a new folder")
    # Both lists first: a report that is cut off in between is still replaced by the next one.
    both = sorted({*before, *files})
    (folder / LISTED).write_text("".join(f"{name.as_posix()}\n" for name in both))
    for name in sorted(files, key=lambda name: name.name == PAGE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).replace(folder / name)
    for name in before - set(files):  # of another pair of axes
        (folder / name).unlink(missing_ok=True)
    (made / LISTED).replace(folder / LISTED)


def _listed(folder: Path) -> set[Path]:
    """Return the files of the report in `folder`, relative to it; none where there is no report."""
    if not (folder / LISTED).is_file():
        return set()
    names = map(Path, (folder / LISTED).read_text().splitlines())
    return {name for name in names if not name.is_absolute() and ".." not in name.parts}


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
