"""Each number on which the verdict hangs, from both sides; fits are laid by hand, so that only it moves."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from isoflop.curve.check import amount
from isoflop.curve.result import Estimate, Interval
from isoflop.report.text import costs, loss_verdict, measured, optimal_training, verdict

FAR = Interval(0.001, 0.9)
THREE_SEEDS = pd.Series([3, 3, 3])


@pytest.fixture
def report(make_table, make_fits):
    return make_fits(make_table(), exponent=0.15, spread=0.01).reports[0]


def with_law(report, name, **changes):
    """The report with one law changed."""
    fits = tuple(dataclasses.replace(f, **changes) if f.law == name else f for f in report.fits)
    return dataclasses.replace(report, fits=fits)


def with_exponent(report, value, low, high):
    b = Estimate("b", value, Interval(low, high), "1")
    return with_law(report, "power_law_ols", parameters=(b,))


def with_floor(report, value, low, high, rmse=0.02, plain=0.05):
    e = Estimate("E", value, Interval(low, high), "fraction")
    b = Estimate("b", 0.3, Interval(0.25, 0.35), "1")
    bent = with_law(report, "power_law_floor", parameters=(e, b), log10_rmse=rmse)
    return with_law(bent, "power_law_ols", log10_rmse=plain)


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (-0.05, -0.1, -0.001, "rises with compute"),
        (-0.05, -0.1, 0.0, "no fall of"),  # by the value alone it would rise
        (-0.05, None, -0.001, "rises with compute"),
        (-0.05, -0.1, 0.01, "no fall of"),
        (-0.05, -0.1, None, "no fall of"),
        (0.0, 0.001, 0.1, "no fall of"),
        (-0.001, 0.001, 0.1, "no fall of"),
        (0.05, 0.0, 0.1, "no fall of"),
        (0.05, None, 0.1, "no fall of"),
    ],
)
def test_a_rise_and_a_flat_curve_are_told_by_the_interval(make_table, report, value, low, high, said):
    answer = verdict.judge(make_table().rows, with_exponent(report, value, low, high), "")
    assert answer.answer == "cannot be told"
    assert said in answer.headline.lower()
    assert "too little" not in answer.headline


def test_an_interval_just_above_zero_is_a_fall(report):
    assert measured.no_fall(with_exponent(report, 0.05, 1e-6, 0.1)) is None
    assert measured.no_fall(with_exponent(report, 0.001, 1e-6, None)) is None
    assert measured.no_fall(dataclasses.replace(report, fits=())) is not None


DECADES = 10**amount.LEAST_DECADES


@pytest.mark.parametrize(
    ("changes", "seeds", "gaps"),
    [
        ({}, (3, 3), []),
        ({"x_min": 1.0, "x_max": 32.0}, (3, 3), []),
        ({"x_min": 1.0, "x_max": 31.0}, (3, 3), ["decades"]),
        ({"configs": 5}, (3, 3), []),
        ({"configs": 4}, (3, 3), ["4 configurations"]),
        ({"scales": 3}, (3, 3), []),
        ({"scales": 2}, (3, 3), ["2 compute scales"]),
        ({}, (1, 1), ["single seed"]),
        ({}, (1, 2), []),
        ({}, (), []),
    ],
)
def test_an_answer_needs_so_many_decades_configurations_scales_and_seeds(
    report, make_table, changes, seeds, gaps
):
    # 10^1.5 = 31.6: the thresholds are written out here, as a changed one would change the test with it.
    enough = {"x_min": 0.01, "x_max": 10.0, "configs": 15, "scales": 5}
    found = measured.gaps(dataclasses.replace(report, **enough | changes), pd.Series(seeds, dtype=int))
    assert len(found) == len(gaps)
    assert all(part in sentence for part, sentence in zip(gaps, found, strict=True))


FLOORS = [
    ((0.10, 0.025, 0.15, 0.045, 0.05), True),
    ((0.10, 0.0249, 0.15, 0.045, 0.05), False),  # its lower end all but reaches 0
    ((0.10, 0.025, 0.15, 0.0451, 0.05), False),  # hardly closer than the plain law
    ((0.10, None, 0.15, 0.02, 0.05), False),
    ((0.10, 0.05, None, 0.02, 0.05), False),
    ((0.0, 0.0, 0.15, 0.02, 0.05), False),
]


@pytest.mark.parametrize(("floor", "claimed"), FLOORS)
def test_a_floor_is_claimed_from_its_interval_and_its_gain(make_table, report, floor, claimed):
    bent = with_floor(report, *floor)
    assert costs.floor_identified(bent) == claimed
    answer = verdict.judge(make_table().rows, bent, "")
    assert ("bends towards a floor of about 10%" in answer.headline) == claimed
    assert any("Floor: not identified" in caveat for caveat in answer.caveats) != claimed
    headline, reason = loss_verdict.answer(bent, THREE_SEEDS, None)
    assert ("falls towards about" in headline) == claimed
    assert ("No irreducible part is identified" in reason) != claimed


def test_without_the_plain_law_the_floors_interval_alone_decides(report):
    floored = with_floor(report, 0.10, 0.05, 0.15)
    alone = dataclasses.replace(floored, fits=tuple(f for f in floored.fits if f.law != "power_law_ols"))
    assert costs.floor_identified(alone)
    assert not costs.floor_identified(dataclasses.replace(alone, fits=()))


def law_of(report, name):
    return next(fit for fit in report.fits if fit.law == name)


def with_level(fit, error):
    """The law with a flat band, so that it starts at `error`."""
    n = len(fit.band.x)
    return dataclasses.replace(fit, band=dataclasses.replace(fit.band, y=(error,) * n))


@pytest.mark.parametrize(("start", "impossible"), [(0.1998, True), (0.2, True), (0.2002, False)])
def test_half_the_error_is_impossible_where_it_lies_at_or_below_the_floor(report, start, impossible):
    law = with_level(law_of(with_floor(report, 0.1, 0.1, 0.1001), "power_law_floor"), start)
    cost = costs.halving(law, report.x_max)
    # Half of exactly twice the floor is the floor itself, which no compute reaches.
    assert (cost.factor is None) == impossible
    assert (cost.reason is not None) == impossible


def test_a_floor_below_whose_interval_half_the_error_lies_is_impossible_else_not_known(report):
    for low, word in ((0.0951, "impossible"), (0.0949, "not known"), (None, "unbounded")):
        law = with_level(law_of(with_floor(report, 0.1, low, 0.2), "power_law_floor"), 0.19)
        cost = costs.halving(law, report.x_max)
        assert cost.factor is None
        assert word in cost.reason


def test_half_the_error_at_the_very_end_of_the_floors_interval_is_impossible(report):
    law = with_level(law_of(with_floor(report, 0.1, 0.05, 0.2), "power_law_floor"), 0.19)
    half = costs.level(law, report.x_max) / 2
    e, b = law.parameters
    ends = dataclasses.replace(law, parameters=(dataclasses.replace(e, interval=Interval(half, 0.2)), b))
    assert "impossible" in costs.halving(ends, report.x_max).reason
    exact = dataclasses.replace(law, parameters=(dataclasses.replace(e, value=half), b))
    assert costs.halving(exact, report.x_max).factor is None


def test_the_price_under_a_floor_is_of_the_part_above_it(report):
    law = with_level(law_of(with_floor(report, 0.1, 0.09, 0.11), "power_law_floor"), 0.4)
    assert costs.halving(law, report.x_max).factor == pytest.approx((0.3 / 0.1) ** (1 / 0.3))


def test_the_interval_of_a_price_runs_from_the_steep_end_to_the_flat_one(report):
    def priced(value, low, high):
        return costs.halving(law_of(with_exponent(report, value, low, high), "power_law_ols"), report.x_max)

    bounds = priced(0.25, 0.2, 0.5).interval
    assert (bounds.low, bounds.high) == (pytest.approx(4.0), pytest.approx(32.0))
    open_end = priced(0.25, 0.0, 0.5).interval
    assert (open_end.low, open_end.high) == (pytest.approx(4.0), None)
    unknown = priced(0.25, None, None).interval
    assert (unknown.low, unknown.high) == (None, None)
    assert priced(0.0, -0.1, 0.1).factor is None
    assert priced(-0.1, -0.2, -0.05).reason == "the fitted error does not fall"


def test_a_price_is_written_out_up_to_ten_to_the_hundred(report):
    # 2^(1/b) is 10^100 at b = log10(2) / 100.
    limit = np.log10(2) / 100
    for value, known in ((limit * 1.001, True), (limit * 0.999, False)):
        law = law_of(with_exponent(report, value, value / 2, value * 2), "power_law_ols")
        cost = costs.halving(law, report.x_max)
        assert (cost.factor is not None) == known
        assert (cost.interval is not None) == known
        assert (cost.reason is None) == known


def test_the_exponential_law_prices_by_its_own_slope(report):
    slope = Estimate("b", 2.0, FAR, "1")
    law = with_level(dataclasses.replace(law_of(report, "exponential"), parameters=(slope,)), 0.25)
    # 1/e rises by 2 a decade: from 4 to 8 in two decades.
    assert costs.halving(law, report.x_max).factor == pytest.approx(100.0)


def test_a_curve_is_read_off_between_its_points_in_logarithms(report):
    law = dataclasses.replace(law_of(report, "m3"), parameters=())
    x = (1.0, 10.0, 100.0, 1000.0)
    y = (0.8, 0.4, 0.4, 0.1)
    band = dataclasses.replace(law.band, x=x, y=y)
    cost = costs.halving(dataclasses.replace(law, band=band), 10.0)
    # From 0.4 at 100 to 0.1 at 1000 it passes 0.2 half way in logarithms, 10^2.5, that is 10^1.5 times x_max.
    assert cost.factor == pytest.approx(10**1.5)
    level = dataclasses.replace(band, y=(0.8, 0.4, 0.4, 0.21))
    never = costs.halving(dataclasses.replace(law, band=level), 10.0)
    assert never.factor is None
    assert never.reason == "not within 100 times the largest run"
    reached = dataclasses.replace(band, y=(0.8, 0.4, 0.4, 0.2))
    assert costs.halving(dataclasses.replace(law, band=reached), 10.0).factor == pytest.approx(100.0)


def test_a_loss_rises_falls_and_is_too_short_by_the_same_rule(report):
    for wrong, word in (
        (with_exponent(report, -0.05, -0.1, -0.001), "rises with compute"),
        (with_exponent(report, 0.05, 0.0, 0.1), "no fall of"),
        (dataclasses.replace(report, scales=2), "too little was measured"),
    ):
        headline, _ = loss_verdict.answer(wrong, THREE_SEEDS, None)
        assert headline.startswith("Cannot be told")
        assert word in headline
    headline, _ = loss_verdict.answer(report, THREE_SEEDS, None)
    assert headline.startswith("Over all runs, error falls as compute to the power −0.150")


def test_without_a_fit_of_loss_the_reason_is_given(make_table, report):
    table = make_table().rows
    headline, sentences = loss_verdict.judge(table, None, "no record has a loss", THREE_SEEDS, None, None)
    assert headline == "Cannot be told: no law was fitted to loss against training compute."
    assert "Here nothing was fitted: no record has a loss." in sentences
    headline, sentences = loss_verdict.judge(table, report, "", THREE_SEEDS, None, None)
    assert "nothing was fitted" not in " ".join(sentences)
    assert headline.startswith("Over all runs")


def test_the_law_through_all_runs_is_said_beside_the_best_of_each_budget(report):
    alone, beside = optimal_training.all_runs(None), optimal_training.all_runs(report)
    assert alone.startswith("Several sizes share a budget")
    assert beside.startswith("Here 60 runs of 15 configurations span")
    assert beside.endswith(alone)
