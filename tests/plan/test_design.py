"""Designs: derivatives against differences, information against matrices, choices against all choices."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from isoflop.plan.design import fitted, search
from isoflop.plan.design.information import Choice, Noise, Problem
from isoflop.plan.design.laws import Curve, Goal, LocalLaw, local_laws

POWER = Curve(0.0, 0.1, 0.3, math.log(1e3))
FLOOR = Curve(0.03, 0.07, 0.4, math.log(1e3))
GOALS = (Goal("exponent"), Goal("irreducible_error"), Goal("reach", 0.05))
X = np.log(np.array([1.0, 30.0, 1e3, 3e4]))


def laws(goal: Goal) -> tuple[LocalLaw, ...]:
    return local_laws(POWER, FLOOR, 0.4, goal, math.log(1e3))


def problem(goal: Goal, costs: tuple[float, ...] = (1.0, 3.0, 9.0, 27.0)) -> Problem:
    points = np.geomspace(1.0, 1e4, len(costs))
    choices = tuple(
        Choice(np.log(np.array([x])), i, cost) for i, (x, cost) in enumerate(zip(points, costs, strict=True))
    )
    existing = ((0.0, len(costs)), (math.log(30), len(costs) + 1), (math.log(1e3), len(costs) + 2))
    return Problem(laws(goal), Noise(1e-3, 1e-3), choices, len(costs) + 3, existing)


@pytest.mark.parametrize("bent", [False, True])
def test_derivatives_are_those_of_the_floor_law(bent: bool) -> None:
    law = next(each for each in laws(GOALS[0]) if each.name == "power_law_floor" and each.bent == bent)
    step = 1e-6
    curve = law.curve
    y_0 = curve.floor + curve.falling
    moved = [
        Curve(curve.floor + step * y_0, curve.falling, curve.b, curve.log_x0),
        Curve(curve.floor, curve.falling * math.exp(step), curve.b, curve.log_x0),
        Curve(curve.floor, curve.falling, curve.b + step, curve.log_x0),
    ]
    expected = np.stack([(each.log_y(X) - curve.log_y(X)) / step for each in moved], axis=-1)
    assert law.jacobian(X)[:, :3] == pytest.approx(expected, rel=1e-4, abs=1e-6)
    if bent:
        assert law.jacobian(X)[:, 3] == pytest.approx(((X - curve.log_x0) / law.span) ** 2)


def test_the_reach_changes_as_the_curve_does() -> None:
    law = next(each for each in laws(GOALS[2]) if each.name == "power_law_floor" and not each.bent)
    steeper = Curve(FLOOR.floor, FLOOR.falling, FLOOR.b + 1e-6, FLOOR.log_x0)
    change = (steeper.reach(0.05) - FLOOR.reach(0.05)) / 1e-6
    assert law.gradient[2] == pytest.approx(change, rel=1e-4)


def test_laws_without_the_goal_are_left_out() -> None:
    assert {law.name for law in laws(GOALS[1])} == {"power_law_floor"}
    assert {law.name for law in laws(Goal("reach", 0.02))} == {"power_law"}
    assert {law.name for law in laws(Goal("reach", 0.031))} == {"power_law", "power_law_floor"}
    for goal in GOALS:
        assert sum(law.weight for law in laws(goal)) == pytest.approx(1.0)


def test_information_is_that_of_the_whole_covariance() -> None:
    made = problem(GOALS[0])
    noise = made.noise
    shared = Choice(X[:3], 0, 1.0)
    two = Problem(made.laws, noise, (shared,), 1, ())
    law = made.laws[0]
    jacobian = np.repeat(law.jacobian(X[:3]), 2, axis=0)  # two seeds of a trunk with three points
    covariance = noise.seed * np.eye(6) + noise.config * np.ones((6, 6))
    whole = jacobian.T @ np.linalg.inv(covariance) @ jacobian + np.diag(law.prior)
    expected = 0.5 * math.log(law.gradient @ np.linalg.inv(whole) @ law.gradient)
    alone = Problem(
        (LocalLaw(law.name, law.curve, False, 1.0, law.span, law.gradient),), noise, two.choices, 1, ()
    )
    assert alone.criterion(search.states(alone, Counter({0: 2}))) == pytest.approx(expected)


def test_a_further_seed_is_judged_as_if_it_were_there() -> None:
    made = problem(GOALS[2])
    parts, now = made.parts(), made.start()
    ahead = made.criteria_with(now, parts, np.arange(4))
    for index in range(4):
        assert ahead[index] == pytest.approx(made.criterion(search.states(made, Counter({index: 1}))))


def test_counting_makes_small_errors_noisier() -> None:
    noise = Noise(1e-3, 1e-3, counted=1000.0)
    at = noise.own(np.log(np.array([0.5, 0.01])))
    assert at == pytest.approx([1e-3 + 1 / 1000, 1e-3 + 99 / 1000])


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.kind)
def test_the_plan_is_within_two_per_cent_of_the_best_of_all(goal: Goal) -> None:
    made = problem(goal)
    budget = 30.0
    every = [
        Counter(dict(enumerate(seeds)))
        for seeds in itertools.product(range(6), repeat=4)
        if search.cost(made, Counter(dict(enumerate(seeds)))) <= budget
    ]
    least = min(made.criterion(search.states(made, design)) for design in every)
    design = search.best(made, budget)
    assert search.cost(made, design) <= budget
    assert made.criterion(search.states(made, design)) <= least + 0.02
    for rival in (search.uniform(made, budget), search.largest(made, budget)):
        assert search.cost(made, rival) <= budget
        assert (
            made.criterion(search.states(made, design)) <= made.criterion(search.states(made, rival)) + 1e-9
        )


def test_rivals() -> None:
    made = problem(GOALS[0])
    assert search.uniform(made, 40.0) == Counter({0: 1, 1: 1, 2: 1, 3: 1})
    assert len(search.uniform(made, 39.9)) == 3
    assert search.largest(made, 60.0) == Counter({3: 2, 1: 2})
    assert search.again(made, 9.0, [0, 1]) == Counter({0: 3, 1: 2})


def test_a_search_for_rates_is_paid_once() -> None:
    choices = (Choice(np.array([0.0]), 0, 2.0, first=4.0),)
    made = Problem(laws(GOALS[0]), Noise(1e-3, 1e-3), choices, 1, ())
    assert search.cost(made, Counter({0: 3})) == pytest.approx(10.0)
    assert not search.best(made, 5.9)
    assert search.best(made, 6.1) == Counter({0: 1})


def test_noise_is_told_apart() -> None:
    random = np.random.default_rng(3)
    config = np.repeat(np.arange(400), 2)
    log_x = np.repeat(np.linspace(0, 7, 400), 2)
    mean = -0.3 * log_x
    log_y = mean + 0.05 * random.standard_normal(400)[config] + 0.02 * random.standard_normal(800)
    noise, replicated = fitted.noise(log_x, log_y, config, config, mean, None)
    assert replicated
    assert math.sqrt(noise.config) == pytest.approx(0.05, rel=0.1)
    assert math.sqrt(noise.seed) == pytest.approx(0.02, rel=0.1)
    alone, replicated = fitted.noise(log_x[::2], log_y[::2], config[::2], config[::2], mean[::2], None)
    assert not replicated
    assert alone.seed == alone.config
