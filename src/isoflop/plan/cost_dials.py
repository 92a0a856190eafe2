"""The dials of what a target costs: of one GPU that is rented, and of the small firm's question.

A further dial is a line here, and its key in the settings of costs.js.
"""

from __future__ import annotations

from collections.abc import Mapping

from isoflop.config import compose, costs
from isoflop.config.cost import CostConfig
from isoflop.config.costs import Prices
from isoflop.config.ways import OF_ELECTRICITY
from isoflop.report.costs import Dial
from isoflop.table.target import Quantity

QUERIES = 1e6
"""Queries a day at which the dial stands first."""
MOST_GPUS = 1024
YEARS, UTILISATION = 4.0, 0.5
"""Of the shipped purchases (conf/cost/own_*.yaml)."""


Sets = Mapping[str, CostConfig]
"""Name -> set of prices."""


def shipped() -> Sets:
    """Return the sets of prices that are shipped."""
    return {name: costs.load_one(name).cost for name in costs.known_names(compose.conf_dir() / "cost")}


def of_one(
    quantity: Quantity, targets: int, start: float, prices: Prices | None, sets: Sets
) -> tuple[Dial, ...]:
    """Return the dials of target, prices and queries.

    Args:
        quantity: that is forecast.
        targets: how many the slider takes.
        start: the target at first, in the unit of the fit.
        prices: chosen ones, at which the dials stand first.
        sets: the shipped ones.
    """
    factors = dict(prices.factors) if prices is not None else {}
    only_electricity = "dollars_per_kwh" in factors and "dollars_per_gpu_hour" not in factors
    return (
        Dial(
            *("target", quantity.title, quantity.unit, 0.0, targets - 1.0, 1.0),
            quantity.scale * start,
        ),
        Dial(
            *("dollars_per_gpu_hour", "Price of a GPU-hour", "dollars", 0.0, 20.0, 0.01),
            factors.get("dollars_per_gpu_hour"),
            known=_known(sets, "dollars_per_gpu_hour"),
            note=f"while none is given, electricity costs {factors['dollars_per_kwh']:g} dollars a kWh"
            if only_electricity
            else "",
        ),
        Dial(
            *("grams_co2_per_kwh", "Grid", "g CO₂ a kWh", 0.0, 1000.0, 1.0),
            factors.get("grams_co2_per_kwh"),
            known=_known(sets, "grams_co2_per_kwh"),
        ),
        Dial("pue", "PUE", "× kWh", 1.0, 2.0, 0.01, factors.get("pue", 1.0), lowest=1.0),
        Dial("queries_per_day", "Queries a day", "", 0.0, 12.0, 0.1, QUERIES, powers_of=10),
    )


def of_firm(prices: Prices | None, sets: Sets) -> tuple[Dial, ...]:
    """Return the dials of several GPUs and of own hardware, at first one GPU and no purchase.

    An hour that is rented holds its electricity; of a GPU that is bought electricity is paid apart. At first
    it has the price of a kWh of the chosen sets, else, as in `isoflop forecast --gpus`, that of us_2023.
    """
    chosen = None
    if prices is not None:
        chosen = prices.factors.get("dollars_per_kwh", prices.dollars_per_kwh_not_added)
    usual = sets[OF_ELECTRICITY].dollars_per_kwh
    return (
        Dial(
            *("gpus", "GPUs", "that train together", 0.0, 10.0, 1.0, 1.0),
            powers_of=2,
            lowest=1.0,
            highest=MOST_GPUS,
            is_whole=True,
            empty="1",
        ),
        Dial(
            *("efficiency", "Efficiency", "share", 0.01, 1.0, 0.01, 1.0),
            lowest=0.001,
            highest=1.0,
            empty="1",
        ),
        Dial(
            *("dollars_per_gpu_bought", "Purchase", "dollars a GPU", 0.0, 100_000.0, 250.0, None),
            known=_known(sets, "dollars_per_gpu_bought"),
        ),
        Dial(
            *("amortised_years", "Years", "of use", 1.0, 10.0, 0.5, YEARS),
            lowest=0.1,
            highest=20.0,
        ),
        Dial(
            *("utilisation", "Use of the hours", "share", 0.01, 1.0, 0.01, UTILISATION),
            lowest=0.001,
            highest=1.0,
        ),
        Dial(
            *("own_dollars_per_kwh", "Electricity", "dollars a kWh", 0.0, 0.5, 0.0001),
            usual if chosen is None else chosen,
            known=_known(sets, "dollars_per_kwh"),
            note=f"of {OF_ELECTRICITY}, as no set of prices gives it" if chosen is None else "",
        ),
    )


def _known(sets: Sets, key: str) -> tuple[tuple[str, float], ...]:
    """Return the shipped sets that give a factor, those of a room's overhead left to its own dial."""
    values = {name: each.factors.get(key, getattr(each, key, None)) for name, each in sets.items()}
    return tuple(
        (name, value) for name, value in values.items() if value is not None and sets[name].pue is None
    )
