"""The bill of a sweep: what its training used and cost in dollars and CO2, and by which factors."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import pandas as pd

from isoflop.report.text import units
from isoflop.report.text.amounts import seed_after
from isoflop.report.text.numerals import number, plural, seconds
from isoflop.table import pricing
from isoflop.table.aggregate import RunTable
from isoflop.table.pricing import Used

COLUMNS = ("", "Training compute", "Device time", "Energy", "Dollars", "CO2")
OF_TRAINING = "Of training alone: without evaluation, set-up, replays and the search for learning rates."
OF_METER = "Energy is that of the metered devices, without the rest of the machine: a lower bound."
BY_RATE = "Time and energy follow from FLOPs by --gpu-tflops and --gpu-watts: nothing was metered."
SHARED = "Points of one trunk share a part of their training, which the total counts once."
_GPU = re.compile(r"(?<![a-z0-9])[abhlvt]\d+[a-z]?(?![a-z0-9])")
"""A GPU's name in the name of a set of prices, such as h100 in aws_h100_2023."""
_ONE_UNIT = {
    "dollars_per_gpu_hour": ("device-hours", "dollars an hour"),
    "dollars_per_kwh": ("kWh", "dollars a kWh"),
    "dollars_per_train_gflop": ("GFLOPs", "dollars a GFLOP"),
    "grams_co2_per_kwh": ("kWh", "g a kWh"),
    "grams_co2_per_train_gflop": ("GFLOPs", "g a GFLOP"),
}
"""Key of a factor -> what it multiplies, and its unit."""


@dataclasses.dataclass(frozen=True)
class Bill:
    """The bill of a sweep.

    Attributes:
        dollars, grams_co2: of all runs whose price is known; None where nothing prices them.
        sentence: both, for how many runs.
        rows: of a table with COLUMNS: all runs, and the largest one.
        formulas: how each figure is formed, with its amounts and factors.
        sources: (name of a set of prices, where its numbers are from).
        on_prices: sentences on prices that are not added, or are of another device.
        notes: what the bill does not hold.
    """

    dollars: float | None
    grams_co2: float | None
    sentence: str
    rows: tuple[tuple[str, ...], ...]
    formulas: tuple[str, ...]
    sources: tuple[tuple[str, str], ...]
    on_prices: tuple[str, ...]
    notes: tuple[str, ...]


def bill(table: RunTable) -> Bill | None:
    """Return the bill of a sweep's runs, None where no run has a price."""
    rows = table.rows
    totals = {name: total(rows, name) for name in pricing.PRICED}
    if all(value is None for value in totals.values()):
        return None
    prices = table.prices
    names = {} if prices is None else prices.named
    formulas = [
        line
        for name in totals
        for factors in sorted(set(rows[f"{name}_factors"].dropna()))
        if (line := _formula(rows[rows[f"{name}_factors"] == factors], name, factors, names))
    ]
    largest = rows.sort_values("train_gflops", na_position="first").iloc[-1]
    return Bill(
        totals["dollars"],
        totals["grams_co2"],
        _sentence(rows, totals),
        (_total_row(rows), _one_row(largest)),
        tuple(formulas),
        () if prices is None else tuple(prices.sources.items()),
        tuple(_on_prices(table)),
        tuple(_notes(rows)),
    )


def total(rows: pd.DataFrame, name: str) -> float | None:
    """Return the sum of a column over the runs, with what points of a trunk share counted once; None where
    no run knows it."""
    known = rows[rows[name].notna()]
    return None if known.empty else float((known[name] * known["own_share"].fillna(1.0)).sum())


def is_by_rate(rows: pd.DataFrame) -> bool:
    """Return whether time or joules of the rows follow from FLOPs by a chosen rate."""
    return bool((rows["energy_reason"] == BY_RATE).any())


def _total_row(rows: pd.DataFrame) -> tuple[str, ...]:
    return (f"All {plural(len(rows), 'run')}", *_texts({name: total(rows, name) for name in _AMOUNTS}))


def _one_row(row: pd.Series) -> tuple[str, ...]:
    return (f"The largest: {row['label']}{seed_after(dict(row))}", *_texts({n: row[n] for n in _AMOUNTS}))


_AMOUNTS = {
    "train_gflops": units.gflops,
    "device_seconds": seconds,
    "energy_joules": units.joules,
    "dollars": units.dollars,
    "grams_co2": units.grams,
}
"""Column -> how its amounts are written, in the order of COLUMNS."""


