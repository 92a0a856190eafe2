"""Which assumption decides: one at a time is moved to the ends of its plausible range, all else as it stands."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

from isoflop.plan import firm_case, firm_choice
from isoflop.plan.firm_case import Case, Need
from isoflop.plan.firm_result import Assumption, End, Way
from isoflop.plan.firm_setting import Setting
from isoflop.plan.result import LawCost, TargetCost
from isoflop.report.text import units
from isoflop.report.text.numerals import number

TRAININGS = (1.0, 5.0)
"""With the search for learning rates and sizes, and runs that failed."""
TIMES = (0.5, 2.0)
"""Of prices of an hour and of a kWh: shipped prices of one GPU of one year differ three times."""
PURCHASE = (0.75, 1.25)
YEARS = (3.0, 6.0)
UTILISATION = (0.2, 0.9)
EFFICIENCY = 0.5
"""Of several GPUs, where nothing tells it."""
QUERIES = (0.1, 10.0)
INTENSITY = (56.0, 713.0)
"""Grams of CO2 a kWh of shipped countries: France and India."""


@dataclasses.dataclass(frozen=True)
class Range:
    """An assumption with the case at each end, None where the target is not reached there."""

    name: str
    basis: str
    labels: tuple[str, str]
    cases: tuple[Case | None, Case | None]


def assumptions(
    target: TargetCost,
    cost: LawCost,
    setting: Setting,
    case: Case | None,
    gpus: int | None,
    way: Way | None,
) -> tuple[Assumption, ...]:
    """Return every assumption that has a range, those that turn the answer first, then by what they move.

    Args:
        target, cost: what the target costs, and by the law that answers.
        setting: prices, numbers of GPUs and limits.
        case: the plain numbers of the answer; None where the target is not reached.
        gpus, way: of the answer, on which costs are compared.
    """
    is_yes = case is not None and firm_choice.choose(case, setting.limits) is not None
    ranges = list(_of_curve(target, cost, setting))
    if case is not None and cost.log10_train_gflops is not None:
        ranges += _of_rates(setting, case, cost.log10_train_gflops)
        ranges += _of_prices(case)
        ranges += _of_use(setting, case)
    moved = [_judged(each, setting, is_yes, gpus, way) for each in ranges]
    return tuple(
        sorted(
            (each for each in moved if each.turns or each.turns_way or (each.factor or 1.0) > 1),
            key=lambda each: (not each.turns, not each.turns_way, -(each.factor or math.inf)),
        )
    )


def _judged(each: Range, setting: Setting, is_yes: bool, gpus: int | None, way: Way | None) -> Assumption:
    on = gpus if gpus is not None else setting.gpus[0]
    low, high = (
        _end(label, case, setting, on, way) for label, case in zip(each.labels, each.cases, strict=True)
    )
    ends = [end.days if low.dollars is None or high.dollars is None else end.dollars for end in (low, high)]
    known = [value for value in ends if value]
    factor = max(known) / min(known) if len(known) == 2 else None
    turns = any((end.verdict == "yes") != is_yes for end in (low, high))
    turns_way = low.cheaper != high.cheaper and None not in (low.cheaper, high.cheaper)
    return Assumption(each.name, each.basis, low, high, turns, turns_way, factor)


def _end(label: str, case: Case | None, setting: Setting, gpus: int, way: Way | None) -> End:
    if case is None:
        return End(label, "no", None, None, None)
    fits = firm_choice.choose(case, setting.limits) is not None
    chosen = way if way is not None else firm_choice.way(case, gpus)
    days, dollars = firm_case.days(case, gpus), firm_choice.dollars(case, gpus, chosen)
    return End(label, "yes" if fits else "no", days, dollars, firm_choice.cheaper(case, gpus))


def _of_curve(target: TargetCost, cost: LawCost, setting: Setting) -> Iterator[Range]:
    """Yield how much compute the target takes: by the interval of the law that answers, and by other laws."""
    compute = cost.training.train_gflops
    # An end that is open is one at which the target is not reached; below, the value itself stands.
    low = compute.value if compute.low is None else compute.low
    ends = [None if end is None else setting.case_at(math.log10(end)) for end in (low, compute.high)]
    labels = ["not reached" if end is None else units.gflops(end) for end in (low, compute.high)]
    if ends != [None, None]:
        yield Range("training compute", "its interval", (labels[0], labels[1]), (ends[0], ends[1]))
    laws = [each for each in target.costs if each is not cost and not each.rejected]
    reaching = sorted(
        (each for each in laws if each.training.train_gflops.value is not None),
        key=lambda each: each.log10_train_gflops or 0.0,
    )
    failing = [each for each in laws if each.training.train_gflops.value is None]
    if not reaching or len(laws) < 2:
        return
    first, last = reaching[0], (failing or reaching)[-1]
    labels = [each.law for each in (first, last)]
    at = [
        None if each.training.train_gflops.value is None else each.log10_train_gflops
        for each in (first, last)
    ]
    ends = [None if log10 is None else setting.case_at(log10) for log10 in at]
    yield Range("form of the law", "laws not rejected", (labels[0], labels[1]), (ends[0], ends[1]))


def _of_rates(setting: Setting, case: Case, log10: float) -> Iterator[Range]:
    costing = setting.costing
    seconds, joules = costing.device_seconds(log10), costing.energy_joules(log10)
    if seconds.value is not None and seconds.low is not None and seconds.high is not None:
        parts = (seconds.low / seconds.value, seconds.high / seconds.value)
        rate = costing.rates.speed(log10)
        labels = tuple(f"{number((rate.value or 0.0) / part / 1e3)} TFLOP/s" for part in parts)
        yield Range(
            "speed of a GPU", "its interval", (labels[0], labels[1]), _both(case, parts, _slower)
        )
    if joules.value is not None and joules.low is not None and joules.high is not None:
        parts = (joules.low / joules.value, joules.high / joules.value)
        labels = tuple(units.joules((case.train.energy_joules or 0.0) * part) for part in parts)
        yield Range("energy of a training", "its interval", (labels[0], labels[1]), _both(case, parts, _hotter))
    several = [each for each in setting.efficiencies(log10) if each[0] > 1]
    if not several:
        return
    if all(each.is_known for _, each in several):
        ends = [tuple((n, getattr(each, end)) for n, each in setting.efficiencies(log10)) for end in ("high", "low")]
        shown = [" ".join(f"{e:.2g}" for n, e in pairs if n > 1) for pairs in ends]
        basis = "its interval"
    else:
        ends = [case.efficiencies, tuple((n, 1.0 if n == 1 else EFFICIENCY) for n, _ in case.efficiencies)]
        shown, basis = ["1", f"{EFFICIENCY:g}"], "assumed"
    cases = tuple(dataclasses.replace(case, efficiencies=pairs) for pairs in ends)
    yield Range("efficiency at N", basis, (shown[0], shown[1]), (cases[0], cases[1]))


def _of_prices(case: Case) -> Iterator[Range]:
    rent, power, bought = case.rent_factors, case.power_factors, case.bought
    if rent is not None and (hour := rent.get("dollars_per_gpu_hour")) is not None:
        yield Range(
            "price of a GPU-hour",
            "half to twice",
            _labels("{:.3g} dollars", hour, TIMES),
            _both(case, TIMES, lambda c, k: _rent(c, hour * k)),
        )
    if bought is None or power is None:
        return
    if (kwh := power.get("dollars_per_kwh")) is not None:
        yield Range(
            "price of a kWh",
            "half to twice",
            _labels("{:.3g} dollars", kwh, TIMES),
            _both(case, TIMES, lambda c, k: dataclasses.replace(c, power_factors={**power, "dollars_per_kwh": kwh * k})),
        )
    for name, field, ends, form in (
        ("purchase of a GPU", "dollars", tuple(bought.dollars * k for k in PURCHASE), "{:,.0f} dollars"),
        ("years of use", "years", YEARS, "{:g}"),
        ("share of hours in use", "utilisation", UTILISATION[::-1], "{:g}"),
    ):
        yield Range(
            name,
            "assumed",
            _labels(form, 1.0, ends),
            _both(case, ends, lambda c, v, field=field: dataclasses.replace(c, bought=dataclasses.replace(bought, **{field: v}))),  # type: ignore[misc]
        )


def _of_use(setting: Setting, case: Case) -> Iterator[Range]:
    yield Range(
        "trainings, with search and failures",
        "assumed",
        _labels("{:g}", 1.0, TRAININGS),
        _both(case, TRAININGS, lambda c, k: dataclasses.replace(c, trainings=k)),
    )
    if case.year is not None and setting.limits.budgets and setting.costing.queries_per_day:
        yield Range(
            "queries a day",
            "a tenth to ten times",
            _labels("{:g}", setting.costing.queries_per_day, QUERIES),
            _both(case, QUERIES, _busier),
        )
    if any(each.kind == "kilograms_co2" for each in setting.limits.budgets):
        yield Range(
            "grams of CO2 a kWh",
            "France to India",
            _labels("{:g}", 1.0, INTENSITY),
            _both(case, INTENSITY, _dirtier),
        )


def _both(
    case: Case, ends: tuple[float, float], change: Callable[[Case, float], Case]
) -> tuple[Case, Case]:
    return change(case, ends[0]), change(case, ends[1])


def _labels(form: str, unit: float, ends: tuple[float, float]) -> tuple[str, str]:
    return form.format(unit * ends[0]), form.format(unit * ends[1])


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _each_need(case: Case, change: Callable[[Need], Need]) -> Case:
    """Return the case with training and answers changed alike."""
    year = None if case.year is None else change(case.year)
    return dataclasses.replace(case, train=change(case.train), year=year)


def _slower(case: Case, factor: float) -> Case:
    return _each_need(
        case, lambda need: dataclasses.replace(need, device_seconds=_times(need.device_seconds, factor))
    )


def _hotter(case: Case, factor: float) -> Case:
    return _each_need(
        case, lambda need: dataclasses.replace(need, energy_joules=_times(need.energy_joules, factor))
    )


def _busier(case: Case, factor: float) -> Case:
    return dataclasses.replace(case, year=None if case.year is None else case.year.times(factor))


def _rent(case: Case, hour: float) -> Case:
    assert case.rent_factors is not None
    return dataclasses.replace(case, rent_factors={**case.rent_factors, "dollars_per_gpu_hour": hour})


def _dirtier(case: Case, grams: float) -> Case:
    changed = {
        name: {**factors, "grams_co2_per_kwh": grams}
        for name in ("rent_factors", "power_factors")
        if (factors := getattr(case, name)) is not None and "grams_co2_per_kwh" in factors
    }
    return dataclasses.replace(case, **changed)
