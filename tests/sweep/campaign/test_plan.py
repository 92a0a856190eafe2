"""The shipped plans compose: names exist, the recipe reaches every run, and the limits fill the time."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from isoflop.sweep import grid, held_out
from isoflop.sweep.campaign import plan, sweeps, trials
from isoflop.sweep.campaign.plan import FULL, REHEARSAL

PLANS = pytest.mark.parametrize("shipped", [FULL, REHEARSAL], ids=["full", "rehearsal"])


@PLANS
def test_shares_fill_the_whole_time(shipped):
    assert sum(phase.share for phase in shipped.phases) == pytest.approx(1.0)
    assert len(set(shipped.names)) == len(shipped.names)


def test_the_rehearsal_has_the_phases_of_the_campaign():
    assert REHEARSAL.names == FULL.names
    for toy, full in zip(REHEARSAL.phases, FULL.phases, strict=True):
        assert (toy.kind, toy.held_out, toy.optional) == (full.kind, full.held_out, full.optional)


@functools.cache
def plain(overrides):
    """The runs of a phase before a recipe changes them, composed once for all candidates."""
    return grid.expand(sweeps.compose(overrides, Path("out")))


@pytest.mark.slow
@PLANS
@pytest.mark.parametrize("candidate", plan.CANDIDATES, ids=lambda candidate: candidate.name)
def test_a_candidate_changes_every_run_of_every_sweep_and_takes_none_away(shipped, candidate, tmp_path):
    for phase in (each for each in shipped.phases if each.kind == "sweep"):
        recipe = (*candidate.overrides, "optim.lr=0.0625")
        changed = sweeps.compose((*phase.overrides, *shipped.everywhere, *recipe), tmp_path)
        before, after = plain((*phase.overrides, *shipped.everywhere)), grid.expand(changed)
        assert len(before) == len(after) > 0
        shapes = [
            [(r.config.model.width, r.config.model.depth, r.config.seed) for r in part]
            for part in (before, after)
        ]
        assert shapes[0] == shapes[1]
        for run in after:
            assert run.config.optim.lr == 0.0625
            assert run.config.model.zero_init_residual == (candidate.name == "zero gain")
            assert run.config.model.parametrization == ("mup" if candidate.name == "mup" else "standard")
            assert run.config.directory.parent == tmp_path
        fitted, held = held_out.split(after)
        assert held if phase.held_out else fitted


@pytest.mark.slow
@PLANS
def test_trials_differ_in_recipe_and_shape_only(shipped, tmp_path):
    every = trials.make(
        shipped.recipe, lambda o: sweeps.compose((*o, *shipped.everywhere), tmp_path), tmp_path / "r"
    )
    assert (
        len({run.run_id for run in every.values()}) == len(every) == 4 * len(tuple(shipped.recipe.recipes()))
    )
    assert len({sweeps.label(run) for run in every.values()}) == len(every)
    assert {run.config.directory for run in every.values()} == {tmp_path / "r"}
    for recipe, _ in every:
        rates = {run.config.optim.lr for (other, _), run in every.items() if other == recipe}
        assert rates == {trials.rates(every)[recipe.candidate] * recipe.rate_factor}


def test_the_full_campaign_trains_cifar10_before_fashion_mnist():
    data = [word for phase in FULL.phases for word in phase.overrides if word.startswith("data=")]
    assert data == ["data=cifar10"] * 3 + ["data=fashion_mnist"]
    assert FULL.recipe.ranked_shape == (64, 3)
    assert FULL.recipe.shapes == ((64, 2), (64, 3), (128, 2), (128, 3))
