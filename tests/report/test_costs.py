"""What a target costs, on the page: its data, its tables and its script give what isoflop.forecast gives."""

from __future__ import annotations

import base64
import dataclasses
import functools
import gzip
import html
import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

import isoflop
from isoflop.config import costs, ways
from isoflop.plan import cost_dials, cost_panel, firm_case, grid, text
from isoflop.plan.amount import Amount
from isoflop.plan.cost_panel import CostAsk
from isoflop.plan.firm_case import Case, Need
from isoflop.plan.result import LawCost, TargetCost
from isoflop.report.reach_panel import reach_panel
from isoflop.report.text import units
from isoflop.report.text.numerals import number, seconds
from isoflop.table import axis
from isoflop.table.axis import Axes

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OWN: dict[str, Any] = {"x": "C", "y": "error", "y_unit": "fraction", "resamples": 100}
PRICES = ["aws_h100_2026", "us_2023_typical_room"]
QUERIES = 2e6
TARGETS = (0.01, 0.004, 0.002)
OF_PRICES = {"dollars_per_gpu_hour": 6.88, "grams_co2_per_kwh": 366, "pue": 1.58, "queries_per_day": QUERIES}
OF_PURCHASE = {
    "dollars_per_gpu_bought": 43750,
    "amortised_years": 3,
    "utilisation": 0.4,
    "own_dollars_per_kwh": 0.0806,
}


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    """Synthetic: error = 0.0005 + 50 C^-0.25 over N = C^0.5 / 6 and D = C^0.5, timed and metered."""
    noise = np.random.default_rng(1).standard_normal((2, 20))
    flops = np.repeat(np.geomspace(1e12, 1e16, 10), 2)
    params = flops**0.5 / 6
    rate = 1 / (1 / 4e14 + 1e-9 / (2 * params))
    return pd.DataFrame(
        {
            "C": flops,
            "params": params,
            "tokens": flops**0.5,
            "error": (0.0005 + 50 * flops**-0.25) * np.exp(0.02 * noise[0]),
            "seconds": flops / rate * np.exp(0.01 * noise[1]),
            "joules": flops / rate * 500.0,
            "gpu": "NVIDIA H200",
        }
    )


