"""Completion of records by the energy of their shape, and the files in a sweep's folder that keep it.

A record is written as soon as its point is reached, with what its own run read. Once the energy of the shape
is known it is kept in DIR/energy/SHAPE_ID.json, and each record of the shape is rewritten with it,
atomically: joules per example x examples of the record. This serves runs one after another on a GPU and,
after a sweep that packed several on it, the metering pass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import msgspec

from isoflop import record as records
from isoflop.config.launch import METER_OFF, SHARED_GPU
from isoflop.meter.energy.shape_energy import ShapeEnergy, of_examples
from isoflop.record import Compute, Energy, Record, known, unknown
from isoflop.sweep.grid import PlannedRun

FROM_SOLO = "metered alone after the run had shared its GPU (metering pass)"
FOLDER = "energy"


def path_of(directory: Path, shape_id: str) -> Path:
    """Return where the energy of a shape lies in a sweep's folder."""
    return directory / FOLDER / f"{shape_id}.json"


def write(measured: ShapeEnergy, directory: Path) -> None:
    """Keep the energy of a shape. Raises OSError if that is not possible."""
    payload = msgspec.json.format(msgspec.json.encode(measured), indent=1) + b"\n"
    records.write_bytes(path_of(directory, measured.shape_id), payload)


def read(directory: Path, shape_id: str, least_seconds: float) -> ShapeEnergy | None:
    """Return the kept energy of a shape, or None if it is unknown or of less than `least_seconds`.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        kept = msgspec.json.decode(path_of(directory, shape_id).read_bytes(), type=ShapeEnergy)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    is_long = kept.train_seconds + kept.replay_seconds >= least_seconds
    return kept if kept.energy is not None and is_long else None


def is_incomplete(record: Record) -> bool:
    """Return whether the energy of a point is what its run alone has read, or is unknown and was wanted."""
    if record.state != "done":
        return False
    if record.energy is None:
        return record.energy_reason != METER_OFF
    return record.energy.source == "run" and record.energy.used != "modelled"


def needs_pass(record: Record, least_seconds: float) -> bool:
    """Return whether the metering pass is for this point: it shared its GPU, or was metered for too short."""
    if record.state != "done" or record.energy is None:
        return record.state == "done" and record.energy_reason == SHARED_GPU
    return is_incomplete(record) and record.energy.window_seconds < least_seconds


def incomplete_points(runs: Sequence[PlannedRun], directory: Path) -> list[Record]:
    """Return the records of these runs whose energy is not yet that of their shape."""
    return [record for record in _records(runs, directory) if is_incomplete(record)]


def _records(runs: Sequence[PlannedRun], directory: Path) -> list[Record]:
    stored = []
    for planned in runs:
        for run_id in planned.config.point_ids.values():
            record = records.find(records.path_of(directory, run_id))
            if record is not None:
                stored.append(record)
    return stored


def complete(record: Record, measured: ShapeEnergy) -> Record | str:
    """Return the record with the energy of its shape, or the reason why that does not apply to it."""
    if measured.energy is None:
        return measured.reason or "unknown"
    trained_on = (record.provenance.device, record.provenance.precision)
    if trained_on != (measured.device, measured.precision):
        on, metered = trained_on, measured
        return f"trained on {on[0]} in {on[1]}, metered on {metered.device} in {metered.precision}"
    assert record.compute is not None, "a record in state done has its compute"
    own = record.energy.own_joules if record.energy else None
    no_own = record.energy.own_joules_reason if record.energy else record.energy_reason
    packed = () if record.energy or record.energy_reason != SHARED_GPU else (FROM_SOLO,)
    factor = record.compute.examples_seen / measured.examples
    energy = of_examples(measured.energy, factor, own, no_own, *packed)
    joules_per_example = energy.energy_joules / record.compute.examples_seen
    curve = tuple(
        dataclasses.replace(p, energy_joules=joules_per_example * p.examples, energy_joules_reason=None)
        for p in record.curve
    )
    return dataclasses.replace(
        record, curve=curve, spent=_spent(record, record.compute, energy), **known(energy=energy)
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


@dataclasses.dataclass(frozen=True)
class Completed:
    """How many points of a shape were completed, and why the others were not, a reason each."""

    points: int
    reasons: tuple[str, ...]


def complete_runs(runs: Sequence[PlannedRun], measured: ShapeEnergy, directory: Path) -> Completed:
    """Rewrite the records of a shape's runs that are incomplete.

    A run that another process executes now is left to it.

    Raises:
        OSError: a record could not be written.
    """
    done, reasons = 0, []
    for planned in runs:
        try:
            with records.claim(directory, planned.run_id):
                completed = [complete(each, measured) for each in incomplete_points([planned], directory)]
                for record in completed:
                    if isinstance(record, Record):
                        records.write(record, directory)
        except records.RecordBusyError as error:
            completed = [str(error)]
        reasons += [reason for reason in completed if isinstance(reason, str)]
        done += sum(isinstance(record, Record) for record in completed)
    return Completed(done, tuple(reasons))
