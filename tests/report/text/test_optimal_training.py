"""Sentences on training at the best size, from an answer that is written down: thresholds and prices."""

import dataclasses
import math
import types
from typing import Any

import pandas as pd
import pytest

from isoflop.curve.check.amount import LEAST_CONFIGS, LEAST_DECADES
from isoflop.curve.language.result import CountedOptimum, OptimalTraining
from isoflop.curve.measured import BestValue
from isoflop.curve.result import Estimate, Interval
from isoflop.report.text import optimal_training

SEVERAL = pd.Series([3, 3])


def optimum(compute: float, bits: float) -> CountedOptimum:
    best = {f.name: None for f in dataclasses.fields(BestValue)}
    value = BestValue(**best)
    return CountedOptimum(
        compute, value, value, Estimate("bits", bits, Interval(bits - 0.1, bits + 0.1), "b")
    )


def answer(exponent: float = 0.5, low: float | None = 0.4, high: float | None = 0.6) -> OptimalTraining:
    """Budgets of two decades, from 10 to 1000 GFLOPs."""
    curve = tuple(
        optimum(compute, bits) for compute, bits in ((10, 3.0), (100, 2.5), (1000, 2.2), (1e4, 2.0))
    )
    return OptimalTraining(
        law="chinchilla",
        points=40,
        configs=20,
        floor=Estimate("E", 1.2, Interval(1.1, 1.3), "bits"),
        floor_identified=True,
        exponent=Estimate("b", exponent, Interval(low, high), "1"),
        curve=curve,
        largest=curve[2],
        ahead=curve[3],
        misfit=0.01,
        warnings=(),
    )


@pytest.mark.parametrize(
    ("exponent", "low", "high", "value", "bounds"),
    [
        (0.5, 0.25, 1.0, 4.0, (2.0, 16.0)),
        (1.0, 0.5, 2.0, 2.0, (math.sqrt(2), 4.0)),
        (0.5, 0.0, 1.0, 4.0, (2.0, None)),
        (0.5, None, None, 4.0, (None, None)),
        (0.002, 0.001, 0.5, 2.0**500, (4.0, math.inf)),
    ],
)
def test_half_the_loss_costs_two_to_the_inverse_exponent(exponent, low, high, value, bounds):
    half = optimal_training.halving(answer(exponent, low, high))
    assert half.value == pytest.approx(value)
    assert (half.interval.low, half.interval.high) == pytest.approx(bounds)


@pytest.mark.parametrize("least", [1000 / 10 ** (LEAST_DECADES + 0.01), 1000 / 10 ** (LEAST_DECADES - 0.01)])
def test_budgets_must_span_the_decades_up_to_the_largest(least):
    few = answer()
    few = dataclasses.replace(few, curve=(optimum(least, 3.0), *few.curve[1:]))
    headline, sentences = optimal_training.judge(few, SEVERAL, None, None)
    short = least > 1000 / 10**LEAST_DECADES
    assert headline.startswith("Cannot be told") == short
    assert ("budgets span only" in " ".join(sentences)) == short


@pytest.mark.parametrize(("configs", "short"), [(LEAST_CONFIGS - 1, True), (LEAST_CONFIGS, False)])
def test_configurations_must_be_enough(configs, short):
    _, sentences = optimal_training.judge(dataclasses.replace(answer(), configs=configs), SEVERAL, None, None)
    assert (f"only {configs} configurations, {LEAST_CONFIGS} are needed" in " ".join(sentences)) == short


@pytest.mark.parametrize(("seeds", "single"), [((1, 1), True), ((1, 2), False), ((2, 2), False), ((), False)])
def test_a_single_seed_everywhere_gives_no_answer(seeds, single):
    _, sentences = optimal_training.judge(answer(), pd.Series(seeds, dtype=int), None, None)
    assert ("single seed" in " ".join(sentences)) == single


def checked(*names):
    return types.SimpleNamespace(undertrained_names=names)


def test_undertrained_shapes_are_left_out_or_said_to_be_in():
    support: Any = object()
    said = [
        " ".join(optimal_training.judge(answer(), SEVERAL, report, of)[1])
        for report, of in (
            (None, None),
            (checked(), support),
            (checked("w8 d1"), None),
            (checked("w8 d1"), support),
        )
    ]
    assert [("undertrained" in text) for text in said] == [False, False, True, True]
    assert "Left out as undertrained: w8 d1, whose training loss" in said[2]
    assert "is fitted to undertrained shapes too (w8 d1): isoflop report --exclude" in said[3]


def test_headline_and_range_are_those_of_the_answer():
    headline, sentences = optimal_training.judge(answer(), SEVERAL, None, None)
    assert headline.startswith("At the best size for each budget, loss falls towards about 1.2")
    assert "compute to the power −0.5" in headline
    assert sentences[0].startswith("Here 40 runs of 20 configurations cross sizes and budgets.")
    assert "3.000 bits a byte (95% interval 2.900 to 3.100) at 10.0 GFLOPs and 2.200" in sentences[0]
