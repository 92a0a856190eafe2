"""Verdicts on a lever: from the interval of b, and from the smallest change that would have been seen."""

from __future__ import annotations

import pytest

from isoflop.curve.compare.result import Difference, Moved
from isoflop.curve.judge import levers
from isoflop.curve.levers.result import LeverRow, OnAxis, RateSearch
from isoflop.curve.result import Interval


def lever(
    ends: tuple[float | None, float | None], seen: float | None, moved: Moved = "cannot be told"
) -> LeverRow:
    low, high = ends
    middle = 0.0 if low is None or high is None else (low + high) / 2
    b = Difference("b", "E = 0", middle, Interval(low, high), 0.5, seen, "1")
    own = OnAxis("train_gflops", None, None, None, "none", moved, "power_law", b, None, b, 0.5, 0.5)
    rates = RateSearch(4, 0, 0, None, None)
    return LeverRow("muon", "", "muon", 12, 4, 4, None, own, own, None, 0.0, None, (), rates, ())


@pytest.mark.parametrize(
    ("ends", "seen", "moved", "answer"),
    [
        ((-0.02, 0.02), 0.03, "factor", "agrees"),
        ((-0.02, 0.02), 0.03, "cannot be told", "agrees"),
        ((-0.04, 0.04), 0.051, "cannot be told", "cannot be told"),
        ((-0.04, 0.04), None, "cannot be told", "cannot be told"),
        ((None, None), None, "factor", "cannot be told"),
        ((0.03, 0.07), 0.03, "exponent", "disagrees"),
        ((0.01, 0.15), 0.09, "exponent", "disagrees"),
        ((-0.01, 0.15), 0.09, "exponent", "cannot be told"),
        ((-0.01, 0.06), 0.04, "cannot be told", "compatible but not decisive"),
        ((-0.01, 0.02), 0.04, "shape", "compatible but not decisive"),
    ],
)
def test_a_lever_is_judged_by_its_interval_and_by_what_would_have_been_seen(
    ends: tuple[float | None, float | None], seen: float | None, moved: Moved, answer: str
) -> None:
    assert levers.of_lever(lever(ends, seen, moved)).answer == answer


def test_one_lever_that_moves_b_decides_and_one_that_cannot_be_told_leaves_it_open() -> None:
    still, blind, moves = (
        lever((-0.02, 0.02), 0.03),
        lever((-0.2, 0.2), 0.3),
        lever((0.03, 0.07), 0.03, "exponent"),
    )
    assert levers.of_levers([still, still]).answer == "agrees"
    assert levers.of_levers([still, blind]).answer == "cannot be told"
    assert "a change of b below 0.3 would not have been seen" in levers.of_levers([still, blind]).why
    assert levers.of_levers([still, blind, moves]).answer == "disagrees"
    assert levers.of_levers([]).answer == "cannot be told"
