"""Readings of the anchor shape, which a sweep on GPUs meters first, in the middle and last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

FILE = "anchors.jsonl"


class AnchorReading(msgspec.Struct, frozen=True):
    """What one example of the anchor's training cost on one GPU; None where it could not be measured."""

    when: str
    config_id: str
    shape: str
    gpu: str | None
    joules_per_example: float | None
    seconds_per_example: float | None
    measured_at: str


def read(directory: Path) -> tuple[AnchorReading, ...]:
    """Return the readings in the folder of a sweep, in the order in which they were taken; () without any.

    A line that was cut off when its sweep was killed is left out.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        lines = (directory / FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return ()
    readings = []
    for line in lines:
        try:
            readings.append(msgspec.json.decode(line, type=AnchorReading))
        except msgspec.DecodeError:
            continue
    return tuple(readings)


def by_anchor(readings: Sequence[AnchorReading]) -> list[list[AnchorReading]]:
    """Return the readings of each (GPU, configuration) that has at least two."""
    groups: dict[tuple[str | None, str], list[AnchorReading]] = {}
    for reading in readings:
        groups.setdefault((reading.gpu, reading.config_id), []).append(reading)
    return [group for group in groups.values() if len(group) > 1]
