"""Result of a fit of the critical batch size: frozen dataclasses that encode to JSON."""

from __future__ import annotations

import dataclasses

from isoflop.curve.estimate import Estimate
from isoflop.table.left_out import Excluded


@dataclasses.dataclass(frozen=True)
class BatchSize:
    """What the runs of one batch size took to the target loss at their best learning rate.

    Attributes:
        batch: examples of a step.
        lr: the rate with the fewest steps; None where the table has no rates.
        rates: how many rates were tried.
        edge: `lowest` or `highest` where the best rate is at that end of several rates; else None.
        seeds: runs at that rate, all of which reached the target.
        steps, examples: geometric mean over the seeds; None where the batch size is left out.
        steps_of_seeds: those of each seed.
        seed_spread: standard deviation of ln steps over the seeds; None with fewer than two.
        fitted_steps: of the curve; None without one.
        efficiency: E_min / E by the curve, 1 / (1 + B / B_crit); None without a critical size.
        more_than: steps within which no rate reached the target with all seeds; None where one did.
        reason: why the batch size is left out of the fit; None where it is not.
    """

    batch: float
    lr: float | None
    rates: int
    edge: str | None
    seeds: int
    steps: float | None
    examples: float | None
    steps_of_seeds: tuple[float, ...]
    seed_spread: float | None
    fitted_steps: float | None
    efficiency: float | None
    more_than: float | None
    reason: str | None


@dataclasses.dataclass(frozen=True)
class LackOfFit:
    """F test of the batch sizes' scatter about the curve against that of the seeds.

    `scatter` is the standard deviation of ln steps about the curve.
    """

    scatter: float
    p_value: float | None
    p_value_reason: str | None


@dataclasses.dataclass(frozen=True)
class CriticalBatch:
    """Steps against examples to a loss: (S / S_min - 1)(E / E_min - 1) = 1.

    Attributes:
        source: of the runs.
        loss: the target.
        loss_name: what it is of, such as val_loss.
        examples: what an example is called, in the plural.
        chosen: whether the target was given, and not the lowest that all batch sizes reach.
        shape: what was trained, as far as it is known.
        batch_sizes: smallest first.
        critical_batch: in examples; None with the `reason`.
        steps_min: steps that no batch size goes below; None where the critical size lies above all of them.
        examples_min: examples that no batch size goes below; None where it lies below all.
        critical_range: the interval of the critical size, also where the best value is at no single place.
        lack_of_fit: None with fewer than three batch sizes.
        level: of the intervals.
        runs: how many were read.
        excluded: runs that were not used, with reasons.
        warnings: what to beware of.
    """

    source: str
    loss: float
    loss_name: str
    examples: str
    chosen: bool
    shape: str
    batch_sizes: tuple[BatchSize, ...]
    critical_batch: Estimate | None
    steps_min: Estimate | None
    examples_min: Estimate | None
    reason: str | None
    critical_low: float | None
    critical_high: float | None
    lack_of_fit: LackOfFit | None
    level: float
    runs: int
    excluded: tuple[Excluded, ...]
    warnings: tuple[str, ...]

    @property
    def fitted(self) -> tuple[BatchSize, ...]:
        """The batch sizes that the curve goes through."""
        return tuple(each for each in self.batch_sizes if each.reason is None)
