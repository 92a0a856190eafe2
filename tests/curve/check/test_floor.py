"""An irreducible error that only undertrained points show is not claimed."""

import dataclasses

import numpy as np
import pytest

from isoflop.curve import fit
from isoflop.curve.check import floor, front

METHOD = fit.Method(laws=("power_law_ols", "power_law_floor"), resamples=200, forecast=False)


def sweep(make_healthy, error):
    """A sweep of one data size whose two largest shapes are undertrained; their error is the larger."""
    table = make_healthy(sizes=(20_000,), factor={(128, 2): 2.5, (128, 3): 3.0})
    bad = (table["width"] == 128) & (table["depth"] > 1)
    rng = np.random.default_rng(3)
    y = error(table["train_gflops"].to_numpy()) * np.exp(0.01 * rng.standard_normal(len(table)))
    return table.assign(test_error=np.where(bad, 3.0 * y, y)), front.check(table)


def test_a_floor_of_undertrained_points_only_does_not_stand(make_healthy):
    table, checked = sweep(make_healthy, lambda x: 0.3 * x**-0.25)
    support = floor.support(table, fit.fit_table(table, method=METHOD), checked)
    assert support.names == ("mlp w128 d2", "mlp w128 d3")
    assert support.runs == 6
    assert not support.stands
    assert support.exponent_without.value == pytest.approx(0.25, abs=0.02)
    assert support.exponent.value < 0.2


def test_a_floor_of_healthy_points_stands_at_its_own_value(make_healthy):
    table, checked = sweep(make_healthy, lambda x: 0.05 + 0.3 * x**-0.4)
    support = floor.support(table, fit.fit_table(table, method=METHOD), checked)
    assert support.stands
    assert support.floor_without.value == pytest.approx(0.05, rel=0.2)
    assert not support.only_by_undertrained


def test_without_undertrained_points_in_the_fit_there_is_nothing_to_judge(make_healthy):
    table, checked = sweep(make_healthy, lambda x: 0.3 * x**-0.25)
    without = fit.fit_table(table, method=dataclasses.replace(METHOD, left_out=checked.undertrained))
    assert without.points == len(table) - 6
    assert {e.reason.split(":")[0] for e in without.excluded} == {"undertrained"}
    assert floor.support(table, without, checked) is None
    healthy = make_healthy()
    assert floor.support(healthy, fit.fit_table(healthy, method=METHOD), front.check(healthy)) is None


def test_too_few_points_without_them_give_the_reason(make_healthy):
    table, checked = sweep(make_healthy, lambda x: 0.3 * x**-0.25)
    report = fit.fit_table(table, method=METHOD)
    few = table[table["run_id"].isin({e.run_id for e in checked.undertrained}) | (table["width"] == 8)]
    few = few[(few["depth"] > 1)]
    support = floor.support(few, report, checked)
    assert support.reason is not None
    assert not support.stands
