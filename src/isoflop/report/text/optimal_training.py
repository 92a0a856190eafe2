"""What a sweep over sizes and budgets says of training at the best size, in sentences.

Its headline is the joint law read along the best size of each budget. The law of loss against compute through
all runs lies above it, since most runs of an IsoFLOP design are too large or too small for their budget.
"""

from __future__ import annotations

import math

import pandas as pd

from isoflop.curve.check import finding
from isoflop.curve.check.amount import LEAST_CONFIGS, LEAST_DECADES
from isoflop.curve.check.floor import FloorSupport
from isoflop.curve.check.front import CheckReport
from isoflop.curve.language.result import CountedOptimum, OptimalTraining, range_outside
from isoflop.curve.measured import BestValue
from isoflop.curve.result import Estimate, FitReport, Interval
from isoflop.report.text import measured
from isoflop.report.text.amounts import amount, bare
from isoflop.report.text.numerals import estimate, factor, interval, number, plural, short_of
from isoflop.table import target

ALL_RUNS = "all runs, whatever their size: above what the best size of each budget reaches"
"""Heading of the law through all runs, where it is not the answer."""


def bounds(value: Estimate) -> str:
    """Return the interval of a loss, such as `2.250 to 2.377`."""
    low, high = value.interval.low, value.interval.high
    return f"{bare(low, target.TEST_BITS)} to {bare(high, target.TEST_BITS)}"


def _bounded(value: Estimate) -> str:
    return f"{amount(value.value, target.TEST_BITS)} (95% interval {bounds(value)})"


def halving(optimal: OptimalTraining) -> Estimate:
    """Return how many times the compute halves the loss above E, or all of it where E is not identified."""
    exponent, ends = optimal.exponent, (optimal.exponent.interval.high, optimal.exponent.interval.low)
    low, high = (None if end is None or end <= 0 else _power(end) for end in ends)
    return Estimate("halving", _power(exponent.value), Interval(low, high), "times the compute")


def _power(exponent: float) -> float:
    """Return 2^(1 / exponent), infinite where it would overflow."""
    return 2.0 ** (1.0 / exponent) if exponent > 1e-3 else math.inf


def gaps(optimal: OptimalTraining, seeds: pd.Series[int]) -> list[str]:
    """Return why too little was measured for an answer."""
    decades = math.log10(optimal.largest.compute / optimal.curve[0].compute)
    missing = []
    if decades < LEAST_DECADES:
        spanned = short_of(decades, LEAST_DECADES)
        missing.append(f"budgets span only {spanned} decades, {LEAST_DECADES:g} are needed")
    if optimal.configs < LEAST_CONFIGS:
        missing.append(f"there are only {optimal.configs} configurations, {LEAST_CONFIGS} are needed")
    if len(seeds) and int(seeds.max()) == 1:
        missing.append("each configuration was trained with a single seed, so luck and size are one")
    return missing


def judge(
    optimal: OptimalTraining,
    seeds: pd.Series[int],
    checked: CheckReport | None,
    support: FloorSupport | None,
) -> tuple[str, tuple[str, ...]]:
    """Return the headline and the sentences behind it.

    Args:
        optimal: loss at the best size against compute.
        seeds: number of seeds of each configuration.
        checked: what the checks of the rows say.
        support: of the law through all runs, where undertrained shapes are among its points.
    """
    missing = gaps(optimal, seeds)
    headline = _headline(optimal)
    if missing:
        headline = "Cannot be told: loss falls with compute at the best sizes, but too little was measured."
    short = f"Too little was measured for an answer: {'; '.join(missing)}." if missing else ""
    said = (_range(optimal), short, _law(optimal), _undertrained(checked, support))
    return headline, tuple(sentence for sentence in said if sentence)


def _headline(optimal: OptimalTraining) -> str:
    power = number(optimal.exponent.value)
    if not optimal.floor_identified:
        return (
            f"At the best size for each budget, loss falls as compute to the power −{power}; no irreducible "
            "part is identified."
        )
    return (
        f"At the best size for each budget, loss falls towards about "
        f"{amount(optimal.floor.value, target.TEST_BITS)}; the part above it falls as compute to the power "
        f"−{power}."
    )


