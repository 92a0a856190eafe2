"""Do the largest configurations lie above the curve of the smaller ones: undertrained, or a late break?

A test that knows nothing of the curve cannot say: with six points a parabola takes up most of a deviation of
the last. So the curve is a power law with an irreducible part under priors of published exponents, and the
evidence for a deviation is a Bayes factor: the likelihood with the largest one or two configurations raised,
averaged over priors, over that without. By the lemma of Neyman and Pearson no test has more power on average
over these priors. Level and noise are integrated out in closed form, exponent and irreducible share on a
grid.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[np.float64]

EVIDENCE, EVIDENCE_TOGETHER = 0.8, 0.6
"""ln of the Bayes factor from which on a deviation is named, by the error alone and with the training loss;
set on simulated sweeps without one, of 5% noise, so that at most 5% of each kind are named
(results/lack-of-fit-simulated)."""
LEAST_ABOVE = 0.95
"""... if the deviation is above 0 with this probability: where noise is large, chance gives evidence too."""
LEAST_CONFIGS = 6
MOST_CONFIGS = 200
"""Of more configurations the largest so many are looked at."""
TOPS = (1, 2)
RAISED: Array = np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.45])
"""Deviations of ln y that the evidence averages over, with equal weight."""
NOISE, NOISE_FREEDOM = 0.05, 2.0
"""The prior of the noise variance of ln y: scaled inverse chi-squared about 5%, worth two observations."""
EXPONENT, EXPONENT_SPREAD = 0.25, 0.7
"""Median and s.d. of ln of the prior of b: published exponents of errors and losses lie from 0.05 to 1."""
NO_FLOOR = 1 / 6
"""Prior probability of no irreducible part; else its share of y at the largest x is uniform to MOST_SHARE."""
MOST_SHARE = 0.95
CORRELATION, CORRELATION_WEIGHT = 0.5, 4.0
"""The prior of the correlation of error and training loss between configurations, worth four observations."""
FINER: Array = np.linspace(-0.4, 1.2, 65)
FACTOR_SPREAD = 0.25
"""Deviations of ln y on which the factor's interval is found, and the s.d. of their prior, normal about 0."""


@dataclasses.dataclass(frozen=True)
class Raised:
    """The largest `top` configurations and ln of the factor by which they lie above the curve of the others:
    its mean, the ends of its 95% interval and the probability that it is above 1. `log_evidence` is that for
    a deviation of one or of two."""

    top: int
    log_factor: float
    low: float
    high: float
    above: float
    log_evidence: float


@functools.cache
def _priors() -> tuple[Array, Array, Array]:
    """Return exponents, irreducible shares and ln prior weights (g,) of the grid."""
    b = np.geomspace(0.04, 1.6, 32)
    shares = np.r_[0.0, np.arange(0.025, MOST_SHARE + 1e-9, 0.025)]
    of_b = -0.5 * (np.log(b / EXPONENT) / EXPONENT_SPREAD) ** 2
    of_share = np.log(np.r_[NO_FLOOR, np.full(len(shares) - 1, (1 - NO_FLOOR) / (len(shares) - 1))])
    log_prior = (of_b[:, None] + of_share).ravel()
    exponents, irreducible = (each.ravel() for each in np.meshgrid(b, shares, indexing="ij"))
    return exponents, irreducible, log_prior - special.logsumexp(log_prior)


def _curves(log_x: Array) -> Array:
    """Return the curves of the grid (g, n), each less its mean."""
    b, share, _ = _priors()
    v = log_x.max() - log_x
    curves = np.log(share[:, None] + (1 - share[:, None]) * np.exp(b[:, None] * v))
    return np.asarray(curves - curves.mean(axis=1, keepdims=True))


