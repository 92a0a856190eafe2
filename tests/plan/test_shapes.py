"""New shapes, their work by the closed form, and what a run of a recipe sees."""

from __future__ import annotations

import pytest

from isoflop.plan import recipe, shapes


def work(shape: recipe.Shape) -> tuple[float]:
    width, depth = shape
    return (300.0 * width + (depth or 0) * (72.0 * width**2 + 5.0 * width) + 10.0,)


KNOWN = {(w, d): work((w, d)) for w in (4, 8, 16, 32) for d in (1, 2, 3)}


def test_shapes_lie_between_and_beyond() -> None:
    made = shapes.further(((4, 1), (8, 1), (8, 2)), scaled=True)
    assert (4, 2) in made
    assert (32, 3) in made  # four times the widest, and one deeper
    assert all(width % 4 == 0 and width <= 32 for width, _ in made)
    assert not set(made) & {(4, 1), (8, 1), (8, 2)}
    assert shapes.further(((4, 1), (8, 1)), scaled=True)[-1] == (32, 1)  # one depth stays one
    assert shapes.further(((4, 1),), scaled=False) == ()


def test_the_closed_form_is_exact_beyond_the_shapes() -> None:
    form = shapes.closed_form(KNOWN)
    assert form is not None
    assert form((256, 5)) == pytest.approx(work((256, 5)), rel=1e-9)


def test_no_form_is_made_of_what_does_not_follow_it() -> None:
    assert shapes.closed_form(KNOWN | {(16, 2): (1.001 * work((16, 2))[0],)}) is None
    few = {shape: KNOWN[shape] for shape in [(4, 1), (8, 1), (16, 1)]}
    assert shapes.closed_form(few) is None  # as many coefficients as shapes: nothing checks it
    assert shapes.closed_form(few | {(32, 1): KNOWN[32, 1]}) is not None


def test_examples_are_those_of_whole_steps() -> None:
    settings = {"optim.batch_size": 32, "schedule.epochs": 10.0, "schedule.shape": "wsd"}
    assert recipe.examples(settings, 898, 1.0) == 8960  # results/digits-cpu: 28 steps an epoch
    by_steps = {"optim.batch_size": 32, "schedule.steps": 5}
    assert recipe.examples(by_steps, 898, 1.0) == 160
    by_flops = {"optim.batch_size": 10, "schedule.train_gflops": 1.0}
    assert recipe.examples(by_flops, 898, 1e6) == 1000
    trunk = {"schedule.shape": "wsd", "schedule.decay_fraction": 0.2, "schedule.cooldowns": (0.25, 0.5, 1.0)}
    assert recipe.spent(trunk) == pytest.approx(1.15)
    assert recipe.spent({"schedule.shape": "wsd", "schedule.decay_fraction": 0.2}) == 1.0


def test_rates_are_searched_where_none_is_known() -> None:
    existing = {((4, 1), 0): (0,), ((16, 2), 0): (0,)}
    standard = recipe.Recipe(
        {"model.parametrization": "standard"}, (recipe.Variant(()),), existing, {}, (), True
    )
    assert standard.search((8, 1)) == ()
    assert standard.search((16, 2)) == ()
    assert standard.search((17, 1)) == recipe.FACTORS
    assert standard.search((8, 3)) == recipe.FACTORS
    mup = recipe.Recipe({"model.parametrization": "mup"}, (recipe.Variant(()),), existing, {}, (), True)
    assert mup.search((64, 3)) == ()
    searched = recipe.Recipe({}, (recipe.Variant(()),), existing, {}, (0.25, 1.0), True)
    assert searched.search((4, 1)) == (0.25, 1.0)
