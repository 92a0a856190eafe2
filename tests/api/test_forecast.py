"""What targets cost and budgets buy: against known laws, the command, the page and the paper's bills."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import isoflop
from isoflop.config import costs
from isoflop.paper import implications
from isoflop.plan.result import LawCost
from isoflop.report import reach_panel
from isoflop.table import pricing
from isoflop.table.pricing import Used

DIGITS = Path(__file__).parents[2] / "results/digits-cpu"
LADDER = Path(__file__).parents[2] / "results/cifar10-h200-ladder"
FEW: dict[str, Any] = {"resamples": 100, "laws": "power_law_ols,exponential,power_law,power_law_floor"}
A, B = 50.0, 0.25


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    """error = 50 C^-0.25 over N = C^0.5 / 6 and D = C^0.5, timed at size / (size / 4e14 + 1e-4)."""
    noise = np.random.default_rng(1).standard_normal((2, 24))
    flops = np.repeat(np.geomspace(1e12, 1e16, 12), 2)
    params, tokens = flops**0.5 / 6, flops**0.5
    rate = 1 / (1 / 4e14 + 1e-9 / (2 * params))
    return pd.DataFrame(
        {
            "C": flops,
            "params": params,
            "tokens": tokens,
            "error": A * flops**-B * np.exp(0.02 * noise[0]),
            "seconds": flops / rate * np.exp(0.01 * noise[1]),
            "joules": flops / rate * 500.0,
            "gpu": "NVIDIA H200",
        }
    )


OWN: dict[str, Any] = {"x": "C", "y": "error", "y_unit": "fraction"}


def of(made: isoflop.Costed, law: str, target: int = 0) -> LawCost:
    return next(each for each in made.result.targets[target].costs if each.law == law)


def test_compute_size_time_and_energy_are_those_of_the_laws_that_made_the_runs(runs: pd.DataFrame) -> None:
    made = isoflop.forecast(runs, **OWN, **FEW, error=0.002)
    cost, flops = of(made, "power_law"), (A / 0.002) ** (1 / B)
    found = cost.training
    for amount, truth in (
        (found.train_gflops, flops * 1e-9),
        (found.parameters, flops**0.5 / 6),
        (found.examples, flops**0.5),
        (found.device_seconds, flops * (1 / 4e14 + 1e-9 / (flops**0.5 / 3))),
        (found.energy_joules, 500 * flops * (1 / 4e14 + 1e-9 / (flops**0.5 / 3))),
    ):
        assert amount.value == pytest.approx(truth, rel=0.5)
        assert amount.low is not None
        assert amount.high is not None
        assert amount.low <= truth <= amount.high
    assert cost.times_largest == pytest.approx(flops / 1e16, rel=0.5)
    assert "beyond" in made.result.targets[0].warnings[0]


def test_a_budget_and_a_target_are_each_others_reverse(runs: pd.DataFrame) -> None:
    cost = of(isoflop.forecast(runs, **OWN, **FEW, error=0.004), "power_law")
    seconds = cost.training.device_seconds.value
    assert seconds is not None
    made = isoflop.forecast(runs, **OWN, **FEW, budget=f"{seconds / 3600:.12g}gpuh").result.budgets[0]
    y = next(each.y for each in made.reaches if each.law == "power_law")
    assert y.value == pytest.approx(0.004, rel=2e-3)
    assert y.low is not None
    assert y.high is not None
    assert y.low < y.value < y.high
    assert made.training.device_seconds.low == made.training.device_seconds.value == pytest.approx(seconds)


def test_inference_is_apart_and_breaks_even_when_its_flops_are_those_of_training(runs: pd.DataFrame) -> None:
    made = isoflop.forecast(runs, **OWN, **FEW, error=0.004, queries_per_day=1e6)
    cost = of(made, "power_law")
    assert cost.inference is not None
    query, days = cost.inference.gflops_per_query.value, cost.inference.break_even_days.value
    assert query is not None
    assert days is not None
    assert cost.training.train_gflops.value is not None
    # A third of the training FLOPs of an example: C / (3 D).
    assert query == pytest.approx((A / 0.004) ** (1 / B) ** 1 * 1e-9 / 3 / (A / 0.004) ** 2, rel=0.3)
    assert query * 1e6 * days == pytest.approx(cost.training.train_gflops.value)
    assert cost.inference.gflops_per_year.value == pytest.approx(query * 365e6)


def test_a_device_of_which_nothing_was_timed_has_the_share_of_peak_or_a_reason(runs: pd.DataFrame) -> None:
    unknown = of(isoflop.forecast(runs, **OWN, **FEW, error=0.004, device="h100"), "power_law").training
    assert unknown.device_seconds.value is None
    assert "share of its device's peak" in str(unknown.device_seconds.reason)
    kept: dict[str, Any] = {"error": 0.1, "laws": "power_law", "resamples": 100}
    here, there = (
        of(isoflop.forecast(LADDER, **kept, device=name), "power_law") for name in ("h200", "l40s")
    )
    seconds, other = here.training.device_seconds.value, there.training.device_seconds.value
    assert seconds is not None
    assert other is not None
    assert other == pytest.approx(
        seconds * 989.5 / 362.05, rel=0.05
    )  # bounds of the two trends differ a little
    assert there.training.energy_joules.value is None


def test_a_rate_that_grows_with_size_is_no_constant() -> None:
    """From the smallest to the largest run of the H200 the rate grows 260 times: so must the forecast's."""
    made = isoflop.forecast(LADDER, error=(0.5, 0.12), laws="power_law", resamples=100)
    easy, hard = (of(made, "power_law", i).training for i in (0, 1))
    rates = []
    for each in (easy, hard):
        assert each.train_gflops.value is not None
        assert each.device_seconds.value is not None
        rates.append(each.train_gflops.value / each.device_seconds.value)
    assert rates[1] > 20 * rates[0]
    assert rates[1] < 7.94e5 * 1.01  # the measured ceiling


