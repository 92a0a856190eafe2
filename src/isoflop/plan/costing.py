"""From a compute to what its training and its model's answers take."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from isoflop.config.costs import Prices
from isoflop.plan.amount import Amount, over, power, unknown
from isoflop.plan.rates import Rates
from isoflop.plan.result import Inference, Training
from isoflop.plan.sizes import AmountAt, Sizes
from isoflop.table import pricing
from isoflop.table.pricing import Used

DAYS = 365.0
SPENT = ("device_seconds", "energy_joules", "kilograms_co2", "dollars")
"""Amounts of a training that rates and prices tell."""
Span = tuple[float, float | None, float | None]
"""log10 of training GFLOPs with the ends of its interval."""


@dataclasses.dataclass(frozen=True)
class Costing:
    """Sizes, rates and prices by which a compute is turned into everything else."""

    sizes: Sizes
    rates: Rates
    prices: Prices | None
    queries_per_day: float | None

    def device_seconds(self, log10: float) -> Amount:
        """Return seconds of one device for 10^log10 training GFLOPs."""
        return _quotient(10.0**log10, self.rates.speed(log10))

    def energy_joules(self, log10: float) -> Amount:
        """Return joules of the devices, before PUE."""
        return _quotient(10.0**log10, self.rates.efficiency(log10))

    def dollars(self, log10: float) -> Amount:
        """Return dollars by the chosen prices."""
        return self._priced("dollars", log10)

    def kilograms_co2(self, log10: float) -> Amount:
        """Return kg of CO2 by the chosen prices."""
        return self._priced("grams_co2", log10).times(1e-3)

    def training(self, span: Span) -> Training:
        """Return what training takes, each amount with the interval that the compute's gives it."""
        return Training(
            train_gflops=power(*span),
            parameters=over(self.sizes.parameters, *span),
            examples=over(self.sizes.examples, *span),
            **{name: over(self.amount_of(name), *span) for name in SPENT},
        )

    def inference(self, span: Span) -> Inference | None:
        """Return what a year of queries takes with the model of this training; None without queries."""
        if self.queries_per_day is None:
            return None
        a_year = self.queries_per_day * DAYS

        def break_even(log10: float) -> Amount:
            assert self.queries_per_day is not None
            return _quotient(10.0**log10 / self.queries_per_day, self.sizes.forward(log10))

        seconds, energy, co2, dollars = (
            over(self._of_year(each), *span)
            for each in (self.device_seconds, self.energy_joules, self.kilograms_co2, self.dollars)
        )
        return Inference(
            gflops_per_query=over(self.sizes.forward, *span),
            gflops_per_year=over(lambda log10: self.sizes.forward(log10).times(a_year), *span),
            device_seconds_per_year=seconds,
            energy_joules_per_year=energy,
            kilograms_co2_per_year=co2,
            dollars_per_year=dollars,
            break_even_days=over(break_even, *span),
        )

    def year(self, log10: float) -> tuple[Amount, Amount, Amount] | None:
        """Return GFLOPs, device-seconds and joules of a year of queries; None without queries."""
        if self.queries_per_day is None:
            return None
        gflops = self.sizes.forward(log10).times(self.queries_per_day * DAYS)
        seconds = self._of_year(self.device_seconds)(log10)
        return gflops, seconds, self._of_year(self.energy_joules)(log10)

    def _of_year(self, training_amount: AmountAt) -> AmountAt:
        """Return a year's amount: the share of a training's that its FLOPs are of the training's FLOPs."""
        assert self.queries_per_day is not None
        a_year = self.queries_per_day * DAYS

        def at(log10: float) -> Amount:
            query = self.sizes.forward(log10)
            if query.value is None:
                return query
            return training_amount(log10).times(query.value * a_year / 10.0**log10)

        return at

    def amount_of(self, kind: str) -> Callable[[float], Amount]:
        """Return the amount that a kind of budget (budget.Kind) is of."""
        if kind == "train_gflops":
            return lambda log10: Amount(10.0**log10, 10.0**log10, 10.0**log10)
        found: Callable[[float], Amount] = getattr(self, kind)
        return found

    def _priced(self, name: str, log10: float) -> Amount:
        if self.prices is None:
            return unknown(pricing.NO_FACTOR)
        seconds, joules = self.device_seconds(log10), self.energy_joules(log10)
        price = pricing.PRICED[name]
        values = []
        for side in ("value", "low", "high"):
            used = Used(
                device_seconds=getattr(seconds, side),
                energy_joules=getattr(joules, side),
                train_gflops=10.0**log10,
                device_seconds_reason=seconds.reason or "its interval is open",
                energy_joules_reason=joules.reason or "its interval is open",
            )
            values.append(price(self.prices.factors, used))
        middle, low, high = values
        return Amount(middle.value, low.value, high.value, middle.reason)


def _quotient(total: float, rate: Amount) -> Amount:
    """Return total / rate."""
    if rate.value is None:
        return rate
    low, high = (None if not end else total / end for end in (rate.high, rate.low))
    return Amount(total / rate.value, low, high)
