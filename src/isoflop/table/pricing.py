"""Dollars and CO2 of training, from what it used and a set of factors (docs/cost.md has the arithmetic)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from isoflop.config.costs import Prices
from isoflop.record import Record, Timing
from isoflop.table import columns

JOULES_PER_KWH = 3.6e6
SECONDS_PER_HOUR = 3600.0
NO_FACTOR = "no price was chosen: give one by --cost"
OF_ENERGY = "_per_kwh="
"""Part of `factors_text` that says that a figure follows from joules, and is as good as their grade."""
OF_FLOPS = "_per_train_gflop="
"""Part of `factors_text` that says that a figure follows from FLOPs, which no machine changes."""


@dataclasses.dataclass(frozen=True)
class Used:
    """What training used, each None where it is unknown, with the reason.

    Attributes:
        device_seconds: seconds of training, times the devices that trained together.
        energy_joules: metered, before PUE.
        train_gflops: training FLOPs / 1e9.
    """

    device_seconds: float | None = None
    energy_joules: float | None = None
    train_gflops: float | None = None
    device_seconds_reason: str | None = None
    energy_joules_reason: str | None = None
    train_gflops_reason: str | None = None


@dataclasses.dataclass(frozen=True)
class Priced:
    """A sum of factors x amounts; None with the reason where no factor applies, or an amount is unknown.

    `factors` are those that make it, as `factors_text` writes them, whether or not the sum is known.
    """

    value: float | None
    reason: str | None
    factors: str | None


@dataclasses.dataclass(frozen=True)
class Amount:
    """What a factor multiplies: a field of Used, what a sentence calls it, and how much of it is one unit of
    the factor, such as 3.6e6 joules of a kWh."""

    name: str
    called: str
    unit: float = 1.0


_HOURS = Amount("device_seconds", "training time", SECONDS_PER_HOUR)
_KWH = Amount("energy_joules", "training energy", JOULES_PER_KWH)
_GFLOPS = Amount("train_gflops", "training compute")
AMOUNTS = {
    "dollars_per_gpu_hour": _HOURS,
    "dollars_per_kwh": _KWH,
    "dollars_per_train_gflop": _GFLOPS,
    "grams_co2_per_kwh": _KWH,
    "grams_co2_per_train_gflop": _GFLOPS,
}
"""Key of a factor -> the amount that it multiplies."""


def dollars(factors: Mapping[str, float], used: Used) -> Priced:
    """Return the price of training: device-hours x price + kWh x PUE x price, or GFLOPs x price.

    A part of a price is no price: it is unknown where an amount that a factor multiplies is unknown.
    """
    return _priced("dollars_", factors, used)


def grams_co2(factors: Mapping[str, float], used: Used) -> Priced:
    """Return grams of CO2: kWh x PUE x grams, or GFLOPs x grams. Unknown as `dollars`."""
    return _priced("grams_co2_", factors, used)


PRICED = {"dollars": dollars, "grams_co2": grams_co2}
"""Column -> the function that forms it."""


def _priced(prefix: str, factors: Mapping[str, float], used: Used) -> Priced:
    """Return the sum over the factors whose key begins with `prefix`."""
    applied = {key: value for key, value in factors.items() if key.startswith(prefix)}
    if not applied:
        return Priced(None, NO_FACTOR, None)
    text = factors_text(applied, factors.get("pue"))
    total = 0.0
    for key, factor in applied.items():
        of = AMOUNTS[key]
        amount: float | None = getattr(used, of.name)
        if amount is None or math.isnan(amount):
            reason = getattr(used, f"{of.name}_reason") or "no reason was recorded"
            return Priced(None, f"{of.called} unknown: {reason}", text)
        total += factor * amount / of.unit * (factors.get("pue", 1.0) if of is _KWH else 1.0)
    return Priced(total, None, text)


def factors_text(applied: Mapping[str, float], pue: float | None) -> str:
    """Return the factors of a sum as `dollars_per_kwh=0.0806 pue=1.58`; PUE is named where it multiplies."""
    of_energy = any(AMOUNTS[key] is _KWH for key in applied)
    shown = dict(applied) | ({"pue": pue} if pue is not None and of_energy else {})
    return " ".join(f"{key}={value:g}" for key, value in shown.items())


def factors_of(text: str) -> dict[str, float]:
    """Return the factors that `factors_text` wrote, to six digits."""
    pairs = (part.partition("=") for part in text.split())
    return {key: float(value) for key, _, value in pairs}


def rules(prices: Prices | None, columns_read: Collection[str]) -> tuple[str, ...]:
    """Return by what each column that is read, such as dollars, was formed: a note on a fit against it."""
    if prices is None:
        return ()
    said = []
    for name in PRICED:
        keys = [key for key in prices.factors if key.startswith(f"{name}_")]
        if name in columns_read and keys:
            if "pue" in prices.factors and any(AMOUNTS[key] is _KWH for key in keys):
                keys.append("pue")
            parts = ", ".join(f"{key}={prices.factors[key]:g} ({prices.named[key]})" for key in keys)
            said.append(f"{name} by {parts}")
    return (*said, *(prices.not_added if "dollars" in columns_read else ()))


def used(record: Record) -> Used:
    """Return what the training window of a point used."""
    energy, compute, time = record.energy, record.compute, record.time
    flops = compute.train_flops if compute else None
    return Used(
        device_seconds=time.train_seconds * _devices(time) if time else None,
        energy_joules=energy.energy_joules if energy else None,
        train_gflops=None if flops is None else flops * 1e-9,
        device_seconds_reason=record.time_reason,
        energy_joules_reason=record.energy_reason,
        train_gflops_reason=compute.train_flops_reason if compute else record.compute_reason,
    )


def _devices(time: Timing) -> int:
    """Return how many devices trained together. A record counts them in the hardware burden, which is devices
    x peak rate x seconds; where no peak is known, one is taken."""
    if time.hardware_burden_flops is None or time.peak is None:
        return 1
    return round(time.hardware_burden_flops / (time.peak.flops_per_second * time.train_seconds))


def own_share(record: Record) -> float | None:
    """Return the share of a point's training that no shorter horizon of its trunk holds: 1 without cooldowns.

    Points of one trunk each hold the part that they share; totals over them count it once by this share.
    """
    spent, compute, energy = record.spent, record.compute, record.energy
    if spent.flops is not None and compute is not None and compute.train_flops:
        return spent.flops / compute.train_flops
    if spent.joules is not None and energy is not None and energy.energy_joules:
        return spent.joules / energy.energy_joules
    return None


def repriced(record: Record, prices: Prices | None) -> Record:
    """Return a record, in memory, under these prices in place of those it was made with; as it is without."""
    if prices is None:
        return record
    source = "; ".join(f"{name}: {text}" for name, text in prices.sources.items())
    return dataclasses.replace(record, cost=dict(prices.factors), cost_source=source, cost_source_reason=None)


def price_rows(
    rows: pd.DataFrame, prices: Prices, named: Mapping[str, str] = MappingProxyType({})
) -> pd.DataFrame:
    """Return the rows of any table with dollars, grams_co2 and, of each, NAME_reason and NAME_factors.

    Args:
        rows: one row a run or a model.
        prices: the factors.
        named: field of Used -> the column that holds it, in its unit; for other fields it is the column of
            that name, and train_seconds where there is no device_seconds.

    Raises:
        ValueError: the table holds no amount that any of the factors multiplies.
    """
    found = {each.name: _column(rows, each.name, named) for each in AMOUNTS.values()}
    wanted = {key: AMOUNTS[key].name for key in prices.factors if key in AMOUNTS}
    if all(found[name] is None for name in wanted.values()):
        missing = ", ".join(f"{name} (for {key})" for key, name in wanted.items())
        raise ValueError(f"--cost {', '.join(prices.names)}: the table has no column {missing}")
    amounts = {name: np.full(len(rows), math.nan) for name in found}
    amounts |= {name: columns.numbers(rows[at]) for name, at in found.items() if at is not None}
    reasons = {
        f"{name}_reason": f"no value in {at}" if at else f"no column {name}" for name, at in found.items()
    }
    each_row = [
        Used(**{name: float(values[i]) for name, values in amounts.items()}, **reasons)  # type: ignore[arg-type]
        for i in range(len(rows))
    ]
    return rows.assign(
        **{
            f"{name}{suffix}": pd.Series(
                [getattr(price(prices.factors, used_), field) for used_ in each_row],
                index=rows.index,
                dtype=float if field == "value" else object,
            )
            for name, price in PRICED.items()
            for suffix, field in (("", "value"), ("_reason", "reason"), ("_factors", "factors"))
        }
    )


def _column(rows: pd.DataFrame, name: str, named: Mapping[str, str]) -> str | None:
    """Return the column of an amount, None if the table has none."""
    for each in (named.get(name, name), *(["train_seconds"] if name == "device_seconds" else [])):
        if len(matching := columns.matches(each, map(str, rows.columns))) == 1:
            return matching[0]
    return None
