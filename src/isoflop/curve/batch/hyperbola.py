"""Steps against examples, (S / S_min - 1)(E / E_min - 1) = 1, fitted to the steps of several batch sizes.

With E = B S it is S = S_min (1 + B_crit / B), B_crit = E_min / S_min (McCandlish et al. 2018, section 2): two
parameters, whose exponents are fixed at 1. ln S is fitted by least squares: for a given B_crit the best
ln S_min is a mean, so one parameter is left to search, over all that the batch sizes could tell.

Intervals are those of the profile of the sum of squares, with the scatter of the batch sizes about the
curve as their error (Bates and Watts 1988, 6.1). That scatter holds what all seeds of one batch size share
too, such as a best rate that lies between two that were tried; resampling seeds does not see it
(docs/batch.md).
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy import special

from isoflop.curve.estimate import Interval

Array = npt.NDArray[np.float64]

REACH = 1e3
"""Critical sizes are searched from this factor below the smallest batch to this factor above the largest."""
GRID = 2001
AT_AN_END = 1e-6
"""A fit whose sum of squares falls by less than this share from an end of the search is at that end."""


@dataclasses.dataclass(frozen=True)
class Hyperbola:
    """The fit to ln S at several batch sizes.

    Attributes:
        critical_batch, steps_min, examples_min: the best values. Where `side` is `above` only examples_min
            has a meaning of its own, where it is `below` only steps_min.
        side: `above` where the critical size lies above all batch sizes and nothing bounds it there (steps
            fall as 1/B), `below` where below all (steps do not fall); else None.
        critical_interval, steps_interval, examples_interval: at the level asked for; a side that is not
            bounded is None, and both are with fewer than three batch sizes.
        residuals: ln S less the curve, one a batch size.
    """

    critical_batch: float
    steps_min: float
    examples_min: float
    side: str | None
    critical_interval: Interval
    steps_interval: Interval
    examples_interval: Interval
    residuals: tuple[float, ...]

    def steps(self, batch: float) -> float:
        """Return the fitted steps at a batch size."""
        return self.steps_min * (1 + self.critical_batch / batch)


def fit(batches: Array, steps: Array, level: float) -> Hyperbola:
    """Fit the trade of steps for examples.

    Args:
        batches: distinct batch sizes (m,), m >= 2, in examples.
        steps: steps to the target (m,), geometric means over seeds.
        level: of the intervals, such as 0.95.
    """
    ln_b, ln_s = np.log(batches), np.log(steps)
    reach = np.log(REACH)
    grid = np.linspace(ln_b.min() - reach, ln_b.max() + reach, GRID)

    def profile(ln_critical: Array) -> tuple[Array, Array]:
        # ln S_min (g,), the mean of what is left of ln S, and the sum of squares about it (g,).
        left = ln_s - np.logaddexp(0.0, ln_critical[:, None] - ln_b)
        ln_min = left.mean(axis=1)
        return ln_min, ((left - ln_min[:, None]) ** 2).sum(axis=1)

    from scipy import optimize  # takes long to import, and most reports have no batch sizes

    squares = profile(grid)[1]
    i = int(np.clip(squares.argmin(), 1, GRID - 2))
    found = optimize.minimize_scalar(
        lambda u: float(profile(np.array([u]))[1][0]),
        bounds=(grid[i - 1], grid[i + 1]),
        method="bounded",
        options={"xatol": 1e-9},
    )
    best = float(found.x)
    ln_min, (least,) = profile(np.array([best]))
    grid = np.sort(np.append(grid, best))
    intervals = _intervals(grid, *profile(grid), float(least), len(ln_b), level)
    residuals = ln_s - ln_min[0] - np.logaddexp(0.0, best - ln_b)
    return Hyperbola(
        critical_batch=float(np.exp(best)),
        steps_min=float(np.exp(ln_min[0])),
        examples_min=float(np.exp(best + ln_min[0])),
        side=_side(squares, float(least), len(ln_b)) or _beyond(best, ln_b, intervals[0]),
        critical_interval=intervals[0],
        steps_interval=intervals[1],
        examples_interval=intervals[2],
        residuals=tuple(map(float, residuals)),
    )


def _side(squares: Array, least: float, batches: int) -> str | None:
    """Return at which end of the search the sum of squares is least, None where it is between them."""
    rounding = 1e-12 * batches  # of ln S: steps that lie on a limit of the curve to all digits
    for side, end in (("below", squares[0]), ("above", squares[-1])):
        if end - least <= AT_AN_END * least + rounding:
            return side
    return None


def _beyond(best: float, ln_b: Array, interval: Interval) -> str | None:
    """Return the side of the batch sizes on which the best ln B_crit lies, if nothing bounds it there."""
    if best > ln_b.max() and interval.high is None and interval.low is not None:
        return "above"
    if best < ln_b.min() and interval.low is None and interval.high is not None:
        return "below"
    return None


def _intervals(
    grid: Array, ln_min: Array, squares: Array, least: float, batches: int, level: float
) -> tuple[Interval, Interval, Interval]:
    """Return the profile intervals of B_crit, S_min and E_min.

    A value of one parameter belongs to its interval where the others can be chosen so that the sum of squares
    is at most least (1 + F / (m - 2)). At a critical size u that sum is squares(u) + m (s - ln_min(u))^2 for
    any s = ln S_min, so the interval of ln S_min is the union over u of ln_min(u) +- room(u), and that of
    ln E_min = s + u the same, shifted by u.

    Args:
        grid: ln B_crit (g,).
        ln_min, squares: the best ln S_min and the sum of squares there (g,).
        least: the least sum.
        batches: how many batch sizes there are, m.
        level: of the intervals.
    """
    unknown = Interval(None, None)
    freedom = batches - 2
    if freedom < 1:
        return unknown, unknown, unknown
    most = least * (1 + special.fdtri(1, freedom, level) / freedom)
    inside = squares <= most
    room = np.sqrt(np.where(inside, most - squares, 0.0) / batches)[inside]
    u, s = grid[inside], ln_min[inside]
    small, large = bool(inside[0]), bool(inside[-1])  # the search ends before the interval does

    def interval(low: Array, high: Array, *, open_low: bool, open_high: bool) -> Interval:
        return Interval(
            None if open_low else float(np.exp(low.min())), None if open_high else float(np.exp(high.max()))
        )

    return (
        interval(*_ends(grid, squares, most), open_low=small, open_high=large),
        interval(s - room, s + room, open_low=large, open_high=False),
        interval(u + s - room, u + s + room, open_low=small, open_high=False),
    )


def _ends(grid: Array, squares: Array, most: float) -> tuple[Array, Array]:
    """Return the ends of {squares <= most} on the grid, interpolated, as arrays of one."""
    inside = np.flatnonzero(squares <= most)
    first, last = int(inside[0]), int(inside[-1])
    low, high = grid[first], grid[last]
    if first > 0:
        low = np.interp(most, [squares[first], squares[first - 1]], [grid[first], grid[first - 1]])
    if last < len(grid) - 1:
        high = np.interp(most, [squares[last], squares[last + 1]], [grid[last], grid[last + 1]])
    return np.array([low]), np.array([high])
