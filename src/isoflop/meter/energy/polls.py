"""Arithmetic on polls: joules, coverage and gaps of a window of time, from times and readings.

Every poll is kept with its own time, repeated values included: a constant 300 W is 300 J per second however
often it is read.
"""

from __future__ import annotations

import bisect
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isoflop.meter.device import plausible
from isoflop.meter.energy import rapl

Values = NDArray[np.float64]
POLLS_BEFORE = 50
"""How far back the update of a counter before a window is looked for."""
SLOWEST_UPDATE_SECONDS = 1.0
HEAD_BYTES = 65536
"""The sampler describes its devices in its first lines; they lie within this much of the file."""


@dataclasses.dataclass(frozen=True)
class Window:
    """An interval of metered work, in seconds on the clock of time.monotonic."""

    begin_seconds: float
    end_seconds: float

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return self.end_seconds - self.begin_seconds


@dataclasses.dataclass(frozen=True)
class Integral:
    """Energy of one source over a window; `joules` is None if unknown, `coverage` is in [0, 1]."""

    joules: float | None
    coverage: float
    longest_gap_seconds: float


def integrate(
    times: Sequence[float] | Values,
    watts: Sequence[float] | Values,
    begin: float,
    end: float,
    reach_seconds: float,
) -> Integral:
    """Integrate power over a window by the trapezoid rule through the window's polls.

    The first and the last poll are held constant to the window's edges. If no poll lies in the window, power
    is interpolated linearly between the polls around it. Exact for constant power whatever the polls; for a
    step of d watts the error is at most d x gap / 2.

    Args:
        times: seconds, one per poll, ascending.
        watts: power, one per poll.
        begin: start of the window in seconds.
        end: end of the window in seconds.
        reach_seconds: see `cover`.
    """
    t, w = np.asarray(times, dtype=float), np.asarray(watts, dtype=float)
    coverage, gap = cover(t, begin, end, reach_seconds)
    if not t.size:
        return Integral(None, coverage, gap)
    inside = slice(np.searchsorted(t, begin, "left"), np.searchsorted(t, end, "right"))
    if inside.start == inside.stop:
        at_edges = np.interp([begin, end], t, w)
    else:
        # Held, not interpolated to the poll outside: what was drawn before the window is other work.
        at_edges = w[[inside.start, inside.stop - 1]]
    t = np.concatenate([[begin], t[inside], [end]])
    w = np.concatenate([at_edges[:1], w[inside], at_edges[1:]])
    return Integral(float(np.trapezoid(w, t)), coverage, gap)


def cover(times: Values, begin: float, end: float, reach_seconds: float) -> tuple[float, float]:
    """Return (coverage, longest gap in seconds) of a window by polls at `times`, ascending.

    Coverage is the share of the window within `reach_seconds` of a poll, before or after it. The longest gap
    is the longest part of the window without a poll.
    """
    inside = times[np.searchsorted(times, begin, "left") : np.searchsorted(times, end, "right")]
    gap = float(np.diff(np.concatenate([[begin], inside, [end]])).max())
    # Polls just outside the window reach into it, so they count for coverage though not for the gap.
    low, high = begin - reach_seconds, end + reach_seconds
    near = times[np.searchsorted(times, low, "left") : np.searchsorted(times, high, "right")]
    if not near.size or end <= begin:
        return 0.0, gap
    starts, ends = np.clip(near - reach_seconds, begin, end), np.clip(near + reach_seconds, begin, end)
    # Length of the union of the intervals [starts, ends]: all have one width and ascend, so each adds what
    # lies beyond the end of the one before it.
    added = ends - np.maximum(starts, np.concatenate([[begin], ends[:-1]]))
    return min(1.0, float(np.maximum(added, 0.0).sum() / (end - begin))), gap


