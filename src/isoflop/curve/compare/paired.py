"""The same configurations in both arms, without any law: by what share y differs, and whether that grows.

What a law does not explain of a shape is in both of its arms and cancels, so that a pair says more of a
change than its distance from a curve.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from isoflop.curve.compare.arms import Arm
from isoflop.curve.compare.interval import smallest_difference
from isoflop.curve.compare.pairing import config_keys
from isoflop.curve.compare.result import Difference
from isoflop.curve.result import Interval

Array = npt.NDArray[np.float64]

LEAST_PAIRS = 3
"""Pairs from which the share has an interval; its slope needs one more."""
MEAN, SLOPE = "ln y", "slope of ln y"
"""Quantities of these differences."""


def paired(baseline: Arm, other: Arm, level: float) -> tuple[Difference, ...]:
    """Return ln(other's y / baseline's) of paired configurations, its mean and its slope in ln x.

    Intervals and tests are Student's over the pairs, of seeds' means. The slope is that of least squares, for
    power laws minus the difference of exponents. Nothing is returned for fewer than LEAST_PAIRS pairs,
    nor where configurations have several horizons.
    """
    log_x, ratio, x_ratio = _pairs(baseline, other)
    n = len(ratio)
    if n < LEAST_PAIRS:
        return ()
    at_x = "" if abs(x_ratio - 1) < 0.01 else f", x {x_ratio:.3g}-fold"
    given = f"{n} pairs{at_x}"
    mean = student(MEAN, given, float(ratio.mean()), float(ratio.std(ddof=1) / np.sqrt(n)), n - 1, level)
    centred = log_x - log_x.mean()
    squares = float(np.sum(centred**2))
    if n < LEAST_PAIRS + 1 or squares < 1e-6:
        return (mean,)
    slope = float(centred @ ratio) / squares
    left = ratio - ratio.mean() - slope * centred
    error = float(np.sqrt(np.sum(left**2) / (n - 2) / squares))
    return mean, student(SLOPE, given, slope, error, n - 2, level)


def student(quantity: str, given: str, value: float, error: float, freedom: int, level: float) -> Difference:
    """Return a difference with Student's interval and test.

    Args:
        quantity, given, value: as in Difference.
        error: its standard error.
        freedom: degrees of freedom.
        level: of the interval.
    """
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(value) / error, freedom)) if error > 0 else float(value == 0)
    seen = smallest_difference(error, freedom, level=level)
    unit = "ln of a ratio of y" + ("" if quantity == MEAN else " per ln of x")
    return Difference(quantity, given, value, Interval(value - half, value + half), p, seen, unit)


def _pairs(baseline: Arm, other: Arm) -> tuple[Array, Array, float]:
    """Return ln x and ln(other's y / baseline's) of each pair, (n,), and the mean ratio of their x."""
    nothing = np.empty(0), np.empty(0), 1.0
    if any(len(arm.means.x) > arm.points.configs for arm in (baseline, other)):
        return nothing
    keys = config_keys(baseline, other)
    first, second = (
        {of[c]: i for i, c in enumerate(arm.means.config)}
        for arm, of in zip((baseline, other), keys, strict=True)
    )
    both = [(i, second[key]) for key, i in first.items() if key in second]
    if not both:
        return nothing
    i, j = np.array(both).T
    log_x, log_x_other = np.log(baseline.means.x[i]), np.log(other.means.x[j])
    ratio = other.means.log_y[j] - baseline.means.log_y[i]
    return (log_x + log_x_other) / 2, ratio, float(np.exp(np.mean(log_x_other - log_x)))
