"""The optimal split of compute under a law in several resources: each resource's optimum and its exponent.

Minimise E + sum_j A_j x_j^-b_j at a given compute C = f prod_j x_j^m_j. Lagrange's condition is
b_j A_j x_j^-b_j = m_j l for all j, so that x_j ~ C^(1/b_j / sum_i m_i/b_i). For C = 6 N D this is
N ~ C^(beta/(alpha+beta)) of Hoffmann et al. (2022). An increasing function of the sum has the same optimum.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def exponents(b: Array, powers: Array) -> Array:
    """Return the exponents (r, k) of the optimal x_j in C for exponents b (r, k) and powers m (k,)."""
    return np.asarray((1.0 / b) / (powers / b).sum(axis=1, keepdims=True))


def optimum(log_factors: Array, b: Array, powers: Array, log_compute: float | Array) -> Array:
    """Return ln of the optimal x_j (r, k) at log_compute = ln(C / f), from ln A_j and b_j (r, k)."""
    marginal = np.log(b / powers) + log_factors
    rate = ((powers / b * marginal).sum(axis=1) - log_compute) / (powers / b).sum(axis=1)
    return np.asarray((marginal - rate[:, None]) / b)