def counter_difference(
    times: Sequence[float] | Values,
    joules: Sequence[float] | Values,
    begin: float,
    end: float,
    reach_seconds: float,
    highest_watts: float = math.inf,
) -> tuple[float | None, str | None]:
    """Return the joules by which an energy counter rose over a window, or None and the reason.

    The counter at an edge is interpolated linearly between the polls around it, or held if there is none on
    one side. A counter that updates every u seconds, polled every p, is wrong by at most (u + p) x power at
    each edge: relative to the rise 0.2 s / window for u = p = 0.1 s, and half of that where the power is the
    same before and after the edge, as interpolation between the polls is then exact.

    Args:
        times: seconds, one per poll, ascending.
        joules: counter readings, one per poll.
        begin: start of the window in seconds.
        end: end of the window in seconds.
        reach_seconds: an edge without a poll within this distance makes the difference unknown.
        highest_watts: a rise at a higher power than this makes the difference unknown.
    """
    t, c = np.asarray(times, dtype=float), np.asarray(joules, dtype=float)
    for edge, name in ((begin, "beginning"), (end, "end")):
        near = np.searchsorted(t, [edge - reach_seconds, edge + reach_seconds])
        if near[0] == near[1]:
            return None, f"the counter was not read within {reach_seconds:.2g} s of a window's {name}"
    # The polls inside and one on either side: a reset between an edge and its neighbour spoils the
    # interpolation at that edge, while a reset before the window does no harm.
    first = max(0, int(np.searchsorted(t, begin, "right")) - 1)
    last = int(np.searchsorted(t, end, "left")) + 1
    if (np.diff(c[first:last]) < 0).any():
        return None, "the counter ran backwards (it was reset)"
    if (leap := steepest_leap(t, c, first, last, highest_watts)) is not None:
        joules_risen, seconds = leap
        return None, (
            f"the counter rose by {joules_risen:.4g} J within {seconds:.2g} s, above {highest_watts:g} W: "
            "it jumped, or counts in another unit"
        )
    rise = float(np.diff(np.interp([begin, end], t, c))[0])
    if rise <= 0:
        return None, "the counter did not move"
    return rise, None


def steepest_leap(
    times: Values, joules: Values, first: int, last: int, highest_watts: float
) -> tuple[float, float] | None:
    """Return (joules, seconds) of a counter's steepest rise if it is above `highest_watts`, else None.

    A rise that is seen at a poll was counted since the update before it, which came after the poll before the
    one that saw it; and a reading may be as late as the next poll. A counter that is updated more slowly than
    it is polled, and a call that was held up, are no leaps therefore.

    Args:
        times: seconds, one per poll, ascending.
        joules: counter readings, one per poll, not falling from `first` to `last`.
        first: index of the first poll whose rises count.
        last: index after the last one.
        highest_watts: power above which a rise is a leap.
    """
    start = max(0, first - POLLS_BEFORE)
    t, c = times[start : last + 1], joules[start : last + 1]
    moves = np.flatnonzero(np.diff(c) != 0) + 1  # indices of the polls that saw an update
    before = np.concatenate([[-1], moves[:-1] - 1])
    # Of the first update there is only known that no counter takes a second for one.
    since = np.where(before < 0, t[0] - SLOWEST_UPDATE_SECONDS, t[before])
    seconds = t[np.minimum(moves + 1, t.size - 1)] - since
    rises = c[moves] - c[moves - 1]
    counted = (moves > first - start) & (moves < last - start)
    watts = np.where(counted, rises / np.maximum(seconds, 1e-6), 0.0)
    if watts.max(initial=0.0) <= highest_watts:
        return None
    steepest = int(watts.argmax())
    return float(rises[steepest]), float(seconds[steepest])


@dataclasses.dataclass(frozen=True)
class StatePoll:
    """State of a GPU at `time` (seconds); None is what it does not report.

    `busy_share` is the share of the last moments in which a kernel ran, in [0, 1].
    """

    time: float
    celsius: float | None
    sm_clock_mhz: float | None
    throttle: tuple[str, ...] | None
    power_limit_watts: float | None
    processes: int | None
    busy_share: float | None = None


