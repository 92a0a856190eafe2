"""Which cells of a sweep are to be run (again)."""

from __future__ import annotations

import typing
from collections.abc import Collection
from pathlib import Path

from isoflop import record as records
from isoflop.config import ConfigError
from isoflop.record import State
from isoflop.sweep.grid import Cell

STATES = tuple(state for state in typing.get_args(State) if state != "done")
DEFAULT = ("failed", "interrupted")


def states(text: str | None) -> tuple[str, ...]:
    """`failed,oom` as states of records; None is what a sweep runs again without being told. `lost` cells
    have no record and always run.

    Raises:
        ConfigError: names a word that is no such state.
    """
    if text is None:
        return DEFAULT
    words = [word.strip() for word in text.split(",")]
    if bad := [word for word in words if word not in (*STATES, "lost")]:
        raise ConfigError(f"--retry {bad[0]}: give one or more of {', '.join((*STATES, 'lost'))}")
    return tuple(words)


def select(cells: tuple[Cell, ...], directory: Path, states: Collection[str] = DEFAULT) -> tuple[Cell, ...]:
    """Cells with a point that has no record, or a damaged one, or one in one of `states`.

    By default diverged and out-of-memory cells stay: they are accounted for and would end the same way.
    """

    def wanted(run_id: str) -> bool:
        try:
            return records.read_state(records.path_of(directory, run_id)) in states
        except (records.RecordError, OSError):
            return True

    return tuple(cell for cell in cells if any(map(wanted, cell.config.point_ids.values())))
