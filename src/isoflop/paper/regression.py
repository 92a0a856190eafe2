"""Straight lines through published numbers: means and quantiles, both directions, clustered intervals.

x and y are logarithms (or the paper's 1/error) and have no unit. r counts rows of weights, n the points.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, sparse, special

from isoflop.curve import bootstrap
from isoflop.curve.result import Interval

Array = npt.NDArray[np.float64]

LEAST_CLUSTERS = 4
"""With fewer families the resamples of a line say nothing about its spread."""


@dataclasses.dataclass(frozen=True)
class Lines:
    """One line a row of weights: y = intercept + slope x; `r_squared` is nan for a quantile. Each (r,)."""

    intercept: Array
    slope: Array
    r_squared: Array

    def at(self, x: float) -> Array:
        """Return the lines' heights at x, (r,)."""
        return self.intercept + self.slope * x


def least_squares(x: Array, y: Array, weights: Array) -> Lines:
    """Fit y (n,) on x (n,) by weighted least squares, one line for each row of `weights` (r, n)."""
    # centred first: the differences of squares below would lose digits otherwise
    middle_x, middle_y = x.mean(), y.mean()
    dx, dy = x - middle_x, y - middle_y
    total = weights.sum(axis=1)
    # with few families a resample may draw none of these models: its line is NaN, and no interval counts it
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_x, mean_y, xx, xy, yy = ((weights @ v) / total for v in (dx, dy, dx * dx, dx * dy, dy * dy))
        var_x, var_y, cov = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
        slope = cov / var_x
        r_squared = cov**2 / (var_x * var_y)
        intercept = middle_y + mean_y - slope * (middle_x + mean_x)
    return Lines(intercept, slope, r_squared)


def quantile(x: Array, y: Array, share: float, weights: Array) -> Lines:
    """Fit the line with `share` of the weight of y below it, one for each row of `weights` (r, n).

    Koenker and Bassett (1978), solved as the dual linear program, which has two constraints whatever n is:
    maximise y'd subject to X'd = (1 - share) X'w and 0 <= d <= w (HiGHS); the line is the constraints'
    prices.

    Raises:
        ValueError: `share` is not inside (0, 1), or x has fewer than two values.
    """
    if not 0 < share < 1:
        raise ValueError(f"quantile {share:g}: give a share between 0 and 1, such as 0.1")
    middle, spread = float(x.mean()), float(x.std())
    if spread == 0:
        raise ValueError("all models have the same compute: a line needs at least two values")
    z = (x - middle) / spread
    prices = np.array([_prices(z, y, share, row) for row in weights])
    slope = prices[:, 1] / spread
    return Lines(prices[:, 0] - slope * middle, slope, np.full(len(prices), np.nan))


def _prices(z: Array, y: Array, share: float, weights: Array) -> Array:
    kept = weights > 0
    w = weights[kept]
    design = np.stack([np.ones(int(kept.sum())), z[kept]])
    solved = optimize.linprog(
        -y[kept],
        A_eq=sparse.csr_matrix(design),
        b_eq=(1 - share) * (design @ w),
        bounds=np.stack([np.zeros_like(w), w], axis=1),
        method="highs-ds",
    )
    assert solved.status == 0, solved.message
    return np.asarray(-solved.eqlin.marginals, dtype=float)


def cluster_weights(groups: Sequence[str], resamples: int, generator: np.random.Generator) -> Array:
    """Draw whole groups with replacement; return how often each point is drawn.

    The result is (1 + resamples, n); row 0 is the sample itself, each point once.
    """
    index, names = pd.factorize(np.asarray(groups, dtype=object))
    count = len(names)
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=resamples)
    return np.vstack([np.ones((1, len(index))), drawn[:, index].astype(float)])


def _tail(clusters: int, parameters: int) -> float:
    """Return the share of resamples outside each end of a 95% interval: less than 0.025 with few clusters."""
    freedom = max(1, clusters - parameters)
    stretched = special.stdtrit(freedom, 0.5 + bootstrap.CONFIDENCE / 2) * np.sqrt(clusters / freedom)
    return float(special.ndtr(-stretched))


def interval(draws: Array, clusters: int, parameters: int = 2) -> Interval:
    """Return the 95% interval of `draws` (resamples,), widened for few clusters (Hesterberg 2015).

    Draws that are not finite count as beyond both ends, so a side may be unbounded (None); with fewer than
    LEAST_CLUSTERS both are.
    """
    if clusters < LEAST_CLUSTERS or len(draws) == 0:
        return Interval(None, None)
    outside = _tail(clusters, parameters)
    low, high = (
        float(
            np.quantile(np.nan_to_num(draws, nan=worst, posinf=np.inf, neginf=-np.inf), at, method="nearest")
        )
        for at, worst in ((outside, -np.inf), (1 - outside, np.inf))
    )
    return Interval(low if np.isfinite(low) else None, high if np.isfinite(high) else None)


def inverse(draws: Array) -> Array:
    """Return 1 / draws, infinite where a slope does not rise: no compute reaches a lower error then."""
    with np.errstate(divide="ignore"):
        return np.where(draws > 0, 1 / draws, np.inf)


def coefficients(design: Array, y: Array, weights: Array) -> Array:
    """Fit y (n,) on the columns of `design` (n, p) by weighted least squares.

    The result is (r, p) for r rows of `weights` (r, n), nan where a row does not determine it.
    """
    gram = np.einsum("rn,np,nq->rpq", weights, design, design, optimize=True)
    moment = np.einsum("rn,np,n->rp", weights, design, y, optimize=True)
    # a resample may hold too few families to determine all columns: its system is replaced, its result is nan
    sound = np.linalg.cond(gram) < 1e12
    gram[~sound] = np.eye(design.shape[1])
    return np.where(sound[:, None], np.linalg.solve(gram, moment[..., None])[..., 0], np.nan)
