"""Who has no data centre: is a target reachable, by when, on how many GPUs, rented or bought."""

from __future__ import annotations

import math
from collections.abc import Iterable

from isoflop.config import ConfigError
from isoflop.config.cost import HOURS_PER_YEAR
from isoflop.curve.result import FitReport
from isoflop.plan import firm_buys, firm_case, firm_choice, firm_decides, make
from isoflop.plan.amount import Amount, unknown
from isoflop.plan.budget import Kind
from isoflop.plan.firm_case import Case, Taken
from isoflop.plan.firm_result import FirmAnswer, OnGpus, Year
from isoflop.plan.firm_setting import SIDES, Setting, span_of
from isoflop.plan.make import FORECAST
from isoflop.plan.result import LawCost, TargetCost
from isoflop.report.text import units
from isoflop.report.text.numerals import duration, plural, seconds

LEFT_OUT = (
    "left out: people (who set up, watch and repair), data and its labels, storage and network, taxes, the "
    "room of GPUs that are bought, what the rest of their machine draws, and CO2 of making them"
)


def answer(report: FitReport, target: TargetCost, setting: Setting) -> FirmAnswer:
    """Return the answer for one target.

    Args:
        report: the fit.
        target: what the target costs by each law (make.forecast).
        setting: costs, prices, numbers of GPUs and limits.

    Raises:
        ConfigError: training cannot be timed, a budget is of what cannot be known, or buys no run on any.
    """
    _check(setting, make.log_largest(report))
    cost = main(target)
    largest = firm_buys.largest(report, cost.law, setting)
    reached = cost.training.train_gflops.value is not None and cost.log10_train_gflops is not None
    if not reached:
        rows = tuple(_unreached(setting, gpus, cost, largest[gpus]) for gpus in setting.gpus)
        return _finished(report, target, cost, setting, rows, (None, None, None))
    assert cost.log10_train_gflops is not None
    span = span_of(cost.training.train_gflops, cost.log10_train_gflops)
    cases = tuple(setting.case(span, side) for side in SIDES)
    value, low, high = cases
    rows = tuple(_row(setting, gpus, (value, low, high), span[0], largest[gpus]) for gpus in setting.gpus)
    return _finished(report, target, cost, setting, rows, (value, low, high))


def main(target: TargetCost) -> LawCost:
    """Return the law that answers: the average, else the first that the points do not reject."""
    average = [each for each in target.costs if each.law == FORECAST]
    kept = [each for each in target.costs if not each.rejected]
    return (average or kept or list(target.costs))[0]


def _check(setting: Setting, log10: float) -> None:
    timed = setting.costing.device_seconds(log10)
    if timed.value is None:
        raise ConfigError(f"--gpus: training cannot be timed: {timed.reason}")
    case = setting.case_at(log10)
    for budget in setting.limits.budgets:
        if firm_case.asked_of(case, setting.gpus[0], budget.kind) is None:
            raise ConfigError(
                f"--budget {budget.text}: what training takes of it is unknown: "
                f"{_why(setting, budget.kind, log10)}"
            )


def _why(setting: Setting, kind: str, log10: float) -> str:
    joules = setting.costing.energy_joules(log10)
    if kind == "dollars" and setting.ways.bought is not None and joules.value is not None:
        return "GPUs that are bought need a price of electricity: add --cost us_2023"
    if kind in ("dollars", "kilograms_co2") and (joules.value is not None or not setting.ways.names):
        return "no price was chosen: give --cost (such as runpod_h100_2026, own_h100_2026, us_2023)"
    return joules.reason or "the FLOPs of an answer are unknown"


def _finished(
    report: FitReport,
    target: TargetCost,
    cost: LawCost,
    setting: Setting,
    rows: tuple[OnGpus, ...],
    cases: tuple[Case | None, Case | None, Case | None],
) -> FirmAnswer:
    value, low, high = cases
    limits = setting.limits
    gpus = None if value is None else firm_choice.choose(value, limits)
    reached, shown = gpus is not None, gpus
    if value is not None and gpus is None:
        shown = firm_choice.nearest(value, limits)
    against = high if reached else low
    # Intervals that are open leave amounts unknown, which keeps no limit: a yes is then not sure.
    is_known = against is not None and against.train.device_seconds is not None
    ends_so = against is not None and is_known and firm_choice.choose(against, limits) is not None
    way = None if value is None or shown is None else firm_choice.way(value, shown)
    return FirmAnswer(
        target=target.target,
        law=cost.law,
        verdict="yes" if reached else "no",
        reason=None if reached else _reason(report, target, cost, setting, value, shown),
        is_sure=_sure(cost, reached, ends_so),
        gpus=shown,
        way=way,
        limits=limits.texts,
        rows=rows,
        year=None if value is None else _year(value, low, high),
        # Where the target is not reached, at the power of the largest run.
        break_even_hours=_break_even(setting, value or setting.case_at(make.log_largest(report))),
        assumptions=firm_decides.assumptions(target, cost, setting, value, shown, way),
        case=value,
        low=low,
        high=high,
        notes=_notes(setting, rows),
    )


def _sure(cost: LawCost, reached: bool, ends_so: bool) -> bool:
    """Return whether the intervals leave the answer: the far end of a yes still is one, the near end of a no
    is no yes. Of a target that is not reached, whether the interval of the curve stays above it as well."""
    if cost.reason is not None:
        return cost.training.train_gflops.low is None
    return ends_so if reached else not ends_so


