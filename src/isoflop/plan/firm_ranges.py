"""Plausible ranges of the assumptions behind an answer about GPUs, and the case at each end.

Compute, speed, energy and a predicted efficiency have their own intervals; the other ranges are assumed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping

from isoflop.plan.firm_case import Case, Need
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


def of_curve(target: TargetCost, cost: LawCost, setting: Setting) -> Iterator[Range]:
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


def of_rates(setting: Setting, case: Case, log10: float) -> Iterator[Range]:
    """Yield what a GPU does in a second and with a joule, and how much of N is used."""
    costing = setting.costing
    seconds, joules = costing.device_seconds(log10), costing.energy_joules(log10)
    if seconds.value is not None and seconds.low is not None and seconds.high is not None:
        parts = (seconds.low / seconds.value, seconds.high / seconds.value)
        rate = costing.rates.speed(log10)
        labels = tuple(f"{number((rate.value or 0.0) / part / 1e3)} TFLOP/s" for part in parts)
        yield Range("speed of a GPU", "its interval", (labels[0], labels[1]), _both(case, parts, _slower))
    if joules.value is not None and joules.low is not None and joules.high is not None:
        parts = (joules.low / joules.value, joules.high / joules.value)
        labels = tuple(units.joules((case.train.energy_joules or 0.0) * part) for part in parts)
        yield Range(
            "energy of a training", "its interval", (labels[0], labels[1]), _both(case, parts, _hotter)
        )
    several = [each for each in setting.efficiencies(log10) if each[0] > 1]
    if not several:
        return
    if all(each.is_known for _, each in several):
        ends = [
            tuple((n, getattr(each, end)) for n, each in setting.efficiencies(log10))
            for end in ("high", "low")
        ]
        shown = [" ".join(f"{e:.2g}" for n, e in pairs if n > 1) for pairs in ends]
        basis = "its interval"
    else:
        ends = [case.efficiencies, tuple((n, 1.0 if n == 1 else EFFICIENCY) for n, _ in case.efficiencies)]
        shown, basis = ["1", f"{EFFICIENCY:g}"], "assumed"
    cases = tuple(dataclasses.replace(case, efficiencies=pairs) for pairs in ends)
    yield Range("efficiency at N", basis, (shown[0], shown[1]), (cases[0], cases[1]))


def of_prices(case: Case) -> Iterator[Range]:
    """Yield prices: of a GPU-hour, of a kWh, of a purchase and the use of what was bought."""
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
            _both(
                case,
                TIMES,
                lambda c, k: dataclasses.replace(c, power_factors={**power, "dollars_per_kwh": kwh * k}),
            ),
        )
    for name, ends, form, change in (
        ("purchase of a GPU", _scaled(bought.dollars, PURCHASE), "{:,.0f} dollars", _dearer),
        ("years of use", YEARS, "{:g}", _longer),
        ("share of hours in use", UTILISATION, "{:g}", _busier_machine),
    ):
        yield Range(name, "assumed", _labels(form, 1.0, ends), _both(case, ends, change))


def of_use(setting: Setting, case: Case) -> Iterator[Range]:
    """Yield how often is trained, how much is asked, and where the electricity is from."""
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


def _both(case: Case, ends: tuple[float, float], change: Callable[[Case, float], Case]) -> tuple[Case, Case]:
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
    def changed(factors: Mapping[str, float] | None) -> Mapping[str, float] | None:
        if factors is None or "grams_co2_per_kwh" not in factors:
            return factors
        return {**factors, "grams_co2_per_kwh": grams}

    return dataclasses.replace(
        case, rent_factors=changed(case.rent_factors), power_factors=changed(case.power_factors)
    )


def _power(case: Case, kwh: float) -> Case:
    assert case.power_factors is not None
    return dataclasses.replace(case, power_factors={**case.power_factors, "dollars_per_kwh": kwh})


def _dearer(case: Case, dollars: float) -> Case:
    assert case.bought is not None
    return dataclasses.replace(case, bought=dataclasses.replace(case.bought, dollars=dollars))


def _longer(case: Case, years: float) -> Case:
    assert case.bought is not None
    return dataclasses.replace(case, bought=dataclasses.replace(case.bought, years=years))


def _busier_machine(case: Case, utilisation: float) -> Case:
    assert case.bought is not None
    return dataclasses.replace(case, bought=dataclasses.replace(case.bought, utilisation=utilisation))


def _scaled(value: float, parts: tuple[float, float]) -> tuple[float, float]:
    return value * parts[0], value * parts[1]
