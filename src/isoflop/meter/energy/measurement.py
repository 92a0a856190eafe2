"""From the polls of every device to the record's Energy with its grade, or the reason it is unknown.

Pure functions. Of a board two sources are read side by side: its energy counter, differenced over each
window, and its power, integrated over each window. Of a processor there is one, its RAPL counter.

The counter is used where every board's is sound, else the integral. A source is sound where its polls cover
at least 95% of the windows (a moment is covered within three periods of a poll) and, for the counter, it was
read near every edge, never ran backwards and moved. With no sound source the energy is unknown. Grades are
told in isoflop.meter.energy.grade.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from isoflop.meter.energy import gpu_state as states
from isoflop.meter.energy import rapl
from isoflop.meter.energy.gpu_state import State
from isoflop.meter.energy.grade import Evidence, Source, grade
from isoflop.meter.energy.polls import (
    BoardTrace,
    Integral,
    Seconds,
    Window,
    counter_difference,
    cover,
    integrate,
)
from isoflop.record import DeviceEnergy, Energy, known, unknown

LEAST_COVERAGE = 0.95
NO_POWER = "RAPL is a counter: it has no power reading"


@dataclasses.dataclass(frozen=True)
class Channel:
    """One source of one board over all windows: joules, or the reason they are unknown. `error` is the last
    thing NVML said against it, if anything."""

    joules: float | None
    reason: str | None
    error: str | None
    polls: int
    coverage: float
    longest_gap_seconds: float

    @property
    def told(self) -> str | None:
        """The reason with NVML's last word on it."""
        return f"{self.reason} ({self.error})" if self.reason and self.error else self.reason


def measure_power(board: BoardTrace, windows: Sequence[Window], reach_seconds: float) -> Channel:
    """Integral of the board's power over the windows."""
    times, watts = np.asarray(board.power_times), np.asarray(board.watts)

    def one(window: Window) -> tuple[Integral, str | None]:
        part = integrate(times, watts, window.begin_seconds, window.end_seconds, reach_seconds)
        return part, None if part.joules else "power read 0 W throughout"

    return _sum("power", times, windows, one, board.power_error)


def measure_counter(board: BoardTrace, windows: Sequence[Window], reach_seconds: float) -> Channel:
    """Rise of the board's energy counter over the windows."""
    times, joules = np.asarray(board.counter_times), np.asarray(board.joules)

    def one(window: Window) -> tuple[Integral, str | None]:
        edges = window.begin_seconds, window.end_seconds
        coverage, gap = cover(times, *edges, reach_seconds)
        rise, reason = counter_difference(times, joules, *edges, reach_seconds)
        return Integral(rise, coverage, gap), reason

    return _sum("the energy counter", times, windows, one, board.counter_error)


def _sum(
    what: str,
    times: Seconds,
    windows: Sequence[Window],
    one: Callable[[Window], tuple[Integral, str | None]],
    error: str | None,
) -> Channel:
    """Add up one source over the windows; it is unknown where any window is or the coverage is too low."""
    seconds = total([w.seconds for w in windows])
    assert seconds, "the windows have a length"
    parts, reasons = zip(*(one(w) for w in windows), strict=True)
    coverage = sum(p.coverage * w.seconds for p, w in zip(parts, windows, strict=True)) / seconds
    gap = max(p.longest_gap_seconds for p in parts)
    edges = np.searchsorted(times, [(w.begin_seconds, w.end_seconds) for w in windows])
    polls = int((edges[:, 1] - edges[:, 0]).sum())
    reason = next((r for r in reasons if r), None)
    if not times.size:
        reason = f"{what} was never read"
    elif coverage < LEAST_COVERAGE:
        reason = f"{what} was read in only {coverage:.0%} of the window (longest gap {gap:.2g} s)"
    joules = None if reason else total([p.joules for p in parts])
    return Channel(joules, reason, error, polls, coverage, gap)


def idle_power(
    board: BoardTrace, idle: Window | None, reach_seconds: float
) -> tuple[float | None, str | None]:
    """Mean watts of the board over the idle window, from its power or else its counter, or the reason."""
    if idle is None:
        return None, "no idle baseline was taken"
    for measure in (measure_power, measure_counter):
        channel = measure(board, [idle], reach_seconds)
        if channel.joules is not None:
            return channel.joules / idle.seconds, None
    return None, f"idle baseline: {channel.told}"


