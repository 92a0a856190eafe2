"""The forecast of costs: fitted curves, what a compute takes, targets and budgets in; CostForecast out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from isoflop.config import ConfigError
from isoflop.curve import reach
from isoflop.curve.check.front import CheckReport
from isoflop.curve.reach import Reach
from isoflop.curve.result import Band, FitReport, LawFit
from isoflop.plan.amount import Amount, over, unknown
from isoflop.plan.budget import Budget
from isoflop.plan.costing import SPENT, Costing, Span
from isoflop.plan.result import (
    BudgetReach,
    CostForecast,
    Disagreement,
    LawCost,
    LawReach,
    TargetCost,
    Training,
)
from isoflop.report.text import misfit
from isoflop.report.text.numerals import number

FORECAST = "forecast"
BEYOND = 1e12
"""Curves are read up to this many times the largest run."""


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked: values of y, and budgets."""

    targets: tuple[float, ...]
    budgets: tuple[Budget, ...]


def forecast(
    source: str, report: FitReport, checked: CheckReport, costing: Costing, question: Question
) -> CostForecast:
    """Return what targets cost and what budgets buy.

    Args:
        source: as the result names it.
        report: the fit, whose bands reach BEYOND times the largest run.
        checked: the checks of its rows.
        costing: what a compute takes.
        question: what is asked.

    Raises:
        ConfigError: a budget whose unit nothing turns into compute, or that buys no run.
    """
    quantity = report.quantity
    return CostForecast(
        source=source,
        x=report.x,
        y=report.y,
        quantity=quantity.name,
        unit=quantity.unit,
        scale=quantity.scale,
        level=report.level,
        largest_gflops=10.0 ** log_largest(report),
        tested_ratio=report.forecast.tested_ratio if report.forecast is not None else None,
        device=costing.rates.device,
        queries_per_day=costing.queries_per_day,
        warnings=_warnings(report, checked),
        targets=tuple(_of_target(report, costing, target) for target in question.targets),
        budgets=tuple(_of_budget(report, costing, budget) for budget in question.budgets),
        notes=_notes(report, costing),
    )


def shown(report: FitReport, value: float) -> str:
    """Return a value of y as it is shown: 5%, 2.5 nats."""
    unit = report.quantity.unit
    text = f"{report.quantity.scale * value:.6g}"
    return f"{text}%" if unit == "%" else f"{text} {unit}".strip()


def _to_gflops(report: FitReport) -> float:
    """Return log10 of the GFLOPs in one of the unit of x."""
    assert report.resource.flops is not None
    return math.log10(report.resource.flops) - 9


def log_largest(report: FitReport) -> float:
    """Return log10 of the GFLOPs of the largest run."""
    return math.log10(report.x_max) + _to_gflops(report)


def log_smallest(report: FitReport) -> float:
    """Return log10 of the GFLOPs of the smallest run, where the curves begin."""
    return math.log10(report.x_min) + _to_gflops(report)


def _warnings(report: FitReport, checked: CheckReport) -> tuple[str, ...]:
    faults = [
        f"check finds a fault: {each.sentence}" for each in checked.findings if each.severity == "fault"
    ]
    if report.forecast is None:
        faults.append(f"no forecast averages the laws: {report.forecast_reason}")
    rejected = [fit.law for fit in report.fits if misfit.rejected(fit)]
    if rejected:
        faults.append(f"the points reject {', '.join(rejected)} (marked *): no amount by these stands alone")
    return tuple(faults)


def _reaches(report: FitReport, target: float) -> list[tuple[Reach, LawFit | None]]:
    found: list[tuple[Reach, LawFit | None]] = [
        (reach.of_law(report, fit, target), fit) for fit in report.fits
    ]
    if report.forecast is not None:
        found.append((reach.of_band(FORECAST, report.forecast.band, target), None))
    return found


