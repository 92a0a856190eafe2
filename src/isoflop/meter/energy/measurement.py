"""Combine the readings of all devices into the record's Energy with its grade, or the reason it is unknown.

Pure functions. The energy counter is used if it is sound on every GPU, else the integral of the power
(isoflop.meter.energy.device_reading). With no sound source the energy is unknown. Grades:
isoflop.meter.energy.grade.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from isoflop.meter.energy import gpu_state, rapl
from isoflop.meter.energy.device_reading import NO_POWER, DeviceReading, nullable_fields, sum_known
from isoflop.meter.energy.grade import Evidence, Source, grade
from isoflop.meter.energy.polls import Window
from isoflop.record import Energy, known, unknown


def choose_source(readings: Sequence[DeviceReading]) -> tuple[Literal["counter", "integral"], float] | str:
    """Return the source that is sound on every GPU and its joules over all GPUs, or why there is none.

    Sources are never mixed: a sum of one GPU's counter and another's integral has no cross-check.
    """
    counter = sum_known([r.counter.joules for r in readings])
    integral = sum_known([r.power.joules for r in readings])
    if counter is not None:
        return "counter", counter
    if integral is not None:
        return "integral", integral
    failed = next(r for r in readings if r.power.reason)
    sources = (failed.power, failed.counter)
    reasons = "; ".join(s.reason for s in sources if s.reason)
    errors = dict.fromkeys(s.error for s in sources if s.reason and s.error)
    return f"{failed.trace.uuid}: {reasons}" + (f" ({', '.join(errors)})" if errors else "")


def processor_joules(readings: Sequence[DeviceReading]) -> tuple[float | None, str | None]:
    """Return the joules of all processor packages and their memory, or None and the reason."""
    failed = next((r for r in readings if r.counter.joules is None), None)
    if failed is not None:
        return None, f"{failed.trace.uuid}: {failed.counter.reason_with_error}"
    return sum_known([r.counter.joules for r in readings]), None


@dataclasses.dataclass(frozen=True)
class Circumstances:
    """How the windows came about.

    Attributes:
        replayed: whether they metered a replay of the run's steps.
        own_processes: compute processes a GPU should have; None if the metered work starts after the meter.
        host: joules of the processors beside the GPUs, or None and the reason.
    """

    replayed: bool = False
    own_processes: int | None = 1
    host: tuple[float | None, str | None] = (None, rapl.NOT_REQUESTED.reason)


def combine(
    readings: Sequence[DeviceReading], windows: Sequence[Window], how: Circumstances
) -> tuple[Energy | None, str | None]:
    """Return the record's Energy over all GPUs, or None and the reason."""
    chosen = choose_source(readings)
    if isinstance(chosen, str):
        return None, chosen
    return _energy(readings, windows, *chosen, how), None


def combine_processors(
    readings: Sequence[DeviceReading], windows: Sequence[Window], how: Circumstances
) -> tuple[Energy | None, str | None]:
    """Return the Energy of processors and their memory by RAPL, or None and the reason."""
    joules, reason = processor_joules(readings)
    if joules is None:
        return None, reason
    inside = dataclasses.replace(how, host=(None, "energy_joules are the processor's own"))
    return _energy(readings, windows, "rapl", joules, inside), None


def modelled(watts: float, windows: Sequence[Window], how: Circumstances) -> Energy:
    """Return an Energy of `watts`, an assumed power of the whole processor, times the seconds; grade D."""
    seconds = sum(w.seconds for w in windows)
    evidence = _evidence("modelled", (), windows, how)
    letter, reasons = grade(evidence)
    return Energy(
        energy_joules=watts * seconds,
        used="modelled",
        replayed=how.replayed,
        window_seconds=seconds,
        **unknown("modelled: nothing was read", "counter_joules", "integral_joules", "host_joules"),
        **unknown("modelled: an assumed power has no idle part", "idle_watts", "net_joules"),
        coverage=evidence.coverage,
        longest_gap_seconds=evidence.longest_gap_seconds,
        grade=letter,
        grade_reasons=(f"{reasons[0]} ({watts:g} W)",),
        devices=(),
        **known(own_joules=watts * seconds),
    )


def _evidence(
    used: Source, readings: Sequence[DeviceReading], windows: Sequence[Window], how: Circumstances
) -> Evidence:
    sources = [r.power if used == "integral" else r.counter for r in readings]
    return Evidence(
        used=used,
        counter_joules=sum_known([r.counter.joules for r in readings]),
        integral_joules=sum_known([r.power.joules for r in readings]),
        window_seconds=sum(w.seconds for w in windows),
        windows=len(windows),
        coverage=min((s.coverage for s in sources), default=0.0),
        longest_gap_seconds=max(
            (s.longest_gap_seconds for s in sources), default=max(w.seconds for w in windows)
        ),
        replayed=how.replayed,
        edge_seconds=max((s.edge_seconds for s in sources), default=0.0),
        gpus=tuple(
            gpu_state.evidence(r.trace, r.state, windows, how.own_processes)
            for r in readings
            if used != "rapl"
        ),
    )


def _energy(
    readings: Sequence[DeviceReading],
    windows: Sequence[Window],
    used: Source,
    joules: float,
    how: Circumstances,
) -> Energy:
    """Return the record's Energy.

    Args:
        readings: one per device.
        windows: the metered windows.
        used: the source of the figure.
        joules: its sum over all devices.
        how: replay and host.
    """
    evidence = _evidence(used, readings, windows, how)
    letter, reasons = grade(evidence)
    no_counter = next((r.counter.reason_with_error for r in readings if r.counter.reason), None)
    no_power = next((r.power.reason_with_error for r in readings if r.power.reason), None)
    idle = sum_known([r.idle_watts for r in readings])
    idle_reason = next((r.idle_watts_reason for r in readings if r.idle_watts is None), None)
    # Not clipped at 0: a GPU may draw less in the window than before it, when it was still hot.
    net = None if idle is None else joules - idle * evidence.window_seconds
    host, no_host = how.host
    fields = {
        **nullable_fields(no_counter, counter_joules=evidence.counter_joules),
        **nullable_fields(
            NO_POWER if used == "rapl" else no_power,
            integral_joules=evidence.integral_joules,
        ),
        **nullable_fields(idle_reason, idle_watts=idle, net_joules=net),
        **nullable_fields(no_host, host_joules=host),
    }
    return Energy(
        energy_joules=joules,
        used=used,
        replayed=how.replayed,
        window_seconds=evidence.window_seconds,
        coverage=evidence.coverage,
        longest_gap_seconds=evidence.longest_gap_seconds,
        grade=letter,
        grade_reasons=reasons,
        devices=tuple(r.record(used, evidence.window_seconds) for r in readings),
        **known(own_joules=joules),
        **fields,  # type: ignore[arg-type]
    )
