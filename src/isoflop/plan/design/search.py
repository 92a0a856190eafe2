"""Choosing runs within a budget: greedy by gain per cost, then exchange; and the rival designs.

A choice that is bought again gets a further seed. Exchange takes a run out and fills the budget up again
(Fedorov 1972; Cook and Nachtsheim 1980), from several starts, the two rival designs among them, so that the
plan is at least as good as these by its own criterion.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np

from isoflop.plan.design.information import Problem, State

MOST_RUNS = 48
"""Runs of a plan: beyond, another round with a new fit is worth more than a longer list."""
MOST_OF_RIVALS = 10_000
ROUNDS = 3
LEVELS = 8
"""Sizes of the uniform grid."""
Design = Counter[int]
"""Index of a choice -> its seeds."""


def cost(problem: Problem, design: Design) -> float:
    """Return what a design costs, searches for learning rates included."""
    return sum(
        seeds * problem.choices[i].cost + problem.choices[i].first for i, seeds in design.items() if seeds
    )


def states(problem: Problem, design: Design, parts: tuple[State, ...] | None = None) -> tuple[State, ...]:
    """Return the sums of the runs that are there and of a design, for each law."""
    parts = problem.parts() if parts is None else parts
    return problem.with_design(problem.start(), parts, {i: n for i, n in design.items() if n})


def best(problem: Problem, budget: float, least: Design | None = None) -> Design:
    """Return the design of the least criterion that was found within a budget.

    Args:
        problem: what is judged by what.
        budget: in the unit of the choices' costs.
        least: what the design has to hold.
    """
    parts = problem.parts()
    kept = Counter() if least is None else least
    starts: list[Design] = [
        _filled(problem, budget, Counter(kept), parts, per_cost=way) for way in (True, False)
    ]
    for rival in (uniform(problem, budget), largest(problem, budget)):
        allowed = all(seeds <= problem.choices[i].most for i, seeds in rival.items())
        if allowed and not kept - rival and sum(rival.values()) <= MOST_RUNS:
            starts.append(rival)
    made = [_exchanged(problem, budget, start, kept, parts) for start in starts]
    return min(made, key=lambda design: problem.criterion(states(problem, design, parts)))


def _affordable(problem: Problem, budget: float, design: Design) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    left = budget * (1 + 1e-9) - cost(problem, design)
    seeds = np.zeros(len(problem.choices))
    for index, count in design.items():
        seeds[index] = count
    price = problem.costs + np.where(seeds > 0, 0.0, problem.firsts)
    return np.flatnonzero((seeds < problem.most) & (price <= left))


def _filled(
    problem: Problem, budget: float, design: Design, parts: tuple[State, ...], *, per_cost: bool
) -> Design:
    """Return a design with runs added while any fits and helps: the most gain, or the most gain per cost."""
    filled = Counter(design)
    now = states(problem, filled, parts)
    criterion = problem.criterion(now)
    while sum(filled.values()) < MOST_RUNS and len(among := _affordable(problem, budget, filled)):
        gains = criterion - problem.criteria_with(now, parts, among)
        bought = np.array([filled[int(i)] > 0 for i in among])
        price = problem.costs[among] + np.where(bought, 0.0, problem.firsts[among])
        at = int(np.argmax(gains / price if per_cost else gains))
        if gains[at] <= 0:
            break
        index = int(among[at])
        filled[index] += 1
        group = problem.choices[index].group
        now = tuple(state.plus(group, part, index) for state, part in zip(now, parts, strict=True))
        criterion -= float(gains[at])
    return filled


def _exchanged(
    problem: Problem, budget: float, design: Design, least: Design, parts: tuple[State, ...]
) -> Design:
    """Return a design after exchanges of single runs, as long as one helps."""
    now = Counter(design)
    criterion = problem.criterion(states(problem, now, parts))
    for _ in range(ROUNDS):
        before = criterion
        for index in list(now):
            if now[index] <= least[index]:
                continue
            without = now - Counter({index: 1})
            for per_cost in (True, False):
                again = _filled(problem, budget, without, parts, per_cost=per_cost)
                value = problem.criterion(states(problem, again, parts))
                if value < criterion - 1e-9:
                    now, criterion = again, value
                    break
        if criterion > before - 1e-6:
            break
    return now


def _size(problem: Problem, index: int) -> float:
    return float(problem.choices[index].log_x[-1])


def uniform(problem: Problem, budget: float) -> Design:
    """Return the uniform grid: up to LEVELS sizes, evenly spaced in ln x, as far up as the budget allows.

    It begins at the smallest choice; if the whole range fits, further seeds of all sizes are added, the
    smallest sizes first.
    """
    order = sorted(range(len(problem.choices)), key=lambda i: _size(problem, i))
    if not order:
        return Counter()
    first = _size(problem, order[0])
    for levels in range(LEVELS, 0, -1):
        for last in reversed(order):
            wanted = np.linspace(first, _size(problem, last), levels)
            chosen = {
                min(order, key=lambda i: (abs(_size(problem, i) - at), _price(problem, i))) for at in wanted
            }
            design = Counter(dict.fromkeys(chosen, 1))
            if len(chosen) == levels and cost(problem, design) <= budget:
                return _more_seeds(problem, budget, design, sorted(chosen, key=lambda i: _size(problem, i)))
    return Counter()


def largest(problem: Problem, budget: float) -> Design:
    """Return the largest runs that fit: the largest size as often as it does, then the next."""
    design: Design = Counter()
    for index in sorted(range(len(problem.choices)), key=lambda i: (-_size(problem, i), _price(problem, i))):
        design = _more_seeds(problem, budget, design, [index])
    return design


def again(problem: Problem, budget: float, existing: Iterable[int]) -> Design:
    """Return further seeds of the sweep's own configurations in turn, the smallest first, while they fit."""
    order = sorted(existing, key=lambda i: _size(problem, i))
    return _more_seeds(problem, budget, Counter(), order)


def _price(problem: Problem, index: int) -> float:
    return problem.choices[index].cost + problem.choices[index].first


def _more_seeds(problem: Problem, budget: float, design: Design, order: Iterable[int]) -> Design:
    """Return a design with further seeds of some choices in turn, while they fit."""
    made, turn, spent = Counter(design), list(order), cost(problem, design)
    while turn and sum(made.values()) < MOST_OF_RIVALS:
        kept = []
        for index in turn:
            more = problem.choices[index].cost + (0.0 if made[index] else problem.choices[index].first)
            if spent + more <= budget * (1 + 1e-9):
                made[index] += 1
                spent += more
                kept.append(index)
        turn = kept
    return made


def ratio(problem: Problem, design: Design) -> float:
    """Return by what the goal's interval is expected to be multiplied after a design's runs."""
    return math.exp(problem.deviations(states(problem, design)) - problem.deviations(problem.start()))
