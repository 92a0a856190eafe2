"""A sweep is one curve, so it has one data set: errors on two sets have no common law."""

from __future__ import annotations

from pathlib import Path

from isoflop.config import ConfigError
from isoflop.sweep import grid
from isoflop.sweep.grid import PlannedRun


def check(runs: tuple[PlannedRun, ...], directory: Path) -> None:
    """Refuse a sweep over several data sets, and one in a folder whose sweep is of another set.

    Runs that the folder's manifest lists already may go on, whatever stands beside them.

    Args:
        runs: of the sweep.
        directory: its folder.

    Raises:
        ConfigError: names the sets, and what to change.
    """
    names = sorted({each.config.data.label for each in runs})
    if len(names) > 1:
        raise ConfigError(
            f"data.name: {' and '.join(names)} would be fitted as one curve: give one sweep for "
            f"each, such as data={names[0]}, then data={names[1]}"
        )
    listed = grid.listed_data(directory)
    others = {name for name in listed.values() if name is not None}
    new = [each for each in runs if each.run_id not in listed]
    if new and others and names[0] not in others:
        raise ConfigError(
            f"{directory} holds a sweep on {', '.join(sorted(others))}, with which {names[0]} would be "
            "fitted as one curve: give sweep.name=NAME or out=DIR"
        )
