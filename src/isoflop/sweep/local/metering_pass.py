"""Joules of cells that shared their GPU: their shape is metered alone, and their records are completed.

NVML reads boards, not processes, so what a packed cell drew cannot be known. What its shape draws alone can:
joules per example of a solo window x examples of the record, marked as replayed.
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
from isoflop.sweep.grid import Cell
from isoflop.sweep.local.stops import cells as counted
from isoflop.sweep.local.stops import say

FROM_SOLO = "metered alone after the cell had shared its GPU (metering pass)"


@dataclasses.dataclass(frozen=True)
class Solo:
    """The window of one shape alone on a GPU: its energy or the reason there is none, and the examples
    trained in it."""

    energy: Energy | None
    reason: str | None
    examples: int
    device: str
    precision: str


def is_open(record: Record) -> bool:
    """Whether this is a point whose joules wait for the metering pass."""
    return record.state == "done" and record.energy is None and record.energy_reason == SHARED_GPU


def completed(record: Record, probe: Solo) -> Record | str:
    """The record with its joules, or in words why they stay unknown."""
    if probe.energy is None:
        return probe.reason or "unknown"
    trained_on = (record.provenance.device, record.provenance.precision)
    if trained_on != (probe.device, probe.precision):
        return (
            f"trained on {trained_on[0]} in {trained_on[1]}, metered on {probe.device} in {probe.precision}"
        )
    assert record.compute is not None, "a done record knows its work"
    energy = _scaled(probe.energy, record.compute.examples_seen / probe.examples)
    each = energy.energy_joules / record.compute.examples_seen
    curve = tuple(
        dataclasses.replace(p, energy_joules=each * p.examples, energy_joules_reason=None)
        for p in record.curve
    )
    return dataclasses.replace(
        record, curve=curve, spent=_spent(record, record.compute, energy), **known(energy=energy)
    )


def _scaled(energy: Energy, factor: float) -> Energy:
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
    """`joules` are those of the point's own share of its path, as `flops` are."""
    spent = record.spent
    if spent.flops is None or spent.wasted_flops is None or not compute.train_flops:
        reason = "the point's own share of its path is unknown"
        return dataclasses.replace(spent, **unknown(reason, "joules", "wasted_joules"))
    each = energy.energy_joules / compute.train_flops
    joules = known(joules=each * spent.flops, wasted_joules=each * spent.wasted_flops)
    return dataclasses.replace(spent, **joules)


def waiting(cells: Iterable[Cell], directory: Path) -> dict[str, list[tuple[Config, Record]]]:
    """Shape -> its cells' points whose joules wait for the pass."""
    found: dict[str, list[tuple[Config, Record]]] = {}
    for cell in cells:
        for run_id in cell.config.point_ids.values():
            try:
                record = records.read(records.path_of(directory, run_id))
            except (records.RecordError, OSError):
                continue
            if is_open(record):
                found.setdefault(cell.config.shape_id, []).append((cell.config, record))
    return found


def _meter(config: Config) -> Solo:
    """In a child."""
    from isoflop.runner import probe

    energy, reason, examples, device, precision = probe.meter_shape(config)
    return Solo(energy, reason, examples, device, precision)


def run_pass(cells: Sequence[Cell], directory: Path) -> int:
    """Meter each shape that waits, one after another with nothing beside it, and complete its records.

    Returns how many points were completed; says for which shapes it could not be, and why.

    Raises:
        RuntimeError: a metering process died.
        OSError: a record could not be written.
    """
    shapes = waiting(cells, directory)
    say(f"metering pass: {len(shapes)} shapes")
    return sum(_complete(points, directory) for points in shapes.values())


def _complete(points: list[tuple[Config, Record]], directory: Path) -> int:
    config, _ = points[0]
    probe: Solo = planning.ask("metering", _meter, config)
    made = [completed(record, probe) for _, record in points]
    for (cell, _), record in zip(points, made, strict=True):
        if isinstance(record, Record):
            with records.claim(directory, cell.run_id):
                records.write(record, directory)
    if refused := [words for words in made if isinstance(words, str)]:
        say(f"{config.run_id}: energy of {counted(len(refused))} stays unknown: {refused[0]}")
    return len(made) - len(refused)
