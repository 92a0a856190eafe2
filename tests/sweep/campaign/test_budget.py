"""Which runs fit into a phase, in which order others are left out, and how long a phase may take."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.sweep.campaign import budget
from isoflop.sweep.campaign.budget import CostedRun, Pace
from isoflop.sweep.grid import PlannedRun

EVEN = Pace(wall_seconds=1e9, predicted_seconds=1e9)
"""A wall-clock second for a predicted one."""


@pytest.fixture(scope="module")
def run_of():
    """run_of(width, seed) -> a planned run."""
    from isoflop.config.compose import compose_config

    base = compose_config(("model=mlp", "model.width=8"), None)

    def make(width, seed):
        model = dataclasses.replace(base.model, width=width)
        config = dataclasses.replace(base, model=model, seed=seed)
        return PlannedRun(config.run_id, {}, config)

    return make


def test_further_seeds_go_first_and_then_the_costliest(run_of):
    runs = [CostedRun(run_of(w, s), float(w)) for w in (1, 2, 4) for s in (0, 1)]
    order = [(each.planned.config.model.width, each.planned.config.seed) for each in budget.preference(runs)]
    assert order == [(1, 0), (2, 0), (4, 0), (1, 1), (2, 1), (4, 1)]
    chosen = budget.select(runs, 9.0, EVEN)
    assert [each.planned.run_id for each in chosen.chosen] == [
        each.planned.run_id
        for each in runs
        if (each.planned.config.model.width, each.planned.config.seed) in {(1, 0), (2, 0), (4, 0), (1, 1)}
    ]  # in the order given
    assert [each.train_seconds for each in chosen.left_out] == [2.0, 4.0]
    assert chosen.train_seconds == 8.0


@given(
    costs=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), min_size=1, max_size=12, unique=True),
    seconds=st.floats(0, 40),
)
def test_what_is_chosen_fits_and_nothing_more_would(run_of, costs, seconds):
    runs = [CostedRun(run_of(width, seed), float(width)) for width, seed in costs]
    selection = budget.select(runs, seconds, EVEN)
    assert selection.train_seconds <= seconds + 1e-9
    assert len(selection.chosen) + len(selection.left_out) == len(runs)
    full = seconds * (1 - 1e-6)  # a pace is never exactly 1
    assert all(selection.train_seconds + each.train_seconds > full for each in selection.left_out)


def test_a_run_that_cannot_be_predicted_is_left_to_the_limit(run_of):
    unknown = CostedRun(run_of(1, 0), None)
    selection = budget.select([unknown, CostedRun(run_of(2, 0), 0.0)], 0.0, EVEN)
    assert unknown in selection.chosen
    assert selection.train_seconds is None


def test_the_pace_starts_at_the_prior_and_follows_what_is_measured():
    assert Pace().wall_per_predicted == pytest.approx(budget.PRIOR_WALL_PER_TRAINING)
    slow = Pace().after(300.0, 100.0)
    assert budget.PRIOR_WALL_PER_TRAINING < slow.wall_per_predicted < 3.0
    assert slow.after(3e6, 1e6).wall_per_predicted == pytest.approx(3.0, rel=1e-3)


def test_a_phase_ends_with_its_share_of_the_time():
    assert budget.ends((0.1, 0.6, 0.0, 0.3)) == pytest.approx((0.1, 0.7, 0.7, 1.0))
    assert budget.ends((0.2, 0.2)) == pytest.approx((0.5, 1.0))  # shares are of the phases that were chosen
    assert budget.ends((0.0,)) == (1.0,)
