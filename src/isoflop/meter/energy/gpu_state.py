"""State of a GPU over the windows: temperature, clock, throttling, power cap, other processes.

Pure functions. State is polled about once a second. The polls inside the windows count, or, if the windows
are too short to contain one, the nearest poll within REACH_SECONDS.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from isoflop.meter.energy import rapl
from isoflop.meter.energy.frozen import frozen_readings, frozen_share, readings_inside
from isoflop.meter.energy.grade import THROTTLES, GpuEvidence
from isoflop.meter.energy.polls import DeviceTrace, StatePoll, Window

REACH_SECONDS = 3.0
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
    repeated_share: float = 0.0

    @property
    def drift_celsius(self) -> float | None:
        """Temperature at the end minus temperature at the beginning."""
        begin, end = self.temperature_begin_celsius, self.temperature_end_celsius
        return None if begin is None or end is None else end - begin


def summarise(trace: DeviceTrace, windows: Sequence[Window]) -> GpuState:
    """Summarise a device's state: the mean clock, the largest number of processes, each power cap seen."""
    stale, frozen = _stale_share(trace, windows), frozen_readings(trace, windows)
    stuck = frozen_share([each for each in frozen if not each.doubtful], windows)
    repeated = frozen_share([each for each in frozen if each.doubtful], windows)
    polls = _near(trace.states, windows)
    if not polls:
        reason = NOT_A_GPU if trace.power_field == rapl.FIELD else NOT_READ
        return GpuState(reason, stale_share=stale, stuck_share=stuck, repeated_share=repeated)
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
        repeated_share=repeated,
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
        repeated_share=state.repeated_share,
        rejected_share=_rejected_share(trace, windows),
        rejected_watts=next((w for t, w in _rejected(trace, windows)), None),
    )


def _rejected(trace: DeviceTrace, windows: Sequence[Window]) -> list[tuple[float, float]]:
    """Return time and watts of the readings in the windows that cannot be true."""
    rejected = zip(trace.rejected_times, trace.rejected_watts, strict=True)
    return [(t, w) for t, w in rejected if any(x.begin_seconds <= t <= x.end_seconds for x in windows)]


def _rejected_share(trace: DeviceTrace, windows: Sequence[Window]) -> float:
    """Return which share of the power readings in the windows cannot be true."""
    count = len(_rejected(trace, windows))
    readings = sum(times.size for times, _ in readings_inside(trace, windows))
    return count / (count + readings) if count else 0.0


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
    for times, watts in readings_inside(trace, windows):
        repeats += int((np.diff(watts) == 0).sum())
        compared += max(0, times.size - 1)
    return repeats / compared if compared else None
