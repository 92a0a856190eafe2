"""Intervals of optima: known only where nearly all resamples have one, and within the sizes measured."""

import types
from typing import Any

import numpy as np
import pytest

from isoflop.curve.isoflop import intervals, profiles
from isoflop.curve.measured import MeasuredRange
from isoflop.curve.result import Estimate, Interval


@pytest.mark.parametrize(("flat", "known"), [(0, True), (5, True), (6, False), (100, False)])
def test_an_interval_needs_95_of_100_resamples_with_an_optimum(flat, known):
    draws = np.linspace(0.0, 1.0, 100)
    draws[50 : 50 + flat] = np.nan
    draws[: max(0, flat - 50)] = np.nan
    found = intervals.interval(draws, 20, 3)
    assert (found.low is not None) == known
    assert (found.high is not None) == known


def test_an_interval_needs_more_configurations_than_parameters():
    draws = np.linspace(0.0, 1.0, 100)
    assert intervals.interval(draws, 6, 6).low is None
    assert intervals.interval(draws, 7, 6).low is not None
    assert intervals.interval(draws[:0], 20, 3) == Interval(None, None)


def test_an_estimate_lies_within_its_own_interval():
    draws = np.r_[2.0, np.linspace(0.0, 1.0, 200)]
    found = intervals.estimate("N", "parameters", draws, 1000, 3)
    assert found.value == pytest.approx(np.exp(2.0))
    assert found.interval.high == pytest.approx(np.exp(2.0)), "the sample's own value is no less likely"
    assert found.interval.low == pytest.approx(np.exp(0.02), rel=0.01)
    below = intervals.estimate("N", "parameters", np.r_[-1.0, draws[1:]], 1000, 3)
    assert below.interval.low == pytest.approx(np.exp(-1.0))


@pytest.mark.parametrize(
    ("interval", "kept"),
    [
        ((1.0, 5.0), (1.0, 5.0)),
        ((0.99, 5.0), (None, 5.0)),
        ((1.0, 5.01), (1.0, None)),
        ((None, 4.0), (None, 4.0)),
        ((2.0, None), (2.0, None)),
    ],
)
def test_an_interval_ends_where_the_sizes_measured_do(interval, kept):
    found = intervals.within(Estimate("N", 3.0, Interval(*interval), "1"), MeasuredRange("N", 1.0, 5.0))
    assert (found.interval.low, found.interval.high) == kept
    assert found.value == 3.0


@pytest.mark.parametrize(("vertex", "side"), [(1.0, None), (1.001, "above"), (-1.0, None), (-1.001, "below")])
def test_an_optimum_at_the_edge_of_the_sizes_is_one_and_beyond_it_none(vertex, side):
    reason = profiles._no_optimum(
        np.array([vertex]), ("N",), np.array([np.log(10.0)]), np.array([np.log(2.0)])
    )
    assert (reason is None) == (side is None)
    if side:
        assert f"the least y lies {side} the N measured, 5 to 20: run" in reason
        assert ("larger N" in reason) == (side == "above")


@pytest.mark.parametrize(
    ("low", "high", "closed"), [(1.0, 3.0, True), (None, 3.0, False), (1.0, None, False), (None, None, False)]
)
def test_budgets_whose_optimum_has_an_open_interval_are_named(low, high, closed):
    best = types.SimpleNamespace(interval=Interval(low, high))
    budgets: Any = [
        types.SimpleNamespace(compute=100.0, reason=None, optimum=(best,)),
        types.SimpleNamespace(compute=1e4, reason="two sizes", optimum=None),
    ]
    said = profiles._warnings(tuple(budgets), "flops")
    open_ended = "no closed interval of the optimum at flops 100: few sizes, or it reaches beyond them"
    assert said == ("flops about 1e+04: two sizes", *(() if closed else (open_ended,)))
