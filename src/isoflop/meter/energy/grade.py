"""Grade of an energy figure, A to D: how far its joules can be trusted, with a reason for every finding.

    grade   conditions
    A       counter and integral within 2%; 10 s or more, 60 s or more where a part was replayed; coverage
            99% and no gap over 1 s; edges cost below 2%; clocks not held back; temperature drift below 15
            degrees
    B       as A, but replayed for less than 60 s in all, or coverage 95% to 99%, or a gap over 1 s, or many
            short windows (edges above 2%), or clocks held back by a power cap or by synchronised GPUs, or 15
            degrees warmer or cooler at the end, or an impossible power reading; or a processor's RAPL
            counters, which have no second source
    C       one source only (counter missing, reset or backwards; power unreadable), or counter and integral
            2% to 10% apart, or under 10 s in all, or clocks held back by heat or by the power supply's brake,
            or a power cap that was changed, or a power reading that was frozen or that a busy GPU repeated,
            or more than 5% of the power
            readings impossible
    D       counter and integral more than 10% apart over 10 s or more, or under 1 s in all, or a GPU shared
            with other compute processes or in MIG mode (sensors see only the whole GPU), or a modelled power

So meter.window_seconds=10 earns short shapes a B at best, and 60, the least that MLPerf Power accepts
(Tschand et al. 2024, arXiv 2410.12032), an A.

The worst finding decides the grade. At B the joules are right and their circumstances special; at C there is
no cross-check or the GPU was not in its normal state; at D they are not the joules of this program alone. A
GPU's sensor has a gain error of about 5% that no grade can detect (arXiv 2312.02741).
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
REPLAYED_WINDOW_SECONDS = 60.0
"""Least length of an A that was partly replayed: the least duration of a measurement in MLPerf Power."""
AGREEMENT = 0.02
DISAGREEMENT = 0.10
DRIFT_CELSIUS = 15.0
LEAST_THROTTLED_SHARE = 0.01
"""Clocks held back for no more than this share of the time are not reported."""
STUCK_SHARE = 0.05
REJECTED_SHARE = 0.05
"""More impossible readings than this are a faulty sensor; fewer cost only the moments they stand for."""

THROTTLES: dict[str, tuple[Grade, str]] = {
    "HwSlowdown": ("C", "heat or the power supply"),
    "HwThermalSlowdown": ("C", "heat"),
    "SwThermalSlowdown": ("C", "heat"),
    "HwPowerBrakeSlowdown": ("C", "the power supply's brake"),
    "SwPowerCap": ("B", "the power cap"),
    "SyncBoost": ("B", "a slower GPU it is synchronised with"),
}
"""NVML's reason for reduced clocks -> the grade it costs and its meaning. Reasons that are absent here cost
nothing: an idle GPU, or a lower clock that the user set."""


@dataclasses.dataclass(frozen=True)
class GpuEvidence:
    """What the grade needs to know of one GPU.

    Attributes:
        uuid: the GPU.
        throttled: throttle reason -> share of the time, in [0, 1].
        drift_celsius: temperature at the end minus at the beginning.
        power_limits_watts: the power caps seen, in order.
        foreign_processes: largest number of compute processes that do not belong to the metered work.
        mig: whether MIG mode is on.
        stuck_share: share of the time in which the power reading was frozen.
        repeated_share: share of the time in which it was repeated as its sensor, or a power cap, may have it.
        rejected_share: share of the power readings that cannot be true, and were left out as gaps.
        rejected_watts: the first of them.
    """

    uuid: str
    throttled: dict[str, float]
    drift_celsius: float | None
    power_limits_watts: tuple[float, ...]
    foreign_processes: int | None
    mig: bool | None
    stuck_share: float
    rejected_share: float = 0.0
    rejected_watts: float | None = None
    repeated_share: float = 0.0


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What a grade is based on; joules are summed over all GPUs, the rest is that of the worst.

    `edge_seconds` is how much of the windows' seconds their edges may cost (isoflop.meter.energy.blocks).
    """

    used: Source
    counter_joules: float | None
    integral_joules: float | None
    window_seconds: float
    windows: int
    coverage: float
    longest_gap_seconds: float
    replayed: bool
    edge_seconds: float = 0.0
    gpus: Sequence[GpuEvidence] = ()


