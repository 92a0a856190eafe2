"""Which runs share a compute budget, and their sizes as the columns of one regression."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve.joint_rows import Rows
from isoflop.curve.points import distinct_scales

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclasses.dataclass(frozen=True)
class Design:
    """Rows of B budgets. `of` (n,) is the budget of each; `u` (n, k) are ln sizes, 0 at the middle and 1 at
    the edge of their budget's range; `log_c` (n,) is ln(compute / the budget's)."""

    rows: Rows
    of: Indices
    u: Array
    middle: Array
    half: Array
    log_c: Array
    log_budget: Array


def labels(sizes: Array) -> Indices:
    """Numbers of the distinct sizes among (n, k)."""
    scales = np.stack([distinct_scales(size) for size in sizes.T], axis=1)
    return np.unique(scales, axis=0, return_inverse=True)[1].reshape(-1)


def group(compute: Array, sizes: Array, tolerance: float, least: int) -> Indices:
    """The budget of each row (n,), numbered by compute; -1 where fewer than `least` sizes share its compute.

    Budgets are the windows of compute, (1 + tolerance) wide at most, with the most distinct sizes (n, k), the
    fullest first.
    """
    order = np.argsort(compute, kind="stable")
    sorted_c = np.log(compute[order])
    label = labels(sizes)[order]
    free = np.ones(len(compute), dtype=bool)
    found: list[tuple[float, Indices]] = []
    width = math.log1p(tolerance) + 1e-12
    while True:
        best: tuple[int, float] = (0, 0.0)
        rows = np.empty(0, dtype=np.intp)
        for i in np.flatnonzero(free):
            inside = np.flatnonzero(free & (sorted_c >= sorted_c[i]) & (sorted_c <= sorted_c[i] + width))
            key = (len(np.unique(label[inside])), -float(np.ptp(sorted_c[inside])))
            if key > best:
                best, rows = key, inside
        if best[0] < least:
            break
        free[rows] = False
        found.append((float(sorted_c[rows].mean()), order[rows]))
    budget = np.full(len(compute), -1, dtype=np.intp)
    for number, (_, members) in enumerate(sorted(found, key=lambda each: each[0])):
        budget[members] = number
    return budget


def design(rows: Rows, budget: Indices, k: int) -> Design:
    """The rows that are in a budget (budget >= 0), their first k columns the sizes."""
    assert rows.compute is not None
    kept = budget >= 0
    of, logs, log_c = budget[kept], np.log(rows.x[kept, :k]), np.log(rows.compute[kept])
    count = int(of.max()) + 1
    low = np.array([logs[of == b].min(axis=0) for b in range(count)])
    high = np.array([logs[of == b].max(axis=0) for b in range(count)])
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-9)
    log_budget = np.array([log_c[of == b].mean() for b in range(count)])
    part = dataclasses.replace(
        rows,
        x=rows.x[kept],
        y=rows.y[kept],
        config=np.asarray(pd.factorize(rows.config[kept])[0], dtype=np.intp),
        compute=rows.compute[kept],
        names=tuple(n for n, k in zip(rows.names, kept, strict=True) if k),
    )
    u = (logs - middle[of]) / half[of]
    return Design(part, of, u, middle, half, log_c - log_budget[of], log_budget)
