"""What the search for learning rates cost, which is not part of any point's training compute."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from isoflop import record as records
from isoflop.record import Record

COLUMN = "lr_search_gflops"
"""Column of the table: GFLOPs of the trials of the point's configuration, but for the one that is its first
seed's run. NaN where they are unknown; 0 where no rate was searched for."""
TRIALS = "tuning"
"""Folder of a sweep that holds the records of the trials (sweep/tune.py)."""


def spent_gflops(directory: Path, points: Iterable[Record]) -> dict[str, float]:
    """Return run_id -> GFLOPs of the trials that chose the learning rate of the point's configuration.

    A trial belongs to the configurations that differ from it in seed and learning rate only. It is left out
    where it is a point of the sweep itself, whose compute stands on the axis already. A trial whose record
    is damaged makes all that were searched for unknown.
    """
    kept = list(points)
    own = {point.run_id for point in kept}
    totals: dict[bytes, float] = {}
    try:
        trials = [records.read(path) for path in sorted((directory / TRIALS / "records").glob("[!.]*.json"))]
    except (records.RecordError, OSError):
        trials = []
    for trial in trials:
        if trial.run_id not in own:
            known = trial.spent.flops
            key = _without_rate(trial.cell)
            totals[key] = totals.get(key, 0.0) + (math.nan if known is None else known * 1e-9)
    return {point.run_id: _of(point, totals) for point in kept}


def _of(point: Record, totals: dict[bytes, float]) -> float:
    if point.optim is None or point.optim.lr_interior is None:
        return 0.0  # no grid of rates was tried for this point
    return totals.get(_without_rate(point.cell), math.nan)


def _without_rate(identity: dict[str, Any]) -> bytes:
    """Return what a configuration's trials share: its identity without seed and learning rate."""
    optim = {name: value for name, value in identity["optim"].items() if name != "lr"}
    shared = {name: value for name, value in identity.items() if name != "seed"} | {"optim": optim}
    return msgspec.json.encode(shared, order="sorted")
