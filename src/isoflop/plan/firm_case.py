"""What training on N GPUs and a year of answers take, rented or bought: closed formulas of plain numbers.

A Case holds all that the answer depends on, so that one number at a time can be changed, by `firm_decides` or
by a slider of a page:

    device-hours on N = trainings x device-seconds of one GPU / 3600 / efficiency at N
    days on N         = device-hours on N / N / 24
    energy on N       = trainings x joules of one GPU / efficiency at N
    an hour of a GPU that is bought = dollars / (years x 8760 x utilisation), and its electricity

GPUs that wait for each other are counted at the power of training: an upper bound of their energy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from isoflop.config.cost import HOURS_PER_YEAR
from isoflop.config.ways import Bought
from isoflop.plan.budget import Budget, Kind
from isoflop.plan.deadline import Deadline
from isoflop.table import pricing
from isoflop.table.pricing import SECONDS_PER_HOUR, Used


@dataclasses.dataclass(frozen=True)
class Need:
    """What a work takes on one GPU: GFLOPs, seconds, joules before PUE; None where unknown or open."""

    gflops: float | None
    device_seconds: float | None
    energy_joules: float | None

    def times(self, factor: float) -> Need:
        """Return what so many of it take."""
        return Need(
            *(_times(each, factor) for each in (self.gflops, self.device_seconds, self.energy_joules))
        )


@dataclasses.dataclass(frozen=True)
class Case:
    """The plain numbers of one answer.

    Attributes:
        train: what one training takes.
        year: what a year of answers takes; None without queries.
        trainings: how many trainings are paid for: 1, more with a search and failed runs.
        efficiencies: (GPUs, efficiency) of each number of GPUs.
        rent_factors: prices of GPUs that are rented, by the keys of a set of prices; None without any.
        power_factors: dollars and CO2 of a kWh and PUE where the GPUs are bought; None without a purchase.
        bought: the purchase; None without one.
    """

    train: Need
    year: Need | None
    trainings: float
    efficiencies: tuple[tuple[int, float], ...]
    rent_factors: Mapping[str, float] | None
    power_factors: Mapping[str, float] | None
    bought: Bought | None

    def efficiency(self, gpus: int) -> float:
        """Return the efficiency at a number of GPUs of `efficiencies`."""
        return dict(self.efficiencies)[gpus]


@dataclasses.dataclass(frozen=True)
class Taken:
    """What training, or a year of answers, takes; None where unknown, or without a price.

    Attributes:
        device_hours: of all GPUs added up.
        energy_joules: of the GPUs, before PUE.
        kilograms_co2: by the chosen carbon intensity.
        rent_dollars: where the GPUs are rented.
        own_dollars: where they are bought: the share of the purchase, and electricity.
        power_dollars: electricity of GPUs that are bought, alone.
    """

    device_hours: float | None
    energy_joules: float | None
    kilograms_co2: float | None
    rent_dollars: float | None
    own_dollars: float | None
    power_dollars: float | None


def training(case: Case, gpus: int) -> Taken:
    """Return what the trainings take on a number of GPUs."""
    need = case.train.times(case.trainings)
    spread = need.times(1.0 / case.efficiency(gpus))
    return _taken(case, dataclasses.replace(spread, gflops=need.gflops))


def year(case: Case) -> Taken | None:
    """Return what a year of answers takes, by the time that a GPU computes them; None without queries."""
    return None if case.year is None else _taken(case, case.year)


def days(case: Case, gpus: int) -> float | None:
    """Return the days that the trainings take on a number of GPUs, one after another."""
    return _times(training(case, gpus).device_hours, 1.0 / gpus / 24.0)


def own_hour(bought: Bought) -> float:
    """Return the share of the purchase in an hour of use, dollars / (years x 8760 x utilisation)."""
    return bought.dollars / (bought.years * HOURS_PER_YEAR * bought.utilisation)


def break_even_hours(case: Case) -> float | None:
    """Return the hours a year of use past which a GPU that is bought costs less than a rented one.

    (dollars / years) / (rent of an hour - electricity of an hour), electricity being that of the mean power
    of training. Above HOURS_PER_YEAR there is no such use; infinite where electricity alone costs the rent.
    None where a price or the power is unknown.
    """
    if case.bought is None or case.rent_factors is None or not case.train.device_seconds:
        return None
    an_hour = _used(case.train.times(SECONDS_PER_HOUR / case.train.device_seconds))
    rent, power = _dollars(case.rent_factors, an_hour), _dollars(case.power_factors, an_hour)
    if rent is None or power is None:
        return None
    return case.bought.dollars / case.bought.years / (rent - power) if rent > power else float("inf")


def rent_payable(case: Case, gpus: int) -> float | None:
    """Return dollars to pay for rented GPUs: training, and the year of answers if one is asked for."""
    return _added(training(case, gpus), year(case), "rent_dollars")


def own_payable(case: Case, gpus: int) -> float | None:
    """Return dollars to pay for GPUs that are bought: all of the purchase, and electricity of both."""
    power = _added(training(case, gpus), year(case), "power_dollars")
    return None if power is None or case.bought is None else power + gpus * case.bought.dollars


def asked_of(case: Case, gpus: int, kind: Kind) -> float | None:
    """Return what is to be paid of the resource of a budget: training, and the year of answers if one is
    asked for; of dollars those of the cheaper way to pay. None where unknown."""
    trained, answered = training(case, gpus), year(case)
    if kind == "dollars":
        ways = [each for each in (rent_payable(case, gpus), own_payable(case, gpus)) if each is not None]
        return min(ways, default=None)
    if kind == "train_gflops":
        return _times(case.train.gflops, case.trainings)
    if kind == "device_seconds":
        return _times(_added(trained, answered, "device_hours"), SECONDS_PER_HOUR)
    return _added(trained, answered, kind)


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the answer must stay within: budgets, and a deadline or None."""

    budgets: tuple[Budget, ...]
    deadline: Deadline | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The limits as they were written."""
        return (*(each.text for each in self.budgets), *([self.deadline.text] if self.deadline else []))


def shares(case: Case, gpus: int, limits: Limits) -> dict[str, float | None]:
    """Return the share of each limit that is taken, by its text; None where unknown."""
    found = {each.text: _times(asked_of(case, gpus, each.kind), 1.0 / each.amount) for each in limits.budgets}
    if limits.deadline is not None:
        found[limits.deadline.text] = _times(days(case, gpus), 86400.0 / limits.deadline.seconds)
    return found


def _used(need: Need) -> Used:
    return Used(need.device_seconds, need.energy_joules, need.gflops)


def _taken(case: Case, need: Need) -> Taken:
    used = _used(need)
    power = None if case.bought is None else _dollars(case.power_factors, used)
    hours = _times(need.device_seconds, 1.0 / SECONDS_PER_HOUR)
    share = None if case.bought is None else _times(hours, own_hour(case.bought))
    grams = next(
        (
            value
            for factors in (case.rent_factors, case.power_factors)
            if factors is not None and (value := pricing.grams_co2(factors, used).value) is not None
        ),
        None,
    )
    return Taken(
        device_hours=hours,
        energy_joules=need.energy_joules,
        kilograms_co2=_times(grams, 1e-3),
        rent_dollars=_dollars(case.rent_factors, used),
        own_dollars=None if share is None or power is None else share + power,
        power_dollars=power,
    )


def _dollars(factors: Mapping[str, float] | None, used: Used) -> float | None:
    return None if factors is None else pricing.dollars(factors, used).value


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _added(trained: Taken, answered: Taken | None, name: str) -> float | None:
    """Return the sum over training and answers, unknown where a part is."""
    parts: list[float | None] = [getattr(each, name) for each in (trained, answered) if each is not None]
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
