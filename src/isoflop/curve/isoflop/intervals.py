"""Intervals of optima: known only where nearly all resamples have one, and within what was measured."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from isoflop.curve import bootstrap
from isoflop.curve.measured import MeasuredRange
from isoflop.curve.result import Estimate, Interval

Array = npt.NDArray[np.float64]

FLAT_SHARE = 0.05
"""Where more of the resamples than this have no minimum, the optimum has no interval."""


def interval(draws: Array, configs: int, free: int, level: float = bootstrap.CONFIDENCE) -> Interval:
    """Return the interval at a level of resamples' values (r,), unknown unless nearly all have one."""
    known = draws[np.isfinite(draws)]
    if len(known) < max(1.0, (1 - FLAT_SHARE) * len(draws)) or not bootstrap.enough_configs(configs, free):
        return Interval(None, None)
    low, high = bootstrap.interval(known, configs, free, level=level)
    return Interval(float(low), float(high))


def estimate(
    name: str, unit: str, draws: Array, configs: int, free: int, level: float = bootstrap.CONFIDENCE
) -> Estimate:
    """Return exp of ln values with its interval.

    Args:
        name, unit: of the estimate.
        draws: ln values (1 + r,), the sample's first.
        configs: number of configurations.
        free: number of parameters.
        level: of the interval.
    """
    ends = interval(draws[1:], configs, free, level)
    low = None if ends.low is None else math.exp(min(ends.low, draws[0]))
    high = None if ends.high is None else math.exp(max(ends.high, draws[0]))
    return Estimate(name, math.exp(draws[0]), Interval(low, high), unit)


def within(value: Estimate, measured: MeasuredRange) -> Estimate:
    """Return the estimate without the ends of its interval that lie outside what was measured."""
    bottom, top = value.interval.low, value.interval.high
    kept = Interval(
        bottom if bottom is None or bottom >= measured.least else None,
        top if top is None or top <= measured.largest else None,
    )
    return dataclasses.replace(value, interval=kept)