def optional(reason: str | None, **values: float | None) -> dict[str, object]:
    """Nullable fields with their values, or with `reason` where a value is None."""
    pairs: dict[str, object] = {}
    for name, value in values.items():
        pairs |= {name: value, f"{name}_reason": reason if value is None else None}
    return pairs


@dataclasses.dataclass(frozen=True)
class Reading:
    """One device over all windows, by both sources, beside its idle power and its state."""

    board: BoardTrace
    counter: Channel
    power: Channel
    idle_watts: float | None
    idle_watts_reason: str | None
    peak_watts: float | None
    state: State

    def device(self, used: Source, window_seconds: float) -> DeviceEnergy:
        """The record's account of the device, with coverage and gap of the source that is used."""
        channel = self.power if used == "integral" else self.counter
        joules = channel.joules
        assert joules is not None, "a source is used only where every device's is known"
        state, caps = self.state, self.state.power_limits_watts
        facts: dict[str, object] = {
            **optional(self.counter.told, counter_joules=self.counter.joules),
            **optional(NO_POWER if used == "rapl" else self.power.told, integral_joules=self.power.joules),
            **optional(self.idle_watts_reason, idle_watts=self.idle_watts),
            **known(mean_watts=joules / window_seconds),
            **optional("no power was read in the window", peak_watts=self.peak_watts),
            **optional(
                state.reason,
                temperature_begin_celsius=state.temperature_begin_celsius,
                temperature_end_celsius=state.temperature_end_celsius,
                sm_clock_mhz=state.sm_clock_mhz,
                power_limit_watts=caps[-1] if caps else None,
                throttled_share=state.throttled_share,
                compute_processes=state.compute_processes,
            ),
            **optional(NO_POWER if used == "rapl" else states.STALE_POLLS, stale_share=state.stale_share),
        }
        return DeviceEnergy(
            uuid=self.board.uuid,
            name=self.board.name,
            power_field=self.board.power_field,
            throttle_reasons=tuple(name for name, share in state.throttled.items() if share),
            polls=channel.polls,
            coverage=channel.coverage,
            longest_gap_seconds=channel.longest_gap_seconds,
            **facts,  # type: ignore[arg-type]
        )


def read_board(
    board: BoardTrace, windows: Sequence[Window], idle: Window | None, reach_seconds: float
) -> Reading:
    """Both sources of one device over the windows. The windows have a length."""
    counter = measure_counter(board, windows, reach_seconds)
    power = measure_power(board, windows, reach_seconds)
    idle_watts, idle_reason = idle_power(board, idle, reach_seconds)
    peak = _peak(np.asarray(board.power_times), np.asarray(board.watts), windows)
    if board.power_field == rapl.FIELD and len(board.counter_times) > 1:
        t = np.asarray(board.counter_times)
        peak = _peak(t[1:], np.diff(board.joules) / np.maximum(np.diff(t), 1e-6), windows)
    return Reading(board, counter, power, idle_watts, idle_reason, peak, states.summarise(board, windows))


def _peak(times: Seconds, watts: Seconds, windows: Sequence[Window]) -> float | None:
    peaks = [watts[(times >= x.begin_seconds) & (times <= x.end_seconds)] for x in windows]
    return max((float(p.max()) for p in peaks if p.size), default=None)


def choose(readings: Sequence[Reading]) -> tuple[Literal["counter", "integral"], float] | str:
    """The source that is sound on every board and its joules over all boards, or why there is none."""
    counter = total([r.counter.joules for r in readings])
    integral = total([r.power.joules for r in readings])
    if counter is not None:
        return "counter", counter
    if integral is not None:
        return "integral", integral
    bad = next(r for r in readings if r.power.reason)
    said = dict.fromkeys(c.error for c in (bad.power, bad.counter) if c.reason and c.error)
    found = "; ".join(c.reason for c in (bad.power, bad.counter) if c.reason)
    return f"{bad.board.uuid}: {found}" + (f" ({', '.join(said)})" if said else "")


def processors(readings: Sequence[Reading]) -> tuple[float | None, str | None]:
    """Joules of all processor packages and their memory, or the reason they are unknown."""
    bad = next((r for r in readings if r.counter.joules is None), None)
    if bad is not None:
        return None, f"{bad.board.uuid}: {bad.counter.told}"
    return total([r.counter.joules for r in readings]), None


def total(values: Sequence[float | None]) -> float | None:
    """Their sum, or None where one of them is unknown."""
    known_values = [v for v in values if v is not None]
    return sum(known_values) if len(known_values) == len(values) else None


