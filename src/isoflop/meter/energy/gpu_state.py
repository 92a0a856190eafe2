"""State of a GPU over the windows: temperature, clock, throttling, power cap, other processes.

Pure functions. State is polled about once a second. The polls inside the windows count, or, if the windows
are too short to contain one, the nearest poll within REACH_SECONDS.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from isoflop.meter.energy import rapl
from isoflop.meter.energy.blocks import COUNTER_STEP_SECONDS
from isoflop.meter.energy.grade import THROTTLES, GpuEvidence
from isoflop.meter.energy.polls import DeviceTrace, StatePoll, Values, Window

REACH_SECONDS = 3.0
LEAST_STUCK_SECONDS = 1.0
"""A reading repeated for less than this may come from a sensor that updates more slowly than it is polled."""
STUCK_DIFFERENCE = 0.10
NOT_READ = "the GPU's state was not read near the window"
NOT_OFFERED = "the GPU does not report it"
TOO_FEW_READINGS = "fewer than two power readings in the window"
NOT_A_GPU = "only GPUs have it"


@dataclasses.dataclass(frozen=True)
class GpuState:
    """Summary of a GPU's state over the windows.

    `reason` explains every None but that of `stale_share`, which is None with fewer than two power readings.
    Shares are in [0, 1]; `throttled` maps each reason of THROTTLES to its share of the state polls.
    """

    reason: str
    temperature_begin_celsius: float | None = None
    temperature_end_celsius: float | None = None
    sm_clock_mhz: float | None = None
    power_limits_watts: tuple[float, ...] = ()
    throttled: dict[str, float] = dataclasses.field(default_factory=dict)
    throttled_share: float | None = None
    compute_processes: int | None = None
    stale_share: float | None = None
    stuck_share: float = 0.0

    @property
    def drift_celsius(self) -> float | None:
        """Temperature at the end minus temperature at the beginning."""
        begin, end = self.temperature_begin_celsius, self.temperature_end_celsius
        return None if begin is None or end is None else end - begin


def summarise(trace: DeviceTrace, windows: Sequence[Window]) -> GpuState:
    """Summarise a device's state: the mean clock, the largest number of processes, each power cap seen."""
    stale, stuck = _stale_share(trace, windows), _stuck_share(trace, windows)
    polls = _near(trace.states, windows)
    if not polls:
        reason = NOT_A_GPU if trace.power_field == rapl.FIELD else NOT_READ
        return GpuState(reason, stale_share=stale, stuck_share=stuck)
    with_celsius = [p for p in trace.states if p.celsius is not None]
    clocks = [p.sm_clock_mhz for p in polls if p.sm_clock_mhz is not None]
    throttles = [p.throttle for p in polls if p.throttle is not None]
    processes = [p.processes for p in polls if p.processes is not None]
    n = len(throttles)
    return GpuState(
        NOT_OFFERED,
        temperature_begin_celsius=_celsius_at(with_celsius, windows[0].begin_seconds),
        temperature_end_celsius=_celsius_at(with_celsius, windows[-1].end_seconds),
        sm_clock_mhz=float(np.mean(clocks)) if clocks else None,
        power_limits_watts=tuple(
            dict.fromkeys(p.power_limit_watts for p in polls if p.power_limit_watts is not None)
        ),
        throttled={name: sum(name in reasons for reasons in throttles) / n for name in THROTTLES if n},
        throttled_share=sum(any(r in THROTTLES for r in reasons) for reasons in throttles) / n if n else None,
        compute_processes=max(processes, default=None),
        stale_share=stale,
        stuck_share=stuck,
    )


def evidence(
    trace: DeviceTrace, state: GpuState, windows: Sequence[Window], own_processes: int | None
) -> GpuEvidence:
    """Return what the grade needs to know of one GPU.

    `own_processes` is the number of compute processes that belong to the metered work. None means that the
    work starts after the meter, so every process on the GPU before the first window is foreign.
    """
    return GpuEvidence(
        uuid=trace.uuid,
        throttled=state.throttled,
        drift_celsius=state.drift_celsius,
        power_limits_watts=state.power_limits_watts,
        foreign_processes=_foreign_processes(trace, state, windows[0].begin_seconds, own_processes),
        mig=trace.mig,
        stuck_share=state.stuck_share,
    )


