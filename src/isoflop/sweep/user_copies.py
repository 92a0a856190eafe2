"""Runs of a sweep that execute copies of the user's own files, which lie in the sweep's folder.

The copy is made after the runs were planned, so that bad input leaves nothing behind, and before any of them
is trained or queued. Ids do not change with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from isoflop.config import Config, flatten, to_dict
from isoflop.config.user_code import copies, settings
from isoflop.config.user_code.locate import locate
from isoflop.sweep.grid import PlannedRun


def needed(runs: Iterable[PlannedRun]) -> bool:
    """Return whether any run executes code of the user's own."""
    return any(_paths(planned.config) for planned in runs)


def pin(runs: Sequence[PlannedRun], directory: Path) -> tuple[PlannedRun, ...]:
    """Return the runs with the paths of copies, which are made where they are missing.

    Args:
        runs: the runs; those that name a copy already stay as they are.
        directory: folder of the sweep.

    Raises:
        ConfigError: a file is not there any more, or has changed since the runs were composed.
        OSError: a copy cannot be written.
    """
    made: dict[tuple[str, str], str] = {}
    return tuple(
        dataclasses.replace(planned, config=_pinned(planned.config, directory, made)) for planned in runs
    )


def pin_base(base: Config, directory: Path) -> Config:
    """Return the configuration of a sweep, from which its runs can be expanded again, with paths of copies.

    Raises: as `pin`.
    """
    if not (_paths(base) or _in_axes(base)):
        return base
    pinned, raw = _pinned(base, directory, {}), to_dict(base)

    def change(section: str, path: str) -> str:
        return copies.copy(path, locate(path).sha256, directory)

    def axes(of: Mapping[str, Any]) -> dict[str, Any]:
        return settings.mapped_paths(dict(flatten(of)), raw, change)

    sweep = dataclasses.replace(
        base.sweep,
        grid=axes(base.sweep.grid),
        points=[axes(point) for point in base.sweep.points],
        held_out=[axes(point) for point in base.sweep.held_out],
    )
    return dataclasses.replace(pinned, sweep=sweep)


def _in_axes(base: Config) -> bool:
    every = (base.sweep.grid, *base.sweep.points, *base.sweep.held_out)
    return any(key in settings.PATHS for axes in every for key, _ in flatten(axes))


def _paths(config: Config) -> dict[str, tuple[str, str]]:
    """Return section -> (path, sha256) of the user's own code that a configuration names."""
    named = {
        "model": (config.model.path, config.model.sha256),
        "data": (config.data.path, config.data.sha256),
        "lever": (config.lever.path, config.lever.sha256),
    }
    return {
        section: (path, sha256)
        for section, (path, sha256) in named.items()
        if path is not None and sha256 is not None
    }


def _pinned(config: Config, directory: Path, made: dict[tuple[str, str], str]) -> Config:
    """Return the configuration with paths of copies; `made` holds those that this call has made."""
    changes: dict[str, Any] = {}
    for section, (path, sha256) in _paths(config).items():
        key = path, sha256
        if key not in made:
            made[key] = copies.copy(path, sha256, directory)
        changes[section] = dataclasses.replace(getattr(config, section), path=made[key])
    return dataclasses.replace(config, **changes)
