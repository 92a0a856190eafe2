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


def check(folder: Path) -> None:
    """Refuse a folder that a report would be lost in, or would destroy something in.

    Raises:
        ValueError: it is a file, holds a sweep, or holds other files and no report; or the folder it is to be
            made in is missing.
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
    if any(folder.iterdir()) and not (folder / PAGE).is_file():
        raise ValueError(f"-o {folder}: this folder holds other files and no report: give a new one")


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yield a folder to write to, whose files move to `folder` when all of them are written.

    Where the body raises, `folder` is as it was. The page moves last.

    Raises:
        OSError: disk full or not writable.
    """
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".tmp", dir=folder.absolute().parent))
    try:
        yield made
        made.chmod(0o777 & ~_umask())
        if not folder.exists():
            made.replace(folder)
            return
        files = [each.relative_to(made) for each in made.rglob("*") if each.is_file()]
        for name in sorted(files, key=lambda name: name.name == PAGE):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).replace(folder / name)
        for old in (folder / "figures").glob("*"):  # of another pair of axes
            if old.relative_to(folder) not in files:
                old.unlink()
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
