"""The profile likelihood of an exponent: all values that the points do not speak against."""

from __future__ import annotations

import numpy as np
from scipy import special

from isoflop.curve import solver
from isoflop.curve.laws import Law, Options, level_of, problem_of
from isoflop.curve.observations import View
from isoflop.curve.result import Interval
from isoflop.curve.solver import Effort

GRID = 48
WIDEST = 20.0
"""The profile is followed to this many times the exponent and to this part of it."""
EFFORT = Effort(tolerance=1e-7, gain=1e-10, steps=60)


def exponent_interval(
    law: Law, points: View, configs: int, parameters: solver.Array, options: Options
) -> Interval | None:
    """The 95% interval of the exponent b of a robust law; None where it has no single one or too few points.

    {b: 2 (loss(b) - loss) / phi <= F}, the other parameters being fitted anew at each b, with phi = 2 loss /
    (configs - p) and F the 95% point of F(1, configs - p) (Venzon and Moolgavkar 1988; the scale of
    quasi-likelihood as in McCullagh and Nelder 1989, 4.5). An end that the bounds of b or WIDEST cut is None.
    """
    if law.form is None or "b" not in law.form.names or configs <= law.free_parameters:
        return None
    place = law.form.names.index("b")
    low, high = (bound[place] for bound in law.form.bounds(float(np.ptp(points.v))))
    best = float(parameters[0, 1 + place])
    if not low < best < high:
        return None
    level = level_of(law.form, options)
    problem = problem_of(law.form, points, np.ones((1, len(points.x))), options)
    away = np.log(WIDEST) * np.linspace(0.0, 1.0, GRID // 2) ** 2
    below, above = best * np.exp(-away), best * np.exp(away)
    grid = np.concatenate([below[below > low][::-1], above[1:][above[1:] < high]])
    middle = int((below > low).sum()) - 1
    one = np.ones((len(grid), len(points.x)))
    losses = solver.solve(problem, one, EFFORT, level=level, held=(place, grid))[1]
    least = float(losses.min())
    freedom = configs - law.free_parameters
    phi = max(2 * least / freedom, 1e-300)
    root = np.sqrt(2 * (losses - least) / phi) - special.stdtrit(freedom, 0.975)
    return Interval(
        _crossing(grid[: middle + 1][::-1], root[: middle + 1][::-1]),
        _crossing(grid[middle:], root[middle:]),
    )


def _crossing(grid: solver.Array, root: solver.Array) -> float | None:
    """Where `root`, which is nearly linear in ln b, first rises through 0; None where it never does."""
    over = np.flatnonzero(root > 0)
    if not len(over):
        return None
    i = int(over[0])
    if i == 0:
        return float(grid[0])
    share = root[i - 1] / (root[i - 1] - root[i])
    return float(np.exp(np.log(grid[i - 1]) + share * (np.log(grid[i]) - np.log(grid[i - 1]))))
