"""Measured scaling as the numbers that a tracker draws."""

from __future__ import annotations

from collections.abc import Sequence

from isoflop.parallel.scaling import Group, Row

Numbers = dict[str, float | int | str | bool]


def rows(groups: Sequence[Group]) -> dict[int, Numbers]:
    """Return number of workers -> {`training/strong/speedup`: ...}; sizes of one payload have their id."""
    payloads = [group.payload for group in groups]
    made: dict[int, Numbers] = {}
    for group in groups:
        name = group.payload if payloads.count(group.payload) == 1 else f"{group.payload}-{group.group_id}"
        for row in group.rows:
            numbers = {f"{name}/{row.scaling}/{key}": value for key, value in _numbers(row).items()}
            made.setdefault(row.workers, {}).update(numbers)
    return made


def _numbers(row: Row) -> Numbers:
    serial = row.serial_fraction or row.scaled_serial_fraction
    numbers = {
        "seconds": row.seconds.value,
        "speedup": row.speedup.value,
        "efficiency": row.efficiency.value,
        "serial_fraction": None if serial is None else serial.value,
        "compute": row.compute,
        "communication": row.communication,
        "waiting": row.waiting,
        "gflops_per_second": None if row.flops_per_second is None else row.flops_per_second * 1e-9,
        "joules": row.joules,
    }
    return {name: value for name, value in numbers.items() if value is not None}