@pytest.fixture(scope="module")
def page(runs: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "runs"
    return isoflop.write_report(runs, out, **OWN, target=TARGETS, cost=PRICES)


@pytest.fixture(scope="module")
def data(page: Path) -> dict[str, Any]:
    found = re.search(r'id="packed-dials">([^<]+)<', page.read_text())
    assert found is not None
    read: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return read


@pytest.fixture(scope="module")
def targets(runs: pd.DataFrame, data: dict[str, Any]) -> tuple[TargetCost, ...]:
    """The forecast itself at every third target of the page's scale, and at those of its tables."""
    asked = sorted({*data["targets"][::3], *TARGETS}, reverse=True)
    made = isoflop.forecast(runs, **OWN, error=asked, cost=PRICES, queries_per_day=QUERIES)
    return made.result.targets


def costs_of(target: TargetCost) -> list[LawCost]:
    return sorted(target.costs, key=lambda each: each.law != "forecast")


def test_the_data_hold_the_forecasts_compute_at_every_target(
    data: dict[str, Any], targets: tuple[TargetCost, ...]
) -> None:
    seen = 0
    for target in targets:
        index = data["targets"].index(pytest.approx(target.target))
        assert [data["warnings"][i] for i in data["warned"][index]] == [
            cost_panel._sentence(line) for line in target.warnings
        ]
        for curve, cost in zip(data["curves"], costs_of(target), strict=True):
            packed = curve["points"][index]
            assert curve["rejected"] == cost.rejected
            if cost.reason is not None:
                assert data["reasons"][packed[0]] == cost.reason
                continue
            seen += 1
            assert packed[0] / 1e5 == pytest.approx(cost.log10_train_gflops, abs=1e-5)
            assert len(packed) == 3 + len(grid.PARTS)
    assert seen > 30
    assert data["largest"] / 1e5 == pytest.approx(7.0)


def test_the_tables_hold_the_forecasts_amounts_and_its_warnings_first(
    page: Path, targets: tuple[TargetCost, ...]
) -> None:
    section = page.read_text().partition('id="cost-tables"')[2].partition("</details>")[0]
    shown = html.unescape(re.sub(r"<[^>]*>", " ", section))
    for target in targets:
        if target.target not in TARGETS:
            continue
        part = shown.partition(f"Error {100 * target.target:g}%")[2]
        for line in target.warnings:
            assert part.index(line[1:20]) < part.index("Training compute (95%)")
        for cost in target.costs:
            amount = cost.training.train_gflops
            if amount.value is not None:
                assert f"{text.gflops(amount.value)} {text.ends(amount, text.gflops)}" in " ".join(
                    part.split()
                )
                assert units.dollars(cost.training.dollars.value) in part


def test_a_pass_is_no_training_and_has_the_other_section(make_fits: Any, make_table: Any) -> None:
    (report, *_) = make_fits(make_table()).reports
    axes = Axes(axis.describe("gmacs", None, None), axis.describe_y("error", "fraction", None))
    passes = dataclasses.replace(report, axes=axes)
    assert passes.resource.a_pass
    ask, nothing = CostAsk(passes, pd.DataFrame()), cast(Any, None)
    assert cost_panel.cost_panel(ask, nothing, nothing) is None
    assert reach_panel(passes) is not None
    assert reach_panel(report) is None


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        found = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


def opened(browser: Any, page: Path, **options: Any) -> Any:
    tab = browser.new_page(**options)
    tab.seen, tab.said = [], []
    tab.on("request", lambda request: tab.seen.append(request.url))
    tab.on("console", lambda message: tab.said.append(message.text))
    tab.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.goto(page.resolve().as_uri())
    tab.wait_for_selector("html[data-costs=live]", state="attached", timeout=30_000)
    tab.locator("#costs > summary").click()
    return tab


def amounts(tab: Any, data: dict[str, Any], settings: dict[str, Any], index: int) -> list[Any]:
    """What the script makes of a target by each law; None where it is not reached."""
    points = [curve["points"][index] for curve in data["curves"]]
    kept = {name: data[name] for name in ("decimals", "largest", "factors", "reasons")}
    found: list[Any] = tab.evaluate(
        """([points, data, settings]) => points.map((packed) => {
          const point = costs.decoded(packed, data);
          return point.reason === undefined ? costs.amounts(point, data, settings) : null;
        })""",
        [points, kept, settings],
    )
    return found


@pytest.mark.browser
def test_the_script_forms_every_amount_and_interval_as_the_forecast_does(
    browser: Any, page: Path, data: dict[str, Any], targets: tuple[TargetCost, ...]
) -> None:
    tab = opened(browser, page)
    seen = 0
    for target in targets:
        index = data["targets"].index(pytest.approx(target.target))
        made = amounts(tab, data, OF_PRICES, index)
        for found, cost in zip(made, costs_of(target), strict=True):
            assert (found is None) == (cost.reason is not None)
            if found is None:
                continue
            assert cost.inference is not None
            year = cost.inference
            for name, amount in (
                ("compute", cost.training.train_gflops),
                ("parameters", cost.training.parameters),
                ("examples", cost.training.examples),
                ("device_seconds", cost.training.device_seconds),
                ("energy_joules", cost.training.energy_joules),
                ("dollars", cost.training.dollars),
                ("grams", cost.training.kilograms_co2.times(1e3)),
                ("query", year.gflops_per_query),
                ("year", year.gflops_per_year),
                ("yearJoules", year.energy_joules_per_year),
                ("yearGrams", year.kilograms_co2_per_year.times(1e3)),
                ("yearDollars", year.dollars_per_year),
                ("days", year.break_even_days),
            ):
                assert_same(found[name], amount, f"{cost.law} {target.target} {name}")
                seen += 1
    assert seen > 300
    # And its texts are those of the tables.
    values = [0.0, 1.0, 999.6, 12345.0, 999499.0, 999500.0, 1.5e7, 3.21e-3, 4.5e-5, 9.995, 0.1, 1e18]
    assert tab.evaluate("values => values.map((v) => costs.number(v))", values) == [number(v) for v in values]
    found = tab.evaluate("data => costs.shown(data, { pue: 1 }, 0.004)", data)
    assert found["columns"] == ["By", "Training compute (95%)", "× largest run", "Device time", "Energy"]
    assert found["text"] == "0.4%"
    assert len(found["answers"]) == 1
    tab.close()


@functools.cache
def priced() -> ways.Ways:
    return ways.load([PRICES[0], "own_h100_2026", PRICES[1]])


def case_of(cost: LawCost, gpus: int, efficiency: float, **rent: float) -> Case:
    """The case of a target, rented at the prices of the page or bought, on one number of GPUs."""
    chosen = priced()
    assert chosen.rent is not None
    assert chosen.own is not None
    assert chosen.bought is not None
    assert cost.inference is not None
    train, year = cost.training, cost.inference
    answers = (year.gflops_per_year, year.device_seconds_per_year, year.energy_joules_per_year)
    names = ("dollars_per_kwh", "grams_co2_per_kwh", "pue")
    return Case(
        train=Need(train.train_gflops.value, train.device_seconds.value, train.energy_joules.value),
        year=Need(*(each.value for each in answers)),
        trainings=1.0,
        efficiencies=((gpus, efficiency),),
        rent_factors={**chosen.rent.factors, **rent},
        power_factors={name: chosen.own.factors[name] for name in names},
        bought=dataclasses.replace(chosen.bought, years=3.0, utilisation=0.4),
    )


@pytest.mark.browser
def test_on_several_gpus_rented_or_bought_the_script_forms_the_amounts_of_the_case(
    browser: Any, page: Path, data: dict[str, Any], targets: tuple[TargetCost, ...]
) -> None:
    tab = opened(browser, page)
    seen = 0
    for target in targets:
        if target.target not in TARGETS:
            continue
        index = data["targets"].index(pytest.approx(target.target))
        alone = amounts(tab, data, OF_PRICES, index)
        # On one GPU the efficiency is 1, whatever its dial says.
        for gpus, given, efficiency in ((1, 0.5, 1.0), (8, 0.75, 0.75), (1024, 0.03, 0.03)):
            settings = {**OF_PRICES, **OF_PURCHASE, "gpus": gpus, "efficiency": given}
            made = amounts(tab, data, settings, index)
            for found, of_one, cost in zip(made, alone, costs_of(target), strict=True):
                if found is None or cost.training.device_seconds.value is None:
                    continue
                case = case_of(cost, gpus, efficiency)
                train, year, days = (
                    firm_case.training(case, gpus),
                    firm_case.year(case),
                    firm_case.days(case, gpus),
                )
                assert year is not None
                assert days is not None
                assert train.device_hours is not None
                assert train.kilograms_co2 is not None
                for name, expected in (
                    ("device_seconds", 3600 * train.device_hours),
                    ("energy_joules", train.energy_joules),
                    ("grams", 1e3 * train.kilograms_co2),
                    ("dollars", train.rent_dollars),
                    ("own_dollars", train.own_dollars),
                    ("yearDollars", year.rent_dollars),
                    ("yearOwnDollars", year.own_dollars),
                ):
                    assert found[name]["value"] == pytest.approx(expected, rel=2e-4), (name, gpus)
                assert found["break_even_hours"] == pytest.approx(firm_case.break_even_hours(case), rel=2e-4)
                assert found["purchase_dollars"] == gpus * 43750
                assert found["gpu_seconds"]["value"] == (
                    None if gpus == 1 else pytest.approx(86400 * days, rel=2e-4)
                )
                # Chosen numbers widen no interval, and change nothing of the model and its answers.
                for side in ("low", "high"):
                    for name in ("energy_joules", "dollars", "device_seconds"):
                        end = of_one[name][side]
                        assert found[name][side] == (
                            None if end is None else pytest.approx(end / efficiency, rel=1e-9)
                        )
                kept = ("compute", "parameters", "query", "year", "yearJoules", "yearDollars", "days")
                assert all(found[name] == of_one[name] for name in kept)
                seen += 1
    assert seen > 50
    # Both sides of what can be said of a purchase.
    index = data["targets"].index(pytest.approx(0.004))
    cost = next(costs_of(each)[0] for each in targets if each.target == pytest.approx(0.004))
    settings = {**OF_PRICES, **OF_PURCHASE}
    assert firm_case.break_even_hours(case_of(cost, 1, 1.0, dollars_per_gpu_hour=0.01)) == math.inf
    for changed, expected in (
        ({"dollars_per_gpu_hour": 0.01}, math.inf),
        ({"dollars_per_gpu_hour": None}, None),
        ({"own_dollars_per_kwh": None}, None),
        ({"amortised_years": None}, None),
        ({"dollars_per_gpu_bought": None}, None),
    ):
        found = amounts(tab, data, settings | changed, index)[0]
        assert found["break_even_hours"] == expected
    assert found["purchase_dollars"] is None
    assert found["own_dollars"]["value"] is None
    # Electricity alone, which is paid for either way, is no rent.
    electric = data | {"factors": {"dollars_per_kwh": 0.3}}
    found = amounts(tab, electric, settings | {"dollars_per_gpu_hour": None}, index)[0]
    assert found["dollars"]["value"] is not None
    assert found["break_even_hours"] is None
    tab.close()


def test_electricity_of_own_hardware_is_that_of_the_chosen_sets_else_said(tmp_path: Path) -> None:
    dear = tmp_path / "dear.yaml"
    dear.write_text("dollars_per_kwh: 0.3\nsource: assumed\n")
    for names, price, is_said in (
        ([str(dear)], 0.3, False),
        (["aws_h100_2026", str(dear)], 0.3, False),  # not added to the price of an hour
        (["aws_h100_2026"], 0.0806, True),
        ([], 0.0806, True),
    ):
        dials = {
            each.key: each
            for each in cost_dials.of_firm(costs.load(names) if names else None, cost_dials.shipped())
        }
        assert dials["own_dollars_per_kwh"].start == price
        assert bool(dials["own_dollars_per_kwh"].note) == is_said
    assert ("own_h100_2026", 43750) in dials["dollars_per_gpu_bought"].known
    assert dials["gpus"].position == 0
    assert dataclasses.replace(dials["gpus"], start=1024).position == pytest.approx(dials["gpus"].most)


@pytest.mark.browser
def test_several_gpus_and_a_purchase_are_asked_by_keys_and_leave_nothing_behind(
    browser: Any, page: Path
) -> None:
    tab = opened(browser, page, viewport={"width": 390, "height": 844})
    live, fold = tab.locator("#cost-live"), tab.locator("#cost-dials .firm")
    before = live.inner_html()
    assert tab.locator("#dial-gpus:visible").count() == 0
    fold.locator("summary").focus()
    tab.keyboard.press("Enter")
    gpus, efficiency = tab.locator("#dial-gpus"), tab.locator("#dial-efficiency")
    assert efficiency.is_disabled()
    tab.locator("input[type=range][name=gpus]").focus()
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    assert gpus.input_value() == "8"
    efficiency.fill("0.75")
    tab.locator("select[name=dollars_per_gpu_bought]").select_option(label="own_h100_2026: 43750")
    rows = live.locator(".training")
    assert rows.locator("tr", has_text="To buy").locator("td").inner_text().startswith("350 thousand dollars")
    assert rows.locator("tr", has_text="Own is cheaper past").locator("td").inner_text().startswith("1,")
    assert "Training on 8 GPUs" in rows.locator("caption").inner_text()
    heads = live.locator(".by-law thead th").all_text_contents()
    assert {"Time on 8 GPUs", "Own share"} < set(heads)
    assert live.locator("[role=status]").text_content().endswith("of 8 GPUs")
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    for field, bad in ((gpus, "2.5"), (gpus, "1025"), (efficiency, "75")):
        was = field.input_value()
        field.fill(bad)
        assert f"{bad} is no " in live.locator(".checks .warning >> xpath=..").first.inner_text()
        field.fill(was)
    tab.locator("#dial-dollars_per_gpu_bought").fill("")
    gpus.fill("1")
    assert live.inner_html() == before
    assert tab.said == []
    tab.close()


@pytest.mark.browser
def test_dials_move_by_keys_and_prices_are_picked_typed_and_left_out(browser: Any, page: Path) -> None:
    tab = opened(browser, page, viewport={"width": 1280, "height": 900})
    live, field = tab.locator("#cost-live"), tab.locator("#dial-target")
    assert field.input_value() == "0.4"
    before = live.locator(".by-law td").first.text_content()
    tab.locator("input[type=range][name=target]").focus()
    tab.keyboard.press("ArrowRight")
    assert float(field.input_value()) < 0.4
    assert live.locator(".by-law td").first.text_content() != before
    assert live.locator("h3").text_content() == f"Error {field.input_value()}%"
    field.fill("0.4321")
    assert live.locator("h3").text_content() == "Error 0.4321%"
    field.fill("0.4")
    assert live.locator(".by-law td").first.text_content() == before
    field.fill("1e-9")  # beyond the scale: its end
    assert float(live.locator("h3").text_content().removeprefix("Error ").rstrip("%")) > 1e-3
    assert live.locator(".checks .warning").count() >= 1
    for label in ("Price of a GPU-hour dollars", "Grid g CO₂ a kWh", "PUE × kWh", "Queries a day"):
        assert tab.get_by_label(label, exact=True).count() == 1
    heads = tab.locator("#cost-live .by-law thead th")
    known = tab.locator("select[name=dollars_per_gpu_hour]")
    assert known.locator("option:checked").text_content() == "aws_h100_2026: 6.88"
    price = tab.locator("#cost-live .training tr", has_text="Price").locator("td")
    before = price.text_content()
    known.select_option(label="runpod_h100_2026: 3.99")
    assert tab.locator("#dial-dollars_per_gpu_hour").input_value() == "3.99"
    assert price.text_content() != before
    tab.locator("#dial-dollars_per_gpu_hour").fill("")
    assert "Price" not in heads.all_text_contents()
    assert "CO₂" in heads.all_text_contents()
    tab.locator("#dial-queries_per_day").fill("")
    assert tab.locator("#cost-live .answers tr").count() == 1
    assert tab.said == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in tab.seen)
    tab.close()


