"""Which configurations and seeds pair up, and what is resampled."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from isoflop.curve.compare import arms, pairing
from isoflop.curve.compare.arms import ArmRuns


def power(x):
    return x**-0.3


def arm(name, table):
    return arms.select(ArmRuns(name, table, "train_gflops", "test_loss"), least_energy_grade="C", mixed=False)


def units(first, second):
    return pairing.units(arm("old", first), arm("new", second))


def test_shapes_pair_though_their_ids_differ(sweep):
    found = units(sweep(power, seed=0), sweep(power, seed=1))
    assert (found.paired_configurations, found.paired_runs) == (5, 15)
    assert found.kind == "runs"
    assert found.count == 15
    assert found.paired == 15


def test_equal_ids_pair_where_no_shape_is_known(sweep):
    first, second = (sweep(power, seed=i).drop(columns=["width", "depth"]) for i in (0, 1))
    for table in (first, second):
        table["config_id"] = table["config_id"].str[2:]
    assert units(first, second).paired_configurations == 5


def test_row_numbers_do_not_pair(sweep):
    tables = [sweep(power, seed=i, seeds=1).drop(columns=["width", "depth"]) for i in (0, 1)]
    for table in tables:
        table["config_id"] = [f"row {i}" for i in range(5)]
    assert units(*tables).paired_configurations == 0


def test_a_column_that_is_the_change_does_not_keep_shapes_apart(sweep):
    first, second = sweep(power, seed=0), sweep(power, seed=1)
    assert units(first, second.assign(depth=2.0)).paired_configurations == 5
    mixed = second.assign(depth=np.where(second["width"] > 30, 2.0, 1.0))
    assert units(first, mixed).paired_configurations == 2


def test_shapes_at_several_rates_pair_by_rate(sweep):
    rates = [
        sweep(power, seed=i, sizes=3, decades=2).assign(
            lr=lr, config_id=lambda t, lr=lr: t["config_id"] + f"{lr}"
        )
        for i, lr in ((0, 0.1), (1, 0.2), (2, 0.2), (3, 0.4))
    ]
    first, second = (pd.concat(rates[i : i + 2], ignore_index=True) for i in (0, 2))
    assert units(first, second).paired_configurations == 3


def test_other_seeds_pair_by_configuration_only(sweep):
    second = sweep(power, seed=1)
    found = units(sweep(power, seed=0), second.assign(seed=second["seed"] + 10))
    assert (found.paired_configurations, found.paired_runs) == (5, 0)


def test_a_misfit_of_configurations_makes_them_the_units(sweep):
    misfit = 0.2 * np.random.default_rng(0).normal(size=(2, 5))
    found = units(sweep(power, seed=0, misfit=misfit[0]), sweep(power, seed=1, misfit=misfit[1]))
    assert found.kind == "configurations"
    assert found.count == 5
    assert "by more than seeds do" in found.reason


def test_a_misfit_that_both_arms_share_cancels_in_their_differences(sweep):
    misfit = 0.2 * np.random.default_rng(0).normal(size=5)
    tables = sweep(power, seed=0, misfit=misfit), sweep(power, seed=1, misfit=misfit)
    assert units(*tables).kind == "runs"
    apart = units(tables[0], tables[1].assign(seed=tables[1]["seed"] + 10))
    assert apart.kind == "configurations"


def test_without_seeds_configurations_are_the_units(sweep):
    found = units(sweep(power, seed=0, seeds=1), sweep(power, seed=1, seeds=1))
    assert found.kind == "configurations"
    assert "too few seeds" in found.reason


def test_enough_configurations_are_the_units_without_a_test(sweep):
    found = units(sweep(power, seed=0, sizes=6), sweep(power, seed=1, sizes=6))
    assert (found.kind, found.count) == ("configurations", 6)
    assert units(sweep(power, seed=0, sizes=5), sweep(power, seed=1, sizes=6)).kind == "runs"


def test_horizons_of_a_trunk_stay_together(sweep):
    tables = [sweep(power, seed=i) for i in (0, 1)]
    for table in tables:
        table["place_id"] = table["config_id"]
        table["config_id"] = table["config_id"].map(lambda name: f"{name[:2]}{int(name[2:]) // 2}")
    found = units(*tables)
    assert found.kind == "configurations"
    assert "trunk" in found.reason
    assert found.of_arm == (3, 3)


@pytest.mark.parametrize(
    ("count", "of_arm", "expected"), [(12, (12, 12), 10), (24, (12, 12), 20), (18, (12, 12), 15)]
)
def test_degrees_of_freedom_with_all_no_and_half_of_the_units_paired(sweep, count, of_arm, expected):
    found = units(sweep(power, seed=0), sweep(power, seed=1))
    made = pairing.Units("runs", "", found.observed, found.unit, count, of_arm, 0, 0)
    assert made.freedom(2) == pytest.approx(expected)


def test_paired_points_share_a_unit(sweep):
    found = units(sweep(power, seed=0), sweep(power, seed=1).sample(frac=1.0, random_state=0))
    assert found.unit[0].tolist() == list(range(15))
    assert sorted(found.unit[1].tolist()) == list(range(15))
    # The same x, whatever the order of the rows.
    order = np.argsort(found.unit[1])
    np.testing.assert_allclose(found.observed[1].x[order], found.observed[0].x)


def means_about_a_line(table):
    """Residuals of the configurations' mean ln y about a straight line, and the seeds' pooled variance."""
    log_y = np.log(table["test_loss"]).groupby(table["config_id"])
    x = np.log(table["train_gflops"]).groupby(table["config_id"]).mean()
    mean = np.log(table["test_loss"].groupby(table["config_id"]).mean())
    line = np.polyval(np.polyfit(x, mean, 1), x)
    return (mean - line).to_numpy(), float((log_y.var() * 2).sum() / (2 * len(x)))


@pytest.mark.parametrize("paired", [True, False], ids=["differences", "both"])
def test_the_scatter_of_configurations_is_tested_against_that_of_seeds_by_f(sweep, paired):
    """Four configurations of three seeds an arm: a power law has two parameters, so two are left of each."""
    misfit = 0.02 * np.random.default_rng(4).normal(size=(2, 4))
    first, second = (sweep(power, seed=i, sizes=4, misfit=misfit[i]) for i in (0, 1))
    second = second.sample(frac=1.0, random_state=2)  # pairs are found by shape, not by place
    if not paired:
        second = second.assign(seed=second["seed"] + 10)
    found = units(first, second)
    (one, var_one), (other, var_other) = means_about_a_line(first), means_about_a_line(second)
    if paired:
        mean_square, left = np.sum((one - other) ** 2) / ((var_one + var_other) / 3) / 2, 2
    else:
        mean_square = (np.sum(one**2) / (var_one / 3) + np.sum(other**2) / (var_other / 3)) / 4
        left = 4
    p = stats.f.sf(mean_square, left, 16)
    assert 1e-3 < p < 0.99
    said = float(found.reason.split("p = ")[1].rstrip(")"))
    assert said == pytest.approx(p, rel=0.06), "two digits are printed, and means are of y, not of ln y"
    assert found.kind == ("runs" if p > 0.1 else "configurations")


@pytest.mark.parametrize(("left_out", "enough"), [(0, True), (1, False)])
def test_repeats_need_six_degrees_of_freedom(sweep, left_out, enough):
    """Two arms of three configurations with two seeds have 2 (6 - 3); a run less makes five."""
    first, second = (sweep(power, seed=i, sizes=3, seeds=2) for i in (0, 1))
    found = units(first, second.iloc[left_out:])
    assert ("too few seeds" not in found.reason) == enough
    assert enough or found.kind == "configurations"


@pytest.mark.parametrize(("p", "kind"), [(0.1, "configurations"), (0.1001, "runs")])
def test_scatter_that_one_in_ten_sweeps_shows_is_more_than_seeds(sweep, monkeypatch, p, kind):
    monkeypatch.setattr(stats.f, "sf", lambda *_: p)
    assert units(sweep(power, seed=0, sizes=4), sweep(power, seed=1, sizes=4)).kind == kind
