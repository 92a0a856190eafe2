"""From the polls of every board to the record's Energy with its grade, or the reason it is unknown.

Pure functions. Two sources are read side by side: the board's energy counter, differenced over each window,
and its power, integrated over each window.

The counter is used where every board's is sound, else the integral. A source is sound where its polls cover
at least 95% of the windows (a moment is covered within three periods of a poll) and, for the counter, it was
read near every edge, never ran backwards and moved. With no sound source the energy is unknown.

    grade   all of
    A       counter and integral within 2%; 10 s or more; coverage 99%; not replayed; edges cost below 2%
    B       as A, but replayed, or coverage 95% to 99%, or many short windows (0.1 s an edge pair above 2%)
    C       one source only (counter missing, reset or backwards; power unreadable), or counter and integral
            2% to 10% apart, or under 10 s in all
    D       counter and integral more than 10% apart over 10 s or more, or under 1 s in all

The worst finding gives the grade and every finding is named. Each board's sensor has a gain error of about 5%
that no grade sees (arXiv 2312.02741).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from isoflop.meter.trace import BoardTrace, Integral, Seconds, Window, counter_difference, cover, integrate
from isoflop.record import DeviceEnergy, Energy, Grade, unknown

LEAST_COVERAGE = 0.95
FULL_COVERAGE = 0.99
LONG_WINDOW_SECONDS = 10.0
SHORT_WINDOW_SECONDS = 1.0
COUNTER_STEP_SECONDS = 0.1
AGREEMENT = 0.02
DISAGREEMENT = 0.10
Source = Literal["counter", "integral"]
STATE = (
    *("temperature_begin_celsius", "temperature_end_celsius", "sm_clock_mhz", "power_limit_watts"),
    *("throttled_share", "compute_processes", "stale_share"),
)


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


def grade(
    *,
    counter_joules: float | None,
    integral_joules: float | None,
    window_seconds: float,
    windows: int,
    coverage: float,
    replayed: bool,
) -> tuple[Grade, tuple[str, ...]]:
    """The grade of the module's table, and every finding in words; an A says what it rests on."""
    findings: list[tuple[Grade, str]] = []
    apart = None
    if counter_joules is None:
        findings.append(("C", "power integral only: no sound energy counter"))
    elif integral_joules is None:
        findings.append(("C", "energy counter only: no sound power integral"))
    else:
        apart = abs(integral_joules / counter_joules - 1)
        if window_seconds >= LONG_WINDOW_SECONDS and apart > AGREEMENT:
            worse: Grade = "D" if apart > DISAGREEMENT else "C"
            findings.append((worse, f"counter and integral are {apart:.1%} apart"))
    if window_seconds < SHORT_WINDOW_SECONDS:
        findings.append(("D", f"only {window_seconds:.2g} s were metered"))
    elif window_seconds < LONG_WINDOW_SECONDS:
        findings.append(("C", f"{window_seconds:.3g} s were metered: below {LONG_WINDOW_SECONDS:g} s"))
    if (edges := windows * COUNTER_STEP_SECONDS / window_seconds) > AGREEMENT and windows > 1:
        findings.append(("B", f"{windows} windows whose edges may cost {edges:.0%}"))
    if coverage < FULL_COVERAGE:
        findings.append(("B", f"polls cover {coverage:.1%} of the window"))
    if replayed:
        findings.append(("B", "replayed: scaled from a longer replay of the same steps"))
    if not findings:
        return "A", (f"counter and integral {apart:.1%} apart over {window_seconds:.3g} s",)
    return max(g for g, _ in findings), tuple(words for _, words in findings)