@dataclasses.dataclass(frozen=True)
class Circumstances:
    """How the windows came about: `scale` multiplies the joules of a replay; `own_processes` are the compute
    processes a board should hold (None: those that came after the meter); `host` are the processor's joules,
    or the reason there are none."""

    replayed: bool = False
    scale: float = 1.0
    own_processes: int | None = 1
    host: tuple[float | None, str | None] = (None, "RAPL was not asked for")


def combine(
    readings: Sequence[Reading], windows: Sequence[Window], how: Circumstances
) -> tuple[Energy | None, str | None]:
    """The record's Energy over all boards, its joules times the scale, or None and the reason.

    `window_seconds` and everything under `devices` are as metered, not scaled.
    """
    chosen = choose(readings)
    if isinstance(chosen, str):
        return None, chosen
    return _energy(readings, windows, *chosen, how), None


def combine_processors(
    readings: Sequence[Reading], windows: Sequence[Window], how: Circumstances
) -> tuple[Energy | None, str | None]:
    """The Energy of processors and their memory by RAPL, or None and the reason."""
    joules, reason = processors(readings)
    if joules is None:
        return None, reason
    inside = dataclasses.replace(how, host=(None, "energy_joules are the processor's own"))
    return _energy(readings, windows, "rapl", joules, inside), None


def modelled(watts: float, windows: Sequence[Window], how: Circumstances) -> Energy:
    """An assumed power times the seconds; never measured, and graded so. `watts` is the whole processor's."""
    seconds = sum(w.seconds for w in windows)
    evidence = _evidence("modelled", (), windows, how)
    letter, findings = grade(evidence)
    return Energy(
        energy_joules=watts * seconds * how.scale,
        used="modelled",
        replayed=how.replayed,
        window_seconds=seconds,
        **unknown("modelled: nothing was read", "counter_joules", "integral_joules", "host_joules"),
        **unknown("modelled: an assumed power has no idle part", "idle_watts", "net_joules"),
        coverage=evidence.coverage,
        longest_gap_seconds=evidence.longest_gap_seconds,
        grade=letter,
        grade_reasons=(f"{findings[0]} ({watts:g} W)",),
        devices=(),
    )


def _evidence(
    used: Source, readings: Sequence[Reading], windows: Sequence[Window], how: Circumstances
) -> Evidence:
    channels = [r.power if used == "integral" else r.counter for r in readings]
    return Evidence(
        used=used,
        counter_joules=total([r.counter.joules for r in readings]),
        integral_joules=total([r.power.joules for r in readings]),
        window_seconds=sum(w.seconds for w in windows),
        windows=len(windows),
        coverage=min((c.coverage for c in channels), default=0.0),
        longest_gap_seconds=max(
            (c.longest_gap_seconds for c in channels), default=max(w.seconds for w in windows)
        ),
        replayed=how.replayed,
        boards=tuple(
            states.evidence(r.board, r.state, windows, how.own_processes) for r in readings if used != "rapl"
        ),
    )


def _energy(
    readings: Sequence[Reading], windows: Sequence[Window], used: Source, joules: float, how: Circumstances
) -> Energy:
    evidence = _evidence(used, readings, windows, how)
    letter, findings = grade(evidence)
    idle = total([r.idle_watts for r in readings])
    idle_reason = next((r.idle_watts_reason for r in readings if r.idle_watts is None), None)
    net = None if idle is None else (joules - idle * evidence.window_seconds) * how.scale
    host, no_host = how.host
    facts = {
        **optional(
            next((r.counter.told for r in readings if r.counter.told), None),
            counter_joules=times(evidence.counter_joules, how.scale),
        ),
        **optional(
            NO_POWER if used == "rapl" else next((r.power.told for r in readings if r.power.told), None),
            integral_joules=times(evidence.integral_joules, how.scale),
        ),
        **optional(idle_reason, idle_watts=idle, net_joules=net),
        **optional(no_host, host_joules=times(host, how.scale)),
    }
    return Energy(
        energy_joules=joules * how.scale,
        used=used,
        replayed=how.replayed,
        window_seconds=evidence.window_seconds,
        coverage=evidence.coverage,
        longest_gap_seconds=evidence.longest_gap_seconds,
        grade=letter,
        grade_reasons=findings,
        devices=tuple(r.device(used, evidence.window_seconds) for r in readings),
        **facts,  # type: ignore[arg-type]
    )


def times(value: float | None, scale: float) -> float | None:
    """A product that stays unknown."""
    return None if value is None else value * scale
