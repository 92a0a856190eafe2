"""The best size of model and amount of data at a compute that is counted and not 6 N D.

Minimise E + A N^-alpha + B D^-beta at C = f(N) D, f being `cost.ByteCost`. In u = ln N it has its
minimum where

    ln(alpha A) - alpha u = ln(beta B) + ln s(u) + beta (ln f(u) - ln C),    s = d ln f / d ln N,

whose left side falls and whose right side rises wherever s does not fall too fast: one root, by bisection.
With f = 6 N and so s = 1 it is the closed form of Hoffmann et al. (2022), N* ~ C^(beta / (alpha + beta)).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from isoflop.curve.joint.solve import Solved
from isoflop.curve.language.cost import ByteCost
from isoflop.curve.language.result import CountedOptimum, CountedSplit
from isoflop.curve.laws import ReportedParameter
from isoflop.curve.measured import MeasuredRegion
from isoflop.curve.result import Estimate

Array = npt.NDArray[np.float64]

BEYOND = math.log(30.0)
"""An optimum is searched for this far in ln N beyond the sizes measured; there the ladder is extrapolated."""
HALVINGS = 60
GRID = 25
"""Computes between the least and the largest budget over which exponents are fitted and curves drawn."""
AHEAD, AHEAD_GRID = 10.0, 12
"""The law is followed to AHEAD times the largest budget, at so many computes."""


def best_size(
    log_factors: Array, exponents: Array, cost: ByteCost, log_compute: Array
) -> npt.NDArray[np.float64]:
    """Return ln of the best size (r, m) for r laws and m computes.

    Args:
        log_factors: ln A and ln B (r, 2).
        exponents: alpha and beta (r, 2).
        cost: compute a byte.
        log_compute: ln C (m,), in the unit of `cost`.
    """
    (alpha, beta) = (exponents[:, j, None] for j in range(2))
    marginal = np.log(exponents) + log_factors
    shape = (len(exponents), len(log_compute))
    low, high = np.full(shape, cost.low - BEYOND), np.full(shape, cost.high + BEYOND)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        more = np.log(cost.slope(middle)) + beta * (cost.log(middle) - log_compute)
        grows = marginal[:, :1] - alpha * middle > marginal[:, 1:] + more
        low, high = np.where(grows, middle, low), np.where(grows, high, middle)
    return np.asarray((low + high) / 2)


def counted_split(solved: Solved, cost: ByteCost, budgets: Array) -> CountedSplit:
    """Return the best split of counted compute, with intervals over the resamples of the law.

    Args:
        solved: a law in parameters and data.
        cost: compute a byte.
        budgets: computes (m,), in the unit of `cost`, whose optima are reported; at least two.
    """
    floor, log_factors, b = solved.law.terms(solved.fitted.parameters, solved.rows.log_x_max)
    least, most = budgets.min(), budgets.max()
    ahead = np.geomspace(most, AHEAD * most, AHEAD_GRID + 1)[1:]
    compute = np.r_[np.geomspace(least, most, GRID), budgets, ahead]
    log_c = np.log(compute)
    u = best_size(log_factors, b, cost, log_c)
    logs = np.stack([u, log_c - cost.log(u)], axis=-1)
    log_above = np.log(np.exp(log_factors[:, None] - b[:, None] * logs).sum(axis=-1))
    bits = floor[:, None] + np.exp(log_above)

    def to_estimate(name: str, draws: Array, unit: str) -> Estimate:
        return solved.estimate(ReportedParameter(name, draws, unit))

    n, d = solved.rows.x.T
    spent = np.exp(cost.log(np.log(n)) + np.log(d))
    region = MeasuredRegion.of("GFLOPs", spent, {"parameters": n, "bytes": d})

    def optimum(i: int) -> CountedOptimum:
        sizes, seen = region.at(float(compute[i]))
        return CountedOptimum(
            compute=float(compute[i]),
            size=sizes.judge(to_estimate("optimal_size", np.exp(logs[:, i, 0]), "parameters")),
            seen=seen.judge(to_estimate("optimal_bytes", np.exp(logs[:, i, 1]), "bytes")),
            bits=to_estimate("least_bits", bits[:, i], "bits a byte"),
        )

    optima = tuple(optimum(i) for i in range(len(log_c)))
    with np.errstate(invalid="ignore"):  # a resample's floor may lie below 0
        log_bits = np.log(bits)
    measured = np.stack([u, logs[..., 1], log_bits, log_above], axis=-1)[:, :GRID]
    slopes = _slopes(log_c[:GRID], measured)
    unit, of_bits = "decades per decade of compute", "decades of bits per decade of compute"
    return CountedSplit(
        cost=cost,
        size_exponent=to_estimate("optimal_size_exponent", slopes[:, 0], unit),
        seen_exponent=to_estimate("optimal_bytes_exponent", slopes[:, 1], unit),
        bits_exponent=to_estimate("bits_exponent", -slopes[:, 2], of_bits),
        reducible_exponent=to_estimate("reducible_exponent", -slopes[:, 3], of_bits),
        at_budgets=optima[GRID:-AHEAD_GRID],
        curve=optima[:GRID],
        beyond=optima[-AHEAD_GRID:],
    )


def _slopes(x: Array, values: Array) -> Array:
    """Return the least-squares slope (r, k) of values (r, m, k) on x (m,)."""
    apart = x - x.mean()
    return np.asarray(np.einsum("m,rmk->rk", apart, values) / (apart @ apart))
