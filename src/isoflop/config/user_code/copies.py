"""Copies of the user's files in a sweep's folder, which its runs execute: editing the files while runs train
or wait in a queue changes none of them.

DIR/source/user-HASH holds the file that the configuration names and those beside it that it imports, as they
lie under their root folder. Their code is executed as if it lay where it was copied from: `__file__` is the
original, so that data beside it are found.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import msgspec

from isoflop import record as records
from isoflop.config.errors import ConfigError
from isoflop.config.user_code import imports
from isoflop.config.user_code.locate import MARKER, Marker, absolute, changed, locate


def copy(path: str, sha256: str, directory: Path) -> str:
    """Copy what `path` names into a sweep's folder, unless it is there; return the path of the copy.

    A path that names an installed module, or a copy, is returned as it is.

    Args:
        path: as in locate.locate, absolute.
        sha256: hash that the file must have.
        directory: folder of the sweep.

    Raises:
        ConfigError: the file is not there any more, or has changed.
        OSError: the copy cannot be written; nothing of it is left behind.
    """
    located = locate(path)
    if located.installed or located.copied is not None:
        return path
    files = {file: file.read_bytes() for file in imports.modules_of(located).values()}
    if hashlib.sha256(files[located.file]).hexdigest() != sha256:
        raise ConfigError(changed(located))
    marker = msgspec.json.encode(Marker(str(located.root)))
    digest = hashlib.sha256(marker)
    for file, contents in sorted(files.items()):
        digest.update(f"\0{file}\0".encode() + contents)
    target = directory.absolute() / "source" / f"user-{digest.hexdigest()[:16]}"
    if not target.is_dir():
        _write({file.relative_to(located.root): text for file, text in files.items()}, marker, target)
    inside = target / located.file.relative_to(located.root)
    by_file = f"{inside}:{located.function}"
    if absolute(located) == f"{located.file}:{located.function}":
        return by_file
    return f"{target}/{located.module}:{located.function}"


def _write(files: dict[Path, bytes], marker: bytes, target: Path) -> None:
    """Write a temporary folder and rename it; if another process was faster, its copy stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with records.naming(target), tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as part:
        made = Path(part) / target.name
        for inside, contents in files.items():
            (made / inside).parent.mkdir(parents=True, exist_ok=True)
            (made / inside).write_bytes(contents)
        (made / MARKER).write_bytes(marker)
        try:
            made.replace(target)
        except OSError:
            if not target.is_dir():
                raise
