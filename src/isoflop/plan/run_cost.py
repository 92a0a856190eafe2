"""What one run costs, in the unit of a budget: by the measured trend of rates with the size of its model."""

from __future__ import annotations

import dataclasses
import math

from isoflop.config import ConfigError
from isoflop.config.costs import Prices
from isoflop.plan.amount import Amount
from isoflop.plan.budget import Budget
from isoflop.plan.rates import Rates
from isoflop.plan.sizes import Sizes
from isoflop.table import pricing


def _itself(log10: float) -> Amount:
    return Amount(10.0**log10, 10.0**log10, 10.0**log10)


BY_SIZE = Sizes(_itself, _itself, _itself, "")
"""Sizes under which rates are read at log10 of a model's size, whatever compute it is trained with."""


@dataclasses.dataclass(frozen=True)
class RunCost:
    """Rates by size (read under BY_SIZE), prices, and the budget in whose unit costs are given."""

    rates: Rates
    prices: Prices | None
    budget: Budget

    def of(self, gflops: float, size: float) -> float:
        """Return what a run costs.

        Args:
            gflops: of its training, all cooldown branches included.
            size: of its model, in the unit of the rates' trend.

        Raises:
            ConfigError: no rate or price turns FLOPs into the unit of the budget.
        """
        kind = self.budget.kind
        if kind == "train_gflops":
            return gflops
        log10 = math.log10(size)
        seconds, joules = self.rates.speed(log10), self.rates.efficiency(log10)
        if kind in ("device_seconds", "energy_joules"):
            rate = seconds if kind == "device_seconds" else joules
            if rate.value is None:
                raise ConfigError(f"--budget {self.budget.text}: no run can be costed in it: {rate.reason}")
            return gflops / rate.value
        factors = self.prices.factors if self.prices is not None else {}
        used = pricing.Used(
            device_seconds=None if seconds.value is None else gflops / seconds.value,
            energy_joules=None if joules.value is None else gflops / joules.value,
            train_gflops=gflops,
            device_seconds_reason=seconds.reason,
            energy_joules_reason=joules.reason,
        )
        name = "dollars" if kind == "dollars" else "grams_co2"
        priced = pricing.PRICED[name](factors, used)
        if priced.value is None:
            raise ConfigError(
                f"--budget {self.budget.text}: no run can be costed in it: {priced.reason} "
                "(such as --cost us_2023)"
            )
        return priced.value * (1e-3 if name == "grams_co2" else 1.0)
