"""Trends of one measured quantity in another: a line in logarithms, and a rate that saturates with size."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
from scipy import special

from isoflop.plan.amount import LARGEST_LOG10, Amount

Array = npt.NDArray[np.float64]

LEAST_SIZES = 3
"""Distinct sizes that a trend needs."""


@dataclasses.dataclass(frozen=True)
class PowerTrend:
    """ln q = level + slope (ln x - center), by least squares over n points.

    Attributes:
        center: mean of ln x.
        level, slope: of the line.
        variance: of the residuals.
        spread: sum of squares of ln x about its mean.
        points: n.
        confidence: level of intervals.
    """

    center: float
    level: float
    slope: float
    variance: float
    spread: float
    points: int
    confidence: float

    def at(self, x: float) -> Amount:
        """Return q at x with the interval of the line, by Student's t with n - 2 degrees of freedom."""
        away = math.log(x) - self.center
        log = self.level + self.slope * away
        error = math.sqrt(self.variance * (1 / self.points + away**2 / self.spread))
        return _log_amount(log, _quantile(self.points - 2, self.confidence) * error)


def power_trend(x: Array, q: Array, confidence: float) -> PowerTrend | None:
    """Return the line of ln q (n,) on ln x (n,), None where fewer than LEAST_SIZES x differ."""
    log_x, log_q = np.log(x), np.log(q)
    if len(np.unique(np.round(log_x, 6))) < LEAST_SIZES:
        return None
    away = log_x - log_x.mean()
    spread = float((away**2).sum())
    slope = float((away * log_q).sum()) / spread
    residual = log_q - log_q.mean() - slope * away
    variance = float((residual**2).sum()) / (len(x) - 2)
    return PowerTrend(float(log_x.mean()), float(log_q.mean()), slope, variance, spread, len(x), confidence)


@dataclasses.dataclass(frozen=True)
class RateTrend:
    """1 / rate = 1 / most + overhead / size: a fixed cost an example, and the rate that large models reach.

    Attributes:
        most: the rate that it comes to.
        overhead: what the fixed cost adds, in units of size per unit of rate.
        covariance: (2, 2) of ln most and ln overhead.
        deviation: standard deviation of ln rate about it.
        sizes: n, the distinct sizes.
        least, largest: of the sizes measured.
        bound: that no rate exceeds, such as the ceiling of the device; None where none is known.
        confidence: level of intervals.
    """

    most: float
    overhead: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    deviation: float
    sizes: int
    least: float
    largest: float
    bound: float | None
    confidence: float

    def at(self, size: float) -> Amount:
        """Return the rate at a size, with the interval of a new configuration.

        Beyond the largest size measured the interval also holds that size's rate and the bound: whether
        training goes on to gain from size is not known there. Of fewer than LEAST_SIZES sizes there is no
        interval but the bound.
        """
        rate = self._rate(size)
        if self.sizes < LEAST_SIZES:
            return Amount(rate, None, self.bound)
        slopes = np.array([rate / self.most, -rate * self.overhead / size])
        variance = float(slopes @ np.array(self.covariance) @ slopes) + self.deviation**2
        made = _log_amount(math.log(rate), _quantile(self.sizes - 2, self.confidence) * math.sqrt(variance))
        low, high = made.low, made.high
        if size > self.largest:
            low = None if low is None else min(low, self._rate(self.largest))
            high = None if high is None else max(high, self.bound or 0.0)
        if self.bound is not None:
            high = max(self.bound if high is None else min(high, self.bound), rate)
        return Amount(rate, low, high)

    def scaled(self, factor: float) -> RateTrend:
        """Return the trend of a device whose peak is `factor` times as high, at the same share of it."""
        bound = None if self.bound is None else self.bound * factor
        return dataclasses.replace(
            self, most=self.most * factor, overhead=self.overhead / factor, bound=bound
        )

    def _rate(self, size: float) -> float:
        return 1.0 / (1.0 / self.most + self.overhead / size)


def rate_trend(size: Array, rate: Array, bound: float | None, confidence: float) -> RateTrend | None:
    """Return the trend of rates (n,) with sizes (n,), None without any: a median a size.

    With fewer than LEAST_SIZES sizes there is no trend to fit: the rate is their median.
    """
    known = np.isfinite(size) & np.isfinite(rate) & (size > 0) & (rate > 0)
    size, rate = size[known], rate[known]
    if not len(size):
        return None
    sizes, index = np.unique(np.round(np.log(size), 6), return_inverse=True)
    logs = np.array([float(np.median(np.log(rate[index == i]))) for i in range(len(sizes))])
    ends = (float(np.exp(sizes[0])), float(np.exp(sizes[-1])))
    if len(sizes) < LEAST_SIZES:
        flat = ((0.0, 0.0), (0.0, 0.0))
        middle = float(np.exp(np.median(logs)))
        return RateTrend(middle, 0.0, flat, 0.0, len(sizes), *ends, bound, confidence)
    from scipy import optimize  # takes long to import, and few sizes need none of it

    top = math.inf if bound is None else math.log(bound)

    def residual(theta: Array) -> Array:
        return np.asarray(-np.logaddexp(-theta[0], theta[1] - sizes) - logs)

    start = np.array([min(float(logs.max()) + 0.1, top - 1e-6), float((sizes - logs).min())])
    # A rate that does not saturate within the sizes is held within a factor of e^5 of the fastest run.
    most = min(top, float(logs.max()) + 5.0)
    limits = ([float(logs.min()) - 1.0, -np.inf], [max(most, start[0] + 1e-6), np.inf])
    solved = optimize.least_squares(residual, start, bounds=limits)
    deviation = math.sqrt(float((solved.fun**2).sum()) / (len(sizes) - 2))
    covariance = np.linalg.pinv(solved.jac.T @ solved.jac) * deviation**2
    (a, b), (c, d) = covariance.tolist()
    return RateTrend(
        math.exp(solved.x[0]),
        math.exp(solved.x[1]),
        ((a, b), (c, d)),
        deviation,
        len(sizes),
        *ends,
        bound,
        confidence,
    )


def _quantile(freedom: int, confidence: float) -> float:
    return float(special.stdtrit(freedom, 0.5 + confidence / 2)) if freedom > 0 else 0.0


def _log_amount(log: float, width: float) -> Amount:
    """Return exp(log) and the ends `width` to each side, in natural logarithms.

    An end that no number holds is open: None.
    """
    most = LARGEST_LOG10 * math.log(10)
    low, high = (math.exp(end) if abs(end) < most else None for end in (log - width, log + width))
    return Amount(math.exp(log), low, high)
