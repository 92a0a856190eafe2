"""Dollars and CO2 of training, from what it used and a set of factors (docs/cost.md has the arithmetic)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from isoflop.config.costs import Prices
from isoflop.record import Record

JOULES_PER_KWH = 3.6e6
SECONDS_PER_HOUR = 3600.0
NO_FACTOR = "no price was chosen: give one by --cost"
OF_ENERGY = "_per_kwh="
"""Part of `factors_text` that says that a figure follows from joules, and is as good as their grade."""


@dataclasses.dataclass(frozen=True)
class Used:
    """What training used, each None where it is unknown, with the reason.

    Attributes:
        device_hours: hours of training, times the devices that trained together.
        kwh: metered energy, before PUE.
        train_gflops: training FLOPs / 1e9.
    """

    device_hours: float | None = None
    kwh: float | None = None
    train_gflops: float | None = None
    device_hours_reason: str | None = "no time is known"
    kwh_reason: str | None = "no energy is known"
    train_gflops_reason: str | None = "no FLOPs are known"


@dataclasses.dataclass(frozen=True)
class Priced:
    """A sum of factors x amounts; None with the reason where no factor applies, or an amount is unknown.

    `factors` are those that make it, as `factors_text` writes them, whether or not the sum is known.
    """

    value: float | None
    reason: str | None
    factors: str | None


_AMOUNT = {
    "dollars_per_gpu_hour": "device_hours",
    "dollars_per_kwh": "kwh",
    "dollars_per_train_gflop": "train_gflops",
    "grams_co2_per_kwh": "kwh",
    "grams_co2_per_train_gflop": "train_gflops",
}
"""Key of a factor -> the amount (Used) that it multiplies."""
_CALLED = {
    "device_hours": "training time",
    "kwh": "training energy",
    "train_gflops": "training compute",
}


def dollars(factors: Mapping[str, float], used: Used) -> Priced:
    """Return the price of training: device-hours x price + kWh x PUE x price, or GFLOPs x price.

    A part of a price is no price: it is unknown where an amount that a factor multiplies is unknown.
    """
    return _priced("dollars_", factors, used)


def grams_co2(factors: Mapping[str, float], used: Used) -> Priced:
    """Return grams of CO2: kWh x PUE x grams, or GFLOPs x grams. Unknown as `dollars`."""
    return _priced("grams_co2_", factors, used)


def _priced(prefix: str, factors: Mapping[str, float], used: Used) -> Priced:
    """Return the sum over the factors whose key begins with `prefix`."""
    applied = {key: value for key, value in factors.items() if key.startswith(prefix)}
    if not applied:
        return Priced(None, NO_FACTOR, None)
    text = factors_text(applied, factors.get("pue"))
    total = 0.0
    for key, factor in applied.items():
        name = _AMOUNT[key]
        amount: float | None = getattr(used, name)
        if amount is None or math.isnan(amount):
            reason = getattr(used, f"{name}_reason") or "no reason was recorded"
            return Priced(None, f"{_CALLED[name]} unknown: {reason}", text)
        total += factor * amount * (factors.get("pue", 1.0) if name == "kwh" else 1.0)
    return Priced(total, None, text)


def factors_text(applied: Mapping[str, float], pue: float | None) -> str:
    """Return the factors of a sum as `dollars_per_kwh=0.0806 pue=1.58`; PUE is named where it multiplies."""
    of_energy = any(_AMOUNT[key] == "kwh" for key in applied)
    shown = dict(applied) | ({"pue": pue} if pue is not None and of_energy else {})
    return " ".join(f"{key}={value:g}" for key, value in shown.items())


def used(record: Record) -> Used:
    """Return what the training window of a point used."""
    hours, no_hours = device_hours(record)
    energy, compute = record.energy, record.compute
    flops = compute.train_flops if compute else None
    return Used(
        device_hours=hours,
        kwh=energy.energy_joules / JOULES_PER_KWH if energy else None,
        train_gflops=None if flops is None else flops * 1e-9,
        device_hours_reason=no_hours,
        kwh_reason=record.energy_reason,
        train_gflops_reason=compute.train_flops_reason if compute else record.compute_reason,
    )


def device_hours(record: Record) -> tuple[float | None, str | None]:
    """Return hours of training times the devices that trained together, or None and the reason.

    A record counts its devices in the hardware burden: devices x peak rate x seconds. Where no peak is known,
    one device is taken.
    """
    time = record.time
    if time is None:
        return None, record.time_reason
    hours, devices = time.train_seconds / SECONDS_PER_HOUR, 1
    if time.hardware_burden_flops is not None and time.peak is not None:
        devices = round(time.hardware_burden_flops / (time.peak.flops_per_second * time.train_seconds))
    return devices * hours, None


def repriced(record: Record, prices: Prices | None) -> Record:
    """Return a record, in memory, under these prices in place of those it was made with; as it is without."""
    if prices is None:
        return record
    source = "; ".join(f"{name}: {text}" for name, text in prices.sources.items())
    return dataclasses.replace(record, cost=dict(prices.factors), cost_source=source, cost_source_reason=None)
