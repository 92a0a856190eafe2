"""Dollars and CO2 by hand: of records, of several devices, and of any table."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isoflop import record as records
from isoflop.config import costs
from isoflop.record import Record
from isoflop.table import pricing
from isoflop.table.pricing import Used

HOUR_AND_KWH = Used(device_seconds=7200, energy_joules=2 * 3.6e6, train_gflops=1e9)


def test_joules_are_priced_by_the_kwh() -> None:
    factors = {"dollars_per_kwh": 0.10, "grams_co2_per_kwh": 400.0, "pue": 1.5}
    assert pricing.dollars(factors, HOUR_AND_KWH).value == pytest.approx(0.30)
    assert pricing.grams_co2(factors, HOUR_AND_KWH).value == pytest.approx(1200)
    own = {"dollars_per_gpu_hour": 3.0, "dollars_per_kwh": 0.10, "pue": 1.5}
    priced = pricing.dollars(own, HOUR_AND_KWH)
    assert priced.value == pytest.approx(6.30), "PUE multiplies energy, not hours"
    assert pricing.factors_of(priced.factors) == own
    assert pricing.dollars({"dollars_per_train_gflop": 1e-8}, HOUR_AND_KWH).value == pytest.approx(10)


def test_a_part_of_a_price_is_no_price_and_says_why() -> None:
    blind = dataclasses.replace(HOUR_AND_KWH, energy_joules=None, energy_joules_reason="no sensor")
    priced = pricing.dollars({"dollars_per_gpu_hour": 3.0, "dollars_per_kwh": 0.1}, blind)
    assert (priced.value, priced.reason) == (None, "training energy unknown: no sensor")
    assert pricing.dollars({}, blind).reason == "no price was chosen: give one by --cost"


def test_each_of_several_devices_is_paid_for() -> None:
    record = records.read(Path(__file__).parents[1] / "data/record_schema_2_gpu.json")
    assert record.time is not None
    seconds = record.time.train_seconds
    assert pricing.used(record).device_seconds == seconds
    four = dataclasses.replace(
        record.time,
        peak=records.PeakRate(1e15, "bf16", "a table"),
        peak_reason=None,
        hardware_burden_flops=4 * 1e15 * seconds,
        hardware_burden_flops_reason=None,
    )
    assert pricing.used(dataclasses.replace(record, time=four)).device_seconds == 4 * seconds


def test_the_share_of_a_trunk_that_is_its_own(done_record: Record) -> None:
    assert pricing.own_share(done_record) == pytest.approx(1)
    assert done_record.compute is not None
    assert done_record.compute.train_flops is not None
    half = dataclasses.replace(done_record.spent, flops=done_record.compute.train_flops / 2)
    assert pricing.own_share(dataclasses.replace(done_record, spent=half)) == pytest.approx(0.5)


def test_any_table_with_amounts_is_priced_row_by_row() -> None:
    rows = pd.DataFrame({"train_seconds": [3600.0, np.nan], "joules": [3.6e6, 7.2e6]})
    priced = pricing.price_rows(rows, costs.load(["us_2023"]), {"energy_joules": "joules"})
    assert priced["grams_co2"].tolist() == [366, 732]
    assert priced["dollars"].tolist() == pytest.approx([0.0806, 0.1612])
    rented = pricing.price_rows(rows, costs.load(["aws_h100_2023"]))
    assert rented["dollars"][0] == pytest.approx(12.29)
    assert rented["dollars_reason"][1] == "training time unknown: no value in train_seconds"
    with pytest.raises(ValueError, match=r"no column energy_joules \(for grams_co2_per_kwh\)"):
        pricing.price_rows(rows, costs.load(["world_2023"]))
