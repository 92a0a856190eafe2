"""Budgets as people write them."""

import pytest

from isoflop.config import ConfigError
from isoflop.plan.budget import parse


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("20gpuh", "device_seconds", 72000.0),
        ("20 GPU-hours", "device_seconds", 72000.0),
        ("2gpud", "device_seconds", 172800.0),
        ("1e9gflops", "train_gflops", 1e9),
        ("1e18 FLOP", "train_gflops", 1e9),
        ("3 EMAC", "train_gflops", 6e9),
        ("1pflop/s-days", "train_gflops", 8.64e10),
        ("500usd", "dollars", 500.0),
        ("$500", "dollars", 500.0),
        ("10kwh", "energy_joules", 3.6e7),
        ("2MWh", "energy_joules", 7.2e9),
        ("5kJ", "energy_joules", 5e3),
        ("3kgCO2", "kilograms_co2", 3.0),
    ],
)
def test_each_unit(text: str, kind: str, amount: float) -> None:
    found = parse(text)
    assert (found.kind, found.amount) == (kind, pytest.approx(amount))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0usd", "buys no run"),
        ("-3gpuh", "buys no run"),
        ("1e999gflops", "buys no run"),
        ("5", "a unit is missing"),
        ("5 parsec", "unknown unit parsec"),
        ("500eur", "no exchange rate is shipped"),
        ("500€", "no exchange rate is shipped"),
        ("much", "give a number with a unit"),
    ],
)
def test_what_cannot_be_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(text)
