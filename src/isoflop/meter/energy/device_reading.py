"""Evaluate the polls of one device over the windows: its sources, idle power, highest power and state.

Pure functions. A GPU has two sources, evaluated side by side: its energy counter, differenced over each
window, and its power, integrated over each window. A processor has one, its RAPL counter.

The counter is read over blocks of windows, less what the power says was drawn in the gaps between them
(meter/energy/blocks.py); where the power there is unknown, over each window.

A source is sound if its polls cover at least 95% of the windows (`polls.cover`) and, for the counter, it was
read near every edge, moved, never ran backwards and never rose faster or slower than a GPU can draw power.
Power readings that cannot be true are gaps in the polls, and so are those that were frozen
(meter/energy/frozen.py) for certain or where no sound counter stands beside them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from isoflop.meter.device.nvml import POWER_USAGE as AVERAGED_POWER
from isoflop.meter.device.plausible import PowerRange
from isoflop.meter.energy import blocks, gpu_state, rapl
from isoflop.meter.energy.frozen import frozen_readings, without_frozen
from isoflop.meter.energy.gpu_state import GpuState
from isoflop.meter.energy.grade import Source
from isoflop.meter.energy.polls import (
    DeviceTrace,
    Values,
    Window,
    counter_difference,
    cover,
    integrate,
)
from isoflop.record import DeviceEnergy, known

LEAST_COVERAGE = 0.95
LEAST_UNIT_SECONDS = 1.0
"""A shorter window may lie between two updates of the counter, whose rise then says nothing of its unit."""
NO_POWER = "RAPL is a counter: it has no power reading"


@dataclasses.dataclass(frozen=True)
class SourceReading:
    """One source (counter or power) of one device over all windows.

    `joules` is None if unknown, for `reason`. `error` is the last error of the source, if it had any.
    `polls` is the number of readings inside the windows; `edge_seconds` is that of meter/energy/blocks.py.
    """

    joules: float | None
    reason: str | None
    error: str | None
    polls: int
    coverage: float
    longest_gap_seconds: float
    edge_seconds: float = 0.0

    @property
    def reason_with_error(self) -> str | None:
        """The reason, followed by the source's last error in parentheses."""
        return f"{self.reason} ({self.error})" if self.reason and self.error else self.reason


def measure_power(trace: DeviceTrace, windows: Sequence[Window], reach_seconds: float) -> SourceReading:
    """Integrate a device's power over the windows."""
    times, watts = np.asarray(trace.power_times), np.asarray(trace.watts)
    parts = [integrate(times, watts, w.begin_seconds, w.end_seconds, reach_seconds) for w in windows]
    joules = sum_known([part.joules for part in parts])
    reason = None if all(part.joules for part in parts) else "power read 0 W throughout"
    covered = [(part.coverage, part.longest_gap_seconds) for part in parts]
    reading = _source("power", times, windows, covered, joules, reason, trace.power_error)
    return _with_edges(reading, windows, gaps_of(trace, windows))


def measure_counter(trace: DeviceTrace, windows: Sequence[Window], reach_seconds: float) -> SourceReading:
    """Add up the rises of a device's energy counter, without what it counted between the windows."""
    times, counted = np.asarray(trace.counter_times), np.asarray(trace.joules)
    covered = [cover(times, w.begin_seconds, w.end_seconds, reach_seconds) for w in windows]
    between = gaps_of(trace, windows)
    # Without the power of the gaps the counter is read at the edges of every window.
    spans = windows if between is None else [block.whole for block in blocks.blocks(windows)]
    highest = trace.power_range.highest_watts
    rises, reasons = zip(
        *(
            counter_difference(times, counted, w.begin_seconds, w.end_seconds, reach_seconds, highest)
            for w in spans
        ),
        strict=True,
    )
    reason = next((r for r in reasons if r), None)
    rise = sum_known(rises)
    joules = None if rise is None else rise - sum(between or ())
    if joules is not None and joules <= 0:
        reason = "the counter rose by less than was drawn between the windows"
    elif rise is not None:
        reason = _out_of_range(rise, sum(span.seconds for span in spans), trace.power_range)
    reading = _source("the energy counter", times, windows, covered, joules, reason, trace.counter_error)
    return _with_edges(reading, windows, between)


