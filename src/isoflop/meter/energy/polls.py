"""What a row of polls says about a window of time: joules, coverage, gaps. Pure arithmetic on arrays.

Every poll is kept with its own time, equal neighbours included: a constant 300 W is 300 J a second however
often it is read.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Window:
    """A stretch of training, on the clock of time.monotonic."""

    begin_seconds: float
    end_seconds: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end_seconds - self.begin_seconds


@dataclasses.dataclass(frozen=True)
class Integral:
    """Power integrated over a window. `joules` is None without a single poll; `coverage` is in [0, 1]."""

    joules: float | None
    coverage: float
    longest_gap_seconds: float


def integrate(
    times: Sequence[float] | Seconds,
    watts: Sequence[float] | Seconds,
    begin: float,
    end: float,
    reach_seconds: float,
) -> Integral:
    """Trapezoid rule through the polls of the window, the first and the last held to the window's edges.

    `times` (seconds, ascending) and `watts` have one entry a poll. Where no poll lies in the window its power
    is read off the line between the polls around it. Exact for constant power whatever the polls; for a step
    of d watts wrong by at most d x gap / 2. Coverage and longest gap: see `cover`.
    """
    t, w = np.asarray(times, dtype=float), np.asarray(watts, dtype=float)
    coverage, gap = cover(t, begin, end, reach_seconds)
    if not t.size:
        return Integral(None, coverage, gap)
    inside = slice(np.searchsorted(t, begin, "left"), np.searchsorted(t, end, "right"))
    if inside.start == inside.stop:
        at_edges = np.interp([begin, end], t, w)
    else:
        at_edges = w[[inside.start, inside.stop - 1]]
    t = np.concatenate([[begin], t[inside], [end]])
    w = np.concatenate([at_edges[:1], w[inside], at_edges[1:]])
    return Integral(float(np.trapezoid(w, t)), coverage, gap)


def cover(times: Seconds, begin: float, end: float, reach_seconds: float) -> tuple[float, float]:
    """(coverage, longest gap in seconds) of a window by polls at `times`, ascending.

    Coverage is the share of the window within `reach_seconds` of a poll, before or after it. The longest gap
    is the longest stretch of the window without a poll.
    """
    inside = times[np.searchsorted(times, begin, "left") : np.searchsorted(times, end, "right")]
    gap = float(np.diff(np.concatenate([[begin], inside, [end]])).max())
    low, high = begin - reach_seconds, end + reach_seconds
    near = times[np.searchsorted(times, low, "left") : np.searchsorted(times, high, "right")]
    if not near.size or end <= begin:
        return 0.0, gap
    starts, ends = np.clip(near - reach_seconds, begin, end), np.clip(near + reach_seconds, begin, end)
    new = ends - np.maximum(starts, np.concatenate([[begin], ends[:-1]]))
    return min(1.0, float(np.maximum(new, 0.0).sum() / (end - begin))), gap


def counter_difference(
    times: Sequence[float] | Seconds,
    joules: Sequence[float] | Seconds,
    begin: float,
    end: float,
    reach_seconds: float,
) -> tuple[float | None, str | None]:
    """Joules by which an energy counter rose over the window, or None and the reason.

    The counter at an edge is read off the line between the polls around it, or held where one side has none.
    A counter that moves every u seconds, polled every p, is wrong by at most (u + p) x power at each edge, so
    by 0.2 s / window where both are 0.1 s and half of that where the power is the same on both sides.
    """
    t, c = np.asarray(times, dtype=float), np.asarray(joules, dtype=float)
    for edge, name in ((begin, "beginning"), (end, "end")):
        near = np.searchsorted(t, [edge - reach_seconds, edge + reach_seconds])
        if near[0] == near[1]:
            return None, f"the counter was not read within {reach_seconds:.2g} s of a window's {name}"
    first = max(0, int(np.searchsorted(t, begin, "right")) - 1)
    last = int(np.searchsorted(t, end, "left")) + 1
    if (np.diff(c[first:last]) < 0).any():
        return None, "the counter ran backwards (it was reset)"
    rise = float(np.diff(np.interp([begin, end], t, c))[0])
    if rise <= 0:
        return None, "the counter did not move"
    return rise, None


@dataclasses.dataclass(frozen=True)
class StatePoll:
    """What a board said about itself at a moment; None is what it does not offer."""

    time: float
    celsius: float | None
    sm_clock_mhz: float | None
    throttle: tuple[str, ...] | None
    power_limit_watts: float | None
    processes: int | None


@dataclasses.dataclass
class BoardTrace:
    """All polls of one device so far: when and what was read, and the last error of each source. `board` is
    the physical board where `uuid` is a slice of it; `mig` says whether it is cut into slices."""

    uuid: str
    name: str = "unknown"
    power_field: str = "none"
    power_times: list[float] = dataclasses.field(default_factory=list)
    watts: list[float] = dataclasses.field(default_factory=list)
    counter_times: list[float] = dataclasses.field(default_factory=list)
    joules: list[float] = dataclasses.field(default_factory=list)
    last_seconds: float | None = None
    power_error: str | None = None
    counter_error: str | None = None
    states: list[StatePoll] = dataclasses.field(default_factory=list)
    mig: bool | None = None

    def add(self, line: dict[str, Any]) -> None:
        """Take in one line of the sampler's file."""
        if "name" in line:
            self.name, self.power_field, self.mig = str(line["name"]), str(line["power_field"]), line["mig"]
            return
        time = float(line["time"])
        if "celsius" in line:
            throttle = None if line["throttle"] is None else tuple(line["throttle"])
            state = StatePoll(
                time,
                line["celsius"],
                line["sm_clock_mhz"],
                throttle,
                line["power_limit_watts"],
                line["processes"],
            )
            self.states.append(state)
            return
        self.last_seconds = time
        self.power_error = line.get("power_error") or self.power_error
        self.counter_error = line.get("counter_error") or self.counter_error
        watts = line.get("watts")
        if watts is not None and watts <= 0:  # a board that answers draws power: this is a failed reading
            self.power_error = "read 0 W"
        elif watts is not None:
            self.power_times.append(time)
            self.watts.append(float(watts))
        if (joules := line.get("joules")) is not None:
            self.counter_times.append(time)
            self.joules.append(float(joules))


class PollReader:
    """Reads what the sampler has appended to its file since the last call, or since `offset` bytes."""

    def __init__(self, path: Path, uuids: Sequence[str], offset: int = 0) -> None:
        self.boards = {uuid: BoardTrace(uuid) for uuid in uuids}
        self._path = path
        self._offset = offset

    def update(self) -> None:
        """Take in the new whole lines; a damaged line, or a file that cannot be read, is a poll lost."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except OSError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for row in whole.splitlines():
            try:
                line = json.loads(row)
                if "same_as" in line:  # another slice of a board that is read already
                    self.boards.pop(line["uuid"], None)
                else:
                    self.boards[line["uuid"]].add(line)
            except (ValueError, KeyError, TypeError):
                continue
