"""The profile likelihood of an exponent: all values that agree with the points."""

from __future__ import annotations

import numpy as np
from scipy import special

from isoflop.curve import condensed, solver
from isoflop.curve.bootstrap import CONFIDENCE
from isoflop.curve.laws import FitOptions, Law
from isoflop.curve.observations import Observations
from isoflop.curve.result import Interval
from isoflop.curve.robust import level_of, problem_of
from isoflop.curve.solver import Effort, Problem

GRID = 48
WIDEST = 20.0
"""The profile is followed from 1 / WIDEST to WIDEST times the exponent."""
EFFORT = Effort(tolerance=1e-7, gain=1e-10, steps=60)


def exponent_interval(
    law: Law,
    observed: Observations,
    configs: int,
    parameters: solver.Array,
    options: FitOptions,
    level: float = CONFIDENCE,
) -> Interval | None:
    """Return the profile likelihood interval of the exponent b of a robust law.

    The interval is {b: 2 (loss(b) - loss) / phi <= F}, the other parameters being fitted anew at each b, with
    phi = 2 loss / (configs - p) and F the quantile of F(1, configs - p) at `level` (Venzon and Moolgavkar
    1988; the scale of quasi-likelihood as in McCullagh and Nelder 1989, 4.5). An end that the bounds of b or
    WIDEST cut is None. The whole is None where the law has no single exponent or there are too few
    configurations.

    Args:
        law: the law.
        observed: the points that it was fitted to.
        configs: number of configurations.
        parameters: the sample's parameters in row 0, (r, p).
        options: those of the fit.
        level: of the interval.
    """
    if law.form is None or "b" not in law.form.names or configs <= law.free_parameters:
        return None
    b_index = law.form.names.index("b")
    low, high = (bound[b_index] for bound in law.form.bounds(float(np.ptp(observed.v))))
    best = float(parameters[0, 1 + b_index])
    if not low < best < high:
        return None
    c = level_of(law.form, options)
    problem = problem_of(law.form, observed, np.ones((1, len(observed.x))), options)
    # Squared steps in ln b: dense near the optimum, where the ends of narrow intervals lie.
    away = np.log(WIDEST) * np.linspace(0.0, 1.0, GRID // 2) ** 2
    below, above = best * np.exp(-away), best * np.exp(away)
    grid = np.concatenate([below[below > low][::-1], above[1:][above[1:] < high]])
    middle = int((below > low).sum()) - 1
    losses = _losses(problem, parameters[:1], c, (b_index, grid))
    least = float(losses.min())
    freedom = configs - law.free_parameters
    phi = max(2 * least / freedom, 1e-300)
    # The signed root of the likelihood ratio less Student's t (the root of F's point): it is nearly
    # linear in ln b, so that linear interpolation finds where it crosses 0.
    root = np.sqrt(2 * (losses - least) / phi) - special.stdtrit(freedom, 0.5 + level / 2)
    return Interval(
        _crossing(grid[: middle + 1][::-1], root[: middle + 1][::-1]),
        _crossing(grid[middle:], root[middle:]),
    )


def _losses(
    problem: Problem, sample: solver.Array, level: float | None, held: tuple[int, solver.Array]
) -> solver.Array:
    """Return the least loss (g,) with one shape parameter held at each of g values.

    Every value is a row of one batched fit with weights of 1. With more points than nodes, the nodes (about
    the sample's curve) give the starts and, with many, the losses.

    Args:
        problem: what is fitted, to n points.
        sample: parameters (1, p) of the sample.
        level: a value to hold c at, or None.
        held: index of the parameter and its values (g,).
    """
    rows, points = len(held[1]), len(problem.v)
    if points <= condensed.MOST_NODES:
        return solver.solve(problem, np.ones((rows, points)), EFFORT, level=level, held=held)[1]
    one = np.ones((1, points))
    near = condensed.about(problem, condensed.nodes(problem.v), one, sample)
    weights = np.repeat(near.weights, rows, axis=0)
    on_nodes = near.problem(problem.form)
    ends, losses = solver.solve(on_nodes, weights, EFFORT, level=level, held=held)
    if points <= condensed.MANY:
        return solver.polish(problem, np.ones((rows, points)), ends, EFFORT, level=level, held=held)[1]
    still = Effort(tolerance=0.0, gain=0.0, steps=0)
    whole, part = (
        float(solver.polish(each, weighed, sample, still, level=level)[1][0])
        for each, weighed in ((problem, one), (on_nodes, near.weights))
    )
    return losses + (whole - part)


def _crossing(grid: solver.Array, root: solver.Array) -> float | None:
    """Return where `root` first rises through 0, interpolated in ln b; None where it never does."""
    over = np.flatnonzero(root > 0)
    if not len(over):
        return None
    i = int(over[0])
    if i == 0:
        return float(grid[0])
    share = root[i - 1] / (root[i - 1] - root[i])
    return float(np.exp(np.log(grid[i - 1]) + share * (np.log(grid[i]) - np.log(grid[i - 1]))))