def _out_of_range(rise: float, seconds: float, possible: PowerRange) -> str | None:
    """Return the reason why a counter that rose so much did not count joules, or None if it may have."""
    watts = rise / seconds
    if seconds < LEAST_UNIT_SECONDS or possible.contains(watts):
        return None
    amount = "less" if watts < possible.lowest_watts else "more"
    return f"the counter rose at {watts:.3g} W, {amount} than the device can draw: it counts in another unit"


def gaps_of(trace: DeviceTrace, windows: Sequence[Window]) -> list[float] | None:
    """Return the joules of each gap in the blocks of the windows, or None if the power there is unknown.

    A reading that is an average over a second does not resolve an evaluation, so it does not count.
    """
    between = [gap for block in blocks.blocks(windows) for gap in block.gaps]
    if between and trace.power_field == AVERAGED_POWER:
        return None
    return blocks.gap_joules(trace, between)


def _with_edges(
    reading: SourceReading, windows: Sequence[Window], between: list[float] | None
) -> SourceReading:
    joined = blocks.blocks(windows)
    lengths = [gap.seconds for block in joined for gap in block.gaps]
    seconds = sum(w.seconds for w in windows)
    train_watts = None if reading.joules is None else reading.joules / seconds
    gap_watts = None if between is None else [j / s for j, s in zip(between, lengths, strict=True)]
    cost = blocks.edge_seconds(joined, train_watts, gap_watts)
    return dataclasses.replace(reading, edge_seconds=cost)


def _source(
    name: str,
    times: Values,
    windows: Sequence[Window],
    covered: Sequence[tuple[float, float]],
    joules: float | None,
    reason: str | None,
    error: str | None,
) -> SourceReading:
    """Return the reading of one source over the windows; unknown for a reason or if coverage is too low.

    Args:
        name: the source, as messages call it.
        times: times of all its readings in seconds.
        windows: the windows, none of zero length.
        covered: coverage and longest gap in seconds of each window.
        joules: its joules over the windows, if it is sound.
        reason: why they are unknown.
        error: last error of the source.
    """
    seconds = sum(w.seconds for w in windows)
    assert seconds, "the windows have a length"
    coverage = sum(share * w.seconds for (share, _), w in zip(covered, windows, strict=True)) / seconds
    gap = max(gap for _, gap in covered)
    edges = np.searchsorted(times, [(w.begin_seconds, w.end_seconds) for w in windows])
    polls = int((edges[:, 1] - edges[:, 0]).sum())
    # The cause before its symptom: a source that was never or rarely read also fails at some edge.
    if not times.size:
        reason = f"{name} was never read"
    elif coverage < LEAST_COVERAGE:
        reason = f"{name} was read in only {coverage:.0%} of the window (longest gap {gap:.2g} s)"
    return SourceReading(None if reason else joules, reason, error, polls, coverage, gap)


def idle_power(
    trace: DeviceTrace, idle: Window | None, reach_seconds: float
) -> tuple[float | None, str | None]:
    """Return the mean watts over the idle window, by power or else by counter, or None and the reason."""
    if idle is None:
        return None, "no idle baseline was taken"
    for measure in (measure_power, measure_counter):
        source = measure(trace, [idle], reach_seconds)
        if source.joules is not None:
            return source.joules / idle.seconds, None
    return None, f"idle baseline: {source.reason_with_error}"


def nullable_fields(reason: str | None, **values: float | None) -> dict[str, object]:
    """Return each value with its `_reason` field: None for a value that is known, else `reason`."""
    fields: dict[str, object] = {}
    for name, value in values.items():
        fields |= {name: value, f"{name}_reason": reason if value is None else None}
    return fields