def test_below_an_irreducible_error_that_the_points_show_no_law_prints_a_number() -> None:
    made = isoflop.forecast(DIGITS, error=0.01, resamples=200)
    (target,) = made.result.targets
    assert target.warnings[0].startswith("1% lies below the irreducible error of 1.8")
    assert all(each.log10_train_gflops is None for each in target.costs if each.law != "forecast")
    assert target.disagreement.reached == 0


def test_the_page_the_papers_bills_and_the_forecast_agree(runs: pd.DataFrame) -> None:
    targets, prices = (0.004, 0.002), costs.load(["us_2023", "aws_h100_2026"])
    fitted = isoflop.fit(runs, **OWN, **FEW)
    on_page = {(each.target, each.law): each for each in reach_panel.reaches(fitted.report, targets)}
    bills = implications._bills_of_fits("own", fitted.result, targets, implications.PAPER)
    made = isoflop.forecast(
        runs,
        **OWN,
        **FEW,
        error=targets,
        gpu_tflops=400,
        gpu_watts=700,
        cost=["us_2023", "aws_h100_2026"],
    )
    seen = 0
    for target in made.result.targets:
        for cost in target.costs:
            page = on_page.get((target.target, cost.law))
            if page is None or page.log10_x is None:
                continue
            seen += 1
            assert cost.log10_train_gflops == pytest.approx(page.log10_x - 9, abs=1e-6)
            seconds = 10.0**page.log10_x / 4e14
            used = Used(device_seconds=seconds, energy_joules=700 * seconds)
            priced = pricing.dollars(prices.factors, used).value
            assert cost.training.dollars.value == pytest.approx(priced)
            assert cost.training.energy_joules.value == pytest.approx(used.energy_joules)
    assert seen >= 6
    for bill in bills:
        law = {"polynomial": "power_law_ols", "exponential": "exponential"}[bill.form]
        index = targets.index(bill.error)
        assert bill.log10_gflops == pytest.approx(of(made, law, index).log10_train_gflops)


def test_of_digits_no_place_prints_gflops_of_an_error_below_the_floor() -> None:
    """The bill once said 360 GFLOPs for 1% where the page has a floor of 1.9%."""
    report = isoflop.fit(DIGITS, resamples=200, x="train_gflops", y="test_error")
    bills = implications._bills_of_fits("digits", report.result, (0.05, 0.01), implications.PAPER)
    by = {(each.form, each.error): each for each in bills}
    for form in ("polynomial", "exponential"):
        assert by[form, 0.05].log10_gflops is not None
        below = by[form, 0.01]
        assert below.log10_gflops is None
        assert below.log10_dollars_paper is None
        assert "below the irreducible error of 1.8" in str(below.reason)
    found = reach_panel.reaches(report.report, (0.01,))
    assert len(found) == 4
    assert all(each.log10_x is None for each in found[:3])


def test_the_command_gives_the_same(csv: Path, by_command: Callable[..., Any]) -> None:
    words = ("--x", "flops", "--x-unit", "FLOP", "--y", "error", "--group", "shape", "--seed", "seed")
    asked = ("--error", 0.2, 0.1, "--budget", "1e9gflops", "--queries-per-day", 1000, "--cost", "paper")
    method = ("--laws", "power_law,power_law_floor", "--resamples", 100, "--where", "recipe == 'new'")
    expected = by_command("forecast", csv, *words, *asked, *method)
    made = isoflop.forecast(
        csv,
        error=(0.2, 0.1),
        budget="1e9gflops",
        queries_per_day=1000,
        cost="paper",
        x="flops",
        x_unit="FLOP",
        y="error",
        group="shape",
        seed="seed",
        laws=["power_law", "power_law_floor"],
        resamples=100,
        where="recipe == 'new'",
    )
    assert json.loads(made.to_json()) == expected
    assert set(made.costs["target"]) == {0.2, 0.1}
    assert bool(made.reaches["value"].notna().iloc[0])
    assert str(made).startswith("error against flops")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"error": 0.0}, "give a number above 0"),
        ({"error": 0.9}, "guessing has an error of 0.8832"),
        ({"error": 5}, "an error is a fraction below 1"),
        ({"loss": 2.0, "error": 0.1}, "give one"),
        ({"loss": 2.0, "y": "test_error"}, "is no loss"),
        ({"budget": "0usd"}, "buys no run"),
        ({"budget": "1e-6gflops"}, "less than the smallest run"),
        ({"budget": "5usd"}, "cannot be turned into compute"),
        ({"budget": "1kwh"}, "cannot be turned into compute"),
        ({"budget": "500eur"}, "no exchange rate"),
        ({"error": 0.05, "device": "zx81"}, "no run was on it"),
        ({"error": 0.05, "cost": "mars"}, "no such set of prices"),
        ({"error": 0.05, "x": "energy_joules"}, "training compute"),
        ({"error": 0.05, "queries_per_day": 0}, "give a number above 0"),
        ({"error": 0.05, "gpu_watts": 700}, "needs"),
        ({"error": 0.05, "where": "train_gflops < 0.2"}, "scale"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(asked: dict[str, Any], said: str) -> None:
    arguments: dict[str, Any] = {"laws": "power_law", "resamples": 100} | asked
    with pytest.raises(ValueError, match=said) as refused:
        isoflop.forecast(DIGITS, **arguments)
    assert "\n" not in str(refused.value)
