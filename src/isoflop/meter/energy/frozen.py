"""Power readings that were frozen: repeated to the milliwatt while the GPU's power was another one.

Equal readings alone are no evidence: an idle GPU draws constant power, and a sensor may update more slowly
than it is polled. A stretch of equal readings is frozen if the energy counter contradicts it; where no
counter can say, if it lasts longer than any sensor's update while the GPU was busy, since the power of a GPU
at work is never constant to the milliwatt. What the GPU drew meanwhile is unknown.

Two busy GPUs do repeat their reading: one held at its power cap, and one whose sensor is coarse, as the trace
itself shows: its readings are steps of half a watt or more, and repeats as long as this one are the rule.
Such a stretch counts, as doubtful: it lowers the grade and loses no joules.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from isoflop.meter.energy.blocks import COUNTER_STEP_SECONDS
from isoflop.meter.energy.polls import DeviceTrace, StatePoll, Values, Window

LEAST_FROZEN_SECONDS = 1.0
"""A reading repeated for less than this may come from a sensor that updates more slowly than it is polled."""
LEAST_BUSY_SECONDS = 5.0
"""The same where a busy GPU is the only evidence."""
BUSY_SHARE = 0.5
COUNTER_DIFFERENCE = 0.10
AT_CAP = 0.02
"""A reading within this share of the power cap is what a GPU that the cap holds back draws."""
COARSE_WATTS = 0.5
"""Least step of a coarse sensor; fine ones resolve 1 to 100 mW."""
LEAST_STEPS = 3
"""As many steps, in the whole trace, show a sensor's resolution and how long it repeats a reading."""
USUAL_REPEAT = 3.0
"""A coarse sensor repeats a reading for up to so many times its median."""


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Equal power readings from `begin_seconds` to `end_seconds`, both of them readings.

    `busy` says that the GPU was at work for so long that the sensor is at fault, and not the counter.
    `doubtful` says that the repetition is normal for this sensor, or at this power: it is no gap.
    """

    begin_seconds: float
    end_seconds: float
    watts: float
    busy: bool = False
    doubtful: bool = False

    @property
    def seconds(self) -> float:
        """Length of the stretch."""
        return self.end_seconds - self.begin_seconds


def frozen_readings(trace: DeviceTrace, windows: Sequence[Window]) -> tuple[Stretch, ...]:
    """Return the stretches of the windows in which the power reading was frozen."""
    return tuple(
        judged
        for times, watts in readings_inside(trace, windows)
        for stretch in _stretches(times, watts)
        if (judged := _if_frozen(trace, stretch))
    )


def frozen_share(frozen: Sequence[Stretch], windows: Sequence[Window]) -> float:
    """Return the share of the windows' time that lies in frozen stretches, in [0, 1]."""
    return min(1.0, sum(s.seconds for s in frozen) / sum(w.seconds for w in windows))


def without_frozen(trace: DeviceTrace, frozen: Sequence[Stretch]) -> DeviceTrace:
    """Return the trace without the frozen readings, but for the first of each stretch, which was read."""
    if not frozen:
        return trace
    times = np.asarray(trace.power_times)
    keep = np.ones(times.size, dtype=bool)
    for stretch in frozen:
        keep &= ~((times > stretch.begin_seconds) & (times <= stretch.end_seconds))
    longest = max(frozen, key=lambda stretch: stretch.seconds)
    return dataclasses.replace(
        trace,
        power_times=times[keep].tolist(),
        watts=np.asarray(trace.watts)[keep].tolist(),
        power_error=f"frozen at {longest.watts:.4g} W for {longest.seconds:.3g} s",
    )


def readings_inside(trace: DeviceTrace, windows: Sequence[Window]) -> list[tuple[Values, Values]]:
    """Return the times and watts of the power readings in each window."""
    t, w = np.asarray(trace.power_times), np.asarray(trace.watts)
    slices = [
        slice(*np.searchsorted(t, [x.begin_seconds, x.end_seconds], side="left").tolist()) for x in windows
    ]
    return [(t[s], w[s]) for s in slices]


