"""The efficient frontier: the runs for which no other is both cheaper and better."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


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
