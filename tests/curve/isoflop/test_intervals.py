"""Intervals of optima: known only where nearly all resamples have one, and within the sizes measured."""

import types
from typing import Any

import numpy as np
import pytest

from isoflop.curve import bootstrap
from isoflop.curve.isoflop import intervals, parabola, profiles
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


def of_budgets(coefficient, vertex, level=0.95):
    """Parabolas (r, 1, q) of one budget with their vertices (r, 1, k)."""
    return types.SimpleNamespace(coefficient=np.array(coefficient), vertex=np.array(vertex), level=level)


DESIGN: Any = types.SimpleNamespace(middle=np.array([[2.0, 1.0]]), half=np.array([[0.5, 1.5]]))


def test_a_slice_is_the_parabola_over_the_sizes_measured():
    one: Any = types.SimpleNamespace(middle=DESIGN.middle[:, :1], half=DESIGN.half[:, :1])
    fitted: Any = of_budgets([[[0.1, -0.2, 0.3]]], [[[1 / 3]]])
    (piece,) = profiles._slices(fitted, one, 0, 9)
    u = np.linspace(-1, 1, profiles.SLICE_POINTS)
    np.testing.assert_allclose(piece.size, np.exp(2.0 + 0.5 * u))
    np.testing.assert_allclose(piece.y, np.exp(0.1 - 0.2 * u + 0.3 * u**2))
    assert piece.low == piece.y == piece.high, "without resamples there is no interval"


def test_of_two_sizes_each_slice_holds_the_other_at_its_best_within_what_was_measured():
    """ln y = u1^2 + u2^2 + u1 u2 / 2 - u1 + 4 u2, whose vertex in u2 lies below the sizes."""
    coefficient = [0.0, -1.0, 4.0, 1.0, 0.5, 1.0]
    vertex = np.linalg.solve([[2.0, 0.5], [0.5, 2.0]], [1.0, -4.0])
    assert vertex[1] < -1
    assert -1 < vertex[0] < 2
    fitted: Any = of_budgets([[coefficient]], [[vertex]])
    first, second = profiles._slices(fitted, DESIGN, 0, 20)
    u = np.linspace(-1, 1, profiles.SLICE_POINTS)
    a, b = np.clip(vertex, -1, 1)

    def y(one, other):
        return np.exp(one**2 + other**2 + one * other / 2 - one + 4 * other)

    np.testing.assert_allclose(first.y, y(u, b))
    np.testing.assert_allclose(second.y, y(a, u))
    np.testing.assert_allclose(second.size, np.exp(1.0 + 1.5 * u))


def test_a_slice_has_the_interval_of_its_resamples_and_holds_its_own_curve():
    one: Any = types.SimpleNamespace(middle=DESIGN.middle[:, :1], half=DESIGN.half[:, :1])
    levels = np.r_[0.0, np.linspace(-0.1, 0.3, 101)]
    coefficient = np.stack([[[level, 0.0, 0.3]] for level in levels])
    fitted: Any = of_budgets(coefficient, np.zeros((102, 1, 1)))
    (piece,) = profiles._slices(fitted, one, 0, 9)
    low, high = bootstrap.interval(levels[1:, None], 9, 3, level=0.95)
    middle = profiles.SLICE_POINTS // 2
    ends = np.log([piece.low[middle], piece.high[middle]]) - np.log(piece.y[middle])
    np.testing.assert_allclose(ends, [low[0], high[0]], rtol=1e-6)
    (few,) = profiles._slices(fitted, one, 0, 3)
    assert few.low == few.y == few.high


@pytest.mark.parametrize(("known", "often"), [(50, True), (49, False)])
def test_a_budget_has_an_optimum_if_half_of_its_resamples_do(known, often):
    vertex = np.full((101, 1, 1), np.nan)
    vertex[1 : 1 + known] = 0.2
    assert profiles._often(vertex).tolist() == [often], "the sample itself does not count"
    assert profiles._often(np.zeros((1, 1, 1))).tolist() == [True]
    assert profiles._often(np.full((1, 1, 1), np.nan)).tolist() == [False]


def test_the_vertex_is_where_the_quadratic_is_level():
    generator = np.random.default_rng(0)
    coefficient = np.array([0.3, -0.4, 0.8, 1.0, 0.6, 1.4])
    (found,) = parabola.vertices(coefficient[None, None], 2)[0]
    at = parabola.quadratic(found[None]) @ coefficient
    around = parabola.quadratic(found + 0.01 * generator.standard_normal((50, 2))) @ coefficient
    assert (around > at).all()
    step = 1e-6
    for j in range(2):
        up, down = (
            parabola.quadratic((found + sign * step * np.eye(2)[j])[None]) @ coefficient for sign in (1, -1)
        )
        assert (up - down)[0] / (2 * step) == pytest.approx(0.0, abs=1e-8)
    saddle = np.array([0.3, -0.4, 0.8, 1.0, 3.0, 1.4])
    assert np.isnan(parabola.vertices(saddle[None, None], 2)).all()
