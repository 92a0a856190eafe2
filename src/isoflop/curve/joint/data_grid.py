"""Error over parameters N and training images n: the best size for each n, and the paper's path among them.

A data grid is a table in which sizes and data sets are crossed and each set is passed over equally often, so
that training costs C = kappa N n. A law e(N, n) fitted to it gives N*(n), the size at which one more per cent
of parameters and one more per cent of images lower the error equally: of all ways to spend the same
kappa N n, it has the least error. On the paper's path parameters grow in proportion to the data (Thompson et
al. 2020, section 2); that is one diagonal of the grid, here the one through its middle.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve.joint.laws import JointLaw
from isoflop.curve.joint.rows import JointRows
from isoflop.curve.laws import ReportedParameter
from isoflop.curve.measured import BestValue, MeasuredRange
from isoflop.curve.result import Estimate
from isoflop.table import held_out
from isoflop.table.grouping import distinct_scales

Array = npt.NDArray[np.float64]

PARAMETERS, DATA, SEEN = "parameters", "train_n", "examples_seen"
"""Columns of the table that a data grid crosses, and that of the examples seen."""
LEAST_SIZES = 3
CROSSED = 0.75
"""Share of all pairs of a size and a data set that must be there."""
SAME_EPOCHS = 0.05
"""Largest relative difference in passes over the data."""
MOST_DATA = 12

ToEstimate = Callable[[ReportedParameter], Estimate]


@dataclasses.dataclass(frozen=True)
class PathPoint:
    """A place of the paper's path: images, parameters in proportion to them, and the error there.

    `outside`: why so many parameters were not measured, None where they were.
    """

    data: float
    parameters: float
    outside: str | None
    error: Estimate


@dataclasses.dataclass(frozen=True)
class GrowthPath:
    """The best size at each amount of data, and the path on which parameters grow with the data.

    Attributes:
        best: N* at each amount of data.
        data: the amounts of data.
        growth: exponent s of N* ~ n^s.
        parameters_per_example: N / n on the path.
        path: the error at each amount of data on the path.
        exponent: mean exponent b of the error in compute along the path, e ~ C^-b with C ~ N n ~ n^2.
        alpha: 1 / b: k times less error costs k^alpha times the compute.
        exponent_of_data: that of the error in images along it, 2 b: k times less costs k^(1/2b) the images.
    """

    data: tuple[float, ...]
    best: tuple[BestValue, ...]
    growth: Estimate
    parameters_per_example: float
    path: tuple[PathPoint, ...]
    exponent: Estimate
    alpha: Estimate
    exponent_of_data: Estimate


def is_grid(table: pd.DataFrame) -> bool:
    """Return whether the rows of a sweep cross sizes and data sets, each passed over equally often."""
    if not {PARAMETERS, DATA, SEEN} <= set(table.columns):
        return False
    rows = table.loc[~held_out.mask(table)]
    known = rows[[PARAMETERS, DATA, SEEN]].apply(pd.to_numeric, errors="coerce")  # text, in a file's table
    rows = rows.assign(**known)[(known > 0).all(axis=1)]
    if rows.empty:
        return False
    epochs = rows[SEEN] / _seen_an_epoch(rows)
    pairs = rows[[PARAMETERS, DATA]].to_numpy(float)
    return bool(epochs.max() <= epochs.min() * (1 + SAME_EPOCHS)) and _crossed(pairs)


def _seen_an_epoch(rows: pd.DataFrame) -> pd.Series[float]:
    """Return the images of one pass over each row's data, without its last partial batch where known."""
    if "batch_size" not in rows:
        return rows[DATA]
    batch = pd.to_numeric(rows["batch_size"], errors="coerce")
    whole: pd.Series[float] = (rows[DATA] // batch * batch).fillna(rows[DATA])
    return whole.where(whole > 0, rows[DATA])


def _crossed(pairs: Array) -> bool:
    """Return whether pairs (m, 2) of sizes and data sets are crossed."""
    sizes, sets = (int(distinct_scales(column).max()) + 1 for column in pairs.T)
    if sizes < LEAST_SIZES or not LEAST_SIZES <= sets <= MOST_DATA:
        return False
    return len(np.unique(pairs, axis=0)) >= CROSSED * sizes * sets


def growth_path(
    law: JointLaw, rows: JointRows, parameters: Array, to_estimate: ToEstimate
) -> GrowthPath | None:
    """Return the path of a fitted law, None where rows cross no sizes and data or the law has other roles.

    Args:
        law: the law.
        rows: the rows that it was fitted to, parameters first.
        parameters: of the sample and its resamples (1 + r, p).
        to_estimate: turns draws into an estimate with its interval.
    """
    if law.inputs != ("parameters", "data") or not _crossed(rows.x) or law.useless(parameters[:1]):
        return None
    data = np.unique(rows.x[:, 1])
    _, log_factors, b = law.terms(parameters, rows.log_x_max)
    growth = b[:, 1] / b[:, 0]
    # b_N A N^-b_N = b_n B n^-b_n at the best split of N n.
    start = (np.log(b[:, 0] / b[:, 1]) + log_factors[:, 0] - log_factors[:, 1]) / b[:, 0]
    best = start[:, None] + growth[:, None] * np.log(data)
    ratio = float(np.exp(np.log(rows.x[:, 0]).mean() - np.log(rows.x[:, 1]).mean()))
    along = np.column_stack([ratio * data, data])
    errors = law.log_predict(parameters, rows.log_x_max - np.log(along))
    compute_span = 2 * math.log(data[-1] / data[0])
    exponent = (errors[:, 0] - errors[:, -1]) / compute_span
    sizes = MeasuredRange.of(PARAMETERS, rows.x[:, 0])
    limits = np.clip(best, -300.0, 300.0)
    return GrowthPath(
        data=tuple(float(n) for n in data),
        best=tuple(
            sizes.judge(to_estimate(ReportedParameter("best_parameters", np.exp(limits[:, i]), "parameters")))
            for i in range(len(data))
        ),
        growth=to_estimate(
            ReportedParameter("growth", growth, "decades of best parameters per decade of data")
        ),
        parameters_per_example=ratio,
        path=tuple(
            PathPoint(
                *(float(n), float(size), sizes.outside(float(size))),
                to_estimate(ReportedParameter("error", np.exp(errors[:, i]), "y")),
            )
            for i, (size, n) in enumerate(along)
        ),
        exponent=to_estimate(ReportedParameter("b", exponent, "decades of y per decade of compute")),
        alpha=to_estimate(
            ReportedParameter(
                "alpha",
                np.divide(1.0, exponent, out=np.full_like(exponent, np.inf), where=exponent > 0),
                "decades of compute per decade of 1/y",
            )
        ),
        exponent_of_data=to_estimate(
            ReportedParameter("b_data", 2 * exponent, "decades of y per decade of data")
        ),
    )