def _log_likelihoods(curves: Array, log_y: Array) -> Array:
    """Return ln of the likelihoods (r,) of rows of ln y (r, n), up to a constant, averaged over the priors.

    With a flat prior of the level and the noise's scaled inverse chi-squared, the rows about a curve are
    multivariate Student's t.
    """
    centred = log_y - log_y.mean(axis=1, keepdims=True)
    squares = (centred**2).sum(axis=1)[:, None] - 2 * centred @ curves.T + (curves**2).sum(axis=1)
    freedom = NOISE_FREEDOM + log_y.shape[1] - 1
    spread = np.maximum(squares, 0.0) + NOISE_FREEDOM * NOISE**2
    each = _priors()[2] - 0.5 * freedom * np.log(spread)
    most = each.max(axis=1)
    return np.asarray(most + np.log(np.exp(each - most[:, None]).sum(axis=1)))


def _lowered(log_y: Array, top: int, by: Array) -> Array:
    """Return ln y (m, n) with the last `top` of n configurations lowered by each of `by` (m,)."""
    last = np.arange(len(log_y)) >= len(log_y) - top
    return np.asarray(log_y - by[:, None] * last)


def raised(log_x: Array, log_y: Array) -> Raised:
    """Return how far the largest configurations lie above the curve of the others.

    Args:
        log_x, log_y: one point a configuration (n,), ordered by x.
    """
    curves = _curves(log_x)
    null = float(_log_likelihoods(curves, log_y[None])[0])
    each = [_log_likelihoods(curves, _lowered(log_y, top, RAISED)) - null for top in TOPS]
    of_top = [float(special.logsumexp(e) - np.log(len(e))) for e in each]
    top = TOPS[int(np.argmax(of_top))]
    finer = _log_likelihoods(curves, _lowered(log_y, top, FINER)) - 0.5 * (FINER / FACTOR_SPREAD) ** 2
    weights = np.exp(finer - special.logsumexp(finer))
    low, high = np.interp((0.025, 0.975), np.cumsum(weights), FINER)
    above = float(weights[FINER > 1e-9].sum() + 0.5 * weights[np.abs(FINER) <= 1e-9].sum())
    evidence = float(special.logsumexp(of_top) - np.log(len(of_top)))
    return Raised(top, float(weights @ FINER), float(low), float(high), above, evidence)


def judge(log_x: Array, log_y: Array, log_loss: Array | None) -> tuple[Raised, float, bool]:
    """Return how far the largest configurations lie above the curve, and whether that is named.

    Between the two stands ln of the evidence, that of error and training loss together where both are known.
    Of normal errors with correlation r, the logarithms of two likelihood ratios add up over 1 + r. It is
    estimated from the residuals of all configurations but the largest two about parabolas of ln x.

    Args:
        log_x, log_y: one point a configuration (n,), ordered by x.
        log_loss: ln of the training loss (n,), None where it is unknown.
    """
    seen = raised(log_x, log_y)
    evidence, least = seen.log_evidence, EVIDENCE
    if log_loss is not None:
        both = evidence + raised(log_x, log_loss).log_evidence
        evidence, least = both / (1 + _correlation(log_x, log_y, log_loss)), EVIDENCE_TOGETHER
    return seen, evidence, evidence >= least and seen.above >= LEAST_ABOVE


def _correlation(log_x: Array, log_y: Array, log_loss: Array) -> float:
    """Return the correlation, at least 0, of error and training loss between configurations."""
    others = slice(None, -max(TOPS))
    design = np.vander(log_x[others] - log_x.mean(), 3)
    both = np.column_stack([log_y, log_loss])[others]
    left = both - design @ np.linalg.lstsq(design, both, rcond=None)[0]
    left = left / np.maximum(np.sqrt(np.mean(left**2, axis=0)), 1e-300)
    freedom = max(0, len(design) - 3)
    observed = float(np.mean(left[:, 0] * left[:, 1])) * freedom
    return max(0.0, (observed + CORRELATION * CORRELATION_WEIGHT) / (freedom + CORRELATION_WEIGHT))
