"""Time left of a sweep: from runs of the same shape, else from all, else unknown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from isoflop.config import Config
from isoflop.sweep import grid
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local.time_left import TimeLeft, Underway

MakeConfig = Callable[..., Config]


@pytest.fixture
def runs(make_config: MakeConfig) -> tuple[PlannedRun, ...]:
    """Two shapes of two seeds: the wide one of 10 GFLOPs a run, the narrow one of 1."""
    made = grid.expand(make_config("model.width=16,4", "seed=0,1"))
    return tuple(
        dataclasses.replace(run, planned_train_flops=1e10 if run.config.model.width == 16 else 1e9)
        for run in made
    )


def test_nothing_is_known_before_a_run_has_got_anywhere(runs: tuple[PlannedRun, ...]) -> None:
    left = TimeLeft(runs)
    waiting = [run.run_id for run in runs[1:]]
    assert left.seconds(waiting, [Underway(runs[0], None, 3.0)], 1) is None
    assert left.seconds(waiting, [Underway(runs[0], 0.01, 3.0)], 1) is None


def test_a_shape_is_as_fast_as_its_own_runs(runs: tuple[PlannedRun, ...]) -> None:
    wide, narrow = ([run for run in runs if run.config.model.width == width] for width in (16, 4))
    left = TimeLeft(runs)
    left.ended(wide[0].run_id, 100.0)
    # Of the narrow shape nothing is known: a tenth of the FLOPs, a tenth of the time.
    assert left.seconds([narrow[0].run_id], [], 1) == pytest.approx(10.0)
    left.ended(narrow[0].run_id, 60.0)
    assert left.seconds([narrow[1].run_id], [], 1) == pytest.approx(60.0)
    assert left.seconds([wide[1].run_id], [], 1) == pytest.approx(100.0)


def test_runs_in_hand_count_for_what_is_left_of_them(runs: tuple[PlannedRun, ...]) -> None:
    left = TimeLeft(runs)
    underway = [Underway(runs[0], 0.25, 20.0), Underway(runs[1], None, 1.0)]
    assert left.seconds([], underway, 2) == pytest.approx(79.0)  # the second has the longer way


def test_uncounted_flops_make_all_runs_the_same(runs: tuple[PlannedRun, ...]) -> None:
    uncounted = tuple(dataclasses.replace(run, planned_train_flops=None) for run in runs)
    left = TimeLeft(uncounted)
    left.ended(runs[0].run_id, 7.0)
    assert left.seconds([run.run_id for run in runs[1:]], [], 1) == pytest.approx(21.0)
