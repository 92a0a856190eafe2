"""Which recipe the sweeps take, decided on training losses made up here."""

from __future__ import annotations

import math

import pytest

from isoflop.sweep.campaign import recipe_check
from isoflop.sweep.campaign.recipe_check import ALLOWED_RATIO, Candidate, Recipe, RecipeSearch

SEARCH = RecipeSearch(
    overrides=(),
    candidates=(Candidate("a", ("model.x=a",)), Candidate("b", ("model.x=b",))),
    rate_factors=(1.0, 0.5),
    widths=(64, 128),
    depths=(2, 3),
)
RATES = {"a": 0.1, "b": 0.2}
A, A_SLOW, B, B_SLOW = SEARCH.recipes()
HEALTHY = {(64, 2): 0.20, (64, 3): 0.17, (128, 2): 0.14, (128, 3): 0.10}
"""Training losses that fall with width and with depth."""


def losses(**of_recipe):
    """losses(a={shape: loss}, b_slow={...}) by recipe and shape."""
    names = {"a": A, "a_slow": A_SLOW, "b": B, "b_slow": B_SLOW}
    return {
        (names[name], shape): loss for name, by_shape in of_recipe.items() for shape, loss in by_shape.items()
    }


def scaled(factor, **changed):
    return {shape: factor * loss for shape, loss in (HEALTHY | changed.get("at", {})).items()}


def test_the_best_recipe_is_taken_when_depth_and_width_help():
    found = losses(a=scaled(1.2), b=scaled(1.0), a_slow={(64, 3): 0.3}, b_slow={(64, 3): 0.4})
    decision = recipe_check.decide(SEARCH, found, RATES)
    assert (decision.recipe, decision.accepted, decision.rejected) == (B, True, ())
    assert decision.overrides == ("model.x=b", "optim.lr=0.2")
    assert "accepted" in decision.message
    assert len(decision.comparisons) == 4
    assert decision.untried == 0


@pytest.mark.parametrize(
    ("worse", "pair"),
    [
        ({(64, 2): 0.1}, ((64, 2), (64, 3))),
        ({(128, 3): 0.169}, ((128, 2), (128, 3))),
        ({(128, 2): 0.25}, ((64, 2), (128, 2))),
    ],
)
def test_a_recipe_under_which_a_larger_network_trains_worse_is_passed_over(worse, pair):
    found = losses(a=scaled(1.0, at=worse), a_slow=scaled(1.5), b={(64, 3): 0.9})
    decision = recipe_check.decide(SEARCH, found, RATES)
    assert (decision.recipe, decision.accepted) == (A_SLOW, True)
    assert decision.rejected == (A,)
    assert decision.overrides[-1] == "optim.lr=0.05"
    failed = [c for c in recipe_check.compare(SEARCH, A, found) if not c.passed]
    assert pair in [(c.smaller, c.larger) for c in failed]


def test_differences_within_the_noise_of_healthy_seeds_are_none():
    at_the_limit = losses(a=scaled(1.0, at={(128, 3): 0.14 * ALLOWED_RATIO * 0.999}))
    beyond = losses(a=scaled(1.0, at={(128, 3): 0.14 * ALLOWED_RATIO * 1.001}))
    assert recipe_check.decide(SEARCH, at_the_limit, RATES).accepted
    assert not recipe_check.decide(SEARCH, beyond, RATES).accepted
    assert pytest.approx(1.098, abs=1e-3) == ALLOWED_RATIO


def test_the_h200s_first_recipe_would_have_been_refused():
    """Training losses of results/cifar10-h200-fixed-recipe, geometric means over seeds."""
    measured = losses(a={(64, 2): 0.216, (64, 3): 0.283, (128, 2): 0.233, (128, 3): 0.309})
    decision = recipe_check.decide(SEARCH, measured, RATES)
    assert not decision.accepted
    assert "w64 d3 has 1.31 times the training loss of w64 d2" in decision.message
    assert "w128 d3 has 1.33 times the training loss of w128 d2" in decision.message


def test_without_a_confirmed_recipe_the_least_loss_at_the_largest_shape_counts():
    found = losses(a=scaled(1.0, at={(128, 3): 0.5}), b=scaled(1.1, at={(128, 3): 0.4}))
    decision = recipe_check.decide(SEARCH, found, RATES)
    assert (decision.recipe, decision.accepted) == (B, False)
    assert decision.rejected == (A,)
    assert decision.message.startswith("b, rate x 1: NOT accepted")


def test_what_was_not_trained_is_not_accepted():
    found = losses(a={(64, 3): 0.3}, b={(64, 3): 0.2})
    decision = recipe_check.decide(SEARCH, found, RATES)
    assert (decision.recipe, decision.accepted) == (B, False)
    assert "4 of 4 comparisons were not made" in decision.message
    assert decision.untried == 2 + 2 * 3, "two recipes at the first shape, two on the others"


def test_a_search_is_over_when_nothing_untried_can_change_it():
    bad = {(128, 3): 0.9}
    every = losses(a=scaled(1.0, at=bad), b=scaled(1.2, at=bad), a_slow={(64, 3): math.inf})
    assert recipe_check.decide(SEARCH, every, RATES).untried == 1, "b_slow at the first shape"
    ended = every | losses(b_slow={(64, 3): math.inf})
    decision = recipe_check.decide(SEARCH, ended, RATES)
    assert (decision.accepted, decision.untried) == (False, 0)
    assert recipe_check.decide(SEARCH, losses(), RATES).untried == 4


def test_runs_that_diverge_rank_last_and_fail_comparisons():
    dead = losses(a={(64, 3): math.inf}, a_slow=scaled(1.0, at={(128, 3): math.inf}), b=scaled(2.0))
    assert recipe_check.rank(SEARCH, dead) == (A_SLOW, B)
    decision = recipe_check.decide(SEARCH, dead, RATES)
    assert (decision.recipe, decision.rejected) == (B, (A_SLOW,))
    kept = {(each.recipe, each.width, each.depth): each.train_loss for each in decision.losses}
    assert kept[A, 64, 3] is None
    assert kept[B, 64, 3] == pytest.approx(0.34)


def test_without_any_training_loss_the_shipped_recipe_stays():
    for found in (losses(), losses(a={(64, 3): math.inf})):
        decision = recipe_check.decide(SEARCH, found, RATES)
        assert (decision.recipe, decision.overrides, decision.accepted) == (None, (), False)
        assert "untested" in decision.message


def test_equal_losses_go_to_the_first_candidate():
    assert recipe_check.rank(SEARCH, losses(b={(64, 3): 0.2}, a={(64, 3): 0.2}))[0] == Recipe("a", 1.0)
