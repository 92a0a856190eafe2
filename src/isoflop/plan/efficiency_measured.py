"""Efficiency at N as `isoflop parallel` measured it on training with a fixed batch."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

from isoflop.parallel import limits
from isoflop.plan.efficiency import ONE, Efficiency
from isoflop.record.parallel import ParallelRecord


@dataclasses.dataclass(frozen=True)
class Measured:
    """Efficiency by records of one group, from one worker up (efficiency.EfficiencyAt).

    At a number of workers that was measured it is T(1) / (N T(N)) of the medians, from the longest to the
    shortest timing. At others it follows by Amdahl's law from the serial fraction (Karp and Flatt) of the
    nearest number below, else of the least; past the most that were measured that is an upper bound.
    """

    records: tuple[ParallelRecord, ...]

    def __call__(self, gpus: int, log10_gflops: float) -> Efficiency:
        """Return the efficiency; it is that of the measured shape, whatever the compute."""
        del log10_gflops
        if gpus == 1:
            return ONE
        alone, several = self.records[0], self.records[1:]
        most = several[-1].workers
        chosen = max((each for each in several if each.workers <= gpus), key=_workers, default=several[0])
        source = (
            f"efficiency at N is that of {alone.size}, measured on up to {most} workers "
            f"({alone.provenance.device}), at every size"
        )
        known = chosen.workers == gpus
        if not known:
            source += "; between and past the numbers measured by Amdahl's law"
        pairs = (
            (statistics.median(alone.wall_seconds), statistics.median(chosen.wall_seconds)),
            (min(alone.wall_seconds), max(chosen.wall_seconds)),
            (max(alone.wall_seconds), min(chosen.wall_seconds)),
        )
        value, low, high = (_at(one / many, chosen.workers, gpus) for one, many in pairs)
        return Efficiency(value, low, high, source, is_known=gpus <= most)


def measured(records: Sequence[ParallelRecord]) -> Measured | None:
    """Return the efficiency by the records of a folder, that of the largest training where there are several.

    None without a training on one and on several workers whose batch was shared.
    """
    groups: dict[str, list[ParallelRecord]] = {}
    for each in records:
        if each.payload == "training" and each.scaling == "strong":
            groups.setdefault(each.group_id, []).append(each)
    whole = [
        tuple(sorted(group, key=_workers))
        for group in groups.values()
        if {1} < {each.workers for each in group}
    ]
    return Measured(max(whole, key=_flops)) if whole else None


def _flops(group: tuple[ParallelRecord, ...]) -> float:
    return group[0].flops_per_step or 0.0


def _workers(record: ParallelRecord) -> int:
    return record.workers


def _at(speedup: float, workers: int, gpus: int) -> float:
    """Return the efficiency on `gpus` of a speed-up that was measured on `workers`."""
    if gpus == workers:
        return limits.efficiency(speedup, workers)
    serial = min(max(limits.serial_fraction(speedup, workers), 0.0), 1.0)
    return limits.amdahl_efficiency(serial, gpus)