def _of_target(report: FitReport, costing: Costing, target: float) -> TargetCost:
    found = _reaches(report, target)
    costs = tuple(_law_cost(report, costing, each, fit) for each, fit in found)
    known = sorted(
        (
            (each.log10_train_gflops, each.law)
            for each in costs
            if each.law != FORECAST and each.reason is None
        ),
        key=lambda pair: pair[0] or 0.0,
    )
    laws = sum(each.law != FORECAST for each in costs)
    orders = None
    if len(known) > 1 and known[0][0] is not None and known[-1][0] is not None:
        orders = known[-1][0] - known[0][0]
    return TargetCost(
        target=target,
        warnings=_target_warnings(report, target, costs),
        costs=costs,
        disagreement=Disagreement(
            orders,
            known[0][1] if known else None,
            known[-1][1] if known else None,
            len(known),
            laws,
        ),
    )


def _law_cost(report: FitReport, costing: Costing, found: Reach, fit: LawFit | None) -> LawCost:
    to_gflops = _to_gflops(report)
    ends = found.interval
    low, high = (None, None) if ends is None else (ends.low, ends.high)
    low, high = (None if end is None else end + to_gflops for end in (low, high))
    reason = _reason(report, found)
    if found.log10_x is None:
        compute = Amount(None, None if low is None else over(_itself, low, low, low).value, None, reason)
        none = unknown(f"not reached: {reason}")
        training = Training(compute, none, none, none, none, none, none)
        return LawCost(found.law, misfit.rejected(fit), None, reason, None, found.interval_of, training, None)
    log10 = found.log10_x + to_gflops
    times = log10 - log_largest(report)
    return LawCost(
        law=found.law,
        rejected=misfit.rejected(fit),
        log10_train_gflops=log10,
        reason=None,
        times_largest=10.0**times if times < 300 else None,
        interval_of=found.interval_of,
        training=costing.training((log10, low, high)),
        inference=costing.inference((log10, low, high)),
    )


def _reason(report: FitReport, found: Reach) -> str | None:
    if found.reason is not None and found.reason.startswith("not within"):
        return f"not within {number(BEYOND, 1)} times the largest run"
    return found.reason


def _itself(log10: float) -> Amount:
    return Amount(10.0**log10, 10.0**log10, 10.0**log10)


def _target_warnings(report: FitReport, target: float, costs: Sequence[LawCost]) -> tuple[str, ...]:
    said = []
    text, e = shown(report, target), reach.shown_irreducible(report)
    if e is not None and target <= e.value:
        called = reach.irreducible_text(report, e)
        low = e.interval.low
        allowed = low is not None and target > low
        said.append(
            f"{text} lies below the {called} that the points show: not reached"
            + (", though the interval allows it" if allowed else "")
        )
    elif e is not None and e.interval.high is not None and target <= e.interval.high:
        called = reach.irreducible_text(report, e)
        said.append(f"{text} lies within the interval of the {called}: it may not be reached at all")
    average = next((each for each in costs if each.law == FORECAST), None)
    if average is not None and average.reason is not None:
        said.append(f"the average of the laws does not come to {text}: {average.reason}")
    elif average is not None and average.times_largest is not None:
        said += _horizon(report, average.times_largest, "the average takes")
    if target >= max(_at(fit.band, fit.band.y, report.x_min) for fit in report.fits):
        said.append(f"the smallest runs are better than {text} already: amounts below them are extrapolated")
    return tuple(said)


def _horizon(report: FitReport, times: float, subject: str) -> list[str]:
    """Return how far beyond the tested horizon an answer lies; nothing within it."""
    tested = report.forecast.tested_ratio if report.forecast is not None else None
    if times <= 1:
        return []
    far = f"{subject} {number(times)} times the compute of the largest run"
    if tested is None:
        return [f"{far}, and there are too few scales to test forecasts over any horizon"]
    if times <= tested:
        return []
    return [
        f"{far}: forecasts of these runs can be tested up to {number(tested)} times (isoflop fit does), so "
        f"that it lies {number(times / tested)} times beyond"
    ]


