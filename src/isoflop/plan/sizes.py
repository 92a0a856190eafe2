"""What model and how much data a compute is spent on: the joint law where runs tell it, else the frontier."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve import frontier
from isoflop.curve.estimate import Estimate
from isoflop.curve.joint import fit as joint_fit
from isoflop.curve.joint.solve import Solved
from isoflop.curve.result import FitReport
from isoflop.plan.amount import Amount, power, unknown
from isoflop.plan.trend import power_trend

Array = npt.NDArray[np.float64]
AmountAt = Callable[[float], Amount]
"""log10 of training GFLOPs -> an amount."""

PARAMETERS, EXAMPLES, FORWARD = "parameters", "examples_seen", "inference_gflops_per_example"
GFLOPS = "training_gflops"
"""Column of training compute in GFLOPs, whatever the unit of the table's own."""
JOINT = "chinchilla"
JOINT_RESAMPLES = 200
FORWARD_SHARE = 3.0
"""Training takes three times the FLOPs of the forward pass of the examples seen."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Amounts at a compute, and a sentence on what they rest on.

    Attributes:
        parameters, examples: of the model, and examples seen in training.
        forward: GFLOPs of a forward pass of one example.
        basis: how they were formed.
    """

    parameters: AmountAt
    examples: AmountAt
    forward: AmountAt
    basis: str


def sizes(rows: pd.DataFrame, report: FitReport) -> Sizes:
    """Return what a compute is spent on.

    Args:
        rows: the rows that are fitted, with GFLOPS and the column of y, under the names of a sweep's columns.
        report: the fit, for its y and level.
    """
    along = _frontier(rows, report.y)
    trends = {name: _trend(along, name, report.level) for name in (PARAMETERS, EXAMPLES, FORWARD)}
    where = f"along the frontier of the runs ({len(along)} of {rows.place.nunique()} configurations)"
    basis = f"parameters and examples: the measured trend {where}"
    joint, why = _joint(rows, report)
    if joint is not None:
        trends |= joint
        basis = f"parameters and examples: the best split by the joint law {JOINT}"
    elif why:
        basis += f"; not by the joint law {JOINT}: {why}"
    forward = trends[FORWARD]
    if FORWARD not in rows or not rows[FORWARD].notna().any():
        forward, said = _forward_of(trends, rows)
        basis += said
    return Sizes(trends[PARAMETERS], trends[EXAMPLES], forward, basis)


def _frontier(rows: pd.DataFrame, y: str) -> pd.DataFrame:
    """Return configuration means on the frontier; all of them where it holds too few for a trend."""
    names = [name for name in (GFLOPS, y, PARAMETERS, EXAMPLES, FORWARD) if name in rows]
    means = rows.groupby("place", sort=False)[names].mean().dropna(subset=[GFLOPS, y])
    chosen = means.iloc[frontier.frontier(means[GFLOPS].to_numpy(), means[y].to_numpy())]
    return chosen if len(chosen) >= frontier.LEAST_MEANS else means


def _trend(along: pd.DataFrame, name: str, level: float) -> AmountAt:
    if name not in along or not along[name].notna().any():
        reason = f"no column of {name.replace('_', ' ')}"
        return lambda _: unknown(reason)
    known = along[along[name] > 0]
    found = power_trend(known[GFLOPS].to_numpy(float), known[name].to_numpy(float), level)
    if found is None:
        reason = f"{name.replace('_', ' ')}: fewer than three amounts of compute tell a trend"
        return lambda _: unknown(reason)
    return functools.cache(lambda log10: found.at(10.0**log10))


def _joint(rows: pd.DataFrame, report: FitReport) -> tuple[dict[str, AmountAt] | None, str | None]:
    """Return parameters and examples of the best split, None with the reason where the runs do not tell it.

    The best split must lie within what was measured at the largest compute: outside, it is extrapolated even
    where the runs are.
    """
    if not {PARAMETERS, EXAMPLES} <= set(rows.columns):
        return None, None
    table = rows.dropna(subset=[PARAMETERS, EXAMPLES, GFLOPS, report.y])
    kept: list[Solved] = []
    try:
        made = joint_fit.fit_joint(
            *(table, JOINT, (PARAMETERS, EXAMPLES), report.y),
            resamples=max(JOINT_RESAMPLES, math.ceil(4 / (1 - report.level))),
            group="config_id",
            compute=GFLOPS,
            mixed=True,
            confidence=report.level,
            keep=kept.append,
        )
    except ValueError as error:
        return None, str(error)
    if kept[0].collinear:
        return None, kept[0].collinear[0]
    if made.allocation is None:
        return None, "it gives no best split"
    best = made.allocation.optima[0].best
    if outside := next((each.outside for each in best[:2] if each.outside is not None), None):
        return None, f"its best split at the largest compute lies {outside}"
    split = functools.cache(functools.partial(_split, kept[0]))
    return {PARAMETERS: lambda log10: split(log10)[0], EXAMPLES: lambda log10: split(log10)[1]}, None


def _split(solved: Solved, log10: float) -> tuple[Amount, Amount]:
    """Return parameters and examples of the best split of 10^log10 GFLOPs by a solved joint law."""
    again = joint_fit.report(solved, compute=GFLOPS, at_compute=10.0**log10).allocation
    assert again is not None
    parameters, examples = (_log_ends(each) for each in again.optima[0].best[:2])
    return parameters, examples


def _log_ends(estimate: Estimate) -> Amount:
    ends = (estimate.interval.low, estimate.interval.high)
    logs = (None if end is None or end <= 0 else math.log10(end) for end in ends)
    return power(math.log10(estimate.value), *logs)


def _forward_of(trends: dict[str, AmountAt], rows: pd.DataFrame) -> tuple[AmountAt, str]:
    """Return GFLOPs of a forward pass where no column holds them: compute over examples, or 2 N."""
    if EXAMPLES in rows and rows[EXAMPLES].notna().any():

        def by_examples(log10: float) -> Amount:
            seen = trends[EXAMPLES](log10)
            return _over(10.0**log10 / FORWARD_SHARE, seen)

        return by_examples, "; a forward pass takes a third of the training FLOPs of an example"
    if PARAMETERS in rows and rows[PARAMETERS].notna().any():
        of_size = trends[PARAMETERS]
        return lambda log10: of_size(log10).times(2e-9), "; a forward pass takes 2 FLOPs a parameter"
    reason = "no column of a forward pass's FLOPs, of examples seen or of parameters"
    return lambda _: unknown(reason), ""


def _over(total: float, amount: Amount) -> Amount:
    """Return total / amount."""
    if amount.value is None:
        return amount
    low, high = (None if end is None else total / end for end in (amount.high, amount.low))
    return Amount(total / amount.value, low, high)
