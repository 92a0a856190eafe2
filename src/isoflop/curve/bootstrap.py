"""Resampling of configurations (all seeds of one together) and the intervals read off the resamples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]

MIN_SCALES = 3
CONFIDENCE = 0.95


def resample(units: int, resamples: int, generator: np.random.Generator) -> Array:
    """How much each unit (a configuration with its seeds, or a run) weighs in each resample.

    (1 + resamples, units): the sample itself in row 0, then rows of exponential weights with mean 1. This is
    the bootstrap of Rubin (1981, "The Bayesian Bootstrap") and Newton and Raftery (1994): no configuration
    ever drops out, so that a law with a floor is never fitted to three or four of eight (Xu et al. 2020,
    "Applications of the Fractional-Random-Weight Bootstrap").
    """
    drawn = generator.exponential(size=(resamples, units))
    drawn /= drawn.mean(axis=1, keepdims=True)
    return np.vstack([np.ones(units), drawn])


def tells(configs: int, parameters: int) -> bool:
    """Whether resamples of so many configurations say anything about the spread of so many parameters."""
    return configs > max(parameters, MIN_SCALES)


def stretch(configs: int, parameters: int) -> float:
    """By what the resamples' spread is multiplied for a 95% interval; 1 where resamples tell nothing.

    With many configurations 1. With few, resamples spread too little, by (n - p) / (n + 1) in variance for n
    configurations and p parameters (of n residuals about a fit with p parameters, and of weights with
    variance (n - 1) / (n + 1)), and the t distribution has longer tails than the normal (as in Hesterberg
    2015, "What Teachers Should Know About the Bootstrap").
    """
    if not tells(configs, parameters):
        return 1.0
    freedom = configs - parameters
    longer = special.stdtrit(freedom, 0.5 + CONFIDENCE / 2) / special.ndtri(0.5 + CONFIDENCE / 2)
    return float(longer * np.sqrt((configs + 1) / freedom))


def stretched(draws: Array, factor: float | Array) -> tuple[Array, Array]:
    """Ends (...) of the middle 95% of `draws` (resamples, ...), `factor` times as far from their median.

    `factor` is one number, or one (...) for each.
    """
    outside = (1 - CONFIDENCE) / 2
    low, middle, high = np.quantile(draws, [outside, 0.5, 1 - outside], axis=0, method="weibull")
    return middle + factor * (low - middle), middle + factor * (high - middle)


def interval(draws: Array, configs: int, parameters: int, *, logarithm: bool = False) -> tuple[Array, Array]:
    """Ends of the 95% interval of `draws` (resamples, ...), each of shape (...).

    With `logarithm`, stretched on that scale: what is above 0 stays there. Where the resamples tell nothing,
    their middle 95%.
    """
    factor = stretch(configs, parameters)
    if not logarithm:
        return stretched(draws, factor)
    low, high = stretched(np.log(draws), factor)
    return np.exp(low), np.exp(high)
