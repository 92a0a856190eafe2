"""What a campaign writes beside its records: a line a phase in phases.jsonl, and the decision on the recipe.

Everything is written when it is known, so that a machine that vanishes takes the run in hand and no more.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

import msgspec

from isoflop import record as records
from isoflop.config import ConfigError
from isoflop.sweep.campaign.recipe_check import Decision

PHASES, RECIPE = "phases.jsonl", "recipe.json"
PhaseState = Literal["done", "partial", "left out", "unavailable", "failed", "interrupted"]
"""`partial`: some runs were left out; `left out`: nothing was done for want of time; `unavailable`: what an
optional phase needs is not there. Each with its reasons."""


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A run, or all runs of a phase, that did not fit into the time, and why."""

    what: str
    why: str


@dataclasses.dataclass(frozen=True)
class PhaseReport:
    """One line of phases.jsonl.

    Attributes:
        phase: name of the phase.
        state: how it ended.
        limit_seconds: it was allowed to take.
        seconds: it took, by a monotonic clock.
        started_at: wall-clock time, a label.
        predicted_seconds: of training, for the runs that were chosen; None where they were not predicted.
        runs: runs that belong to the phase.
        done: those of them that have a record of a finished run.
        failures: a line each for runs that failed, diverged or ran out of memory.
        left_out: what was not done, and why.
        message: what else is to be said.
    """

    phase: str
    state: PhaseState
    limit_seconds: float
    seconds: float = 0.0
    started_at: str = ""
    predicted_seconds: float | None = None
    runs: int = 0
    done: int = 0
    failures: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    message: str | None = None


def append(line: Any, path: Path) -> None:
    """Append a value to a file of JSON lines, on disk when this returns. Raises OSError."""
    records.append_bytes(path, msgspec.json.encode(line) + b"\n")


def read_phases(directory: Path) -> tuple[PhaseReport, ...]:
    """Return the latest line of each phase of a campaign, in the order in which they first ran.

    A last line that was cut off by a crash is left out.

    Raises:
        OSError: the file cannot be read.
    """
    path, latest = directory / PHASES, {}
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            report = msgspec.json.decode(line, type=PhaseReport)
        except msgspec.DecodeError:
            continue
        latest[report.phase] = report
    return tuple(latest.values())


def write_decision(decision: Decision, directory: Path) -> None:
    """Write the recipe that the sweeps take. Raises OSError."""
    payload = msgspec.json.format(msgspec.json.encode(decision), indent=1) + b"\n"
    records.write_bytes(directory / RECIPE, payload)


def read_decision(directory: Path) -> Decision | None:
    """Return the recipe that was decided on in a campaign's folder; None before that.

    Raises:
        ConfigError: the file is damaged.
        OSError: it cannot be read.
    """
    path = directory / RECIPE
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Decision)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: damaged ({error}): remove it, and the phase recipe decides again"
        ) from error
