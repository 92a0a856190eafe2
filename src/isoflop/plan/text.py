"""A forecast of costs as lines of plain text, what to know first before any number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from isoflop.plan import firm_text
from isoflop.plan.aligned import aligned
from isoflop.plan.amount import Amount
from isoflop.plan.result import (
    BudgetReach,
    CostForecast,
    Disagreement,
    Inference,
    LawCost,
    TargetCost,
    Training,
)
from isoflop.report.text import units
from isoflop.report.text.numerals import SUPERSCRIPT, UNKNOWN, number, plural, seconds

FORECAST = "forecast"
AVERAGE = "forecast (average)"
LEAST_SHOWN = 1e-3
"""Of y, in the unit that is shown: below it digits say nothing."""
Show = Callable[[float | None], str]


def _hours(value: float | None) -> str:
    """Return device-seconds in seconds, minutes or hours; hours are device-hours."""
    return seconds(value)


def kilograms(value: float | None) -> str:
    """Return kg of CO2 in the unit that suits them."""
    return units.grams(None if value is None else 1e3 * value)


def gflops(value: float | None) -> str:
    """Return GFLOPs in the unit that suits them, as a power of ten beyond the prefixes."""
    if value is None or not 1e18 <= value < math.inf:
        return units.gflops(value)
    exponent = math.floor(math.log10(value)) + 9
    return f"{number(value / 10.0 ** (exponent - 9))} × 10{str(exponent).translate(SUPERSCRIPT)} FLOPs"


_TRAINING: tuple[tuple[str, str, Show], ...] = (
    ("train_gflops", "compute", gflops),
    ("parameters", "parameters", number),
    ("examples", "examples", number),
    ("device_seconds", "device time", _hours),
    ("energy_joules", "energy", units.joules),
    ("kilograms_co2", "CO2", kilograms),
    ("dollars", "price", units.dollars),
)
_INFERENCE: tuple[tuple[str, str, Show], ...] = (
    ("gflops_per_query", "a query", gflops),
    ("gflops_per_year", "a year", gflops),
    ("device_seconds_per_year", "device time a year", _hours),
    ("energy_joules_per_year", "energy a year", units.joules),
    ("kilograms_co2_per_year", "CO2 a year", kilograms),
    ("dollars_per_year", "price a year", units.dollars),
    ("break_even_days", "as much as training after", lambda days: f"{number(days)} days"),
)


def lines(made: CostForecast, *, every_law: bool = False) -> tuple[str, ...]:
    """Return the whole answer.

    Args:
        made: the forecast.
        every_law: all amounts of every law, not of the average alone; of an answer about GPUs, the laws too.
    """
    said = [f"{made.y} against {made.x}: {made.source}, largest run {gflops(made.largest_gflops)}"]
    said += [f"! {line}" for line in made.warnings]
    for answer, target in zip(made.firm, made.targets, strict=False):
        said += ["", *firm_text.lines(made, answer, target.warnings)]
    # Who asks for GPUs has the answer above; the laws stand below it where all of them are asked for.
    if every_law or not made.firm:
        for target in made.targets:
            said += ["", *_target(made, target, every_law)]
        for budget in made.budgets:
            said += ["", *_budget(made, budget)]
    said += ["", *(f"note: {line}" for line in made.notes)]
    return tuple(said)


def _y(made: CostForecast, value: float | None) -> str:
    if value is None:
        return UNKNOWN
    text = number(made.scale * value) if made.scale * value >= LEAST_SHOWN else f"<{LEAST_SHOWN:g}"
    return f"{text}%" if made.unit == "%" else text


def _target(made: CostForecast, target: TargetCost, every_law: bool) -> Iterator[str]:
    unit = "" if made.unit in ("%", "") else f" {made.unit}"
    exact = f"{made.scale * target.target:.6g}{'%' if made.unit == '%' else unit}"
    yield f"to reach {made.quantity} {exact}:"
    yield from (f"! {line}" for line in target.warnings)
    header = ("by", f"training compute ({100 * made.level:g}%)", "x largest run", *_known_titles(target))
    yield from aligned([header, *(_row(cost, target) for cost in target.costs)])
    yield _disagreement(target.disagreement)
    blocks = target.costs if every_law else [cost for cost in target.costs if cost.law == _main(target)]
    for cost in blocks:
        if cost.reason is None:
            yield f"{_law(cost.law, cost.rejected)}:"
            yield from _block(cost.training, cost.inference)


def _main(target: TargetCost) -> str | None:
    """Return the law whose amounts are shown whole: the average, else one that the points do not reject."""
    known = [cost for cost in target.costs if cost.reason is None]
    chosen = [cost for cost in known if cost.law == FORECAST] or [cost for cost in known if not cost.rejected]
    return chosen[0].law if chosen else None


def _law(name: str, rejected: bool) -> str:
    return AVERAGE if name == FORECAST else f"{name}{'*' * rejected}"


_COLUMNS = ("device_seconds", "energy_joules", "kilograms_co2", "dollars")


def _columns(target: TargetCost) -> list[tuple[str, str, Show]]:
    """Return the amounts of training that any law knows."""
    return [
        each
        for each in _TRAINING
        if each[0] in _COLUMNS
        and any(getattr(cost.training, each[0]).value is not None for cost in target.costs)
    ]


def _known_titles(target: TargetCost) -> list[str]:
    return [title for _, title, _ in _columns(target)]


def _row(cost: LawCost, target: TargetCost) -> tuple[str, ...]:
    law = _law(cost.law, cost.rejected)
    compute = cost.training.train_gflops
    if cost.reason is not None:
        above = "" if compute.low is None else f"; if at all, above {gflops(compute.low)}"
        return (law, f"not reached: {cost.reason}{above}")
    assert cost.log10_train_gflops is not None
    if compute.value is None:
        shown = f"10{str(round(cost.log10_train_gflops + 9)).translate(SUPERSCRIPT)} FLOPs"
    else:
        shown = f"{gflops(compute.value)} ({ends(compute, gflops)})"
    times = UNKNOWN if cost.times_largest is None else number(cost.times_largest)
    return (
        law,
        shown,
        times,
        *(show(getattr(cost.training, name).value) for name, _, show in _columns(target)),
    )


def ends(amount: Amount, show: Show) -> str:
    """Return the interval of an amount, its open ends named."""
    if amount.low is None and amount.high is None:
        return "unbounded"
    if amount.high is None:
        return f"above {show(amount.low)}"
    if amount.low is None:
        return f"below {show(amount.high)}"
    return f"{show(amount.low)} to {show(amount.high)}"


def _disagreement(each: Disagreement) -> str:
    reached = f"{each.reached} of {plural(each.laws, 'law')} reach it"
    if each.orders is None:
        return reached
    return f"{reached}: {number(each.orders, 2)} orders of magnitude from {each.least} to {each.most}"


def _block(training: Training, inference: Inference | None) -> Iterator[str]:
    rows = [_amount_row(title, getattr(training, name), show) for name, title, show in _TRAINING]
    if inference is not None:
        rows += [
            _amount_row(f"answers: {title}", getattr(inference, name), show)
            for name, title, show in _INFERENCE
        ]
    yield from (f"  {line}" for line in aligned(rows))


def _amount_row(title: str, amount: Amount, show: Show) -> tuple[str, ...]:
    if amount.value is None:
        return (title, f"unknown: {amount.reason}")
    if amount.low == amount.value == amount.high:  # given, not estimated
        return (title, show(amount.value))
    return (title, f"{show(amount.value)} ({ends(amount, show)})")


def _budget(made: CostForecast, budget: BudgetReach) -> Iterator[str]:
    yield f"{budget.budget} buys {number(budget.times_largest)} times the largest run's compute:"
    yield from (f"! {line}" for line in budget.warnings)
    yield from _block(budget.training, budget.inference)
    level = f"{100 * made.level:g}%"
    rows: list[Sequence[str]] = [("by", f"{made.quantity} ({level} of the mean)", "of a new run")]
    for each in budget.reaches:
        y = each.y
        text = (
            f"{_y(made, y.value)} ({_y(made, y.low)} to {_y(made, y.high)})"
            if y.value
            else f"unknown: {y.reason}"
        )
        low, high = each.new_run
        new = UNKNOWN if low is None or high is None else f"{_y(made, low)} to {_y(made, high)}"
        rows.append((_law(each.law, each.rejected), text, new))
    yield from aligned(rows)