def grade(evidence: Evidence) -> tuple[Grade, tuple[str, ...]]:
    """Return the grade by the module's table and the reason of every finding; an A states its evidence."""
    if evidence.used == "modelled":
        return "D", ("modelled: an assumed power times the seconds, nothing was measured",)
    findings = [*_source_findings(evidence), *_window_findings(evidence)]
    for gpu in evidence.gpus:
        prefix = f"{gpu.uuid}: " if len(evidence.gpus) > 1 else ""
        findings += [(letter, prefix + reason) for letter, reason in _gpu_findings(gpu)]
    if not findings:
        difference, seconds = _relative_difference(evidence), evidence.window_seconds
        return "A", (f"counter and integral {difference:.1%} apart over {seconds:.3g} s",)
    return max(letter for letter, _ in findings), tuple(reason for _, reason in findings)


def _relative_difference(evidence: Evidence) -> float | None:
    if evidence.counter_joules is None or evidence.integral_joules is None:
        return None
    return abs(evidence.integral_joules / evidence.counter_joules - 1)


def _source_findings(evidence: Evidence) -> Iterator[Finding]:
    """Yield what the cross-check of counter and integral shows."""
    if evidence.used == "rapl":
        yield "B", "RAPL: one source, which counts the whole processor, other programs included"
        return
    if evidence.counter_joules is None:
        yield "C", "power integral only: no sound energy counter"
    if evidence.integral_joules is None:
        yield "C", "energy counter only: no sound power integral"
    difference = _relative_difference(evidence)
    # Below LONG_WINDOW_SECONDS the counter's edges alone may cost 2%, so a difference proves nothing; such a
    # window is a C already.
    if difference is not None and evidence.window_seconds >= LONG_WINDOW_SECONDS and difference > AGREEMENT:
        yield "D" if difference > DISAGREEMENT else "C", f"counter and integral are {difference:.1%} apart"


def _window_findings(evidence: Evidence) -> Iterator[Finding]:
    """Yield what the windows' length and the polls in them show."""
    seconds = evidence.window_seconds
    if seconds < SHORT_WINDOW_SECONDS:
        yield "D", f"only {seconds:.2g} s were metered"
    elif seconds < LONG_WINDOW_SECONDS:
        yield "C", f"{seconds:.3g} s were metered: below {LONG_WINDOW_SECONDS:g} s"
    # The edges' cost grows with the number of windows while the joules do not. A single window's is in its
    # length already.
    edge_share = evidence.edge_seconds / seconds
    if edge_share > AGREEMENT and evidence.windows > 1:
        yield "B", f"{evidence.windows} windows whose edges may cost {edge_share:.0%}"
    if evidence.coverage < FULL_COVERAGE:
        yield "B", f"polls cover {evidence.coverage:.1%} of the window"
    if evidence.longest_gap_seconds > LONG_GAP_SECONDS:
        yield "B", f"no poll for {evidence.longest_gap_seconds:.2g} s at a stretch"
    if evidence.replayed and seconds < REPLAYED_WINDOW_SECONDS:
        yield "B", f"replayed: {seconds:.3g} s with repetitions, below {REPLAYED_WINDOW_SECONDS:g} s"


def _gpu_findings(gpu: GpuEvidence) -> Iterator[Finding]:
    """Yield what the state of one GPU shows."""
    if gpu.mig:
        yield "D", "shared: the GPU is in MIG mode, and its sensors see only the whole GPU"
    if gpu.foreign_processes:
        count = gpu.foreign_processes
        yield "D", f"shared: {count} other compute process{'es' if count > 1 else ''} on the GPU"
    if gpu.stuck_share > STUCK_SHARE:
        yield "C", f"the power reading was frozen for {gpu.stuck_share:.0%} of the time"
    if gpu.repeated_share > STUCK_SHARE:
        yield "C", f"a busy GPU repeated its power reading for {gpu.repeated_share:.0%} of the time"
    if gpu.rejected_share:
        letter: Grade = "C" if gpu.rejected_share > REJECTED_SHARE else "B"
        what = f"{gpu.rejected_share:.1%} of the power readings cannot be true"
        yield letter, f"{what} (such as {gpu.rejected_watts:.3g} W) and count as gaps"
    for name, share in gpu.throttled.items():
        if name in THROTTLES and share > LEAST_THROTTLED_SHARE:
            cost, cause = THROTTLES[name]
            yield cost, f"clocks held back by {cause} {share:.0%} of the time ({name})"
    if len(gpu.power_limits_watts) > 1:
        caps = " to ".join(f"{watts:g} W" for watts in gpu.power_limits_watts)
        yield "C", f"the power cap was changed: {caps}"
    if gpu.drift_celsius is not None and abs(gpu.drift_celsius) >= DRIFT_CELSIUS:
        direction = "warmer" if gpu.drift_celsius > 0 else "cooler"
        yield "B", f"{abs(gpu.drift_celsius):.0f} degrees {direction} at the end: leakage grows with heat"
