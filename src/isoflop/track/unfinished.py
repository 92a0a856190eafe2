"""Runs whose tracker has not finished: an empty file DIR/.trackers/unfinished/RUN_ID.NAME for each.

The training process writes it when it starts the tracker, whose own process removes it once everything has
been passed on. What remains where no tracker runs any more was given up, crashed or lost events.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from isoflop.track import liveness


def _path(directory: Path, run_id: str, name: str) -> Path:
    return directory / liveness.FOLDER / "unfinished" / f"{run_id}.{name}"


def begin(directory: Path, run_id: str, name: str) -> None:
    """Note that tracker `name` of the run has to finish. Raises OSError."""
    path = _path(directory, run_id, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def finish(directory: Path, run_id: str, name: str) -> None:
    """Note that everything of the run has been passed on."""
    with contextlib.suppress(OSError):
        _path(directory, run_id, name).unlink(missing_ok=True)


def run_ids(directory: Path, name: str) -> frozenset[str]:
    """Return the runs of a sweep's folder whose tracker `name` has not finished."""
    return frozenset(path.stem for path in _path(directory, "", name).parent.glob(f"*.{name}"))
