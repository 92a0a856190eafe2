"""The rule that decides on compiling, at the points that an H200 measured."""

from __future__ import annotations

import dataclasses

import pytest

from isoflop.train.step import saving
from isoflop.train.step.saving import Workload

W4_D1 = (2542239744.0, 382885596.0)
"""FLOPs and bytes a step: CIFAR-10, batch 512, bf16, by the record's own count."""
W64_D3 = (1987906633728.0, 14512391036.0)
W128_D3 = (7944363048960.0, 29070255740.0)
MEASURED = {W4_D1: (2014e-6, 1821e-6), W64_D3: (10451e-6, 7495e-6)}
"""Seconds a step of the plain graph and of the compiled one (docs/performance.md)."""


@pytest.mark.parametrize("shape", list(MEASURED))
def test_the_saving_of_a_step_is_the_measured_one(shape: tuple[float, float]) -> None:
    plain, compiled = MEASURED[shape]
    assert saving.saved_step_seconds(*shape) == pytest.approx(plain - compiled, rel=0.01)
    assert saving.step_seconds(*shape) == pytest.approx(plain, rel=0.5)


def test_break_even_lies_where_it_was_measured() -> None:
    assert saving.break_even_steps(*W64_D3, cached=False) == pytest.approx(5700, rel=0.05)
    assert saving.break_even_steps(*W4_D1, cached=False) == pytest.approx(85_000, rel=0.05)
    assert saving.break_even_steps(*W64_D3, cached=True) == pytest.approx(4 / 2.956e-3, rel=0.05)


@pytest.mark.parametrize(
    ("shape", "steps", "cached", "worthwhile"),
    [
        (W64_D3, 5_000, False, False),
        (W64_D3, 6_500, False, True),
        (W64_D3, 2_000, True, True),
        (W4_D1, 3 * 870, False, False),
        (W4_D1, 3 * 870, True, False),
        (W128_D3, 870, False, False),
        (W128_D3, 4_000, False, True),
    ],
)
def test_runs_of_the_first_sweep(
    shape: tuple[float, float], steps: int, cached: bool, worthwhile: bool
) -> None:
    predicted = saving.predict(Workload(*shape, steps, cached))
    assert predicted is not None
    assert predicted.worthwhile is worthwhile


def test_a_saving_grows_with_bytes_and_steps_and_never_exceeds_its_share() -> None:
    before = 0.0
    for moved in (1e6, 1e8, 1e10, 1e12):
        saved = saving.saved_step_seconds(1e9, moved)
        assert before < saved <= saving.LARGEST_SHARE * saving.step_seconds(1e9, moved)
        before = saved
    one = Workload(*W64_D3, 1000, cached=False)
    ten = dataclasses.replace(one, steps=10_000)
    a, b = saving.predict(one), saving.predict(ten)
    assert a is not None
    assert b is not None
    assert b.saved_seconds == pytest.approx(10 * a.saved_seconds)
    assert b.compile_seconds == a.compile_seconds


def test_unknown_work_predicts_nothing() -> None:
    assert saving.predict(Workload(None, 1e9, 1000, cached=True)) is None
    assert saving.predict(Workload(1e9, None, 1000, cached=True)) is None