def _range(optimal: OptimalTraining) -> str:
    least, most = optimal.curve[0], optimal.largest
    runs, configs = plural(optimal.points, "run"), plural(optimal.configs, "configuration")
    return (
        f"Here {runs} of {configs} cross sizes and budgets. By the joint law in parameters and bytes, the "
        f"best size comes to {_bounded(least.bits)} at {number(least.compute)} GFLOPs and "
        f"{_bounded(most.bits)} at {number(most.compute)}."
    )


def _law(optimal: OptimalTraining) -> str:
    if not optimal.floor_identified:
        return (
            f"No irreducible part is identified (fitted {_bounded(optimal.floor)}). Over these budgets bits "
            f"a byte fall as compute to the power −b with b = {estimate(optimal.exponent)}; that must bend "
            "further on, as no text is free of surprise."
        )
    return (
        f"The irreducible part is {_bounded(optimal.floor)}; the part above it falls as compute to the power "
        f"−b with b = {estimate(optimal.exponent)}, the mean over these budgets."
    )


def _undertrained(checked: CheckReport | None, support: FloorSupport | None) -> str:
    if checked is None or not checked.undertrained_names:
        return ""
    names = finding.names(checked.undertrained_names)
    if support is None:
        return f"Left out as undertrained: {names}, whose training loss is above that of smaller shapes."
    return (
        f"The joint law is fitted to undertrained shapes too ({names}): isoflop report --exclude "
        "undertrained leaves them out."
    )


def outlook(optimal: OptimalTraining, report: FitReport | None) -> tuple[str, ...]:
    """Return what lies beyond the sweep: the forecast, the price of an improvement, held-out runs."""
    ahead, half = optimal.ahead, halving(optimal)
    ratio = number(ahead.compute / optimal.largest.compute, 2)
    what = "the part above the irreducible one" if optimal.floor_identified else "the loss"
    parts = (
        f"At {ratio} times the largest budget the joint law forecasts {_bounded(ahead.bits)}, with "
        f"{_shape(ahead)}; nothing was measured there.",
        f"Halving {what} takes {number(half.value, 2)} times the compute (95% interval "
        f"{interval(half.interval, 2)}).",
        "" if report is None else measured.held_out(report),
    )
    return tuple(part for part in parts if part)


def _shape(optimum: CountedOptimum) -> str:
    return (
        f"{number(optimum.size.value)} parameters{_outside(optimum.size)} and {number(optimum.seen.value)} "
        f"bytes{_outside(optimum.seen)}"
    )


def _outside(best: BestValue) -> str:
    """Return where an optimum lies outside what was measured, to stand behind it."""
    if best.outside is None:
        return ""
    above = best.value > best.measured.largest
    side, end = ("most", best.measured.largest) if above else ("fewest", best.measured.least)
    where = "" if best.measured.at is None else " at this compute"
    return f" ({'above' if above else 'below'} the {side} measured{where}, {number(end)})"


def caveats(optimal: OptimalTraining) -> list[str]:
    """Return what to keep in mind about the joint law."""
    least, most = optimal.curve[0].compute, optimal.largest.compute
    outside = range_outside(tuple(each for each in optimal.curve if each.compute <= most))
    notes = [
        f"Range: {number(math.log10(most / least), 2)} decades of training compute, {number(least)} to "
        f"{number(most)} GFLOPs.",
        "Points: the joint law is fitted to all runs and read at the best size of each budget. The law "
        "through all runs, whatever their size, lies above it and stands further down.",
        f"Misfit: runs scatter about the joint law by {factor(optimal.misfit, 4)}, seeds included.",
        "Extrapolation: nothing beyond the largest budget was measured; there, the curve is dashed.",
    ]
    if outside is not None:
        ends = dict.fromkeys(number(end) for end in outside)
        size = optimal.largest.size
        notes.append(
            f"Sizes: at {' to '.join(ends)} GFLOPs the best size, or the bytes it sees, lies outside those "
            f"measured at that compute: extrapolated by the law. At the largest budget it is "
            f"{number(size.value)} parameters, where {number(size.measured.least)} to "
            f"{number(size.measured.largest)} were measured."
        )
    return notes


def all_runs(report: FitReport | None) -> str:
    """Return what the law through all runs says, and why it is not the headline."""
    why = (
        "Several sizes share a budget, and most are too large or too small for it: laws through all runs, "
        "whatever their size, lie above the best of each budget. They describe this sweep, not what its "
        "compute can reach."
    )
    return why if report is None else f"{measured.measured(report)} {why}"
