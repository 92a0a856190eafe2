"""What a sweep's folder keeps beside its table for the checks: loss curves, and the anchor's readings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from isoflop.curve.check import anchors, loss_curves
from isoflop.curve.check.anchors import AnchorReading
from isoflop.curve.check.loss_curves import LossCurve


@dataclasses.dataclass(frozen=True)
class SweepFiles:
    """Loss curves by run_id, and the readings of the anchor shape; empty for a table without a folder."""

    curves: Mapping[str, LossCurve] = dataclasses.field(default_factory=dict)
    anchors: tuple[AnchorReading, ...] = ()


NONE = SweepFiles()
"""A table without a folder has nothing beside it."""


def read(directory: Path, run_ids: Iterable[str]) -> SweepFiles:
    """Return what the folder keeps of these runs. Raises OSError if a file of it cannot be read."""
    return SweepFiles(loss_curves.read(directory, run_ids), anchors.read(directory))
