"""A copy of the working tree in a temporary folder: what is changed there never touches the tree itself."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


def source_key(repository: Path) -> str:
    """Return a hash of all source: coverage and results hold as long as it stays the same."""
    digest = hashlib.sha256()
    for path in sorted((repository / "src").rglob("*.py")):
        digest.update(str(path.relative_to(repository)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def copied(repository: Path) -> Iterator[Path]:
    """Yield a copy of what git tracks or would track, beside a link to ../shared where there is one."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=repository, check=True, capture_output=True
    ).stdout.decode()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        place = Path(folder) / "repository"
        for name in filter(None, listed.split("\0")):
            source = repository / name
            if source.is_file():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, place / name, follow_symlinks=False)
        shared = repository.parent / "shared"
        if shared.exists():
            (place.parent / "shared").symlink_to(shared.resolve())
        yield place


@contextlib.contextmanager
def changed(path: Path, text: str) -> Iterator[None]:
    """Lay a changed module into the copy for as long as the context lasts.

    Its time of change is set ten seconds on: compiled files are told apart by whole seconds and size alone.
    """
    original, times = path.read_bytes(), path.stat()
    path.write_text(text)
    os.utime(path, (times.st_atime, times.st_mtime + 10))
    try:
        yield
    finally:
        path.write_bytes(original)
        os.utime(path, (times.st_atime, times.st_mtime))


def environment(place: Path) -> dict[str, str]:
    """Return the variables with which the copy's source is imported, also by processes that tests start."""
    return os.environ | {
        "PYTHONPATH": f"{place / 'src'}{os.pathsep}{Path(__file__).parents[1]}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
