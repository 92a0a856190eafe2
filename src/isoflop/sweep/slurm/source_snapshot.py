"""Copy of the source in the sweep's folder, from which queued jobs run: editing the source does not change
jobs that wait, and their records keep the commit that they were submitted at.

DIR/source/HASH holds the package in the layout of an installed wheel, with conf and slurm inside it, and
origin.json, from which provenance.git_state reads commit and dirtiness. An existing copy is used again.
"""

from __future__ import annotations

import compileall
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from isoflop import record as records
from isoflop.config import ConfigError, compose
from isoflop.runner import provenance

ORIGIN = "origin.json"
SCRIPTS = "slurm"


def scripts() -> Path:
    """Return the folder of batch scripts: inside the package in a wheel, else at the top of the project."""
    packed = _package() / SCRIPTS
    return packed if packed.is_dir() else _package().parents[1] / SCRIPTS


def take(directory: Path) -> Path:
    """Copy the running source to DIR/source/HASH, unless it is there, and return that folder for PYTHONPATH.

    Code that runs from such a copy itself, as the finish job does, returns its own folder.

    Raises:
        OSError: the copy cannot be written; no part of it is left behind.
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
    """Yield (path in the package of the copy, file) for everything that a run reads.

    Hidden files are left out: no run reads them, and a .env or .netrc holds keys.
    """
    package = _package()
    roots = {"": package, "conf/": compose.conf_dir(), f"{SCRIPTS}/": scripts()}
    for prefix, root in roots.items():
        if not root.is_dir():
            raise ConfigError(f"{root}: the folder is missing: install isoflop again")
        for path in sorted(root.rglob("*")):
            inside = path.relative_to(root)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
            if path.is_file() and not hidden:
                yield prefix + inside.as_posix(), path


def _hash(files: dict[str, Path], origin: bytes) -> str:
    digest = hashlib.sha256(origin)
    for name, path in sorted(files.items()):
        digest.update(f"\0{name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _copy(files: dict[str, Path], origin: bytes, target: Path) -> None:
    """Copy to a temporary folder and rename it, so that no process sees half a copy.

    If another process was faster, its copy stays: the same hash means the same content.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # Named, because copying on a full disk would name the file that is read.
    with records.naming(target), tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as part:
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
