"""Data seen several times: what a repeat is worth, the law with that term, and its best split of compute.

Muennighoff et al. (2023) let D examples seen, of which U are unique, count as D' = U (1 + R* (1 - e^(-R/R*)))
new ones, R = D / U - 1 being the repeats: a repeat is worth a new example at first, 1/e of one after R*
repeats, and all of them together R* U new ones. They discount parameters in excess of what U carries likewise
(R*_N). That term is left out: on the image sweeps at hand it was at its bound and predicted held-out data no
better, nor did an additive penalty on repeats (docs/fitting.md).

A row is held as (N, U, passes), U the unique examples that it saw and passes = D / U, at least 1.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from isoflop.curve.forms import B_MAX, B_MIN, NEGATIVE_FLOOR, Form, grid
from isoflop.curve.joint import forms
from isoflop.curve.joint.rows import JointRows
from isoflop.curve.result import Estimate, Interval

Array = npt.NDArray[np.float64]

LOG_R_STAR = (math.log(0.05), math.log(1e4))
"""Bounds of ln R*: at the lower a repeat is worth nothing, at the upper as much as a new example."""
SAME_PASSES = 1.1
"""Passes that differ by no more than this ratio do not say what a repeat is worth."""
LEAST_SETS = 3
"""With fewer amounts of unique data, R* rests on how y bends in the number of passes."""

_LEAST_SHARE = 1e-9
"""Where a resample's floor is below 0, y would be too with more data than U_max seen once: it is held at this
share of the level, far below any point, so that no step ends there."""
_FALLS = np.log([0.05, 0.3, 0.7, 0.98])
_LOGITS = np.array([-2.0, 0.0, 2.0])
_EXPONENTS = np.geomspace(0.08, 1.3, 6)


def worth(passes: Array, r_star: Array | float) -> Array:
    """Return D' / U, the new examples that each unique one counts as when seen `passes` times."""
    return np.asarray(1.0 - r_star * np.expm1(-(passes - 1.0) / r_star))


def shape(theta: Array, v: Array) -> tuple[Array, Array]:
    """y = E + A N^-a + B D'^-b: return g and its derivatives for theta = (s, w, a, b, ln R*).

    v (n, 3) = (ln(N_max / N), ln(U_max / U), -ln passes). The shares of `forms.additive` are those at N_max
    and U_max seen once.
    """
    falls, share = np.exp(theta[:, :1]), forms.shares(theta[:, 1:2])
    b, r_star = theta[:, 2:4], np.exp(theta[:, 4:5])
    repeats = np.expm1(-v[:, 2])
    left = np.exp(-repeats / r_star)
    counted = 1.0 + r_star * (1.0 - left)
    log_data = v[:, 1] - np.log(counted)
    of_size = falls * share[:, :1] * np.exp(b[:, :1] * v[:, 0])
    of_data = falls * share[:, 1:] * np.exp(b[:, 1:] * log_data)
    whole = np.maximum(1.0 - falls + of_size + of_data, _LEAST_SHARE)
    derivatives = np.empty((*whole.shape, 5))
    derivatives[..., 0] = 1.0 - 1.0 / whole
    derivatives[..., 1] = (of_data - share[:, 1:] * (of_size + of_data)) / whole
    derivatives[..., 2] = of_size / whole * v[:, 0]
    derivatives[..., 3] = of_data / whole * log_data
    # d ln(counted) / d ln R* = (R* (1 - left) - repeats left) / counted
    derivatives[..., 4] = -of_data / whole * b[:, 1:] * (r_star * (1.0 - left) - repeats * left) / counted
    return np.log(whole), derivatives


def _bounds(span: float, highest: float) -> tuple[Array, Array]:
    edge = forms.LARGEST_LOGIT
    low = np.array([-B_MAX * span - 5, -edge, B_MIN, B_MIN, LOG_R_STAR[0]])
    return low, np.array([highest, edge, B_MAX, B_MAX, LOG_R_STAR[1]])


def _starts(*r_star: float) -> Array:
    return grid(_FALLS, _LOGITS, _EXPONENTS, _EXPONENTS, np.log(r_star))


REPEATED = Form(
    names=("s", "w2", "b1", "b2", "r"),
    evaluate=shape,
    bounds=lambda span: _bounds(span, 0.0),
    starts=lambda span: (_starts(0.5, 3.0), _starts(15.0, 100.0)),
    relaxed=lambda span: _bounds(span, NEGATIVE_FLOOR),
)


