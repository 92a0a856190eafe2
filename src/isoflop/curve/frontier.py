"""The efficient frontier: the places for which no other is both cheaper and better."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
LEAST_PLACES = 3
SAME_X = 0.01
"""Places whose x differ by no more than this ratio compete with each other."""


def frontier(x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.intp]:
    """Indices of the Pareto-efficient points, least x first. Shapes: x (n,), y (n,) -> (k,).

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
    place: npt.NDArray[np.intp], place_x: Array, run_y: Array, weights: Array
) -> npt.NDArray[np.bool_]:
    """Which runs stand for the frontier in each resample: (r, n).

    place (n,) is the place of each run, place_x (m,) its x, run_y (n,) the run's y, weights (r, n) how much
    each resample makes of the run among those of its place. A run counts if the mean of its place's *other*
    runs is below the mean of every cheaper place and of every one as dear (x within SAME_X): chosen by the
    others, its own luck is not what it was chosen for (cross-fitting), and the frontier is not biased towards
    lucky runs. A place of one run is judged by that run. A resample in which fewer than LEAST_PLACES places
    are left is judged as the sample, its row 0, is.
    """
    m = len(place_x)
    member = (place[:, None] == np.arange(m)).astype(float)
    heavy, total = weights @ member, (weights * run_y) @ member
    mean = total / heavy
    alone = member.sum(axis=0)[place] == 1
    rest = np.where(alone, 1.0, heavy[:, place] - weights)
    others = np.where(alone, run_y, (total[:, place] - weights * run_y) / rest)
    rival = np.empty_like(mean)
    for i in range(m):
        able = place_x <= place_x[i] * (1 + SAME_X)
        able[i] = False
        rival[:, i] = mean[:, able].min(axis=1, initial=np.inf)
    chosen = others < rival[:, place]
    few = (chosen @ member > 0).sum(axis=1) < LEAST_PLACES
    chosen[few] = chosen[0]
    return np.asarray(chosen)
