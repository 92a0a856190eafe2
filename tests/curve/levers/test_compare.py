"""Simulated levers over 3 decades with 2% noise: what they move is told, and so is what prior work turns."""

from __future__ import annotations

import dataclasses
import functools

import msgspec
import numpy as np
import pandas as pd
import pytest
from tests import lever_sweep
from tests.lever_sweep import Arm

from isoflop.curve.compare.contrast import Settings
from isoflop.curve.levers import compare, rates, ratios
from isoflop.curve.levers.result import LeverRow, LeversReport
from isoflop.table import levers

FEW = Settings(resamples=199)


def of(table: pd.DataFrame, settings: Settings = FEW) -> LeversReport:
    return compare.compare(compare.of_table(table, "simulated", None), settings)


@functools.cache
def with_prior() -> LeversReport:
    """A lever that is worth a factor of 2 and needs 3 times its own work beside it, and one of two sizes."""
    arms = {"distillation": Arm(gain=2.0, prior=3.0), "tiny": Arm(sizes=2), "idle": Arm()}
    return of(lever_sweep.rows(arms, sizes=4), Settings(resamples=240))


def row(report: LeversReport, name: str) -> LeverRow:
    return next(each for each in report.levers if each.name == name)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [4, 6])
def test_a_factor_an_exponent_and_nothing_are_told_apart(sizes: int) -> None:
    """Of one draw of the noise: docs/levers.md says how often other draws tell them apart."""
    arms = {"halved": Arm(gain=2.0), "steeper": Arm(b=0.05), "idle": Arm()}
    report = of(lever_sweep.rows(arms, sizes=sizes, seed=2), Settings(resamples=299))
    halved, steeper, idle = (row(report, name).own for name in arms)
    assert [each.moved for each in (halved, steeper, idle)] == ["factor", "exponent", "cannot be told"]
    assert halved.middle.interval.low < 2.0 < halved.middle.interval.high
    assert 0 < steeper.b.interval.low < 0.05 < steeper.b.interval.high
    assert idle.b.interval.low < 0 < idle.b.interval.high
    assert halved.b.interval.low < 0 < halved.b.interval.high
    assert idle.b.smallest_seen < 0.05
    assert steeper.largest.gain < 1.2 < 2 < steeper.least.gain, "its gain grows with scale"
    assert steeper.largest.y > steeper.middle.y > steeper.least.y
    assert report.total is None, "no prior work, nothing to count in"


@pytest.mark.slow
def test_prior_work_of_three_times_its_own_turns_a_gain_of_two_into_a_loss() -> None:
    report = with_prior()
    found = row(report, "distillation")
    assert found.prior_share == pytest.approx(3.0)
    assert found.own.middle.gain == pytest.approx(2.0, rel=0.1)
    assert found.total.middle.gain == pytest.approx(0.5, rel=0.1)
    assert found.total.middle.interval.high < 1
    assert found.total.x == "total_train_gflops"
    without = row(report, "idle")
    assert without.total.middle == without.own.middle, "nothing is counted in"
    assert {arm.name for arm in report.total.arms} == {"baseline", "distillation"}


@pytest.mark.slow
def test_a_lever_with_too_few_runs_is_listed() -> None:
    report = with_prior()
    tiny = row(report, "tiny")
    assert tiny.own is tiny.total is None
    assert tiny.in_common == 2
    assert tiny.reason == (
        "too few runs: 2 configurations in common with the baseline, where a curve takes 3"
    )
    assert {each.name for each in report.compared} == {"distillation", "idle"}
    assert len(report.levers) == 3


def test_so_few_resamples_that_no_test_could_tell_are_refused() -> None:
    table = lever_sweep.rows({f"lever{i}": Arm() for i in range(5)}, sizes=4)
    with pytest.raises(ValueError, match=r"^--resamples 199: with 5 levers a test at 5% needs at least 400"):
        of(table)


