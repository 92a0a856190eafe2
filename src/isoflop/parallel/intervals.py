"""Medians of timings, ratios of medians and least squares, each with its 95% interval."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

LEVEL = 0.95
Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Bounded:
    """A value with the ends of its interval; None where the interval has no bound on that side."""

    value: float
    low: float | None
    high: float | None

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends, where there are both."""
        assert self.low is not None
        assert self.high is not None
        return self.low, self.high

    def through(self, function: Callable[[float], float]) -> Bounded:
        """Return a monotone function of a value that is bounded on both sides, of its interval too."""
        low, high = sorted(function(end) for end in self.ends)
        return Bounded(function(self.value), low, high)


def median(values: Sequence[float]) -> Bounded:
    """Return the median and the order statistics around it that hold it with 95%, whatever the distribution.

    With fewer than six values that is the smallest and the largest, which hold it with 1 - 2^(1 - n): 93.75%
    for five.
    """
    from scipy import stats  # takes long to import, and pages without timings need none of it

    ordered, n = sorted(values), len(values)
    # The number of values below the median is binomial: so many can be left out at each end.
    k = int(stats.binom.ppf((1 - LEVEL) / 2, n, 0.5))
    low, high = ordered[max(k, 1) - 1], ordered[n - max(k, 1)]
    return Bounded(float(np.median(ordered)), low, high)


def ratio(above: Bounded, below: Bounded) -> Bounded:
    """Return the ratio of two independent positive values with known intervals.

    The distances to the ends are added as squares, on the logarithm (MOVER: Zou and Donner, Statistics in
    Medicine 27, 2008), which lets an interval be wider on one side, as those of timings are.
    """
    (above_low, above_high), (below_low, below_high) = above.ends, below.ends
    value = math.log(above.value / below.value)
    down = math.hypot(math.log(above.value / above_low), math.log(below_high / below.value))
    up = math.hypot(math.log(above_high / above.value), math.log(below.value / below_low))
    return Bounded(math.exp(value), math.exp(value - down), math.exp(value + up))


@dataclasses.dataclass(frozen=True)
class Line:
    """y = c_1 x_1 + c_2 x_2 by least squares: coefficients (2,), their covariance (2, 2), and Student's
    quantile of the interval."""

    coefficients: Array
    covariance: Array
    quantile: float

    def coefficient(self, index: int) -> Bounded:
        """Return one coefficient."""
        value = float(self.coefficients[index])
        half = self.quantile * math.sqrt(max(0.0, float(self.covariance[index, index])))
        return Bounded(value, value - half, value + half)

    def share(self) -> Bounded:
        """Return c_1 / (c_1 + c_2), to first order (delta method)."""
        first, second = (float(c) for c in self.coefficients)
        slope = np.array([second, -first]) / (first + second) ** 2
        half = self.quantile * math.sqrt(max(0.0, float(slope @ self.covariance @ slope)))
        value = first / (first + second)
        return Bounded(value, value - half, value + half)


def line(x: Array, groups: Sequence[Sequence[float]]) -> Line:
    """Fit y = c_1 x_1 + c_2 x_2 to groups of timings.

    Timings scatter in proportion to their size, so each is weighted by one over its group's median squared.
    What the groups miss the line by is part of the scatter, and so of the intervals.

    Args:
        x: a row for each group, of the two terms there (n, 2); the rows span both terms.
        groups: the timings of each group.
    """
    rows = np.repeat(x, [len(group) for group in groups], axis=0)
    y = np.concatenate([np.asarray(group, float) for group in groups])
    scale = np.repeat([max(float(np.median(group)), 1e-12) for group in groups], [len(g) for g in groups])
    weighted, target = rows / scale[:, None], y / scale
    coefficients, *_ = np.linalg.lstsq(weighted, target, rcond=None)
    freedom = len(y) - 2
    variance = float(np.sum((target - weighted @ coefficients) ** 2)) / freedom
    covariance = variance * np.linalg.inv(weighted.T @ weighted)
    return Line(coefficients, covariance, float(special.stdtrit(freedom, (1 + LEVEL) / 2)))
