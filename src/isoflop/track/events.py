"""The interface that all trackers share, and the events that reach a tracker's process."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec

from isoflop.config import TrackerConfig
from isoflop.record import CurvePoint, Record


def sweep_name(directory: Path) -> str:
    """Return what trackers call a sweep: its folder, without characters that a W&B filter cannot hold.

    While a sweep runs and after the fact alike, so that the views of one find the runs of the other.
    """
    return re.sub(r"[^\w.+-]+", "-", directory.resolve().name)


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """What is known of a run before it trains.

    `identity` is the configuration that defines it, with its seed; `of_text` says whether it trains on text,
    whose examples are bytes; `directory` is the sweep's folder; `sweep` and `label` are names for people.
    `drawn` are the names of numbers (numbers.py) of which several values will come along the way.
    """

    run_id: str
    config_id: str
    attempt: int
    sweep: str
    label: str
    seed: int
    directory: str
    identity: dict[str, Any]
    of_text: bool
    settings: TrackerConfig
    drawn: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Interval:
    """Training since the interval before, up to and with step `step`; what is unknown is None.

    `examples` and `seconds` (of training, without evaluations) are those since the first step; `train_loss`
    is the mean in nats over the interval, `learning_rate` that of its last step, `watts` the mean power.
    """

    step: int
    examples: int
    seconds: float | None = None
    train_loss: float | None = None
    learning_rate: float | None = None
    examples_per_second: float | None = None
    watts: float | None = None


@dataclasses.dataclass(frozen=True)
class Ending:
    """The end of a run: the records of its points, the shortest first, and the files that belong to it.

    There is no record if the process was killed before the last one was written.
    """

    records: tuple[Record, ...]
    files: tuple[Path, ...]

    @property
    def state(self) -> str:
        """The state of the last record, or `killed`."""
        return self.records[-1].state if self.records else "killed"

    @property
    def power(self) -> Path | None:
        """The file of the meter's polls of a finished run, if there is one."""
        polls = (path for path in self.files if path.parent.name == "power")
        return next(polls, None) if self.state == "done" else None


class Tracker(Protocol):
    """A tracker of one run, made without arguments in a process of its own.

    What it raises costs one line on standard error, never the run. It may have a fourth method,
    `interval(interval, steps_done)` (WatchesTraining).
    """

    def begin(self, run: RunInfo) -> None:
        """Called before the run trains."""

    def point(self, point: CurvePoint, steps_done: int) -> None:
        """Called for each evaluation, those of earlier attempts first.

        `steps_done` never falls within a run, unlike `point.step`, which goes back to the trunk after each
        cooldown branch.
        """

    def end(self, ending: Ending) -> None:
        """Called last, when the run is over."""


@runtime_checkable
class WatchesTraining(Protocol):
    """A tracker that is also told how training goes between evaluations."""

    def interval(self, interval: Interval, steps_done: int) -> None:
        """Called about fifty times a run, those of earlier attempts first; `steps_done` as in `point`."""


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The first event. `records` are the paths of the records of the run's points, the shortest first."""

    run: RunInfo
    records: tuple[str, ...]


class Evaluation(msgspec.Struct, frozen=True, tag=True):
    """One evaluation."""

    point: CurvePoint
    steps_done: int


class Trained(msgspec.Struct, frozen=True, tag=True):
    """One interval of training."""

    interval: Interval
    steps_done: int


class End(msgspec.Struct, frozen=True, tag=True):
    """The last event: the run is over, its records are written, and `dropped` events were not sent."""

    dropped: int = 0


Event = Begin | Trained | Evaluation | End
DECODER = msgspec.json.Decoder(Event)
