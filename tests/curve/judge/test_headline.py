"""Which law leads: the terminal and the page ask this one function."""

import dataclasses
from pathlib import Path

import pytest

from isoflop.curve import fit
from isoflop.curve.check import floor, front
from isoflop.curve.judge.answer import Headline
from isoflop.curve.judge.headline import headline
from isoflop.table import aggregate

RECORDS = Path(__file__).parents[3] / "results" / "digits-cpu"


@pytest.fixture(scope="module")
def fitted():
    rows = aggregate.aggregate(RECORDS).rows
    method = fit.Method(laws=fit.FURTHER_LAWS, resamples=200, forecast=False)
    return rows, fit.fit_table(rows, method=method)


def without(report, *laws):
    return dataclasses.replace(report, fits=tuple(f for f in report.fits if f.law not in laws))


def test_an_identified_floor_leads(fitted):
    rows, report = fitted
    assert floor.identified(report)
    assert headline(report) == Headline("power_law_floor", "floor", False)
    support = floor.support(rows, report, front.check(rows))
    assert headline(report, support).law == "power_law_floor"


def test_without_a_floor_the_plain_law_leads_unless_the_points_reject_it(fitted):
    plain = without(fitted[1], "power_law_floor")
    assert headline(plain) == Headline("power_law_ols", "bends", False)
    accepted = tuple(dataclasses.replace(f, lack_of_fit=None) for f in plain.fits)
    assert headline(dataclasses.replace(plain, fits=accepted)) == Headline("power_law_ols", "plain", False)


def test_a_fit_without_a_power_law_has_no_leader(fitted):
    assert headline(without(fitted[1], "power_law_floor", "power_law_ols")) == Headline(None, "none", False)


def test_a_floor_of_undertrained_shapes_does_not_lead(fitted):
    report = fitted[1]
    e, b = (
        floor.parameter(report, law, name) for law, name in (("power_law_floor", "E"), ("power_law_ols", "b"))
    )
    poor = floor.FloorSupport(("w1",), 3, e, True, b, None, False, b, None)
    assert headline(report, poor) == Headline("power_law_ols", "bends", True)
