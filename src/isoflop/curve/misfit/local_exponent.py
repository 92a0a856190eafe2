"""The exponent at the largest x, averaged over curves that may bend: what to quote of a bending curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from isoflop.curve import bootstrap
from isoflop.curve.result import Estimate, Interval, LocalExponent

Array = npt.NDArray[np.float64]
CurveDraws = Callable[[Array], Array]
"""z = ln(x / x_max) (m,) -> ln y (1 + r, m) of a curve: the sample's in row 0, then one draw a row."""

STEP = 0.05
"""The slope is taken over this much of ln x to either side of the largest x."""
FREE = 3
"""Parameters of a curve that may bend, for the widening of its interval (bootstrap.stretch)."""
UNIT = "decades of y per decade of x, at x_max"


def mixture(curves: Sequence[CurveDraws], weights: Sequence[float]) -> CurveDraws:
    """Return the average of curves whose draws are each taken from one of them, in proportion to weights."""
    shares = np.asarray(weights, dtype=float) / float(np.sum(weights))

    def draws(z: Array) -> Array:
        each = np.stack([curve(z) for curve in curves])
        resamples = each.shape[1] - 1
        # Draw i comes from the curve whose part of [0, 1] holds (i + 1/2) / r, in an order without period.
        order = ((np.arange(resamples) + 0.5) * 0.6180339887498949) % 1.0
        turn = np.minimum(np.searchsorted(np.cumsum(shares), order), len(shares) - 1)
        middle = np.einsum("c,cm->m", shares, each[:, 0])
        return np.vstack([middle, each[turn, 1 + np.arange(resamples)]])

    return draws


def local_exponent(
    draws: CurveDraws, configs: int, laws: tuple[str, ...], level: float = bootstrap.CONFIDENCE
) -> LocalExponent:
    """Return -d ln y / d ln x at the largest x with its interval over the draws.

    Args:
        draws: the curve.
        configs: number of configurations.
        laws: names of the laws that the curve averages.
        level: of the interval.
    """
    curves = draws(np.array([-STEP, STEP]))
    slopes = (curves[:, 0] - curves[:, 1]) / (2 * STEP)
    value = float(slopes[0])
    ends = Interval(None, None)
    if bootstrap.enough_configs(configs, FREE) and len(slopes) > 1:
        low, high = (float(end) for end in bootstrap.interval(slopes[1:], configs, FREE, level=level))
        ends = Interval(min(low, value), max(high, value))
    return of_estimate(Estimate("local_exponent", value, ends, UNIT), laws)


def of_estimate(exponent: Estimate, laws: tuple[str, ...]) -> LocalExponent:
    """Return an exponent beside its inverse, which is None where y does not fall."""
    value, ends = exponent.value, exponent.interval
    if value <= 0:
        return LocalExponent(exponent, None, laws)
    bounds = Interval(
        1 / ends.high if ends.high else None,
        1 / ends.low if ends.low is not None and ends.low > 0 else None,
    )
    alpha = Estimate("local_alpha", 1 / value, bounds, "decades of x per decade of 1/y, at x_max")
    return LocalExponent(exponent, alpha, laws)