def _stretches(times: Values, watts: Values) -> Iterator[Stretch]:
    """Yield each stretch of equal readings."""
    if not watts.size:
        return
    first = 0
    # Indices of the last reading of each stretch of equal ones; the final reading always ends one.
    for last in np.flatnonzero(np.append(np.diff(watts) != 0, True)).tolist():
        yield Stretch(float(times[first]), float(times[last]), float(watts[first]))
        first = last + 1


def _if_frozen(trace: DeviceTrace, stretch: Stretch) -> Stretch | None:
    """Return the stretch, and whether the GPU was busy, if it is one of frozen readings."""
    if stretch.seconds < LEAST_FROZEN_SECONDS:
        return None
    busy = stretch.seconds >= LEAST_BUSY_SECONDS and _was_busy(trace.states, stretch)
    differs = _counter_differs(trace, stretch)
    is_frozen = busy if differs is None else differs
    if not is_frozen:
        return None
    doubtful = differs is None and _is_normal(trace, stretch)
    return dataclasses.replace(stretch, busy=busy and not doubtful, doubtful=doubtful)


def _is_normal(trace: DeviceTrace, stretch: Stretch) -> bool:
    """Return whether a busy GPU may repeat this reading so long: it is at its cap, or its sensor coarse."""
    caps = [state.power_limit_watts for state in trace.states if state.power_limit_watts is not None]
    if any(abs(stretch.watts / cap - 1) <= AT_CAP for cap in caps):
        return True
    watts = np.asarray(trace.watts)
    steps = np.abs(np.diff(watts))
    steps = steps[steps > 0]
    if steps.size < LEAST_STEPS or steps.min() < COARSE_WATTS:
        return False
    # The first and the last repetition are cut off by the trace's ends.
    lengths = [each.seconds for each in _stretches(np.asarray(trace.power_times), watts)][1:-1]
    coarsest = float(steps.min()) * USUAL_REPEAT
    # A reading far from all others is no step of a slow sensor: it stuck there.
    others = watts[watts != stretch.watts]
    near = bool(others.size) and float(np.abs(others - stretch.watts).min()) <= coarsest
    return near and stretch.seconds <= USUAL_REPEAT * float(np.median(lengths))


def _counter_differs(trace: DeviceTrace, stretch: Stretch) -> bool | None:
    """Return whether the counter contradicts the reading over the stretch; None if it cannot say.

    Its mean power must differ by more than COUNTER_DIFFERENCE and by more than the counter can resolve.
    """
    begin, end = stretch.begin_seconds, stretch.end_seconds
    t, joules = np.asarray(trace.counter_times), np.asarray(trace.joules)
    near = slice(max(0, int(np.searchsorted(t, begin)) - 1), int(np.searchsorted(t, end, "right")) + 1)
    around = t[near]
    if around.size < 2 or around[0] > end or around[-1] < begin:
        return None
    rise = float(np.diff(np.interp([begin, end], t, joules))[0])
    counter_watts = rise / stretch.seconds
    # A counter that fell was reset; one that rose faster or slower than any GPU draws counts something else.
    if (np.diff(joules[near]) < 0).any() or not trace.power_range.contains(counter_watts):
        return None
    # Each edge is off by up to (counter step + gap between polls) x power: twice that over the duration.
    edge_seconds = COUNTER_STEP_SECONDS + float(np.diff(around).max())
    resolution = 2 * edge_seconds / stretch.seconds * max(counter_watts, stretch.watts)
    return abs(counter_watts - stretch.watts) > max(COUNTER_DIFFERENCE * stretch.watts, resolution)


def _was_busy(states: Sequence[StatePoll], stretch: Stretch) -> bool:
    """Return whether kernels ran for most of the stretch; False where the GPU does not say."""
    shares = [
        state.busy_share
        for state in states
        if state.busy_share is not None and stretch.begin_seconds <= state.time <= stretch.end_seconds
    ]
    return bool(shares) and float(np.mean(shares)) >= BUSY_SHARE
