"""The efficient frontier: the configuration means for which no other is both cheaper and better."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
LEAST_MEANS = 3
"""Configuration means that a frontier needs to carry a curve."""
SAME_X = 0.01
"""Means whose x differ by no more than this ratio compete with each other."""


def frontier(x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Return the indices of the Pareto-efficient points, least x first. Shapes: x (n,), y (n,) -> (k,).

    A point is left out if another has no greater x and no greater y, and less of at least one. Points
    that agree in both x and y stay or go together.

    Raises:
        ValueError: x and y differ in length or hold a value that is not finite.
    """
    cost, error = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if cost.ndim != 1 or cost.shape != error.shape:
        raise ValueError(f"a frontier needs x and y of one length, not {cost.shape} and {error.shape}")
    if not (np.isfinite(cost).all() and np.isfinite(error).all()):
        raise ValueError("a frontier needs finite x and y: leave unknown values out")
    order = np.lexsort((error, cost))
    kept: list[int] = []
    for i in order:
        better = not kept or error[i] < error[kept[-1]]
        if better or (error[i] == error[kept[-1]] and cost[i] == cost[kept[-1]]):
            kept.append(int(i))
    return np.array(kept, dtype=np.intp)


def select(
    mean_of: npt.NDArray[np.intp], mean_x: Array, run_y: Array, weights: Array
) -> npt.NDArray[np.bool_]:
    """Return which runs belong to the frontier in each resample, (r, n).

    A run counts if the mean of the *other* runs of its configuration mean is below every mean that is
    cheaper or as expensive (x within SAME_X). As a run is chosen by the others (cross-fitting), its own luck
    plays no part in the choice, and the frontier is not biased towards lucky runs. A mean of one run is
    judged by that run.

    Args:
        mean_of: index (n,) of the configuration mean that each run belongs to.
        mean_x: x (m,) of the configuration means.
        run_y: y (n,) of the runs.
        weights: weight (r, n) of each run within its configuration mean, in each resample; row 0 is the
            sample.
    """
    from scipy import sparse  # no other fit needs it

    n, m = len(mean_of), len(mean_x)
    member = sparse.csr_array((np.ones(n), mean_of, np.arange(n + 1)), shape=(n, m))
    weight_of_mean, total = weights @ member, (weights * run_y) @ member
    mean_y = total / weight_of_mean
    single = np.bincount(mean_of, minlength=m)[mean_of] == 1
    # Weight of the other runs of the same mean; 1 for a single run, which has none, to avoid 0 / 0.
    weight_of_others = np.where(single, 1.0, weight_of_mean[:, mean_of] - weights)
    others_y = np.where(single, run_y, (total[:, mean_of] - weights * run_y) / weight_of_others)
    chosen = others_y < _best_rival(mean_x, mean_y)[:, mean_of]
    # A resample with too few means for a curve keeps the sample's choice, so that it can still be fitted.
    too_few = (chosen @ member > 0).sum(axis=1) < LEAST_MEANS
    chosen[too_few] = chosen[0]
    return np.asarray(chosen)


def _best_rival(x: Array, y: Array) -> Array:
    """Return the least y (r, m) of the other means that are cheaper or as expensive; infinity without any.

    In time r m: the two least y of the means up to each place in the order of x; where the least is the
    mean's own, its best rival is the second.
    """
    order = np.argsort(x, kind="stable")
    sorted_y = y[:, order]
    least = np.minimum.accumulate(sorted_y, axis=1)
    before = np.concatenate([np.full((len(y), 1), np.inf), least[:, :-1]], axis=1)
    second = np.minimum.accumulate(np.maximum(sorted_y, before), axis=1)
    last = np.searchsorted(x[order], x * (1 + SAME_X), side="right") - 1
    return np.where(y == least[:, last], second[:, last], least[:, last])