@pytest.mark.browser
def test_the_section_fits_phones_and_desktops_and_prints_its_tables(browser: Any, page: Path) -> None:
    tab = opened(browser, page, color_scheme="dark")
    tables = "[...document.querySelectorAll('#cost-live .amounts table')]"
    for width in (390, 1280):
        tab.set_viewport_size({"width": width, "height": 844})
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        assert tab.evaluate(f"{tables}.every((t) => t.scrollWidth <= t.parentElement.clientWidth)")
    tab.emulate_media(media="print")
    assert tab.locator("#cost-dials:visible, #cost-live:visible").count() == 0
    tab.close()


@pytest.mark.browser
def test_without_scripts_the_tables_stand(browser: Any, page: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page.resolve().as_uri())
    tab.locator("#costs > summary").click()
    assert tab.locator("#cost-tables table:visible").count() == len(TARGETS)
    assert tab.locator("#cost-dials:visible, #cost-live:visible").count() == 0
    context.close()


def assert_same(found: dict[str, float | None], amount: Amount, name: str) -> None:
    for side in ("value", "low", "high"):
        expected = getattr(amount, side)
        if expected is None:
            assert found[side] is None, f"{name} {side}"
        else:
            assert found[side] == pytest.approx(expected, rel=2e-4), f"{name} {side}"


def test_durations_and_units_are_those_of_the_script() -> None:
    """The steps that the page hands to its script write amounts as `units` does."""
    for value in (0.5, 1.0, 999.6, 1234.0, 1e6, 3.6e9):
        for name, show in (("joules", units.joules), ("grams", units.grams), ("dollars", units.dollars)):
            rounded = float(f"{value:.2e}")
            steps = units.STEPS[name]
            _, size, unit = next((step for step in reversed(steps) if rounded >= step[0]), steps[0])
            assert show(value) == f"{number(value / size)} {unit}"
    assert seconds(7200) == "2.00 h"
    assert math.isclose({unit: size for _, size, unit in units.STEPS["dollars"]}["thousand dollars"], 1e3)
