"""Resampling of configurations (all seeds of one together) and the intervals read off the resamples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]

MIN_SCALES = 3
CONFIDENCE = 0.95


def resample(
    has_scale: npt.NDArray[np.bool_], resamples: int, generator: np.random.Generator
) -> tuple[Array, int]:
    """How often each resample draws each configuration, and how many resamples had to be drawn again.

    `has_scale` (configs, scales) says at which compute scales a configuration has points: one, or more where
    its trunk was cooled down at several horizons. Each resample draws as many configurations as there are,
    with replacement; one with fewer than MIN_SCALES scales is drawn again. Returns counts (resamples,
    configs) as floats, to be used as weights.
    """
    configs, scales = has_scale.shape
    assert scales >= MIN_SCALES
    member = has_scale.astype(float)
    counts = np.empty((resamples, configs))
    pending = np.arange(resamples)
    redrawn = 0
    while len(pending):
        draw = generator.integers(0, configs, (len(pending), configs))
        flat = (draw + configs * np.arange(len(pending))[:, None]).ravel()
        drawn = np.bincount(flat, minlength=len(pending) * configs).reshape(len(pending), configs)
        counts[pending] = drawn
        seen = (drawn @ member > 0).sum(axis=1)
        pending = pending[seen < MIN_SCALES]
        redrawn += len(pending)
    return counts, redrawn


def tells(configs: int, parameters: int) -> bool:
    """Whether resamples of so many configurations say anything about the spread of so many parameters.

    With three configurations every accepted resample holds the same three points.
    """
    return configs > max(parameters, MIN_SCALES)


def tail(configs: int, parameters: int) -> float:
    """The share of resamples outside each end of a 95% interval; 0 where resamples tell nothing.

    With many configurations 0.025. With few, resamples spread too little (by (n - p)/n in variance) and
    the t distribution has longer tails than the normal: the expanded percentile interval of Hesterberg
    (2015, "What Teachers Should Know About the Bootstrap"), with n - p degrees of freedom for n
    configurations and p parameters.
    """
    if not tells(configs, parameters):
        return 0.0
    freedom = configs - parameters
    stretched = special.stdtrit(freedom, 0.5 + CONFIDENCE / 2) * np.sqrt(configs / freedom)
    return float(special.ndtr(-stretched))


def interval(draws: Array, configs: int, parameters: int) -> tuple[Array, Array]:
    """Ends of the 95% interval of `draws` (resamples, ...), each of shape (...).

    Where the resamples tell nothing, their whole range.
    """
    outside = tail(configs, parameters)
    low, high = np.quantile(draws, [outside, 1 - outside], axis=0)
    return low, high
