"""Scales of targets are round, and the parts of a point give back the amounts of the forecast."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import pytest

from isoflop.plan import grid
from isoflop.plan.amount import Amount, over, power
from isoflop.plan.costing import Costing
from isoflop.plan.rates import Rates
from isoflop.plan.result import LawCost
from isoflop.plan.sizes import AmountAt, Sizes


@pytest.mark.parametrize(
    ("least", "most", "chosen"),
    [
        (0.005, 0.14, (0.02, 0.01, 0.005)),
        (0.5, 2.83, (2.0, 1.0, 0.5)),
        (0.0413, 0.8, (0.037,)),
        (0.9, 0.91, ()),
    ],
)
def test_a_scale_is_round_and_even_and_holds_what_was_chosen(
    least: float, most: float, chosen: Sequence[float]
) -> None:
    found = grid.scale(least, most, chosen)
    assert list(found) == sorted(set(found), reverse=True)
    assert set(chosen) <= set(found)
    assert found[-1] <= least
    assert found[0] <= max(most, *chosen, least)
    assert 2 <= len(found) <= 3 * grid.STEPS
    assert all(len(f"{value:.6g}".replace(".", "").strip("0")) <= 3 for value in found)
    widest = max(a / b for a, b in itertools.pairwise(found))
    assert math.log(widest) < 2.5 * max(grid.CLOSEST, math.log(most / least) / grid.STEPS)


def rising(factor: float, exponent: float, decades: float) -> AmountAt:
    """An amount that is a power of compute, with an interval that widens with it."""
    return lambda at: power(
        math.log10(factor) + exponent * at,
        math.log10(factor) + (exponent - decades) * at,
        math.log10(factor) + (exponent + decades) * at,
    )


SIZES = Sizes(rising(10, 0.5, 0.02), rising(1, 0.5, 0.0), rising(1e-8, 0.5, 0.01), "")
RATES = Rates(rising(100, 0.1, 0.03), rising(0.1, 0.1, 0.05), None, ())


@pytest.mark.parametrize("span", [(6.0, 5.0, 8.0), (6.0, None, 8.0), (6.0, 5.0, None), (6.0, None, None)])
def test_amounts_follow_from_the_parts_of_a_point_as_the_forecast_forms_them(
    span: tuple[float, float | None, float | None],
) -> None:
    costing = Costing(SIZES, RATES, None, None)
    training = costing.training(span)
    cost = LawCost("power_law", False, 6.0, None, 1.0, None, training, None)
    point = grid._point(cost, costing)
    assert point.span == pytest.approx(span)
    for name, part in zip(grid.PARTS, point.parts, strict=True):
        expected = over(SIZES.forward, *span) if name == "forward" else getattr(training, name)
        assert part is not None
        here, low, high, at_low, at_high = (None if each is None else 10.0**each for each in part)
        at = {span[0]: Amount(here, low, high), span[1]: Amount(at_low), span[2]: Amount(at_high)}
        found = over(at.__getitem__, *span)
        assert (found.value, found.low, found.high) == pytest.approx(
            (expected.value, expected.low, expected.high), nan_ok=True
        ), name


def test_what_is_not_reached_has_its_reason_and_where_it_might_be() -> None:
    costing = Costing(SIZES, RATES, None, None)
    training = dataclasses.replace(costing.training((1, 1, 1)), train_gflops=Amount(None, 100.0))
    cost = LawCost("m3", True, None, "too low", None, None, training, None)
    assert grid._point(cost, costing) == grid.Point("too low", (None, 2.0, None), (None,) * 5)