@pytest.mark.slow
def test_the_result_is_read_again_from_its_json() -> None:
    report = with_prior()
    assert msgspec.json.decode(msgspec.json.encode(report), type=LeversReport) == report


@pytest.mark.slow
def test_a_lever_alone_is_that_of_isoflop_compare() -> None:
    from isoflop.curve.compare.front import compare_tables

    table = lever_sweep.rows({"muon": Arm(gain=2.0)}, sizes=4)
    parts = {name: table[table["lever"] == of] for name, of in (("baseline", "none"), ("muon", "muon"))}
    expected = compare_tables(parts, y="test_error", settings=FEW)
    assert of(table).own == expected


@pytest.mark.slow
def test_an_arm_on_other_data_is_not_compared_and_the_others_are() -> None:
    table = lever_sweep.rows({"muon": Arm(gain=2.0), "idle": Arm()}, sizes=4)
    table.loc[table["lever"] == "idle", "data"] = "digits"
    report = of(table)
    assert row(report, "muon").own is not None
    assert row(report, "idle").reason.startswith("data sets differ (data)")


@pytest.mark.slow
def test_unknown_prior_work_leaves_the_total_unknown_and_says_why() -> None:
    table = lever_sweep.rows({"muon": Arm(gain=2.0)}, sizes=4)
    table.loc[table["lever"] == "muon", ["prior_train_gflops", "total_train_gflops"]] = np.nan
    found = row(of(table), "muon")
    assert found.own is not None
    assert found.total is None
    assert found.prior_share is None
    assert "total_train_gflops" in found.total_reason


def test_without_levers_or_a_baseline_nothing_is_compared() -> None:
    table = lever_sweep.rows({"muon": Arm()}, sizes=4)
    with pytest.raises(ValueError, match=r"^simulated: no run has a lever"):
        of(table[table["lever"] == "none"])
    with pytest.raises(ValueError, match=r"^simulated: no run of the baseline \(lever=none\) is done"):
        of(table[table["lever"] == "muon"])
    with pytest.raises(ValueError, match=r"^simulated: --y loss: no such column: did you mean"):
        compare.of_table(table, "simulated", None, y="loss")