@dataclasses.dataclass(frozen=True)
class DeviceReading:
    """One device over all windows: both sources, idle power, highest power and state."""

    trace: DeviceTrace
    counter: SourceReading
    power: SourceReading
    idle_watts: float | None
    idle_watts_reason: str | None
    peak_watts: float | None
    state: GpuState

    def record(self, used: Source, window_seconds: float) -> DeviceEnergy:
        """Return the device's part of the record, with coverage and gap of the source that is used."""
        source = self.power if used == "integral" else self.counter
        joules = source.joules
        assert joules is not None, "a source is used only if it is known on every device"
        no_power = NO_POWER if used == "rapl" else None
        state, caps = self.state, self.state.power_limits_watts
        fields: dict[str, object] = {
            **nullable_fields(self.counter.reason_with_error, counter_joules=self.counter.joules),
            **nullable_fields(no_power or self.power.reason_with_error, integral_joules=self.power.joules),
            **nullable_fields(self.idle_watts_reason, idle_watts=self.idle_watts),
            **known(mean_watts=joules / window_seconds),
            **nullable_fields("no power was read in the window", peak_watts=self.peak_watts),
            **nullable_fields(
                state.reason,
                temperature_begin_celsius=state.temperature_begin_celsius,
                temperature_end_celsius=state.temperature_end_celsius,
                sm_clock_mhz=state.sm_clock_mhz,
                power_limit_watts=caps[-1] if caps else None,
                throttled_share=state.throttled_share,
                compute_processes=state.compute_processes,
            ),
            **nullable_fields(no_power or gpu_state.TOO_FEW_READINGS, stale_share=state.stale_share),
        }
        return DeviceEnergy(
            uuid=self.trace.uuid,
            name=self.trace.name,
            power_field=self.trace.power_field,
            throttle_reasons=tuple(name for name, share in state.throttled.items() if share),
            polls=source.polls,
            coverage=source.coverage,
            longest_gap_seconds=source.longest_gap_seconds,
            **fields,  # type: ignore[arg-type]
        )


def read_device(
    trace: DeviceTrace, windows: Sequence[Window], idle: Window | None, reach_seconds: float
) -> DeviceReading:
    """Evaluate both sources of one device over the windows, none of which may have zero length."""
    state = gpu_state.summarise(trace, windows)
    counter = measure_counter(trace, windows, reach_seconds)
    # A reading that a sound counter contradicts stays as its cross-check: which of the two is wrong, and by
    # how much, is for the grade. Without the counter it would be the figure.
    frozen = frozen_readings(trace, windows)
    trace = without_frozen(
        trace, [each for each in frozen if not each.doubtful and (each.busy or counter.joules is None)]
    )
    power = measure_power(trace, windows, reach_seconds)
    idle_watts, idle_reason = idle_power(trace, idle, reach_seconds)
    peak = _peak_watts(np.asarray(trace.power_times), np.asarray(trace.watts), windows)
    if trace.power_field == rapl.FIELD and len(trace.counter_times) > 1:
        # RAPL has no power reading: its peak is the steepest rise of the counter between two polls. The
        # floor on the interval guards against two polls with one (rounded) time.
        t = np.asarray(trace.counter_times)
        peak = _peak_watts(t[1:], np.diff(trace.joules) / np.maximum(np.diff(t), 1e-6), windows)
    return DeviceReading(trace, counter, power, idle_watts, idle_reason, peak, state)


def _peak_watts(times: Values, watts: Values, windows: Sequence[Window]) -> float | None:
    inside = [watts[(times >= x.begin_seconds) & (times <= x.end_seconds)] for x in windows]
    return max((float(w.max()) for w in inside if w.size), default=None)


def sum_known(values: Sequence[float | None]) -> float | None:
    """Return the sum, or None if any value is unknown."""
    known_values = [v for v in values if v is not None]
    return sum(known_values) if len(known_values) == len(values) else None