def _of_budget(report: FitReport, costing: Costing, budget: Budget) -> BudgetReach:
    span = _bought(report, costing, budget)
    log10 = span[0]
    times = 10.0 ** (log10 - log_largest(report))
    least = log_smallest(report)
    if log10 < least - 1e-9:
        raise ConfigError(
            f"--budget {budget.text}: it buys {number(10.0**log10)} GFLOPs of training, less than the "
            f"smallest run, {number(10.0**least)} GFLOPs, where the curves begin: it buys no run"
        )
    curves: list[tuple[str, LawFit | None, Band]] = [(fit.law, fit, fit.band) for fit in report.fits]
    if report.forecast is not None:
        curves.append((FORECAST, None, report.forecast.band))
    return BudgetReach(
        budget=budget.text,
        warnings=tuple(_horizon(report, times, "the budget buys")),
        times_largest=times,
        training=_of_bought(costing, budget, span),
        inference=costing.inference(span),
        reaches=tuple(law_reach(report, law, fit, band, span) for law, fit, band in curves),
    )


def _of_bought(costing: Costing, budget: Budget, span: Span) -> Training:
    """Return what a training takes that a budget pays for: exactly the budget of what it is of.

    The other amounts have the intervals of their own rates at the compute that is bought, not its interval
    too, which the same rates make.
    """
    log10 = span[0]
    made = costing.training(span)
    exact = Amount(budget.amount, budget.amount, budget.amount)
    spent = {name: costing.amount_of(name)(log10) for name in SPENT}
    return dataclasses.replace(made, **(spent | {budget.kind: exact}))


def law_reach(
    report: FitReport,
    law: str,
    fit: LawFit | None,
    band: Band,
    span: Span,
) -> LawReach:
    """Return the y of a curve at a compute with its interval, and that of a new run."""
    shift = _to_gflops(report)

    def y_at(log10: float) -> Amount:
        x = 10.0 ** min(log10 - shift, math.log10(band.x[-1]))
        return Amount(_at(band, band.y, x), _at(band, band.low, x), _at(band, band.high, x))

    if span[0] - shift > math.log10(band.x[-1]):
        none = unknown(f"beyond {number(BEYOND, 1)} times the largest run")
        return LawReach(law, misfit.rejected(fit), none, (None, None))
    x = 10.0 ** (span[0] - shift)
    new_run = (_at(band, band.new_low, x), _at(band, band.new_high, x))
    return LawReach(law, misfit.rejected(fit), over(y_at, *span), new_run)


def _at(band: Band, side: Sequence[float], x: float) -> float:
    return float(np.exp(np.interp(math.log(x), np.log(band.x), np.log(side))))


def _bought(report: FitReport, costing: Costing, budget: Budget) -> Span:
    """Return log10 of the GFLOPs that a budget buys, with the interval that its rates give."""
    amount_at = costing.amount_of(budget.kind)
    least = log_smallest(report) - 30
    most = log_largest(report) + math.log10(BEYOND) + 12
    if (reason := amount_at(log_largest(report)).reason) is not None:
        how = " (such as --cost us_2023)" if budget.kind in ("dollars", "kilograms_co2") else ""
        raise ConfigError(f"--budget {budget.text}: it cannot be turned into compute: {reason}{how}")

    from scipy import optimize  # takes long to import, and targets need none of it

    def solve(side: str) -> float | None:
        def excess(log10: float) -> float | None:
            value = getattr(amount_at(log10), side)
            return None if not value else math.log(value / budget.amount)

        first, last = excess(least), excess(most)
        if first is None or last is None:
            return None
        if first > 0:
            return least
        if last < 0:
            return most
        return float(optimize.brentq(lambda at: excess(at) or 0.0, least, most, xtol=1e-9))

    middle = solve("value")
    assert middle is not None
    return middle, solve("high"), solve("low")


def _notes(report: FitReport, costing: Costing) -> tuple[str, ...]:
    said = [
        f"intervals are {report.percent}, of the mean curve joined with those of sizes and rates; those of "
        f"{', '.join(reach.CLOSED_FORMS)} join the ends of slope and height",
        "training alone: no search for learning rates, failed runs or evaluation",
        costing.sizes.basis,
        *costing.rates.notes,
    ]
    if costing.prices is not None:
        said.append(f"prices and CO2: {', '.join(costing.prices.names)} (isoflop report has each factor)")
        said += costing.prices.not_added
    if costing.queries_per_day is not None:
        said.append(
            f"inference: {costing.queries_per_day:g} queries a day, each one example forward, at the "
            "efficiency of training; serving in batches of other sizes differs"
        )
    return tuple(said)
