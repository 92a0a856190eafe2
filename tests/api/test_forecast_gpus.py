"""Who has no data centre: against a known curve, rate and prices, worked out by hand."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import isoflop
from isoflop.curve.result import FitReport
from isoflop.plan import firm, firm_case
from isoflop.plan.budget import parse as parse_budget
from isoflop.plan.deadline import parse as parse_deadline
from isoflop.plan.firm_case import Limits
from isoflop.plan.firm_result import FirmAnswer
from isoflop.plan.firm_setting import Setting
from isoflop.plan.result import TargetCost

DIGITS = Path(__file__).parents[2] / "results/digits-cpu"
LADDER = Path(__file__).parents[2] / "results/cifar10-h200-ladder"
A, B = 50.0, 0.25
RATE, WATTS = 1e14, 500.0
PRICES = ["runpod_h100_2026", "own_h100_2026", "us_2023"]


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    """error = 50 C^-0.25, as good as without noise."""
    noise = np.random.default_rng(1).standard_normal(24)
    flops = np.repeat(np.geomspace(1e12, 1e16, 12), 2)
    error = A * flops**-B * np.exp(1e-4 * noise)
    return pd.DataFrame({"C": flops, "D": flops**0.5, "error": error, "batch_size": 512.0})


def arguments(**changed: Any) -> dict[str, Any]:
    kept: dict[str, Any] = {"x": "C", "y": "error", "y_unit": "fraction", "error": 0.0005}
    kept |= {"laws": "power_law", "resamples": 100, "gpu_tflops": RATE * 1e-12, "gpu_watts": WATTS}
    return kept | {"gpus": (1, 4), "cost": PRICES} | changed


class Asker:
    """Answers of one fit: what `forecast` hands to plan.firm, asked again with other limits."""

    def __init__(self, runs: pd.DataFrame, **changed: Any) -> None:
        seen: list[tuple[FitReport, TargetCost, Setting]] = []
        with pytest.MonkeyPatch.context() as patched:
            answer = firm.answer

            def noted(*given: Any) -> FirmAnswer:
                seen.append(given)
                return answer(*given)

            patched.setattr(firm, "answer", noted)
            self.made = isoflop.forecast(runs, **arguments(**changed))
        self.report, self.target, self.setting = seen[0]

    def __call__(self, *budgets: str, deadline: str | None = None) -> FirmAnswer:
        until = None if deadline is None else parse_deadline(deadline)
        limits = Limits(tuple(map(parse_budget, budgets)), until)
        return firm.answer(self.report, self.target, dataclasses.replace(self.setting, limits=limits))


@pytest.fixture(scope="module")
def asked(runs: pd.DataFrame) -> Asker:
    return Asker(runs, queries_per_day=None)


def test_hours_dollars_energy_and_break_even_of_a_known_curve(asked: Asker) -> None:
    answer = asked()
    hours = (A / 0.0005) ** (1 / B) / RATE / 3600  # 278 h
    assert answer.verdict == "yes"
    assert (answer.gpus, answer.way) == (4, "rent")
    row = answer.rows[1]
    assert row.days.value == pytest.approx(hours / 24 / 4, rel=0.02)
    assert row.rent_dollars.value == pytest.approx(3.99 * hours, rel=0.02)
    kwh = hours * WATTS / 1000
    assert row.energy_joules.value == pytest.approx(kwh * 3.6e6, rel=0.02)
    assert row.kilograms_co2.value == pytest.approx(0.366 * kwh, rel=0.02)
    assert row.own_dollars.value == pytest.approx(43750 / (4 * 8760 * 0.5) * hours + 0.0806 * kwh, rel=0.02)
    assert row.purchase_dollars == 4 * 43750
    assert answer.break_even_hours.value == pytest.approx(43750 / 4 / (3.99 - 0.5 * 0.0806))
    assert row.efficiency.is_known is False
    assert any("upper bound" in note for note in answer.notes)
    assert any("people" in note for note in answer.notes)


def test_both_sides_of_a_budget_and_what_the_smaller_one_buys(asked: Asker) -> None:
    paid = asked().rows[0].rent_dollars.value
    assert paid is not None
    yes, no = (asked(f"{k * paid:.8g}usd") for k in (1.001, 0.999))
    assert (yes.verdict, no.verdict) == ("yes", "no")
    assert "takes" in str(no.reason)
    assert no.rows[0].missed == no.limits
    tenth = asked(f"{0.1 * paid:.8g}usd")
    # A tenth of the compute: 10^0.25 times the error.
    assert tenth.rows[0].bought_y.value == pytest.approx(0.0005 * 10**B, rel=2e-3)


def test_both_sides_of_a_deadline(asked: Asker) -> None:
    on_one, on_four = (row.days.value for row in asked().rows)
    assert on_one is not None
    assert on_four is not None
    assert asked(deadline=f"{on_one * 1.01:.6g}d").gpus == 1
    assert asked(deadline=f"{on_one * 0.99:.6g}d").gpus == 4
    late = asked(deadline=f"{on_four * 0.99:.6g}d")
    assert (late.verdict, late.gpus) == ("no", 4)


@pytest.mark.slow
def test_a_slow_link_leaves_one_gpu_the_fastest_and_is_no_upper_bound(runs: pd.DataFrame) -> None:
    # 3e8 parameters: a forward pass of C / (3 D) FLOPs and, without a column of parameters, no gradients.
    table = runs.assign(parameters=runs["D"] / 6)
    slow, fast = (
        isoflop.forecast(table, **arguments(gpus=(1, 8), link=link)).result.firm[0]
        for link in ("10Mbit/s", "1000TB/s")
    )
    assert slow.gpus == 1
    assert fast.gpus == 8
    assert slow.rows[1].efficiency.value < 0.1
    assert fast.rows[1].efficiency.value > 0.99
    assert slow.rows[1].rent_dollars.value == pytest.approx(
        slow.rows[0].rent_dollars.value / slow.rows[1].efficiency.value
    )


def test_below_the_floor_is_an_answer_and_says_what_the_budget_buys() -> None:
    made = isoflop.forecast(
        DIGITS, error=0.01, resamples=100, gpus=(1, 4), budget="50usd", cost="aws_t4_2019"
    )
    (answer,) = made.result.firm
    assert (answer.verdict, answer.gpus, answer.case) == ("no", None, None)
    assert str(answer.reason).startswith("1% lies below the irreducible error of 1.8")
    assert all(row.is_within is None and row.bought_y.value is not None for row in answer.rows)
    lines = repr(made).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("no: 1% lies below"))
    assert not any(line.startswith("GPUs") for line in lines[:first])
    assert "50usd buys" in lines[first]


def test_what_turns_the_answer_comes_first(asked: Asker) -> None:
    paid = asked().rows[0].rent_dollars.value
    assert paid is not None
    wide = asked(f"{100 * paid:.8g}usd")
    assert not any(each.turns for each in wide.assumptions)
    assert wide.is_sure
    # Five trainings, and twice the price of an hour, are past 1.5 times the price; half of it is not.
    tight = {each.name: each for each in asked(f"{1.5 * paid:.8g}usd").assumptions}
    assert tight["trainings, with search and failures"].turns
    assert tight["price of a GPU-hour"].turns
    assert tight["price of a GPU-hour"].low.dollars == pytest.approx(paid / 2)
    assert tight["price of a GPU-hour"].high.verdict == "no"
    assert not tight["share of hours in use"].turns
    assert tight["share of hours in use"].turns_way
    assert next(iter(tight.values())).turns


def test_the_struct_holds_all_that_the_answer_follows_from(runs: pd.DataFrame) -> None:
    (answer,) = isoflop.forecast(runs, **arguments(queries_per_day=1e9, budget="1e9usd")).result.firm
    case, row, year = answer.case, answer.rows[0], answer.year
    assert case is not None
    assert year is not None
    assert firm_case.training(case, 1).rent_dollars == row.rent_dollars.value
    assert firm_case.days(case, 1) == row.days.value
    assert year.rent_dollars.value == pytest.approx(
        3.99 * 1e9 * 365 * (A / 0.0005) ** 2 / 3 / RATE / 3600, rel=0.05
    )
    assert year.kept_rent_dollars == pytest.approx(3.99 * 8760)


@pytest.mark.slow
def test_the_command_gives_the_same_and_a_table_of_120_columns(by_command: Callable[..., Any]) -> None:
    method = ("--laws", "power_law", "--resamples", 100)
    words = ("--error", 0.1, "--gpus", "1,4", "--budget", "50usd", "--deadline", "2d", "--link", "nvlink4")
    expected = by_command("forecast", LADDER, *words, *method)
    made = isoflop.forecast(
        LADDER,
        error=0.1,
        gpus=(1, 4),
        budget="50usd",
        deadline="2d",
        link="nvlink4",
        laws="power_law",
        resamples=100,
    )
    assert json.loads(made.to_json())["firm"] == expected["firm"]
    assert "priced by spheron_h200_2026, us_2023, own_h200_2026" in " ".join(expected["warnings"])
    table = repr(made).split("\n\n")[2].splitlines()
    assert table[0].split()[:3] == ["GPUs", "efficiency", "time"]
    assert max(map(len, table[:3])) <= 120


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gpus": (4, 1)}, "numbers that increase"),
        ({"gpus": (1, 1)}, "numbers that increase"),
        ({"gpus": 0}, "at least 1"),
        ({"error": None}, "say what is to be reached"),
        ({"budget": "1e-9usd"}, "it buys no run"),
        ({"deadline": "1 fortnight"}, "give a number with a unit"),
        ({"gpus": None, "deadline": "1d"}, "needs"),
        ({"gpus": None, "link": "nvlink4"}, "needs"),
        ({"link": "nvlonk4"}, "nvlink4"),
        ({"cost": "mars"}, "no such set of prices"),
        ({"cost": ["own_h100_2026", "own_h200_2026"]}, "dollars_per_gpu_bought"),
        ({"cost": None, "budget": "5usd"}, "no price was chosen"),
        ({"cost": "own_h100_2026", "budget": "1e9usd"}, "price of electricity"),
        ({"gpu_tflops": None, "gpu_watts": None, "cost": None}, "cannot be timed"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    runs: pd.DataFrame, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        isoflop.forecast(runs, **arguments(**changed))
    assert "\n" not in str(refused.value)