def _texts(amounts: dict[str, float | None]) -> tuple[str, ...]:
    return tuple(show(amounts[name]) for name, show in _AMOUNTS.items())


def _sentence(rows: pd.DataFrame, totals: dict[str, float | None]) -> str:
    """Return `1.23 dollars and 45.6 g of CO2 for 133 runs`, with how many of them have no price and why."""
    said, missing = [], []
    for name, what, called in (("dollars", "", "dollars"), ("grams_co2", " of CO2", "CO2")):
        if totals[name] is not None:
            said.append(f"{_AMOUNTS[name](totals[name])}{what}")
        unknown = rows[rows[name].isna() & rows[f"{name}_factors"].notna()]
        if len(unknown):
            reasons = unknown[f"{name}_reason"].value_counts()
            missing.append(f"{called} unknown for {plural(len(unknown), 'run')}: {reasons.index[0]}")
    left = f" ({'; '.join(missing)})" if missing else ""
    return f"{' and '.join(said)} for {plural(len(rows), 'run')}{left}"


def _formula(rows: pd.DataFrame, name: str, factors: str, named: Mapping[str, str]) -> str | None:
    """Return the formula of the runs that these factors price, None where no amount is known.

    Args:
        rows: the runs.
        name: dollars or grams_co2.
        factors: as pricing.factors_text writes them.
        named: key of a factor -> its set.
    """
    known = rows[rows[name].notna()]
    if known.empty:
        return None
    used = Used(
        device_seconds=total(known, "device_seconds"),
        energy_joules=total(known, "energy_joules"),
        train_gflops=total(known, "train_gflops"),
    )
    return formula(
        name, used, pricing.factors_of(factors), named, ", ".join(sorted(set(known["device"].dropna())))
    )


def formula(
    name: str, used: Used, factors: Mapping[str, float], named: Mapping[str, str], device: str = ""
) -> str:
    """Return `dollars = 4.56 device-hours × 12.29 dollars an hour (aws_h100_2023) = 56.0 dollars`.

    Args:
        name: dollars or grams_co2.
        used: the amounts, which are known as far as the factors of `name` multiply them.
        factors: key of CostConfig -> value; those of another name are passed over.
        named: key of a factor -> its set.
        device: what the hours are of.
    """
    terms, total_ = [], pricing.PRICED[name](factors, used).value
    for key, (what, unit) in _ONE_UNIT.items():
        if key not in factors or not key.startswith(name.partition("_")[0]):
            continue
        of = pricing.AMOUNTS[key]
        on = f" on {device}" if device and what == "device-hours" else ""
        whose = "" if named.get("pue") == named.get(key) else _of("pue", named)
        room = f" × PUE {factors['pue']:g}{whose}" if what == "kWh" and "pue" in factors else ""
        amount = number(getattr(used, of.name) / of.unit)
        terms.append(f"{amount} {what}{on}{room} × {factors[key]:g} {unit}{_of(key, named)}")
    said = "dollars" if name == "dollars" else "CO2"
    return f"{said} = {' + '.join(terms)} = {_AMOUNTS[name](total_)}"


def _of(key: str, named: Mapping[str, str]) -> str:
    return f" ({named[key]})" if key in named else ""


def _on_prices(table: RunTable) -> list[str]:
    """Return what is not added, and where a price is of another device than the runs'."""
    rows, prices = table.rows, table.prices
    if prices is None:
        return []
    said = [*prices.not_added]
    hour = prices.named.get("dollars_per_gpu_hour", "")
    devices = sorted(set(rows["device"].dropna().astype(str)))
    if (gpu := _GPU.search(hour)) and not all(gpu[0] in device.lower() for device in devices):
        said.append(f"{hour} prices an hour of another device than {', '.join(devices)}.")
    return said


def _notes(rows: pd.DataFrame) -> list[str]:
    """Return what the bill does not hold."""
    factors = [rows[f"{name}_factors"].dropna().astype(str) for name in pricing.PRICED]
    notes = [OF_TRAINING]
    if any(each.str.contains(pricing.OF_ENERGY, regex=False).any() for each in factors):
        notes.append(OF_METER if not is_by_rate(rows) else BY_RATE)
    if (rows["own_share"] < 1).any():
        notes.append(SHARED)
    return notes