@dataclasses.dataclass(frozen=True)
class Reading:
    """One board over all windows, by both sources, beside its idle power."""

    board: BoardTrace
    counter: Channel
    power: Channel
    idle_watts: float | None
    idle_watts_reason: str | None
    peak_watts: float | None

    def device(self, used: Source, window_seconds: float) -> DeviceEnergy:
        """The record's account of the board, with coverage and gap of the source that is used."""
        channel = self.counter if used == "counter" else self.power
        joules = channel.joules
        assert joules is not None, "a source is used only where every board's is known"
        return DeviceEnergy(
            uuid=self.board.uuid,
            name=self.board.name,
            counter_joules=self.counter.joules,
            counter_joules_reason=self.counter.told,
            integral_joules=self.power.joules,
            integral_joules_reason=self.power.told,
            idle_watts=self.idle_watts,
            idle_watts_reason=self.idle_watts_reason,
            mean_watts=joules / window_seconds,
            mean_watts_reason=None,
            peak_watts=self.peak_watts,
            peak_watts_reason=None if self.peak_watts is not None else "no power was read in the window",
            power_field=self.board.power_field,
            throttle_reasons=(),
            **unknown("not read", *STATE),
            polls=channel.polls,
            coverage=channel.coverage,
            longest_gap_seconds=channel.longest_gap_seconds,
        )


def read_board(
    board: BoardTrace, windows: Sequence[Window], idle: Window | None, reach_seconds: float
) -> Reading:
    """Both sources of one board over the windows. The windows have a length."""
    counter = measure_counter(board, windows, reach_seconds)
    power = measure_power(board, windows, reach_seconds)
    idle_watts, idle_reason = idle_power(board, idle, reach_seconds)
    t, w = np.asarray(board.power_times), np.asarray(board.watts)
    peaks = [w[(t >= x.begin_seconds) & (t <= x.end_seconds)] for x in windows]
    peak = max((float(p.max()) for p in peaks if p.size), default=None)
    return Reading(board, counter, power, idle_watts, idle_reason, peak)


def choose(readings: Sequence[Reading]) -> tuple[Source, float] | str:
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


def total(values: Sequence[float | None]) -> float | None:
    """Their sum, or None where one of them is unknown."""
    known = [v for v in values if v is not None]
    return sum(known) if len(known) == len(values) else None


def combine(
    readings: Sequence[Reading], windows: Sequence[Window], *, replayed: bool, scale: float
) -> tuple[Energy | None, str | None]:
    """The record's Energy over all boards, its joules times `scale`, or None and the reason.

    `window_seconds` and everything under `devices` are as metered, not scaled.
    """
    chosen = choose(readings)
    if isinstance(chosen, str):
        return None, chosen
    used, joules = chosen
    seconds = sum(w.seconds for w in windows)
    devices = tuple(r.device(used, seconds) for r in readings)
    counter = total([r.counter.joules for r in readings])
    integral = total([r.power.joules for r in readings])
    idle = total([r.idle_watts for r in readings])
    coverage = min(d.coverage for d in devices)
    letter, findings = grade(
        counter_joules=counter,
        integral_joules=integral,
        window_seconds=seconds,
        windows=len(windows),
        coverage=coverage,
        replayed=replayed,
    )
    idle_reason = next((r.idle_watts_reason for r in readings if r.idle_watts is None), None)
    energy = Energy(
        energy_joules=joules * scale,
        used=used,
        replayed=replayed,
        window_seconds=seconds,
        counter_joules=None if counter is None else counter * scale,
        counter_joules_reason=next((r.counter.told for r in readings if r.counter.told), None),
        integral_joules=None if integral is None else integral * scale,
        integral_joules_reason=next((r.power.told for r in readings if r.power.told), None),
        idle_watts=idle,
        idle_watts_reason=idle_reason,
        net_joules=None if idle is None else (joules - idle * seconds) * scale,
        net_joules_reason=idle_reason,
        **unknown("not read", "host_joules"),
        coverage=coverage,
        longest_gap_seconds=max(d.longest_gap_seconds for d in devices),
        grade=letter,
        grade_reasons=findings,
        devices=devices,
    )
    return energy, None
