"""A copy of the source, kept in the sweep's folder, that queued jobs run from: editing the source does not
change them, and their records keep the commit it was at.

DIR/source/HASH holds the package as an installed wheel lays it out, with conf and slurm inside it, and
origin.json, from which provenance.git_state reads commit and dirtiness. One that exists is used again.
"""

from __future__ import annotations

import compileall
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from isoflop.config import ConfigError, compose
from isoflop.runner import provenance

ORIGIN = "origin.json"
SCRIPTS = "slurm"


def scripts() -> Path:
    """The folder of batch scripts: beside the package in a wheel, at the top of the project otherwise."""
    packed = _package() / SCRIPTS
    return packed if packed.is_dir() else _package().parents[1] / SCRIPTS


def take(directory: Path) -> Path:
    """Copy the running source to DIR/source/HASH, unless it is there, and return that folder, absolute. It
    goes into PYTHONPATH. Code that runs from a snapshot is its own.

    Raises:
        OSError: it cannot be written; nothing of it is left behind.
    """
    package = _package()
    if (package / ORIGIN).is_file():
        return package.parent
    commit, dirty = provenance.git_state()
    origin = msgspec.json.encode({"git_commit": commit, "dirty": dirty})
    files = dict(_files())
    target = directory.absolute() / "source" / _hash(files, origin)
    if not target.is_dir():
        _copy(files, origin, target)
    return target


def _package() -> Path:
    return Path(__file__).parents[2]


def _files() -> Iterator[tuple[str, Path]]:
    """(place in the snapshot's package, file) of everything that a run reads."""
    package = _package()
    roots = {"": package, "conf/": compose.conf_dir(), f"{SCRIPTS}/": scripts()}
    for prefix, root in roots.items():
        if not root.is_dir():
            raise ConfigError(f"{root}: the folder is missing: install isoflop again")
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield prefix + path.relative_to(root).as_posix(), path


def _hash(files: dict[str, Path], origin: bytes) -> str:
    digest = hashlib.sha256(origin)
    for name, path in sorted(files.items()):
        digest.update(f"\0{name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _copy(files: dict[str, Path], origin: bytes, target: Path) -> None:
    """Put the copy in place in one step; where another process was faster, its copy is the same."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as part:
        package = Path(part) / target.name / "isoflop"
        for name, path in files.items():
            (package / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, package / name)
        (package / ORIGIN).write_bytes(origin)
        compileall.compile_dir(package, quiet=2, stripdir=part, prependdir=str(target.parent))
        try:
            package.parent.replace(target)
        except OSError:
            if not target.is_dir():
                raise