def by_passes(rows: JointRows) -> JointRows:
    """Return rows of (N, D, unique examples of the data set) as rows of (N, U, passes).

    A run of less than one pass has seen only D of the unique examples. One pass is the level that passes are
    measured from.
    """
    seen, unique = rows.x[:, 1], np.minimum(rows.x[:, 1], rows.x[:, 2])
    x = np.column_stack([rows.x[:, 0], unique, seen / unique])
    return dataclasses.replace(rows, x=x, reference=np.array([x[:, 0].max(), unique.max(), 1.0]))


def of_seen(rows: JointRows) -> JointRows:
    """Return rows of (N, U, passes) as rows of (N, D)."""
    x = np.column_stack([rows.x[:, 0], rows.x[:, 1] * rows.x[:, 2]])
    return dataclasses.replace(rows, x=x, reference=None)


def why_none(passes: Array) -> str | None:
    """Return why rows with these passes do not say what a repeat is worth, None where they do."""
    least, most = float(passes.min()), float(passes.max())
    if most <= SAME_PASSES:
        return "no example was seen twice"
    if most <= SAME_PASSES * least:
        return f"each example was seen {most:.3g} times in every run"
    return None


def open_ended(estimate: Estimate) -> Estimate:
    """Return R* without an upper end where that is at the bound: repeats may count as new examples."""
    high = estimate.interval.high
    if high is None or high < 0.99 * math.exp(LOG_R_STAR[1]):
        return estimate
    return dataclasses.replace(estimate, interval=Interval(estimate.interval.low, None))


def unsettled(rows: JointRows, r_star: Array, outside: float) -> list[str]:
    """Return warnings where R* is not determined by the rows.

    Args:
        rows: of (N, U, passes).
        r_star: of the sample and its resamples (1 + r,).
        outside: share of the resamples outside each end of the interval.
    """
    low, high = (float(np.exp(end)) for end in LOG_R_STAR)
    most = float(rows.x[:, 2].max())
    ends = np.quantile(r_star[1:], [outside, 1 - outside]) if len(r_star) > 1 else r_star[[0, 0]]
    warnings = []
    if r_star[0] >= 0.99 * high:
        warnings.append(
            f"repeats count as new examples in these rows, up to {most:.3g} passes: R_star is at its bound"
        )
    elif r_star[0] <= 1.01 * low:
        warnings.append("repeats count for nothing in these rows: R_star is at its bound")
    elif ends[1] >= 0.99 * high:
        warnings.append("R_star has no upper end: repeats may count as new examples")
    sets = len(np.unique(np.round(np.log(rows.x[rows.x[:, 2] > SAME_PASSES, 1]), 3)))
    if sets < LEAST_SETS:
        warnings.append(
            f"R_star rests on {sets} amount{'' if sets == 1 else 's'} of unique data: train on smaller parts "
            "of it too, to tell repeats from data"
        )
    return warnings


def best_split(log_factors: Array, b: Array, r_star: Array, unique: float, log_compute: float) -> Array:
    """Return ln of the best N and D (r, 2) at ln(C / f), C = f N D, with so many unique examples.

    Where N grows by a share, D falls by it: at the optimum both terms change alike. The data term is steeper
    the fewer passes there are, so that there is one root, found by bisection in ln N.

    Args:
        log_factors: ln A and ln B (r, 2).
        b: exponents (r, 2).
        r_star: (r,).
        unique: examples of the data set.
        log_compute: ln(C / f).
    """
    low, high = np.full(len(b), log_compute - 200.0), np.full(len(b), log_compute + 200.0)
    for _ in range(100):
        log_n = (low + high) / 2
        log_d = log_compute - log_n
        of_size = np.log(b[:, 0]) + log_factors[:, 0] - b[:, 0] * log_n
        grows = of_size > _log_gain_of_data(log_factors[:, 1], b[:, 1], r_star, unique, log_d)
        low, high = np.where(grows, log_n, low), np.where(grows, high, log_n)
    return np.column_stack([log_n, log_compute - log_n])


def _log_gain_of_data(log_factor: Array, b: Array, r_star: Array, unique: float, log_d: Array) -> Array:
    """Return ln of what the data term falls by per unit of ln D, (r,)."""
    log_u = np.minimum(log_d, math.log(unique))
    passes = np.exp(np.minimum(log_d - log_u, 500.0))
    counted = worth(passes, r_star)
    # d ln D' / d ln D = passes e^(-repeats / R*) / counted, in logarithms as it underflows
    elasticity = log_d - log_u - (passes - 1.0) / r_star - np.log(counted)
    return np.asarray(np.log(b) + log_factor - b * (log_u + np.log(counted)) + elasticity)
