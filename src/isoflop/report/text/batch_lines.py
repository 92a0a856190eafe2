"""The critical batch size in words and rows, the same on the terminal, in Python and on the page."""

from __future__ import annotations

from isoflop.curve.batch.efficiency import largest_batch, step_speedup_limit
from isoflop.curve.batch.result import BatchSize, CriticalBatch
from isoflop.curve.estimate import Interval
from isoflop.report.text.numerals import UNKNOWN, compact, interval, number, percent, plural

EXTRA = (0.1, 0.5, 1.0)
"""Shares of more examples whose largest batch is named."""
SAID = {"val_loss": ("validation loss", ""), "val_bits_per_byte": ("validation loss", " bits a byte")}
"""Name of a loss -> how it is said, and its unit."""


def loss_text(fit: CriticalBatch) -> str:
    """Return the target with what it is of: `validation loss 0.2`, or with the name of an own column."""
    name, unit = SAID.get(fit.loss_name, (fit.loss_name, ""))
    return f"{name} {compact(fit.loss)}{unit}"


def heading(fit: CriticalBatch) -> str:
    """Return what was read."""
    why = "" if fit.chosen else ", the lowest that all batch sizes reach"
    shape = f"{fit.shape}, " if fit.shape else ""
    return f"steps against {fit.examples} to {loss_text(fit)}{why}: {shape}{plural(fit.runs, 'run')}"


def columns(fit: CriticalBatch) -> tuple[str, ...]:
    """Return the titles of `rows`."""
    return (
        *("Batch", "Best rate", "Seeds", "Steps", fit.examples.capitalize()),
        *("Steps by the curve", "Efficiency"),
    )


def rows(fit: CriticalBatch) -> tuple[tuple[str, ...], ...]:
    """Return a row a batch size: at its best rate of so many, what it took and what the curve says."""
    return tuple(_row(each) for each in fit.batch_sizes)


def _row(each: BatchSize) -> tuple[str, ...]:
    steps = number(each.steps) if each.more_than is None else f"> {number(each.more_than)}"
    rate = UNKNOWN if each.lr is None else compact(each.lr)
    return (
        size(each.batch),
        rate if each.edge is None else f"{rate} ({each.edge})",
        str(each.seeds) if each.reason is None else UNKNOWN,
        steps,
        number(each.examples),
        number(each.fitted_steps),
        percent(each.efficiency, 2),
    )


def size(batch: float) -> str:
    """Return a batch size, which is a whole number."""
    return f"{batch:,.0f}" if batch == round(batch) else number(batch)


def found(fit: CriticalBatch) -> tuple[str, ...]:
    """Return the sentences on the fit: critical size, least steps and examples, how well it fits."""
    level = f"{100 * fit.level:g}%"
    lines = []
    if fit.critical_batch is not None:
        lines.append(
            f"critical batch size {number(fit.critical_batch.value)} {fit.examples} "
            f"({level}: {_ends(fit.critical_batch.interval)}): there it takes twice the least steps and "
            f"twice the least {fit.examples}"
        )
    else:
        bound = Interval(fit.critical_low, fit.critical_high)
        said = "" if bound == Interval(None, None) else f" ({level}: {interval(bound)})"
        lines.append(f"critical batch size unknown{said}: {fit.reason}")
    least = [
        f"{name} {number(each.value)} ({_ends(each.interval)})"
        for name, each in (("steps", fit.steps_min), (fit.examples, fit.examples_min))
        if each is not None
    ]
    lines.append(f"least {', least '.join(least)}")
    if fit.lack_of_fit is not None:
        lack = fit.lack_of_fit
        against = lack.p_value_reason if lack.p_value is None else f"p = {lack.p_value:.2g}"
        lines.append(
            f"batch sizes scatter about the curve by {percent(lack.scatter, 2)} of the steps; against the "
            f"spread of seeds: {against}"
        )
    return tuple(lines)


def _ends(bounds: Interval) -> str:
    return "no interval" if bounds == Interval(None, None) else interval(bounds)


def limits(fit: CriticalBatch) -> tuple[str, ...]:
    """Return what the critical size means for data parallelism; nothing where it is unknown."""
    if fit.critical_batch is None:
        return ()
    critical = fit.critical_batch.value
    sizes = ", ".join(
        f"{100 * share:g}% more up to batch {number(largest_batch(share, critical), 2)}" for share in EXTRA
    )
    smallest = fit.fitted[0].batch
    return (
        f"{fit.examples} beyond those that small batches need: {sizes}",
        f"speed-up limit of data parallelism: from batch {size(smallest)} on, at most "
        f"{number(step_speedup_limit(smallest, critical), 2)} times fewer steps, however many workers; from "
        "the critical size on, 2",
    )


def left_out(fit: CriticalBatch) -> tuple[str, ...]:
    """Return a line for each batch size that the curve does not go through."""
    return tuple(
        f"batch size {size(each.batch)} is left out: {each.reason}"
        for each in fit.batch_sizes
        if each.reason is not None
    )
