"""Energy of runs that shared their GPU, measured afterwards on each of their shapes alone.

NVML measures whole GPUs and not processes, so the energy of one of several runs on a GPU cannot be measured
while they train. The pass trains one run of each shape alone for a while and completes the records of that
shape: joules per example of this measurement x examples of the record, marked as replayed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from isoflop import record as records
from isoflop.config import Config
from isoflop.config.launch import SHARED_GPU
from isoflop.record import Compute, Energy, Record, known, unknown
from isoflop.sweep import planning
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local.stops import count_runs, notify

FROM_SOLO = "metered alone after the run had shared its GPU (metering pass)"


@dataclasses.dataclass(frozen=True)
class SoloMeasurement:
    """Energy of one shape that trains alone on a GPU.

    Attributes:
        energy: the measurement, or None.
        reason: why there is none.
        examples: examples trained while it was measured.
        device: name of the GPU, as in records.
        precision: arithmetic used, as in records.
    """

    energy: Energy | None
    reason: str | None
    examples: int
    device: str
    precision: str


def needs_metering(record: Record) -> bool:
    """Return whether the energy of this point is still unknown because the run shared its GPU."""
    return record.state == "done" and record.energy is None and record.energy_reason == SHARED_GPU


def complete(record: Record, solo: SoloMeasurement) -> Record | str:
    """Return the record with its energy, or the reason why that stays unknown."""
    if solo.energy is None:
        return solo.reason or "unknown"
    trained_on = (record.provenance.device, record.provenance.precision)
    if trained_on != (solo.device, solo.precision):
        return f"trained on {trained_on[0]} in {trained_on[1]}, metered on {solo.device} in {solo.precision}"
    assert record.compute is not None, "a record in state done has its compute"
    energy = _scale(solo.energy, record.compute.examples_seen / solo.examples)
    joules_per_example = energy.energy_joules / record.compute.examples_seen
    curve = tuple(
        dataclasses.replace(p, energy_joules=joules_per_example * p.examples, energy_joules_reason=None)
        for p in record.curve
    )
    return dataclasses.replace(
        record, curve=curve, spent=_spent(record, record.compute, energy), **known(energy=energy)
    )


def _scale(energy: Energy, factor: float) -> Energy:
    """Return the energy of `factor` times the work: joules are scaled, watts and seconds stay as measured."""

    def times(value: float | None) -> float | None:
        return None if value is None else value * factor

    return dataclasses.replace(
        energy,
        energy_joules=energy.energy_joules * factor,
        counter_joules=times(energy.counter_joules),
        integral_joules=times(energy.integral_joules),
        net_joules=times(energy.net_joules),
        host_joules=times(energy.host_joules),
        grade_reasons=(*energy.grade_reasons, FROM_SOLO),
    )


def _spent(record: Record, compute: Compute, energy: Energy) -> records.Spent:
    """Return what was spent on the point, its joules in proportion to its FLOPs.

    With cooldowns a point's energy includes the trunk, while `spent` counts the trunk once for all points.
    """
    spent = record.spent
    if spent.flops is None or spent.wasted_flops is None or not compute.train_flops:
        reason = "the FLOPs spent on this point are unknown"
        return dataclasses.replace(spent, **unknown(reason, "joules", "wasted_joules"))
    joules_per_flop = energy.energy_joules / compute.train_flops
    joules = known(joules=joules_per_flop * spent.flops, wasted_joules=joules_per_flop * spent.wasted_flops)
    return dataclasses.replace(spent, **joules)


def points_to_meter(runs: Iterable[PlannedRun], directory: Path) -> dict[str, list[tuple[Config, Record]]]:
    """Map each shape_id to the points of its runs that need metering, as (configuration, record)."""
    by_shape: dict[str, list[tuple[Config, Record]]] = {}
    for planned in runs:
        for run_id in planned.config.point_ids.values():
            try:
                record = records.read(records.path_of(directory, run_id))
            except (records.RecordError, OSError):
                continue
            if needs_metering(record):
                by_shape.setdefault(planned.config.shape_id, []).append((planned.config, record))
    return by_shape


def _meter_in_child(config: Config) -> SoloMeasurement:
    from isoflop.runner import probe

    energy, reason, examples, device, precision = probe.meter_shape(config)
    return SoloMeasurement(energy, reason, examples, device, precision)


def run_pass(runs: Sequence[PlannedRun], directory: Path) -> int:
    """Meter each shape that needs it, one after another and nothing beside it, and complete its records.

    Returns the number of completed points; tells the user for which shapes the energy stays unknown, and why.

    Raises:
        RuntimeError: a metering process died.
        OSError: a record could not be written.
    """
    by_shape = points_to_meter(runs, directory)
    notify(f"metering pass: {len(by_shape)} shapes")
    return sum(_complete_shape(points, directory) for points in by_shape.values())


def _complete_shape(points: list[tuple[Config, Record]], directory: Path) -> int:
    first, _ = points[0]
    solo: SoloMeasurement = planning.call_in_child("metering", _meter_in_child, first)
    completed = [complete(record, solo) for _, record in points]
    for (config, _), record in zip(points, completed, strict=True):
        if isinstance(record, Record):
            with records.claim(directory, config.run_id):
                records.write(record, directory)
    if reasons := [reason for reason in completed if isinstance(reason, str)]:
        notify(f"{first.run_id}: energy of {count_runs(len(reasons))} stays unknown: {reasons[0]}")
    return len(completed) - len(reasons)
