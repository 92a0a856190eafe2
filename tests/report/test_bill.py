"""The bill of a sweep: sums by hand, a trunk counted once, and its place on the page."""

from __future__ import annotations

import dataclasses
import html

import numpy as np
import pytest

from isoflop.config import costs
from isoflop.report import bill, cards
from isoflop.report.figures import views
from isoflop.report.page import write_report
from isoflop.table import pricing


def priced(table, *names: str):
    prices = costs.load(names)
    rows = table.rows.assign(
        own_share=1.0, device_seconds=3600.0, energy_joules=3.6e6, device="NVIDIA H200", mfu_reason=None
    )
    return dataclasses.replace(table, rows=pricing.price_rows(rows, prices), prices=prices)


def test_the_bill_adds_up_and_shows_its_formula(make_table) -> None:
    table = priced(make_table(seeds=1, widths=(8, 16)), "us_2023", "aws_h100_2023")
    made = bill.bill(table)
    assert made is not None
    assert made.dollars == pytest.approx(6 * 12.29)
    assert made.grams_co2 == pytest.approx(6 * 366)
    assert made.sentence == "73.7 dollars and 2.20 kg of CO2 for 6 runs"
    assert made.formulas == (
        "dollars = 6.00 device-hours on NVIDIA H200 × 12.29 dollars an hour (aws_h100_2023) = 73.7 dollars",
        "CO2 = 6.00 kWh × 366 g a kWh (us_2023) = 2.20 kg",
    )
    assert any("0.0806 dollars a kWh of us_2023 are not added" in line for line in made.on_prices)
    assert "aws_h100_2023 prices an hour of another device than NVIDIA H200." in made.on_prices
    assert bill.OF_METER in made.notes


def test_what_points_of_a_trunk_share_is_counted_once(make_table) -> None:
    table = priced(make_table(seeds=1, widths=(8,)), "us_2023")
    rows = table.rows.assign(own_share=[1.0, 0.5, 0.25])
    made = bill.bill(dataclasses.replace(table, rows=rows))
    assert made is not None
    assert made.grams_co2 == pytest.approx(1.75 * 366)
    assert bill.SHARED in made.notes
    compute = float((rows["train_gflops"] * rows["own_share"]).sum())
    assert bill.total(rows, "train_gflops") == pytest.approx(compute)


def test_runs_without_a_price_are_counted_with_the_reason(make_table) -> None:
    table = priced(make_table(seeds=1, widths=(8,)), "us_2023")
    rows = table.rows.assign(energy_joules=[3.6e6, 3.6e6, np.nan])
    table = dataclasses.replace(table, rows=pricing.price_rows(rows, table.prices))
    made = bill.bill(table)
    assert made is not None
    assert made.grams_co2 == pytest.approx(2 * 366)
    assert "CO2 unknown for 1 run: training energy unknown" in made.sentence
    assert bill.bill(make_table()) is None, "nothing is priced unless it is chosen"


def test_runs_of_different_prices_have_a_chart_against_dollars(make_table) -> None:
    table = priced(make_table(seeds=1, widths=(8, 16)), "paper")
    assert "Test error against training cost" in [view.title for view in views.of(table.rows)]
    assert "dollars" not in [view.x for view in views.of(make_table().rows)]


@pytest.mark.slow
def test_the_page_shows_the_bill_and_its_sources(sweep) -> None:
    directory, table, fits = sweep
    text = html.unescape(write_report(directory, table, fits).read_text())
    assert "The bill" not in text
    dear = priced(table, "us_2023", "aws_h100_2023")
    text = html.unescape(write_report(directory, dear, fits).read_text())
    for words in (
        "The bill",
        "device-hours on NVIDIA H200",
        "1,532 Mt CO2",
    ):
        assert words in text, words
    titles = {card.title: card.value for card in cards.sizes(dear)}
    assert titles["Price"] == "737 dollars"
    assert titles["CO2"] == "22.0 kg"
