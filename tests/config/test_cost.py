"""Every cost file says where its numbers are from, and the arithmetic keeps its units."""

from __future__ import annotations

import copy
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from isoflop import config
from isoflop.config import compose
from isoflop.record import Compute, Energy, Record, read
from isoflop.table import pricing

FILES = sorted(path.stem for path in (compose.conf_dir() / "cost").glob("*.yaml"))
APPLIED = [name for name in FILES if name not in ("none", "custom")]
PAGE = (Path(__file__).parents[2] / "docs/cost.md").read_text()


@pytest.fixture(scope="module")
def gpu_record() -> Record:
    """A GPU's record with 1 kWh of energy, 30 minutes of training and 2e18 training FLOPs."""
    found = read(Path(__file__).parents[1] / "data/record_schema_2_gpu.json")
    assert found.compute is not None
    assert found.energy is not None
    assert found.time is not None
    compute: Compute = dataclasses.replace(found.compute, train_flops=2e18)
    energy: Energy = dataclasses.replace(found.energy, energy_joules=3.6e6)
    timing = dataclasses.replace(found.time, train_seconds=1800.0)
    return dataclasses.replace(found, compute=compute, energy=energy, time=timing)


def priced(record: Record, **factors: float) -> tuple[float | None, float | None]:
    used = pricing.used(record)
    return pricing.dollars(factors, used).value, pricing.grams_co2(factors, used).value


@pytest.mark.parametrize("name", APPLIED)
def test_every_file_has_factors_with_source_and_year(name: str) -> None:
    cost = compose.compose_config([f"cost={name}"], None).cost
    assert cost.factors
    assert cost.source is not None
    for said in re.split("; ", cost.source):
        assert re.search(r"\b20[12]\d\b", said), said
    head = (compose.conf_dir() / f"cost/{name}.yaml").read_text()
    assert re.search(r"(?i)recalled|re-read|second hand|derived", head), "which figures are recalled"
    assert f"`{name}`" in PAGE
    for value in cost.factors.values():
        assert re.search(rf"(?<![\d.]){re.escape(f'{value:g}')}(?![\d])", PAGE), (name, value)


def test_nothing_is_applied_unless_chosen(gpu_record: Record) -> None:
    for name in ("none", "custom"):
        assert compose.compose_config([f"cost={name}"], None).cost.factors == {}
    assert compose.compose_config([], None).cost.factors == {}
    assert priced(gpu_record) == (None, None)


def test_hours_energy_and_overhead_add_up_in_dollars_and_grams(gpu_record: Record) -> None:
    assert priced(gpu_record, dollars_per_gpu_hour=3.0) == (1.5, None)
    assert priced(gpu_record, dollars_per_kwh=0.2) == (pytest.approx(0.2), None)
    assert priced(gpu_record, grams_co2_per_kwh=400.0) == (None, pytest.approx(400.0))
    both = {"dollars_per_kwh": 0.2, "grams_co2_per_kwh": 400.0}
    assert priced(gpu_record, **both, pue=1.5) == (pytest.approx(0.3), pytest.approx(600.0))
    own = priced(gpu_record, dollars_per_gpu_hour=3.0, dollars_per_kwh=0.2, pue=1.5)
    assert own[0] == pytest.approx(1.8)


def test_the_paper_s_conversions_are_per_training_flop(gpu_record: Record) -> None:
    factors = compose.compose_config(["cost=paper"], None).cost.factors
    money, grams = priced(gpu_record, **factors)
    assert money == pytest.approx(20.0), "2e18 FLOPs at 1e17 a dollar"
    assert grams == pytest.approx(16 * 453.592, rel=0.01), "2e18 FLOPs at 1.25e17 a pound"


@pytest.mark.parametrize(
    ("log10_gflops", "log10_pounds", "log10_dollars"), [(14, 6, 6), (19, 10, 11), (28, 20, 20)]
)
def test_the_paper_s_conversions_give_back_its_table(
    log10_gflops: int, log10_pounds: int, log10_dollars: int
) -> None:
    factors = compose.compose_config(["cost=paper"], None).cost.factors
    pounds = 10.0**log10_gflops * factors["grams_co2_per_train_gflop"] / 453.592
    dollars = 10.0**log10_gflops * factors["dollars_per_train_gflop"]
    assert 10 ** (log10_pounds - 1) <= pounds <= 10 ** (log10_pounds + 1)
    assert 10 ** (log10_dollars - 1) <= dollars <= 10 ** (log10_dollars + 1)


def test_what_a_chosen_factor_multiplies_must_be_known(gpu_record: Record) -> None:
    blind = dataclasses.replace(gpu_record, energy=None, energy_reason="no sensor")
    assert priced(blind, dollars_per_gpu_hour=3.0) == (1.5, None)
    assert priced(blind, dollars_per_gpu_hour=3.0, dollars_per_kwh=0.2) == (None, None), "a part is no sum"
    assert priced(blind, grams_co2_per_kwh=400.0, pue=1.5) == (None, None)
    assert gpu_record.compute is not None
    none = dataclasses.replace(gpu_record.compute, train_flops=None, train_flops_reason="counters disagree")
    uncounted = dataclasses.replace(gpu_record, compute=none)
    assert priced(uncounted, dollars_per_train_gflop=1e-8) == (None, None)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"dollars_per_kwh": 0.2, "source": None}, "needs its source"),
        ({"dollars_per_kwh": 0.2, "source": " "}, "needs its source"),
        ({"dollars_per_kwh": -0.2}, "cost.dollars_per_kwh=-0.2: expected float >= 0"),
        ({"dollars_per_kwh": 20.0}, "cost.dollars_per_kwh=20.0: expected float <= 10"),
        ({"dollars_per_gpu_hour": 1e5}, "expected float <= 1000"),
        ({"grams_co2_per_kwh": 366000}, "cost.grams_co2_per_kwh=366000: expected float <= 3000"),
        ({"grams_co2_per_kwh": float("nan")}, "cost.grams_co2_per_kwh"),
        ({"dollars_per_kwh": 0.2, "pue": 0.9}, "cost.pue=0.9: expected float >= 1"),
        ({"dollars_per_kwh": 0.2, "pue": 158}, "cost.pue=158: expected float <= 5"),
        ({"pue": 1.5}, "pue multiplies energy: set dollars_per_kwh or grams_co2_per_kwh too"),
        ({"dollars_per_train_gflop": 1e-8, "dollars_per_kwh": 0.2}, "already holds hours and energy"),
        ({"grams_co2_per_train_gflop": 1e-6, "grams_co2_per_kwh": 400}, "not both"),
    ],
)
def test_absurd_or_double_factors_are_refused_in_one_line(changed: dict[str, Any], words: str) -> None:
    raw = copy.deepcopy(config.to_dict(compose.compose_config([], None)))
    raw["cost"] |= {"source": "our invoice 2026"} | changed
    with pytest.raises(config.ConfigError) as caught:
        config.from_dict(raw)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