def _foreign_processes(trace: DeviceTrace, state: GpuState, begin: float, own: int | None) -> int | None:
    if own is None:
        before = [p.processes for p in trace.states if p.time <= begin and p.processes is not None]
        return before[-1] if before else None
    return None if state.compute_processes is None else max(0, state.compute_processes - own)


def _near(polls: Sequence[StatePoll], windows: Sequence[Window]) -> list[StatePoll]:
    """Return the polls inside the windows, or else the nearest one within REACH_SECONDS."""
    inside = [p for p in polls if any(w.begin_seconds <= p.time <= w.end_seconds for w in windows)]
    if inside or not polls:
        return inside

    def distance(poll: StatePoll) -> float:
        return min(max(w.begin_seconds - poll.time, poll.time - w.end_seconds) for w in windows)

    nearest = min(polls, key=distance)
    return [nearest] if distance(nearest) <= REACH_SECONDS else []


def _celsius_at(polls: Sequence[StatePoll], moment: float) -> float | None:
    nearest = min(polls, key=lambda p: abs(p.time - moment), default=None)
    return nearest.celsius if nearest and abs(nearest.time - moment) <= REACH_SECONDS else None


def _stale_share(trace: DeviceTrace, windows: Sequence[Window]) -> float | None:
    """Return the share of power readings that equal the one before them, within each window."""
    repeats = compared = 0
    for times, watts in _readings_inside(trace, windows):
        repeats += int((np.diff(watts) == 0).sum())
        compared += max(0, times.size - 1)
    return repeats / compared if compared else None


def _stuck_share(trace: DeviceTrace, windows: Sequence[Window]) -> float:
    """Return the share of the windows in which the power reading was frozen while the power had changed.

    Equal readings alone are no evidence: an idle GPU draws constant power, and a sensor may update more
    slowly than it is polled. A stretch of equal readings counts if it lasts LEAST_STUCK_SECONDS and the
    energy counter contradicts it (`_contradicted`).
    """
    t, joules = np.asarray(trace.counter_times), np.asarray(trace.joules)
    stuck = 0.0
    if t.size < 2:
        return stuck
    for times, watts in _readings_inside(trace, windows):
        if not watts.size:
            continue
        first = 0
        # Indices of the last reading of each stretch of equal ones; the final reading always ends one.
        for last in np.flatnonzero(np.append(np.diff(watts) != 0, True)).tolist():
            begin, end = times[first], times[last]
            if end - begin >= LEAST_STUCK_SECONDS and _contradicted(t, joules, begin, end, watts[first]):
                stuck += float(end - begin)
            first = last + 1
    return min(1.0, stuck / sum(w.seconds for w in windows))


def _contradicted(t: Values, joules: Values, begin: float, end: float, read_watts: float) -> bool:
    """Return whether the counter's mean power from `begin` to `end` differs from the constant reading.

    It must differ by more than STUCK_DIFFERENCE and by more than the counter can resolve.

    Args:
        t: times of the counter's polls in seconds.
        joules: the counter, one per poll.
        begin: start of the stretch of equal readings in seconds.
        end: its end.
        read_watts: the power that was read throughout.
    """
    around = t[max(0, int(np.searchsorted(t, begin)) - 1) : int(np.searchsorted(t, end, "right")) + 1]
    if around.size < 2 or around[0] > end or around[-1] < begin:
        return False
    rise = float(np.diff(np.interp([begin, end], t, joules))[0])
    counter_watts = rise / (end - begin)
    # Each edge is off by up to (counter step + gap between polls) x power: twice that over the duration.
    edge_seconds = COUNTER_STEP_SECONDS + float(np.diff(around).max())
    resolution = 2 * edge_seconds / (end - begin) * max(counter_watts, read_watts)
    # A counter that fell was reset and proves nothing.
    return rise >= 0 and abs(counter_watts - read_watts) > max(STUCK_DIFFERENCE * read_watts, resolution)


def _readings_inside(trace: DeviceTrace, windows: Sequence[Window]) -> list[tuple[Values, Values]]:
    """Return the times and watts of the power readings in each window."""
    t, w = np.asarray(trace.power_times), np.asarray(trace.watts)
    slices = [
        slice(*np.searchsorted(t, [x.begin_seconds, x.end_seconds], side="left").tolist()) for x in windows
    ]
    return [(t[s], w[s]) for s in slices]
