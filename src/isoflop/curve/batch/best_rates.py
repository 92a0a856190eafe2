"""The best learning rate of each batch size: the one that takes the fewest steps to a loss."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from isoflop.curve.batch import crossing
from isoflop.curve.batch.crossing import Crossing
from isoflop.curve.batch.result import BatchSize
from isoflop.table.loss_curves import LossCurve

Rates = dict[float | None, list[LossCurve]]
"""Learning rate -> its runs, of one batch size."""


def grouped(curves: Sequence[LossCurve]) -> dict[float, Rates]:
    """Return batch size -> learning rate -> runs, smallest first. Equal rates agree to six digits."""
    grouped: dict[float, Rates] = {}
    for curve in sorted(curves, key=lambda each: (each.batch, each.lr or 0.0)):
        lr = None if curve.lr is None else float(f"{curve.lr:.6g}")
        grouped.setdefault(curve.batch, {}).setdefault(lr, []).append(curve)
    return grouped


def lowest_common(by_batch: dict[float, Rates]) -> float:
    """Return the lowest loss that every batch size reaches with all seeds of some rate, rounded up.

    Batch sizes all of whose rates diverged reach none; where that is all of them, it is infinite.
    """
    reached = [
        min(max(crossing.lowest(run.losses) for run in runs) for runs in rates.values())
        for rates in by_batch.values()
    ]
    lowest = max((each for each in reached if math.isfinite(each)), default=math.inf)
    if not math.isfinite(lowest):
        return lowest
    unit = 10.0 ** (math.floor(math.log10(lowest)) - 1)
    return float(f"{math.ceil(lowest / unit - 1e-9) * unit:.2g}")


def read(batch: float, rates: Rates, target: float) -> BatchSize:
    """Return what the runs of one batch size took to the target at their best rate."""
    found = {
        lr: [crossing.crossing(run.steps, run.losses, target) for run in runs] for lr, runs in rates.items()
    }
    reached = {
        lr: float(np.mean([math.log(each.steps) for each in runs if each.steps is not None]))
        for lr, runs in found.items()
        if all(each.outcome == "reached" for each in runs)
    }
    empty = BatchSize(batch, None, len(rates), None, 0, None, None, (), *[None] * 5)
    if any(each.outcome == "early" for runs in found.values() for each in runs):
        # Some rate was faster than the evaluations can tell: any other would not be the best.
        reason = "its first evaluation is below the loss already: evaluate more often, or lower --loss"
        return dataclasses.replace(empty, reason=reason)
    if not reached:
        return _censored(empty, found)
    lr = min(reached, key=lambda each: reached[each])
    logs = [math.log(each.steps) for each in found[lr] if each.steps is not None]
    steps = math.exp(reached[lr])
    return dataclasses.replace(
        empty,
        lr=lr,
        edge=_edge(lr, list(rates)),
        seeds=len(logs),
        steps=steps,
        examples=steps * batch,
        steps_of_seeds=tuple(map(math.exp, logs)),
        seed_spread=float(np.std(logs, ddof=1)) if len(logs) > 1 else None,
    )


def _censored(empty: BatchSize, found: dict[float | None, list[Crossing]]) -> BatchSize:
    """Return a batch size of which no rate reached the target with all its seeds."""
    seeds = max(sum(each.outcome == "reached" for each in runs) for runs in found.values())
    last = max(each.last for runs in found.values() for each in runs)
    several = max(len(runs) for runs in found.values()) > 1
    who = "no rate reaches the loss with all seeds" if several else "no rate reaches the loss"
    if len(found) == 1:
        who = "not all seeds reach the loss" if seeds else "no run reaches the loss"
    return dataclasses.replace(empty, seeds=seeds, more_than=last, reason=f"{who} within {last:g} steps")


def _edge(lr: float | None, rates: list[float | None]) -> str | None:
    known = [each for each in rates if each is not None]
    if lr is None or len(known) < 2:
        return None
    return {min(known): "lowest", max(known): "highest"}.get(lr)
