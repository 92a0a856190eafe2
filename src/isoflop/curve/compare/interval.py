"""From resampled differences to an interval, and to the smallest difference that could have been seen."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy import stats

from isoflop.curve import bootstrap
from isoflop.curve.compare.pairing import Units
from isoflop.curve.result import Interval

Array = npt.NDArray[np.float64]

POWER = 0.8
UNBOUNDED = 1e9
"""Stands for an infinite difference among resamples, so that quantiles can be interpolated."""


@dataclasses.dataclass(frozen=True)
class Spread:
    """How an interval follows from resamples.

    Attributes:
        factor: on the distance of the resamples' quantiles from their median; None where the units are too
            few for an interval.
        freedom: degrees of freedom of Student's t, which the factor contains.
        level: of the interval.
    """

    factor: float | None
    freedom: float
    level: float

    def interval(self, draws: Array, value: float, wider: float = 1.0) -> Interval:
        """Return the interval of a difference, which holds its `value`.

        A draw that is infinite counts beyond every finite end; one that is not a number, as the ratio of two
        amounts neither of which exists, counts at both ends.

        Args:
            draws: of the resamples, (r,).
            value: of the sample itself.
            wider: a further factor, such as that of a leverage.
        """
        if self.factor is None or not len(draws):
            return Interval(None, None)
        outside = (1 - self.level) / 2
        low, high = (
            float(
                np.quantile(
                    np.nan_to_num(draws, nan=at, posinf=UNBOUNDED, neginf=-UNBOUNDED), share, method="weibull"
                )
            )
            for at, share in ((-UNBOUNDED, outside), (UNBOUNDED, 1 - outside))
        )
        finite = draws[np.isfinite(draws)]
        middle = float(np.median(finite)) if len(finite) else value
        factor = self.factor * wider
        low, high = (
            min(middle + factor * (low - middle), value),
            max(middle + factor * (high - middle), value),
        )
        bound = UNBOUNDED / 10
        return Interval(low if low > -bound else None, high if high < bound else None)

    def smallest_seen(self, interval: Interval, power: float = POWER) -> float | None:
        """Return the difference that a test at 1 - level sees with this power: (t_level + t_power) s.e.

        The standard error is that of the interval, half its width over t_level.
        """
        if interval.low is None or interval.high is None:
            return None
        at_level = stats.t.ppf(0.5 + self.level / 2, self.freedom)
        error = (interval.high - interval.low) / 2 / at_level
        return smallest_difference(error, self.freedom, level=self.level, power=power)


def spread(units: Units, parameters: int, level: float) -> Spread:
    """Return how intervals of differences follow from resampled units.

    The factor is that of bootstrap.stretch: resamples of n units spread too little, by (n - p) / (n + 1) in
    variance for curves of p parameters, of the arm with fewer units, and Student's t has longer tails than
    the normal.
    """
    fewest = min(units.of_arm)
    freedom = units.freedom(parameters)
    if not bootstrap.enough_configs(fewest, parameters) or freedom < 1:
        return Spread(None, max(freedom, 1.0), level)
    longer = stats.t.ppf(0.5 + level / 2, freedom) / stats.norm.ppf(0.5 + level / 2)
    return Spread(float(longer * np.sqrt((fewest + 1) / (fewest - parameters))), freedom, level)


def smallest_difference(
    standard_error: float, freedom: float = np.inf, *, level: float = 0.95, power: float = POWER
) -> float:
    """Return the difference that a two-sided test at 1 - level sees with this power.

    (t_level + t_power) times the standard error of the difference, the usual approximation for tests by
    Student's t (Bloom 1995, "Minimum detectable effects").
    """
    quantiles = stats.t.ppf(0.5 + level / 2, freedom) + stats.t.ppf(power, freedom)
    return float(quantiles * standard_error)


def planned(x: Array, seeds: int, noise: float, *, level: float = 0.95, power: float = POWER) -> float:
    """Return the smallest difference of exponents that two sweeps would see, before they are run.

    For power laws without an irreducible error, and noise that is that of seeds alone and known: each
    exponent has the standard error noise / sqrt(seeds x sum of squares of ln x about its mean).

    Args:
        x: the scales (n,) of both sweeps.
        seeds: runs at each of them, in each sweep.
        noise: standard deviation of ln y of a run.
        level, power: of the test.
    """
    log_x = np.log(x)
    error = noise / np.sqrt(seeds * float(np.sum((log_x - log_x.mean()) ** 2)))
    return smallest_difference(np.sqrt(2.0) * error, level=level, power=power)
