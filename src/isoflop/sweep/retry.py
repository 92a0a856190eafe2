"""Selection of the runs of a sweep that are to be executed, or executed again."""

from __future__ import annotations

import typing
from collections.abc import Collection
from pathlib import Path

from isoflop import record as records
from isoflop.config import ConfigError
from isoflop.record import State
from isoflop.sweep.grid import PlannedRun

STATES = tuple(state for state in typing.get_args(State) if state != "done")
DEFAULT = ("failed", "interrupted")


def parse_states(text: str | None) -> tuple[str, ...]:
    """Return the states in the value of --retry, such as `failed,oom`; DEFAULT if the option is not given.

    `lost` is accepted and changes nothing: lost runs have no record and always run.

    Raises:
        ConfigError: names the part that is no such state.
    """
    if text is None:
        return DEFAULT
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in (*STATES, "lost")]:
        raise ConfigError(f"--retry {unknown[0]}: give one or more of {', '.join((*STATES, 'lost'))}")
    return tuple(names)


def select(
    runs: tuple[PlannedRun, ...], directory: Path, states: Collection[str] = DEFAULT
) -> tuple[PlannedRun, ...]:
    """Return the runs with a point whose record is missing, damaged, or in one of `states`.

    By default runs that diverged or ran out of memory are left out: they would end the same way again.

    Raises:
        RecordError: a record is of a newer isoflop, or a folder is in its place.
        OSError: a record is there and cannot be read.
    """

    def is_open(run_id: str) -> bool:
        state = records.find_state(records.path_of(directory, run_id))
        return state is None or state in states

    return tuple(planned for planned in runs if any(map(is_open, planned.config.point_ids.values())))
