"""The grade of an energy figure: how far its joules can be trusted, with every finding in words.

    grade   all of
    A       counter and integral within 2%; 10 s or more; coverage 99% and no gap over 1 s; not replayed;
            edges cost below 2%; nothing held the clocks back; no drift of 15 degrees
    B       as A, but replayed, or coverage 95% to 99%, or a gap over 1 s, or many short windows (0.1 s an
            edge pair above 2%), or a power cap or synchronised boards held the clocks back, or 15 degrees
            warmer or cooler at the end; or a processor's RAPL counters, which have no second source
    C       one source only (counter missing, reset or backwards; power unreadable), or counter and integral
            2% to 10% apart, or under 10 s in all, or clocks held back by heat or by the power supply's brake,
            or a power cap that was changed, or a power reading that stood still while the counter moved on
    D       counter and integral more than 10% apart over 10 s or more, or under 1 s in all, or a board shared
            with other compute processes or cut into slices (MIG: sensors see only the whole board), or a
            modelled power

The worst finding gives the grade. Under B the joules are right and their circumstances special; under C they
have no second witness or the board was not itself; under D they are not this program's joules. A board's
sensor has a gain error of about 5% that no grade sees (arXiv 2312.02741).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal

from isoflop.record import Grade

Source = Literal["counter", "integral", "rapl", "modelled"]
Finding = tuple[Grade, str]

FULL_COVERAGE = 0.99
LONG_GAP_SECONDS = 1.0
LONG_WINDOW_SECONDS = 10.0
SHORT_WINDOW_SECONDS = 1.0
COUNTER_STEP_SECONDS = 0.1
AGREEMENT = 0.02
DISAGREEMENT = 0.10
DRIFT_CELSIUS = 15.0
HELD_SHARE = 0.01
"""Clocks held back for no more than this share of the time are not worth a finding."""
STUCK_SHARE = 0.05

THROTTLES: dict[str, tuple[Grade, str]] = {
    "HwSlowdown": ("C", "heat or the power supply"),
    "HwThermalSlowdown": ("C", "heat"),
    "SwThermalSlowdown": ("C", "heat"),
    "HwPowerBrakeSlowdown": ("C", "the power supply's brake"),
    "SwPowerCap": ("B", "the power cap"),
    "SyncBoost": ("B", "a slower board it is synchronised with"),
}
"""NVML's reason for clocks below their highest -> the grade it costs and what it means. Being idle, or set to
a lower clock by the user, is none of them."""


@dataclasses.dataclass(frozen=True)
class BoardEvidence:
    """What is known of one board: shares (0 to 1) of the time by throttle reason, degrees it warmed by, power
    caps seen, most compute processes that are not ours, share of the time its power reading stood still."""

    uuid: str
    throttled: dict[str, float]
    drift_celsius: float | None
    power_limits_watts: tuple[float, ...]
    foreign_processes: int | None
    mig: bool | None
    stuck_share: float


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What a grade rests on; joules over all boards, coverage of the worst one."""

    used: Source
    counter_joules: float | None
    integral_joules: float | None
    window_seconds: float
    windows: int
    coverage: float
    longest_gap_seconds: float
    replayed: bool
    boards: Sequence[BoardEvidence] = ()


def grade(evidence: Evidence) -> tuple[Grade, tuple[str, ...]]:
    """The grade of the module's table, and every finding in words; an A says what it rests on."""
    if evidence.used == "modelled":
        return "D", ("modelled: an assumed power times the seconds, nothing was measured",)
    findings = [*_sources(evidence), *_time(evidence)]
    for board in evidence.boards:
        name = f"{board.uuid}: " if len(evidence.boards) > 1 else ""
        findings += [(letter, name + words) for letter, words in _board(board)]
    if not findings:
        apart, seconds = _apart(evidence), evidence.window_seconds
        return "A", (f"counter and integral {apart:.1%} apart over {seconds:.3g} s",)
    return max(letter for letter, _ in findings), tuple(words for _, words in findings)


def _apart(evidence: Evidence) -> float | None:
    if evidence.counter_joules is None or evidence.integral_joules is None:
        return None
    return abs(evidence.integral_joules / evidence.counter_joules - 1)


def _sources(evidence: Evidence) -> Iterator[Finding]:
    """What the two sources say of each other."""
    if evidence.used == "rapl":
        yield "B", "RAPL: one source, which counts the whole processor, other programs included"
        return
    if evidence.counter_joules is None:
        yield "C", "power integral only: no sound energy counter"
    if evidence.integral_joules is None:
        yield "C", "energy counter only: no sound power integral"
    apart = _apart(evidence)
    if apart is not None and evidence.window_seconds >= LONG_WINDOW_SECONDS and apart > AGREEMENT:
        yield "D" if apart > DISAGREEMENT else "C", f"counter and integral are {apart:.1%} apart"


def _time(evidence: Evidence) -> Iterator[Finding]:
    """What the length of the windows and the polls in them say."""
    seconds = evidence.window_seconds
    if seconds < SHORT_WINDOW_SECONDS:
        yield "D", f"only {seconds:.2g} s were metered"
    elif seconds < LONG_WINDOW_SECONDS:
        yield "C", f"{seconds:.3g} s were metered: below {LONG_WINDOW_SECONDS:g} s"
    edges = evidence.windows * COUNTER_STEP_SECONDS / seconds
    if edges > AGREEMENT and evidence.windows > 1:
        yield "B", f"{evidence.windows} windows whose edges may cost {edges:.0%}"
    if evidence.coverage < FULL_COVERAGE:
        yield "B", f"polls cover {evidence.coverage:.1%} of the window"
    if evidence.longest_gap_seconds > LONG_GAP_SECONDS:
        yield "B", f"no poll for {evidence.longest_gap_seconds:.2g} s at a stretch"
    if evidence.replayed:
        yield "B", "replayed: scaled from a longer replay of the same steps"


def _board(board: BoardEvidence) -> Iterator[Finding]:
    """What the state of one board says."""
    if board.mig:
        yield "D", "shared: the board is cut into slices (MIG), and its sensors see only the whole"
    if board.foreign_processes:
        count = board.foreign_processes
        yield "D", f"shared: {count} other compute process{'es' if count > 1 else ''} on the board"
    if board.stuck_share > STUCK_SHARE:
        yield "C", f"the power reading stood still for {board.stuck_share:.0%} while the counter moved on"
    for name, share in board.throttled.items():
        if name in THROTTLES and share > HELD_SHARE:
            letter, words = THROTTLES[name]
            yield letter, f"clocks held back by {words} {share:.0%} of the time ({name})"
    if len(board.power_limits_watts) > 1:
        caps = " to ".join(f"{watts:g} W" for watts in board.power_limits_watts)
        yield "C", f"the power cap was changed: {caps}"
    if board.drift_celsius is not None and abs(board.drift_celsius) >= DRIFT_CELSIUS:
        verb = "warmer" if board.drift_celsius > 0 else "cooler"
        yield "B", f"{abs(board.drift_celsius):.0f} degrees {verb} at the end: leakage grows with heat"