def _reason(
    report: FitReport,
    target: TargetCost,
    cost: LawCost,
    setting: Setting,
    value: Case | None,
    gpus: int | None,
) -> str:
    text = make.shown(report, target.target)
    if gpus is None or value is None:
        below = next((line for line in target.warnings if line.startswith(f"{text} lies below")), None)
        why = cost.reason or cost.training.train_gflops.reason
        return below or f"{text} is not reached on any number of GPUs: {why}"
    missed = firm_choice.missed(value, gpus, setting.limits)
    over = [
        f"{_shown(value, gpus, each.kind)} of {each.text}"
        for each in setting.limits.budgets
        if each.text in missed
    ]
    deadline = setting.limits.deadline
    if deadline is not None and deadline.text in missed:
        over.append(f"{duration(firm_case.days(value, gpus))} of {deadline.text}")
    year = "" if value.year is None else ", a year of answers included"
    nearest = ", which comes nearest" if len(setting.gpus) > 1 else ""
    return f"{text} takes {' and '.join(over)} on {plural(gpus, 'GPU')}{nearest}{year}"


def _shown(case: Case, gpus: int, kind: Kind) -> str:
    """Return what training and answers take of a budget's resource, in a unit that suits it."""
    value = firm_case.asked_of(case, gpus, kind)
    if kind == "dollars":
        return units.dollars(value)
    if kind == "kilograms_co2":
        return units.grams(None if value is None else 1e3 * value)
    return {"train_gflops": units.gflops, "device_seconds": seconds, "energy_joules": units.joules}[kind](
        value
    )


def _row(
    setting: Setting, gpus: int, cases: tuple[Case, Case, Case], log10: float, largest: tuple[Amount, Amount]
) -> OnGpus:
    taken = [firm_case.training(case, gpus) for case in cases]
    value = cases[0]
    way = firm_choice.way(value, gpus)
    over = firm_choice.missed(value, gpus, setting.limits)
    return OnGpus(
        gpus=gpus,
        efficiency=dict(setting.efficiencies(log10))[gpus],
        days=_ends(firm_case.days(case, gpus) for case in cases),
        device_hours=_amount(taken, "device_hours", setting.costing.device_seconds(log10).reason),
        energy_joules=_amount(taken, "energy_joules", setting.costing.energy_joules(log10).reason),
        kilograms_co2=_amount(taken, "kilograms_co2", "no carbon intensity, or no energy"),
        rent_dollars=_amount(taken, "rent_dollars", "no price of a GPU-hour"),
        own_dollars=_amount(taken, "own_dollars", "no price of a purchase or of electricity, or no energy"),
        purchase_dollars=None if value.bought is None else gpus * value.bought.dollars,
        paid_dollars=_ends(
            (firm_choice.dollars(case, gpus, way) for case in cases), None if way else "no price"
        ),
        way=way,
        is_within=not over,
        missed=over,
        bought_gflops=largest[0],
        bought_y=largest[1],
    )


def _unreached(setting: Setting, gpus: int, cost: LawCost, largest: tuple[Amount, Amount]) -> OnGpus:
    none = unknown(f"not reached: {cost.reason}")
    bought, log10 = setting.ways.bought, math.log10(largest[0].value or 1.0)
    return OnGpus(
        gpus,
        setting.efficiency_at(gpus, log10),
        *(none,) * 6,
        purchase_dollars=None if bought is None else gpus * bought.dollars,
        paid_dollars=none,
        way=None,
        is_within=None,
        missed=(),
        bought_gflops=largest[0],
        bought_y=largest[1],
    )


def _amount(taken: list[Taken], name: str, reason: str | None) -> Amount:
    return _ends((getattr(each, name) for each in taken), reason)


def _ends(values: Iterable[float | None], reason: str | None = None) -> Amount:
    """Return the value, and the low and the high end, as an amount."""
    value, low, high = values
    return Amount(value, low, high, None if value is not None else reason)


def _year(*cases: Case | None) -> Year | None:
    years = [None if case is None else firm_case.year(case) for case in cases]
    value = cases[0]
    known = [each for each in years if each is not None]
    if value is None or len(known) < len(years):
        return None
    hour = None if value.rent_factors is None else value.rent_factors.get("dollars_per_gpu_hour")
    names = ("device_hours", "energy_joules", "kilograms_co2", "rent_dollars", "own_dollars")
    amounts = {name: _amount(known, name, "no price, or no energy") for name in names}
    return Year(**amounts, kept_rent_dollars=None if hour is None else hour * HOURS_PER_YEAR)


def _break_even(setting: Setting, value: Case) -> Amount:
    if setting.ways.bought is None:
        return unknown("no set of prices has a purchase: add --cost own_h100_2026")
    hours = firm_case.break_even_hours(value)
    if hours is None:
        return unknown("no price of a GPU-hour, of electricity, or no energy")
    if math.isinf(hours):
        return unknown("never: electricity alone costs the rent")
    return Amount(hours)


def _notes(setting: Setting, rows: tuple[OnGpus, ...]) -> tuple[str, ...]:
    sources = dict.fromkeys(row.efficiency.source for row in rows if row.gpus > 1)
    said = [LEFT_OUT, *sources]
    bought = setting.ways.bought
    if bought is not None:
        said.append(
            f"a GPU that is bought: {bought.dollars:,.0f} dollars with its share of the machine, over "
            f"{bought.years:g} years, used {100 * bought.utilisation:g}% of the time; the budget must pay "
            "all of the purchase"
        )
    if any(row.gpus > 1 and row.efficiency.is_known for row in rows):
        said.append("energy: GPUs that wait for each other are counted at the power of training")
    if setting.costing.queries_per_day is not None and setting.limits.budgets:
        said.append("budgets are to pay training and a year of answers")
    return tuple(said)
