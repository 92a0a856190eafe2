"""What a question about GPUs is asked of (costs, prices, numbers of GPUs, limits), and its cases."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

from isoflop.config.costs import Prices
from isoflop.config.ways import Ways
from isoflop.plan.amount import LARGEST_LOG10, Amount
from isoflop.plan.costing import Costing, Span
from isoflop.plan.efficiency import Efficiency, EfficiencyAt
from isoflop.plan.firm_case import Case, Limits, Need

Side = Literal["low", "value", "high"]
"""Of an interval; the low one of all amounts goes with the high one of efficiency."""
SIDES: tuple[Side, ...] = ("value", "low", "high")
_OPPOSITE: Mapping[Side, Side] = {"low": "high", "value": "value", "high": "low"}
_POWER = ("dollars_per_kwh", "grams_co2_per_kwh", "pue")


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is asked, of which costs.

    Attributes:
        costing: what a compute takes on one GPU.
        ways: prices of GPUs rented and bought.
        gpus: numbers of GPUs, increasing.
        limits: budgets and deadline.
        efficiency_at: of N GPUs at a compute.
    """

    costing: Costing
    ways: Ways
    gpus: tuple[int, ...]
    limits: Limits
    efficiency_at: EfficiencyAt

    def efficiencies(self, log10: float) -> tuple[tuple[int, Efficiency], ...]:
        """Return (GPUs, efficiency) at a compute."""
        return tuple((gpus, self.efficiency_at(gpus, log10)) for gpus in self.gpus)

    def case(self, span: Span, side: Side = "value") -> Case:
        """Return the plain numbers at a compute: the values, or the ends of the intervals of all of them.

        Args:
            span: log10 of training GFLOPs with the ends of its interval (costing.Span).
            side: which end; ends of all amounts together are wider than the interval of any.
        """
        train, answers = self.costing.training(span), self.costing.inference(span)
        training = (train.train_gflops, train.device_seconds, train.energy_joules)
        year = None
        if answers is not None:
            year = (answers.gflops_per_year, answers.device_seconds_per_year, answers.energy_joules_per_year)
        return self._case(span[0], side, training, year)

    def case_at(self, log10: float, side: Side = "value") -> Case:
        """Return the plain numbers at a compute that is known: intervals are those of rates alone."""
        costing = self.costing
        compute = Amount(10.0**log10, 10.0**log10, 10.0**log10)
        training = (compute, costing.device_seconds(log10), costing.energy_joules(log10))
        return self._case(log10, side, training, costing.year(log10))

    def _case(
        self,
        log10: float,
        side: Side,
        training: tuple[Amount, Amount, Amount],
        year: tuple[Amount, Amount, Amount] | None,
    ) -> Case:
        end = _OPPOSITE[side]
        return Case(
            train=Need(*(_side(each, side) for each in training)),
            year=None if year is None else Need(*(_side(each, side) for each in year)),
            trainings=1.0,
            efficiencies=tuple((n, float(getattr(each, end))) for n, each in self.efficiencies(log10)),
            rent_factors=_factors(self.ways.rent),
            power_factors=_power(self.ways.own),
            bought=self.ways.bought,
        )


def span_of(compute: Amount, log10: float) -> Span:
    """Return a compute with its interval as powers of ten."""
    low, high = (
        None if end is None or end <= 0 else min(math.log10(end), LARGEST_LOG10)
        for end in (compute.low, compute.high)
    )
    return log10, low, high


def _side(amount: Amount, side: Side) -> float | None:
    value: float | None = getattr(amount, side)
    return value


def _factors(prices: Prices | None) -> dict[str, float] | None:
    return None if prices is None else dict(prices.factors)


def _power(prices: Prices | None) -> dict[str, float] | None:
    if prices is None:
        return None
    return {key: value for key, value in prices.factors.items() if key in _POWER}
