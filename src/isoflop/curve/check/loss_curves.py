"""Training loss over the examples seen, from the intervals that records keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from isoflop import record as records
from isoflop.record import Record

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class LossCurve:
    """Mean training loss in nats of each interval (k,), which ends after so many `examples` (k,), rising."""

    examples: tuple[float, ...]
    mean_loss: tuple[float, ...]

    def over(self, edges: Array) -> Array:
        """Return the mean loss (m,) between edges (m + 1,) that are shares of the whole training, in (0, 1].

        The sum of the losses is interpolated linearly between the ends of intervals, so that runs of unlike
        length are averaged over like parts.
        """
        ends = np.concatenate(([0.0], np.asarray(self.examples)))
        sums = np.concatenate(([0.0], np.cumsum(np.diff(ends) * np.asarray(self.mean_loss))))
        at = edges * ends[-1]
        return np.asarray(np.diff(np.interp(at, ends, sums)) / np.diff(at))


def of_records(kept: Iterable[Record]) -> dict[str, LossCurve]:
    """Return the loss curve of each record that has one, by run_id."""
    return {
        record.run_id: LossCurve(
            tuple(float(interval.examples) for interval in record.train_loss),
            tuple(interval.mean_loss for interval in record.train_loss),
        )
        for record in kept
        if record.train_loss
    }


def read(directory: Path, run_ids: Iterable[str]) -> dict[str, LossCurve]:
    """Return the loss curves of these runs of a sweep's folder; records that cannot be read have none."""
    kept = []
    for run_id in run_ids:
        try:
            kept.append(records.read(records.path_of(directory, run_id)))
        except (records.RecordError, OSError):
            continue
    return of_records(kept)
