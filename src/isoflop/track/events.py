"""What a tracker is told, and the small interface that all trackers share."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Protocol

import msgspec

from isoflop.config import TrackerConfig
from isoflop.record import CurvePoint, Record


@dataclasses.dataclass(frozen=True)
class Cell:
    """What is known of a cell before it trains. `identity` is the configuration that defines it, `directory`
    the sweep's folder; `sweep` and `label` are for people."""

    run_id: str
    config_id: str
    attempt: int
    sweep: str
    label: str
    seed: int
    directory: str
    identity: dict[str, Any]
    settings: TrackerConfig


@dataclasses.dataclass(frozen=True)
class Ending:
    """The records of the cell's points, the shortest first, and files that belong to it. There is no record
    where the process was killed before the last was written."""

    records: tuple[Record, ...]
    files: tuple[Path, ...]

    @property
    def state(self) -> str:
        """The last record's state, or `killed`."""
        return self.records[-1].state if self.records else "killed"

    @property
    def power(self) -> Path | None:
        """The meter's polls of a finished run, if there are any."""
        found = (path for path in self.files if path.parent.name == "power")
        return next(found, None) if self.state == "done" else None


class Tracker(Protocol):
    """A tracker of one cell. It is made without arguments, in a process of its own; what it raises costs a
    line on standard error."""

    def begin(self, cell: Cell) -> None:
        """The cell is about to train."""

    def point(self, point: CurvePoint, steps_done: int) -> None:
        """An evaluation; those of earlier attempts come first. `steps_done` never falls within a cell: where
        there are cool-downs `point.step` goes back to the trunk after each."""

    def end(self, ending: Ending) -> None:
        """The cell is over; nothing comes after this."""


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The first line of a feed. `records`: where those of the cell's points will lie, the shortest first."""

    cell: Cell
    records: tuple[str, ...]


class Point(msgspec.Struct, frozen=True, tag=True):
    """A line for each evaluation."""

    point: CurvePoint
    steps_done: int


class End(msgspec.Struct, frozen=True, tag=True):
    """The last line: the cell is over and its records are written."""


Event = Begin | Point | End
DECODER = msgspec.json.Decoder(Event)
