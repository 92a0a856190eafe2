"""Rows that x does not determine: how much of y a smooth function of x explains, and which columns the rest.

A table that mixes data sets, learning rates or training lengths has no one curve. Two linear regressions say
so: of ln y on a cubic in ln x, and of its residuals on each column that is a setting. Shares are adjusted R2,
so that a column of many levels explains nothing by their number alone. Of columns that say the same (width
and parameters) the first is named: each explains its share of what x and those before leave.
"""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.polynomial import legendre
from scipy import special

from isoflop.curve.result import ColumnShare, Determination
from isoflop.table import columns, held_out

Array = npt.NDArray[np.float64]

LARGE = 0.25
"""A column is named if it explains at least this share of the variance that x leaves."""
LEVEL = 0.01
"""... and an F test over all columns says so (Bonferroni)."""
LEAST_ROWS = 8
LEAST_FREEDOM = 3
MOST_LEVELS, MOST_LEVELS_SHARE = 50, 0.34
"""A column of more values, or of more than this share of the rows, is an identifier if text, and enters as a
number if numeric."""
MOST_NAMED = 3
UNDETERMINED = 0.9
"""Below this share that x explains a column is worth a note."""

_OUTCOME = re.compile(
    r"loss|error|(?<![a-z])err|acc(?![a-z])|accuracy|bits|perplexity|(?<![a-z])ppl|brier|score|probability|"
    r"reason|flops|macs|joules|seconds|watts|dollars|co2|per_second|mfu|share(?![a-z])|intensity|burden|(?<![a-z])bpb"
)
"""What a run yields or costs, by name: no setting of it."""
_LABEL = re.compile(r"(^|_|\.)(id|name|label|commit|version|started_at|created|time|date|sha256|notes?)($|_)")
_NOT_SETTINGS = frozenset(
    {"seed", "horizon", "chance_error", "test_n", "mixed", "energy_grade", "lr_interior", held_out.COLUMN}
)


def determination(rows: pd.DataFrame, x: str, y: str, log_x: Array, log_y: Array) -> Determination | None:
    """Return how far x determines y, with the columns that explain much of the rest; None for few rows.

    Args:
        rows: one row (n) a configuration mean, so that seeds do not count as many.
        x, y: names of the columns of the axes.
        log_x, log_y: ln x and ln y of the means (n,).
    """
    n = len(rows)
    degree = min(3, len(np.unique(np.round(log_x, 6))) - 1)
    if n < LEAST_ROWS or degree < 1 or np.ptp(log_y) == 0:
        return None
    middle, half = (log_x.max() + log_x.min()) / 2, np.ptp(log_x) / 2
    smooth = legendre.legvander((log_x - middle) / half, degree)
    left = _beside(log_y[:, None], smooth)[:, 0]
    x_share = _adjusted(log_y - log_y.mean(), left, degree, 0)
    names = [str(name) for name in rows]
    candidates = {name: made for name in names if (made := _design(rows, name, x, y)) is not None}
    named: list[ColumnShare] = []
    taken, basis = degree, smooth
    while len(named) < MOST_NAMED and x_share < UNDETERMINED:
        # The column that explains most of what x, and the columns named before, leave.
        each = [_explains(name, design, basis, log_y, taken) for name, design in candidates.items()]
        best = max((e for e in each if e is not None), key=lambda e: e.share, default=None)
        if best is None or best.share < LARGE or best.p_value * len(candidates) > LEVEL:
            break
        named.append(ColumnShare(best.name, best.share, int(rows[best.name].nunique())))
        basis = np.column_stack([basis, candidates.pop(best.name)])
        taken += best.rank
    return Determination(x_share, tuple(named))


@dataclasses.dataclass(frozen=True)
class _Explained:
    """What a column adds to a regression: its adjusted share of the residual variance, and an F test's p."""

    name: str
    share: float
    rank: int
    p_value: float


def _explains(name: str, design: Array, basis: Array, log_y: Array, taken: int) -> _Explained | None:
    """Return what a column adds to a regression of ln y (n,); None where too few rows are left to say.

    Args:
        name: of the column.
        design: the columns (n, k) by which it enters.
        basis: those that are in already (n, 1 + taken).
        log_y: ln y.
        taken: how many of these are free beside the level.
    """
    own = _beside(design, basis)
    rank = int(np.linalg.matrix_rank(own, tol=1e-6 * max(1.0, float(np.linalg.norm(design)))))
    freedom = len(log_y) - 1 - taken - rank
    if rank < 1 or freedom < LEAST_FREEDOM:
        return None
    left = _beside(log_y[:, None], basis)[:, 0]
    rest = _beside(left[:, None], own)[:, 0]
    squares, error = float(left @ left - rest @ rest), float(rest @ rest)
    f = squares / rank / max(error / freedom, 1e-300)
    return _Explained(name, _adjusted(left, rest, rank, taken), rank, float(special.fdtrc(rank, freedom, f)))


def _beside(values: Array, basis: Array) -> Array:
    """Return the columns of `values` (n, k) less what `basis` (n, p) explains of them."""
    return np.asarray(values - basis @ np.linalg.lstsq(basis, values, rcond=1e-9)[0])


def _adjusted(whole: Array, left: Array, parameters: int, taken: int) -> float:
    """Return the adjusted R2 of what took the residuals from `whole` (n,) to `left` (n,).

    Args:
        whole, left: residuals before and after.
        parameters: how many were fitted in between, beside the level.
        taken: how many had been fitted before.
    """
    before = max(1, len(whole) - 1 - taken)
    ratio = float(left @ left) / max(float(whole @ whole), 1e-300)
    return 1.0 - ratio * before / max(1, before - parameters)


def _design(rows: pd.DataFrame, name: str, x: str, y: str) -> Array | None:
    """Return the columns (n, k) by which a setting enters a regression; None if the column is no setting.

    Text, and numbers of few values, enter level by level; other numbers by a parabola of their logarithm.
    """
    lower = name.lower()
    if name in {x, y} | _NOT_SETTINGS or _OUTCOME.search(lower) or _LABEL.search(lower):
        return None
    if columns.is_share(name):  # such as top1 beside top1_err
        return None
    values = rows[name]
    if values.isna().any() or values.nunique() < 2:
        return None
    few = values.nunique() <= min(MOST_LEVELS, max(2, math.floor(MOST_LEVELS_SHARE * len(rows))))
    if few:
        return np.asarray(pd.get_dummies(values.astype(str), drop_first=True), dtype=float)
    numbers = [columns.number(value) for value in values]
    if any(number is None or not math.isfinite(number) or number <= 0 for number in numbers):
        return None
    logs = np.log(np.asarray(numbers, dtype=float))
    logs = (logs - logs.mean()) / max(float(logs.std()), 1e-300)
    return np.column_stack([logs, logs**2])
