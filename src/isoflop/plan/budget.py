"""Budgets as people write them: 20gpuh, 1e9gflops, 500usd, 10kwh, 3kgco2."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Literal

from isoflop.config import ConfigError
from isoflop.table import axis

Kind = Literal["train_gflops", "device_seconds", "energy_joules", "dollars", "kilograms_co2"]

_BUDGET = re.compile(r"\$?\s*(?P<number>[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)\s*(?P<unit>\S.*)?")
_PREFIX = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_FIXED: dict[str, tuple[Kind, float]] = {
    **dict.fromkeys(
        ("gpuh", "gpuhour", "gpuhours", "deviceh", "devicehours", "cpuh", "cpuhours"),
        ("device_seconds", 3600.0),
    ),
    **dict.fromkeys(("gpumin", "gpuminutes", "cpumin", "cpuminutes"), ("device_seconds", 60.0)),
    **dict.fromkeys(("gpud", "gpuday", "gpudays"), ("device_seconds", 86400.0)),
    **dict.fromkeys(("usd", "dollar", "dollars", "$"), ("dollars", 1.0)),
    **{f"{prefix}wh": ("energy_joules", 3600.0 * size) for prefix, size in _PREFIX.items()},
    **{f"{prefix}j": ("energy_joules", size) for prefix, size in _PREFIX.items()},
    **dict.fromkeys(("joule", "joules"), ("energy_joules", 1.0)),
    **{"gco2": ("kilograms_co2", 1e-3), "kgco2": ("kilograms_co2", 1.0), "tco2": ("kilograms_co2", 1e3)},
}
"""Unit, in small letters without hyphens and spaces -> what it is of, and how much of that is one."""
CURRENCIES = frozenset(
    [
        "eur",
        "euro",
        "euros",
        "gbp",
        "pound",
        "pounds",
        "chf",
        "jpy",
        "yen",
        "cny",
        "rmb",
        "inr",
        "cad",
        "aud",
        "sek",
        "nok",
        "dkk",
        "pln",
        "krw",
        "brl",
    ]
) | {"€", "£", "¥"}
UNITS = "gpuh, gflops (or any FLOP with an SI prefix), usd, kwh or kgco2"


@dataclasses.dataclass(frozen=True)
class Budget:
    """An amount of one resource. `text` is how it was written; `amount` in the unit of `kind`."""

    text: str
    kind: Kind
    amount: float


def parse(text: str) -> Budget:
    """Return a budget.

    Raises:
        ConfigError: no number above 0, no unit, an unknown one, or a currency, as no exchange rate is
            shipped.
    """
    match = _BUDGET.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"--budget {text}: give a number with a unit, such as 20gpuh: {UNITS}")
    number, given = float(match["number"]), match["unit"] or ("usd" if text.strip().startswith("$") else "")
    if not 0 < number < math.inf:
        raise ConfigError(f"--budget {text}: it buys no run: give a number above 0")
    unit = re.sub(r"[\s_-]", "", given).lower()
    if unit in _FIXED:
        kind, size = _FIXED[unit]
        return Budget(text, kind, number * size)
    if (compute := axis.compute_unit(given)) is not None:
        return Budget(text, "train_gflops", number * compute[0] * 1e-9)
    if unit in CURRENCIES:
        raise ConfigError(f"--budget {text}: no exchange rate is shipped: give US dollars, such as 500usd")
    named = f"unknown unit {given}" if given else "a unit is missing"
    raise ConfigError(f"--budget {text}: {named}: give {UNITS}")
