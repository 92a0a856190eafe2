"""Whether the uncertain joules of low grades would change a fit on joules, which weighs all runs alike.

Joules are not weighted, because a weight needs a variance and a grade is none: its bounds are limits, what
lowers a grade is seldom random (a throttled clock, a changed cap), and the gain error of a GPU, the largest
error of all, is common to all its runs and moves A and not b. An error of x by a share s acts on ln y as b s,
so that it is part of the residuals, and of every interval with them; what weights could add is a narrower
interval. This module computes how much narrower, were each grade's bound its random error, and says where
that is much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BOUNDS = {"A": 0.02, "B": 0.02, "C": 0.10}
"""Largest relative error of joules of a grade (meter/energy/grade.py); D has no bound."""
MATTERS = 1.10
"""A standard error of the exponent that weights would lower by less than this factor is left as it is."""


def warnings(log_x: Array, log_y: Array, grades: Sequence[str]) -> list[str]:
    """Return a warning if the joules of the lowest grade could matter to the exponent.

    Args:
        log_x: ln of the joules (n,).
        log_y: ln of the error or loss (n,).
        grades: energy grade of each run (n,), "" where there is none.
    """
    known = sorted({grade for grade in grades if grade})
    if len(known) < 2 or len(known) != len(set(grades)):
        return []
    if "D" in known:
        share = sum(grade == "D" for grade in grades) / len(grades)
        return [f"{share:.0%} of the runs have joules of grade D, whose error has no bound"]
    # A uniform error within a bound has a standard deviation of the bound / sqrt 3.
    errors = np.array([BOUNDS[grade] for grade in grades]) / math.sqrt(3)
    factor = widening(log_x, log_y, errors)
    if factor < MATTERS:
        return []
    lowest, better = known[-1], known[-2]
    return [
        f"joules of grade {lowest} may be off by {BOUNDS[lowest]:.0%}, much beside the points' scatter: "
        f"the exponent's standard error may be {factor:.2g} times that of a weighted fit, compare with "
        f"--energy-grade {better}"
    ]


def widening(log_x: Array, log_y: Array, errors: Array) -> float:
    """Return the standard error of b by equal weights, as a multiple of that by the best weights; at least 1.

    Both are of a straight line through (ln x, ln y) whose residuals have the variance v = s^2 + b^2 errors^2,
    with s the rest of the scatter (effective variance, Orear 1982). Their squares are sum d^2 v / (sum d^2)^2
    with d = ln x - mean, and 1 / sum (d_w^2 / v) with d_w from the mean weighted by 1 / v.

    Args:
        log_x: ln of the resource (n,), at least two different values.
        log_y: ln of the error (n,).
        errors: relative standard error of each x (n,).
    """
    d = log_x - log_x.mean()
    b = float(d @ log_y / (d @ d))
    residuals = log_y - log_y.mean() - b * d
    freedom = max(1, len(log_x) - 2)
    of_x = b**2 * errors**2
    # The residuals hold both parts; what the errors of x explain on average is taken out.
    rest = max(float(residuals @ residuals) / freedom - float(of_x.mean()), 0.0)
    v = rest + of_x
    if not v.min() > 0:
        return 1.0 if v.max() == 0 else math.inf
    d_w = log_x - np.average(log_x, weights=1 / v)
    equal = float(d**2 @ v) / float(d @ d) ** 2
    best = 1 / float(d_w**2 @ (1 / v))
    return max(1.0, math.sqrt(equal / best))
