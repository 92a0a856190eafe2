"""How a law in several resources splits compute best: the optimum of each resource and its exponent.

Least E + sum_j A_j x_j^-b_j at a given compute C = f prod_j x_j^m_j. Lagrange's condition is
b_j A_j x_j^-b_j = m_j l for all j, so that x_j ~ C^(1/b_j / sum_i m_i/b_i); for C = 6 N D this is Hoffmann et
al. 2022's N ~ C^(beta/(alpha+beta)). An increasing envelope of the sum has the same optimum.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def exponents(b: Array, powers: Array) -> Array:
    """The exponents (r, k) of the optimal x_j in C for exponents b (r, k) of the law, powers m (k,)."""
    return np.asarray((1.0 / b) / (powers / b).sum(axis=1, keepdims=True))


def optimum(log_factors: Array, b: Array, powers: Array, log_compute: float | Array) -> Array:
    """ln of the optimal x_j (r, k) at log_compute = ln(C / f), from ln A_j and b_j (r, k)."""
    marginal = np.log(b / powers) + log_factors
    rate = ((powers / b * marginal).sum(axis=1) - log_compute) / (powers / b).sum(axis=1)
    return np.asarray((marginal - rate[:, None]) / b)
