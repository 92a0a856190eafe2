"""Closed formulas of training on N GPUs, worked out by hand: both sides of every limit, rented and bought."""

from __future__ import annotations

import dataclasses

import pytest

from isoflop.config.ways import Bought
from isoflop.plan import firm_case, firm_choice
from isoflop.plan.budget import parse
from isoflop.plan.deadline import Deadline
from isoflop.plan.firm_case import Case, Limits, Need

HOUR, KWH = 3600.0, 3.6e6
CASE = Case(
    # 100 hours at 0.5 kW on one GPU; a year of answers is a tenth of it.
    train=Need(1e9, 100 * HOUR, 50 * KWH),
    year=None,
    trainings=1.0,
    efficiencies=((1, 1.0), (4, 0.8), (16, 0.25), (64, 0.05)),
    rent_factors={"dollars_per_gpu_hour": 3.0, "grams_co2_per_kwh": 400.0},
    power_factors={"dollars_per_kwh": 0.2, "grams_co2_per_kwh": 400.0, "pue": 1.5},
    bought=Bought(35040.0, 4.0, 0.5),
)
ANSWERED = dataclasses.replace(CASE, year=CASE.train.times(0.1))


def limits(*budgets: str, days: float | None = None) -> Limits:
    deadline = None if days is None else Deadline(f"{days:g}d", 86400 * days)
    return Limits(tuple(map(parse, budgets)), deadline)


def test_hours_days_energy_and_both_prices_by_hand() -> None:
    on_four = firm_case.training(CASE, 4)
    assert on_four.device_hours == pytest.approx(100 / 0.8)
    assert firm_case.days(CASE, 4) == pytest.approx(100 / 0.8 / 4 / 24)
    assert on_four.energy_joules == pytest.approx(50 * KWH / 0.8)
    assert on_four.kilograms_co2 == pytest.approx(50 / 0.8 * 0.4)
    assert on_four.rent_dollars == pytest.approx(3 * 125)
    # 35040 / (4 x 8760 x 0.5) = 2 dollars an hour, and 62.5 kWh x 1.5 x 0.2 dollars.
    assert on_four.own_dollars == pytest.approx(2 * 125 + 62.5 * 1.5 * 0.2)
    assert on_four.power_dollars == pytest.approx(62.5 * 1.5 * 0.2)
    assert firm_case.own_payable(CASE, 4) == pytest.approx(4 * 35040 + 18.75)


def test_trainings_multiply_and_a_year_of_answers_adds() -> None:
    five = firm_case.training(dataclasses.replace(CASE, trainings=5.0), 1)
    assert five.rent_dollars == pytest.approx(1500)
    assert firm_case.rent_payable(CASE, 1) == pytest.approx(300)
    assert firm_case.rent_payable(ANSWERED, 1) == pytest.approx(330)
    assert firm_case.asked_of(ANSWERED, 4, "device_seconds") == pytest.approx((125 + 10) * HOUR)
    assert firm_case.asked_of(ANSWERED, 4, "kilograms_co2") == pytest.approx(25 + 2)
    assert firm_case.asked_of(ANSWERED, 4, "train_gflops") == 1e9


def test_buying_is_cheaper_past_the_hours_at_which_the_year_costs_the_same() -> None:
    hours = firm_case.break_even_hours(CASE)
    assert hours == pytest.approx(35040 / 4 / (3.0 - 0.5 * 1.5 * 0.2))
    for used, way in ((0.99 * hours, "rent"), (1.01 * hours, "own")):
        assert CASE.bought is not None
        bought = dataclasses.replace(CASE.bought, utilisation=used / 8760)
        assert firm_choice.cheaper(dataclasses.replace(CASE, bought=bought), 4) == way
    dear = dataclasses.replace(CASE, power_factors={"dollars_per_kwh": 4.1, "pue": 1.5})
    assert firm_case.break_even_hours(dear) == float("inf"), "electricity alone costs the rent"


def test_all_of_the_purchase_is_to_be_paid() -> None:
    assert firm_choice.way(CASE, 1) == "rent"
    long = dataclasses.replace(CASE, train=CASE.train.times(200))  # 60,000 dollars of rent
    assert firm_choice.way(long, 1) == "own"
    assert firm_choice.dollars(long, 1, "own") == pytest.approx(35040 + 200 * 50 * 1.5 * 0.2)


@pytest.mark.parametrize(
    ("asked", "gpus"),
    [
        (limits(), 4),  # the fastest: 16 take as long as one, 64 longer
        (limits("376usd"), 4),
        (limits("374usd"), 1),
        (limits("299usd"), None),
        (limits(days=4.2), 1),  # the cheapest that keeps the deadline of 100 h
        (limits(days=4.1), 4),
        (limits(days=1.31), 4),
        (limits(days=1.29), None),
        (limits("374usd", days=2.0), None),
        (limits("25.1kgco2"), 4),
        (limits("24.9kgco2"), 1),
        (limits("101gpuh"), 1),
        (limits("99gpuh"), None),
        (limits("51kwh"), 1),
        (limits("0.9e9gflops"), None),
    ],
)
def test_which_number_of_gpus(asked: Limits, gpus: int | None) -> None:
    case = dataclasses.replace(CASE, efficiencies=((1, 1.0), (4, 0.8), (16, 0.0625), (64, 0.01)))
    assert firm_choice.choose(case, asked) == gpus


def test_an_unknown_amount_keeps_no_limit() -> None:
    blind = dataclasses.replace(CASE, train=Need(1e9, 100 * HOUR, None))
    assert firm_case.training(blind, 1).own_dollars is None, "a part of a price is no price"
    assert firm_choice.missed(blind, 1, limits("1e9kwh", "1e9usd")) == ("1e9kwh",)
    # One GPU takes 41.7 times the deadline, four take 37.5 times the dollars.
    assert firm_choice.nearest(CASE, limits("10usd", days=0.1)) == 4