@dataclasses.dataclass
class DeviceTrace:
    """All polls of one device so far: a GPU, or one RAPL counter.

    Power and counter have times of their own, because either may fail without the other. `*_error` is the
    last error of each source; `last_seconds` is the time of the last poll, failed ones included.
    `rejected_times` and `rejected_watts` are power readings that cannot be true. `highest_limit_watts` is the
    highest power cap seen. `mig` says whether the GPU is in MIG mode. If `uuid` names a MIG instance, the
    readings are of its whole GPU.
    """

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
    rejected_times: list[float] = dataclasses.field(default_factory=list)
    rejected_watts: list[float] = dataclasses.field(default_factory=list)
    highest_limit_watts: float | None = None

    @property
    def power_range(self) -> plausible.PowerRange:
        """What the device's power can be."""
        if self.power_field == rapl.FIELD:
            return plausible.PROCESSOR_RANGE
        return plausible.power_range(self.highest_limit_watts)

    def watts_since(self, moment: float) -> float | None:
        """Return the mean of the power readings since `moment`, or of the counter between its updates.

        None where there are none. Costs no more the longer the device has been polled.
        """
        first = bisect.bisect_left(self.power_times, moment)
        if first < len(self.watts):
            return sum(self.watts[first:]) / (len(self.watts) - first)
        first = bisect.bisect_left(self.counter_times, moment)
        if len(self.joules) - first < 2:
            return None
        rise, seconds = (
            self.joules[-1] - self.joules[first],
            self.counter_times[-1] - self.counter_times[first],
        )
        return rise / seconds if rise > 0 else None  # it stood still, or was reset

    def forget_before(self, moment: float) -> None:
        """Drop the polls of before `moment`, in seconds on time.monotonic; the last one before it stays."""
        first = max(0, bisect.bisect_left(self.power_times, moment) - 1)
        del self.power_times[:first], self.watts[:first]
        first = max(0, bisect.bisect_left(self.counter_times, moment) - 1)
        del self.counter_times[:first], self.joules[:first]
        first = bisect.bisect_left(self.rejected_times, moment)
        del self.rejected_times[:first], self.rejected_watts[:first]
        self.states = [state for state in self.states if state.time >= moment]

    def add(self, line: dict[str, Any]) -> None:
        """Append one line of the sampler's file: a description of the device, a state or a poll."""
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
                line.get("busy_share"),
            )
            self.states.append(state)
            if state.power_limit_watts is not None:
                self.highest_limit_watts = max(state.power_limit_watts, self.highest_limit_watts or 0.0)
            return
        self.last_seconds = time
        self.power_error = line.get("power_error") or self.power_error
        self.counter_error = line.get("counter_error") or self.counter_error
        watts: float | None = line.get("watts")
        rejected: float | None = line.get("rejected_watts")
        if watts is not None and not self.power_range.contains(watts):
            # The file of a sampler of an earlier release, which kept whatever was read.
            watts, rejected, self.power_error = None, watts, f"read {watts:.3g} W"
        if watts is not None:
            self.power_times.append(time)
            self.watts.append(watts)
        if rejected is not None:
            self.rejected_times.append(time)
            self.rejected_watts.append(rejected)
        if (joules := line.get("joules")) is not None:
            self.counter_times.append(time)
            self.joules.append(float(joules))


class PollReader:
    """Incremental reader of the sampler's file, from byte `offset` on, into one trace per UUID."""

    def __init__(self, path: Path, uuids: Sequence[str], offset: int = 0) -> None:
        self.traces = {uuid: DeviceTrace(uuid) for uuid in uuids}
        self._path = path
        self._offset = offset

    @property
    def offset(self) -> int:
        """The byte up to which the file has been read."""
        return self._offset

    def lines_since(self, begin: int) -> bytes:
        """Return the lines from byte `begin` to what has been read, after those that describe devices."""
        try:
            with self._path.open("rb") as file:
                earlier = file.read(min(begin, HEAD_BYTES)).splitlines(keepends=True)
                head = b"".join(line for line in earlier if b'"power_field"' in line)
                file.seek(begin)
                return head + file.read(self._offset - begin)
        except OSError:
            return b""

    def update(self) -> None:
        """Read the lines appended since the last call; a damaged line or an unreadable file is skipped."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except OSError:
            return
        # The sampler may be in the middle of a line (or have died there): what follows the last newline
        # stays for the next call.
        complete = text[: text.rfind(b"\n") + 1]
        self._offset += len(complete)
        for row in complete.splitlines():
            try:
                line = json.loads(row)
                if "same_as" in line:  # another MIG instance of a GPU that is polled already
                    self.traces.pop(line["uuid"], None)
                else:
                    self.traces[line["uuid"]].add(line)
            except (ValueError, KeyError, TypeError):
                continue
