"""The critical batch size of loss curves: a target, the best rate of each batch size, the fit."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy import special

from isoflop.curve.batch import best_rates, hyperbola
from isoflop.curve.batch.efficiency import algorithmic_efficiency
from isoflop.curve.batch.hyperbola import Hyperbola
from isoflop.curve.batch.result import BatchSize, CriticalBatch, LackOfFit
from isoflop.curve.estimate import Estimate, Interval
from isoflop.table.loss_curves import LossCurves

LEVEL = 0.05
"""Below this p value the batch sizes do not follow the curve."""


def critical_batch(curves: LossCurves, loss: float | None = None, level: float = 0.95) -> CriticalBatch:
    """Fit the trade of steps for examples to a loss, and the critical batch size B_crit = E_min / S_min.

    Of each batch size the rate counts that reaches the loss with all its seeds and in the fewest steps
    (geometric mean). A batch size where no rate does is censored: it takes more steps than were trained, is
    left out, and is said.

    Args:
        curves: of the runs.
        loss: the target; None for the lowest that all batch sizes reach, rounded up to two digits.
        level: of the intervals.

    Raises:
        ValueError: one batch size, a target above the losses at the start, or one that fewer than two batch
            sizes reach. One line that says what to change.
    """
    by_batch = best_rates.grouped(curves.curves)
    if len(by_batch) < 2:
        raise ValueError(
            f"{curves.source}: all runs have batch size {next(iter(by_batch)):g}: train at several, such as "
            "optim.batch_size=16,64,256"
        )
    target = best_rates.lowest_common(by_batch) if loss is None else loss
    if loss is None and not math.isfinite(target):
        raise ValueError(f"{curves.source}: runs diverged at all batch sizes: train at lower rates")
    if not (math.isfinite(target) and target > 0):
        raise ValueError(f"--loss {target:g}: give a loss above 0")
    read = [best_rates.read(batch, rates, target) for batch, rates in by_batch.items()]
    kept = [each for each in read if each.reason is None]
    if len(kept) < 2:
        _refuse(curves, by_batch, read, target)
    batches = np.array([each.batch for each in kept])
    steps = np.array([each.steps for each in kept], float)
    fit = hyperbola.fit(batches, steps, level)
    lack = _lack_of_fit(kept, fit)
    read = [_with_fit(each, fit) for each in read]
    return CriticalBatch(
        source=curves.source,
        loss=target,
        loss_name=curves.loss_name,
        examples=curves.examples,
        chosen=loss is not None,
        shape=curves.shape,
        batch_sizes=tuple(read),
        critical_batch=_estimate("critical_batch", fit.critical_batch, fit.critical_interval, curves.examples)
        if fit.side is None
        else None,
        steps_min=_estimate("steps_min", fit.steps_min, fit.steps_interval, "steps")
        if fit.side != "above"
        else None,
        examples_min=_estimate("examples_min", fit.examples_min, fit.examples_interval, curves.examples)
        if fit.side != "below"
        else None,
        reason=_reason(fit, kept),
        critical_low=fit.critical_interval.low,
        critical_high=fit.critical_interval.high,
        lack_of_fit=lack,
        level=level,
        runs=len(curves.curves),
        excluded=curves.excluded,
        warnings=(*curves.notes, *_warnings(read, fit, lack)),
    )


def _refuse(
    curves: LossCurves, by_batch: dict[float, best_rates.Rates], read: list[BatchSize], target: float
) -> None:
    """Raise ValueError where fewer than two batch sizes have steps to the target."""
    runs = [run for rates in by_batch.values() for of_rate in rates.values() for run in of_rate]
    where = f"{curves.source}: --loss {target:g}"
    if any(each.more_than is None and each.reason is not None for each in read):
        first = max(float(run.losses[0]) for run in runs)
        raise ValueError(
            f"{where}: {curves.loss_name} is below it at the first evaluation (up to {first:.4g} there): "
            "give a lower one, or evaluate more often"
        )
    reached = sum(each.reason is None for each in read)
    common = best_rates.lowest_common(by_batch)
    lower = f", such as {common:g}, which all reach" if math.isfinite(common) else ""
    raise ValueError(
        f"{where}: {'no' if not reached else 'one'} batch size reaches it with all seeds of a rate: give a "
        f"higher one{lower}"
    )


def _estimate(name: str, value: float, interval: Interval, unit: str) -> Estimate:
    return Estimate(name, value, interval, unit)


def _reason(fit: Hyperbola, kept: list[BatchSize]) -> str | None:
    """Return why there is no single best value of the critical size."""
    if fit.side == "above":
        return f"steps fall as 1 / batch size up to the largest, {kept[-1].batch:g}: train larger batches"
    if fit.side == "below":
        return f"steps do not fall from the smallest batch size, {kept[0].batch:g}, on: train smaller ones"
    return None


def _lack_of_fit(kept: list[BatchSize], fit: Hyperbola) -> LackOfFit | None:
    """Test the scatter about the curve against that of seeds (Draper and Smith 1998, 2.1).

    F = sum n_j r_j^2 / (m - 2) over the pooled variance of ln steps within batch sizes.
    """
    freedom = len(kept) - 2
    if freedom < 1:
        return None
    residuals = np.array(fit.residuals)
    scatter = math.sqrt(float((residuals**2).sum()) / freedom)
    within = sum((each.seeds - 1) * (each.seed_spread or 0.0) ** 2 for each in kept)
    inner = sum(each.seeds - 1 for each in kept)
    if inner < 1:
        return LackOfFit(scatter, None, "one seed a batch size")
    if within == 0:
        return LackOfFit(scatter, None, "the seeds agree to all digits")
    about = sum(each.seeds * r**2 for each, r in zip(kept, residuals, strict=True))
    return LackOfFit(scatter, float(special.fdtrc(freedom, inner, about / freedom / (within / inner))), None)


def _with_fit(each: BatchSize, fit: Hyperbola) -> BatchSize:
    efficiency = algorithmic_efficiency(each.batch, fit.critical_batch) if fit.side is None else None
    return dataclasses.replace(each, fitted_steps=fit.steps(each.batch), efficiency=efficiency)


def _warnings(read: list[BatchSize], fit: Hyperbola, lack: LackOfFit | None) -> tuple[str, ...]:
    """Return what to beware of in a fit."""
    kept = [each for each in read if each.reason is None]
    notes = []
    if at_edge := [each for each in kept if each.edge is not None]:
        named = ", ".join(f"{each.batch:g} ({each.edge})" for each in at_edge)
        notes.append(f"the best rate is the lowest or highest tried at batch size {named}: try further ones")
    if lack is None:
        notes.append("two batch sizes: no interval, and no test of the curve")
    elif lack.p_value is not None and lack.p_value <= LEVEL:
        notes.append(
            f"batch sizes scatter about the curve by {lack.scatter:.0%}, more than seeds explain "
            f"(p = {lack.p_value:.2g}): rates tried too far apart, or another form"
        )
    if fit.side is None:
        notes += _one_sided([each.batch for each in kept], fit.critical_batch)
    for each in read:
        expected = fit.steps(each.batch)
        if each.more_than is not None and expected < each.more_than:
            notes.append(
                f"the curve expects {expected:.3g} steps at batch size {each.batch:g}, which did not reach "
                f"the loss within {each.more_than:g}: it is worse than the curve, and left out of it"
            )
    return tuple(notes)


def _one_sided(batches: list[float], critical: float) -> list[str]:
    if critical > max(batches):
        return [f"the critical batch size lies above the largest batch, {max(batches):g}: an extrapolation"]
    if critical < min(batches):
        return [f"the critical batch size lies below the smallest batch, {min(batches):g}: an extrapolation"]
    return []
