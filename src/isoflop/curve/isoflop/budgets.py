"""Which runs share a compute budget, and their sizes as the columns of one regression."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve.joint.rows import JointRows
from isoflop.table.grouping import distinct_scales

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

LEAST_VALUES = 3
"""Of each size in a budget: through two there is no parabola, and its optimum would be made up."""


@dataclasses.dataclass(frozen=True)
class Design:
    """Rows of B budgets as the columns of one regression.

    Attributes:
        rows: the n rows.
        of: budget (n,) of each row.
        u: ln sizes (n, k), scaled to 0 at the middle and 1 at the edge of their budget's range.
        middle, half: middle and half width (B, k) of that range in ln size.
        log_c: ln(compute / the budget's) (n,).
        log_budget: ln compute (B,) of the budgets.
    """

    rows: JointRows
    of: Indices
    u: Array
    middle: Array
    half: Array
    log_c: Array
    log_budget: Array


def labels(sizes: Array) -> Indices:
    """Number the distinct sizes among (n, k): (n,)."""
    scales = np.stack([distinct_scales(size) for size in sizes.T], axis=1)
    return np.unique(scales, axis=0, return_inverse=True)[1].reshape(-1)


def group(compute: Array, sizes: Array, tolerance: float, least: int) -> Indices:
    """Return the budget (n,) of each row, numbered by compute; -1 if under `least` sizes share its compute.

    Budgets are the windows of compute, (1 + tolerance) wide at most, with the most distinct sizes (n, k), the
    fullest first. Each size has at least LEAST_VALUES values there: with fewer there is no parabola in it.
    """
    rows, label = np.argsort(compute, kind="stable"), labels(sizes)
    log_c, width = np.log(compute), math.log1p(tolerance) + 1e-12
    windows: list[Indices] = []
    while (members := _fullest(rows, log_c[rows], label[rows], sizes, width, least)) is not None:
        windows.append(members)
        rows = rows[~np.isin(rows, members)]
    budget = np.full(len(compute), -1, dtype=np.intp)
    for number, members in enumerate(sorted(windows, key=lambda each: float(log_c[each].mean()))):
        budget[members] = number
    return budget


def _fullest(
    rows: Indices, log_c: Array, label: Indices, sizes: Array, width: float, least: int
) -> Indices | None:
    """Return the rows of the window with the most labels, the narrowest of several, or None.

    Args:
        rows: indices (m,) of the rows that are left, by compute.
        log_c: ln compute (m,) of these rows.
        label: number (m,) of the size of these rows.
        sizes: sizes (n, k) of all rows.
        width: greatest width of a window in ln compute.
        least: fewest distinct sizes of a window.
    """
    ends = np.searchsorted(log_c, log_c + width, side="right")
    distinct = _distinct(label.tolist(), ends.tolist())
    span = log_c[ends - 1] - log_c
    for i in np.lexsort((span, -distinct)):
        if distinct[i] < least:
            break
        members = rows[i : ends[i]]
        if all(distinct_scales(size).max() + 1 >= LEAST_VALUES for size in sizes[members].T):
            return members
    return None


def _distinct(label: list[int], ends: list[int]) -> Indices:
    """Return the number of different labels from each index to its end; the ends do not decrease."""
    times: Counter[int] = Counter()
    counts = np.empty(len(label), dtype=np.intp)
    here = at = 0
    for i, end in enumerate(ends):
        # Sliding window: labels enter at `at` and leave at i; `here` counts the distinct ones inside.
        while at < end:
            here += times[label[at]] == 0
            times[label[at]] += 1
            at += 1
        counts[i] = here
        times[label[i]] -= 1
        here -= times[label[i]] == 0
    return counts


def design(rows: JointRows, budget: Indices, k: int) -> Design:
    """Return the rows that are in a budget (budget >= 0); the first k columns of rows.x are the sizes."""
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