def pair(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    known = levers.completed(table)
    return known[known["lever"] == "none"], known[known["lever"] != "none"]


def test_ratios_are_of_equal_shapes_and_seeds() -> None:
    first, second = pair(lever_sweep.rows({"pruning": Arm(density=0.2, seconds=0.5, prior=2.0)}))
    found = {each.column: each for each in ratios.ratios(first, second.iloc[::-1], "test_error", 0.95)}
    assert found["train_gflops"].value == pytest.approx(1)
    assert found["total_train_gflops"].value == pytest.approx(3)
    assert found["nominal_inference_gflops_per_example"].value == pytest.approx(0.2)
    assert found["inference_gflops_per_example"].value == pytest.approx(1)
    time = found["inference_seconds_per_example"]
    assert time.interval.low < 0.5 < time.interval.high < 0.52
    assert time.configurations == 6
    assert found["test_error"].part == "outcome"
    assert "inference_joules_per_example" not in found, "unknown in both"


def test_a_ratio_takes_three_configurations_and_leaves_out_unknown_pairs() -> None:
    first, second = pair(lever_sweep.rows({"idle": Arm()}))
    few = first["width"] < 20
    assert len(ratios.ratios(first[few], second, "test_error", 0.95)) == 0
    lacking = second.assign(
        inference_seconds_per_example=second["inference_seconds_per_example"].where(second["width"] > 20)
    )
    found = {each.column: each for each in ratios.ratios(first, lacking, "test_error", 0.95)}
    assert found["inference_seconds_per_example"].configurations == 4


def test_the_interval_of_a_ratio_is_students_over_configurations() -> None:
    from scipy import stats

    first, second = pair(lever_sweep.rows({"idle": Arm()}))
    logs = np.log(second.groupby("width")["test_error"].apply(lambda e: np.exp(np.log(e).mean())))
    logs = logs - np.log(first.groupby("width")["test_error"].apply(lambda e: np.exp(np.log(e).mean())))
    low, high = stats.t.interval(0.9, len(logs) - 1, logs.mean(), stats.sem(logs))
    found = next(r for r in ratios.ratios(first, second, "test_error", 0.9) if r.column == "test_error")
    assert (found.interval.low, found.interval.high) == pytest.approx((np.exp(low), np.exp(high)))


def test_the_shape_that_a_lever_changes_is_no_obstacle_to_pairs() -> None:
    table = lever_sweep.rows({"search": Arm()})
    table.loc[table["lever"] == "search", "family"] = "resnet"
    assert ratios.in_common(*pair(table)) == 6
    table.loc[table["lever"] == "search", "width"] *= 3
    assert ratios.in_common(*pair(table)) == 0


@pytest.mark.slow
def test_a_shape_that_was_searched_for_stands_against_its_baselines() -> None:
    """The curves keep the work of the shape that was found; pairs are by the shape that gave its budget."""
    table = lever_sweep.rows({"search": Arm(gain=2.0)}, sizes=4)
    of_search = table["lever"] == "search"
    for size in ("width", "depth"):
        table[f"baseline_{size}"] = table[size].where(of_search)
    table.loc[of_search, "width"] *= 3
    table.loc[of_search & (table["baseline_width"] < 20), "width"] = 24.0  # one shape for two budgets
    found = row(of(table), "search")
    assert (found.in_common, found.reason) == (4, None)
    ratio = found.ratio("train_gflops")
    assert ratio is not None
    assert ratio.value == pytest.approx(1)
    assert found.own is not None


def test_configurations_of_one_shape_pair_by_what_else_tells_them_apart() -> None:
    table = lever_sweep.rows({"idle": Arm()})
    table["batch_size"], table["examples_seen"] = 64.0, 100 * table["train_gflops"]
    table["width"] = 8.0
    assert ratios.keys(*pair(table))[-1] == "examples_seen"
    assert ratios.in_common(*pair(table)) == 6


@pytest.mark.slow
def test_how_rates_were_searched_is_said_for_each_arm() -> None:
    table = lever_sweep.rows({"muon": Arm(), "idle": Arm()}, sizes=4).assign(lr_interior=1.0)
    edge = (table["lever"] == "muon") & (table["width"] == 8)
    table.loc[edge, "lr_interior"] = 0.0
    table["lr_search_gflops"] = np.where(table["lever"] == "muon", 7.0, 0.0)
    baseline = table[table["lever"] == "none"].drop_duplicates("config_id")
    trials = pd.concat([baseline.assign(lever=name) for name in ("none", "none", "muon", "muon", "idle")])
    runs = compare.of_table(table, "simulated", None)
    report = compare.compare(dataclasses.replace(runs, trials=trials), FEW)
    muon = row(report, "muon").rates
    assert (muon.searched, muon.interior, muon.trials, muon.per_configuration) == (4, 3, 8, 2)
    assert muon.gflops == pytest.approx(28)
    searches = [report.rates, *(each.rates for each in report.levers)]
    assert rates.same_budget(searches) is False
    assert rates.same_budget([muon, muon]) is True
    unknown = rates.search(table, None, "baseline")
    assert rates.same_budget([muon, unknown]) is None, "no folder, no trials"


@pytest.mark.slow
def test_a_lever_may_train_on_other_examples_but_not_be_tested_on_others() -> None:
    table = lever_sweep.rows({"repetition": Arm()}, sizes=4)
    changed = table["lever"] == "repetition"
    split = table.assign(split_sha256=np.where(changed, "b", "a"), data="digits", test_n=719.0)
    assert row(of(split), "repetition").own is not None
    other = of(split.assign(test_n=np.where(changed, 700.0, 719.0)))
    assert row(other, "repetition").own is None
