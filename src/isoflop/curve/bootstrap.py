"""Resampling of configurations (all seeds of one together) and the intervals read off the resamples."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]

MIN_SCALES = 3
CONFIDENCE = 0.95
"""Level of an interval where none is asked for: the share of truths that it should hold."""
MOST_UNITS = 2000
"""More configurations than this are resampled in blocks."""


def check_resamples(resamples: int, level: float = CONFIDENCE) -> None:
    """Raise ValueError where resamples are too few for an interval: one must lie beyond each end."""
    least = math.ceil(round(2 / (1 - level), 6))
    if resamples < least:
        raise ValueError(f"resamples is {resamples}: a {100 * level:g}% interval needs at least {least}")


def resample(units: int, resamples: int, generator: np.random.Generator) -> Array:
    """Return weights (1 + resamples, units): ones for the sample itself in row 0, then one row a resample.

    A unit is what is resampled as a whole: a configuration with its seeds, or a run. Weights are exponential
    with mean 1, the bootstrap of Rubin (1981, "The Bayesian Bootstrap") and Newton and Raftery (1994). No
    configuration ever drops out, so that a law with a floor is never fitted to three or four of eight (Xu et
    al. 2020, "Applications of the Fractional-Random-Weight Bootstrap").
    """
    drawn = generator.exponential(size=(resamples, units))
    # Exponential variates over their mean are Dirichlet(1, ..., 1) weights, here with sum `units`.
    drawn /= drawn.mean(axis=1, keepdims=True)
    return np.vstack([np.ones(units), drawn])


def signs(units: int, resamples: int, generator: np.random.Generator) -> Array:
    """Return signs (1 + resamples, units) of the residuals of units in a wild bootstrap, row 0 all +1."""
    drawn = np.where(generator.random((1 + resamples, units)) < 0.5, -1.0, 1.0)
    drawn[0] = 1.0
    return drawn


def blocks(configs: int, seed: int) -> tuple[npt.NDArray[np.intp], int]:
    """Return the block (configs,) that each configuration is resampled with, and the number of blocks.

    Up to MOST_UNITS configurations are each a block. More are dealt out at random to MOST_UNITS blocks of
    equal size: the expected spread over random blocks is that over configurations, and its relative error,
    1 / sqrt(2 blocks), 1.6%, is below that of 1,000 resamples.
    """
    if configs <= MOST_UNITS:
        return np.arange(configs), configs
    shuffled = np.random.default_rng([seed, configs]).permutation(configs)
    return np.asarray(shuffled % MOST_UNITS), MOST_UNITS


def enough_configs(configs: int, parameters: int) -> bool:
    """Return whether resamples of so many configurations show the spread of so many parameters."""
    return configs > max(parameters, MIN_SCALES)


def stretch(configs: int, parameters: int, level: float = CONFIDENCE) -> float:
    """Return the factor on the resamples' spread that makes an interval; 1 where enough_configs is False.

    It tends to 1 with many configurations. With few, resamples spread too little, by (n - p) / (n + 1) in
    variance for n configurations and p parameters: n residuals about a fit with p parameters have (n - p) / n
    of the noise's variance, and exponential weights over their mean have variance (n - 1) / (n + 1). The t
    distribution has longer tails than the normal besides (as in Hesterberg 2015, "What Teachers Should Know
    About the Bootstrap").
    """
    if not enough_configs(configs, parameters):
        return 1.0
    freedom = configs - parameters
    longer = special.stdtrit(freedom, 0.5 + level / 2) / special.ndtri(0.5 + level / 2)
    return float(longer * np.sqrt((configs + 1) / freedom))


def stretched(draws: Array, factor: float | Array, level: float = CONFIDENCE) -> tuple[Array, Array]:
    """Return the ends (...) of the middle share `level` of `draws` (resamples, ...), moved from the median.

    Each end is `factor` times as far from the median as the quantile; `factor` is one number or has the shape
    (...).
    """
    outside = (1 - level) / 2
    # Weibull's plotting position i / (n + 1) is unbiased for the probability below an order statistic.
    low, middle, high = np.quantile(draws, [outside, 0.5, 1 - outside], axis=0, method="weibull")
    return middle + factor * (low - middle), middle + factor * (high - middle)


def interval(
    draws: Array, configs: int, parameters: int, *, logarithm: bool = False, level: float = CONFIDENCE
) -> tuple[Array, Array]:
    """Return the ends (...) of the interval of `draws` (resamples, ...) that should hold the share `level`.

    With `logarithm` the interval is stretched on that scale, so that a positive quantity keeps a positive
    interval. Without enough configurations it is the middle of the draws, unstretched.
    """
    factor = stretch(configs, parameters, level)
    if not logarithm:
        return stretched(draws, factor, level)
    low, high = stretched(np.log(draws), factor, level)
    return np.exp(low), np.exp(high)
