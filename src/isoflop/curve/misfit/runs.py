"""Lack of fit along x without replicates: runs of residuals' signs, and one-step rolling extrapolation."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]

WORST_CONDITION = 1e5
MOST_COUNTED = 300
"""Orders of more signs are not counted: their runs are normal."""
LEAST_OF_EACH = 2
"""Fewer residuals of one sign than this make no test of runs."""


def runs_p(residual: Array) -> float | None:
    """Return the probability of as few runs of signs as residuals (n,), ordered by x, have.

    Exact up to MOST_COUNTED signs in random order (Wald and Wolfowitz 1940), normal beyond; None where too
    few are of one sign.
    """
    signs = np.sign(residual[residual != 0])
    above, below = int((signs > 0).sum()), int((signs < 0).sum())
    if min(above, below) < LEAST_OF_EACH:
        return None
    runs = 1 + int((signs[1:] != signs[:-1]).sum())
    n, pairs = above + below, 2.0 * above * below
    if n > MOST_COUNTED:
        variance = pairs * (pairs - n) / (n**2 * (n - 1))
        return float(special.ndtr((runs + 0.5 - pairs / n - 1) / math.sqrt(variance)))
    ways = sum(_ways(count, above, below) for count in range(2, runs + 1))
    return ways / math.comb(n, above)


def _ways(runs: int, above: int, below: int) -> int:
    """Return in how many orders `above` and `below` signs make so many runs."""
    half, odd = divmod(runs, 2)
    if not odd:
        return 2 * math.comb(above - 1, half - 1) * math.comb(below - 1, half - 1)
    return math.comb(above - 1, half) * math.comb(below - 1, half - 1) + math.comb(
        above - 1, half - 1
    ) * math.comb(below - 1, half)


def rolling_p(y: Array, design: Array) -> float | None:
    """Return the two-sided probability that errors of rolling extrapolation are as far from 0 on average.

    Each point is predicted by least squares from those before it, one step ahead; over their expected
    deviations the errors are independent under the law (recursive residuals of Brown, Durbin and Evans 1975),
    and their mean over its standard error is Student's t (Harvey and Collier 1977). None with fewer than
    three.

    Args:
        y: ln y (n,) over its deviation, ordered by x.
        design: derivatives (n, k) of the law over the same, or an orthonormal basis of them.
    """
    n, k = design.shape
    # The first points may all but coincide: what they predict says nothing, and loses all digits.
    start = k
    while start < n and np.linalg.cond(design[:start]) > WORST_CONDITION:
        start += 1 + start // 8
    if start >= n:
        return None
    inverse = np.linalg.inv(design[:start].T @ design[:start])
    moment = design[:start].T @ y[:start]
    errors = []
    for at, value in zip(design[start:], y[start:], strict=True):
        # Recursive least squares: each point updates the inverse of the normal matrix by its rank-one part.
        along = inverse @ at
        leverage = float(at @ along)
        if leverage <= -1:  # rounding has left nothing of the inverse
            return None
        errors.append((value - along @ moment) / np.sqrt(1 + leverage))
        inverse = inverse - np.outer(along, along) / (1 + leverage)
        moment = moment + value * at
    if len(errors) < 3 or np.ptp(errors) == 0:
        return None
    t = np.mean(errors) / (np.std(errors, ddof=1) / np.sqrt(len(errors)))
    return float(2 * special.stdtr(len(errors) - 1, -abs(t)))
