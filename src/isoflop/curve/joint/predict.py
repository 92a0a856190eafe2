"""Predictions of new runs by a law in several resources, and held-out runs judged by them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from isoflop.curve import bootstrap
from isoflop.curve.joint.result import JointHeldOut, PredictedRow
from isoflop.curve.joint.rows import JointRows
from isoflop.curve.joint.solve import Solved

Array = npt.NDArray[np.float64]


def new_runs(solved: Solved, x: Array) -> tuple[Array, Array | None]:
    """Predict y of new runs with resources x (m, k).

    Returns the prediction (m,) and the ends (m, 2) of the interval for a new run: the spread of the
    resampled laws, and on each a residual of a run that was fitted, which holds the spread of seeds and what
    the law misses. None without enough configurations.
    """
    curves = solved.law.log_predict(solved.fitted.parameters, solved.rows.v(x))
    if not solved.has_intervals:
        return np.exp(curves[0]), None
    configs, free = solved.rows.configs, solved.law.form.free_parameters
    residual = solved.fitted.residual
    widened = (residual - residual.mean()) * math.sqrt(configs / (configs - free))
    noise = np.random.default_rng(solved.seed + 1).choice(widened, curves[1:].shape)
    drawn = np.where(np.isnan(curves[1:]), -np.inf, curves[1:]) + noise
    low, high = bootstrap.interval(drawn, configs, free, level=solved.confidence)
    ends = np.column_stack([np.minimum(low, curves[0]), np.maximum(high, curves[0])])
    return np.exp(curves[0]), np.exp(ends)


def judge(solved: Solved, held: JointRows) -> JointHeldOut | None:
    """Compare the law with held-out rows; None without any."""
    if not len(held.y):
        return None
    predicted, ends = new_runs(solved, held.x)
    rows = tuple(
        PredictedRow(
            row=name,
            y=float(held.y[i]),
            predicted=float(predicted[i]),
            low=None if ends is None else float(ends[i, 0]),
            high=None if ends is None else float(ends[i, 1]),
        )
        for i, name in enumerate(held.names)
    )
    inside = None if ends is None else int(((held.y >= ends[:, 0]) & (held.y <= ends[:, 1])).sum())
    return JointHeldOut(rows, float(np.sqrt(np.mean(np.log(held.y / predicted) ** 2))), inside)
