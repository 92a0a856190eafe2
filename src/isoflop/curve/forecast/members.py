"""The members of the forecast: laws with priors over their parameters, and what each weighs before any data.

Every prior is a map from standard normal variables u (p, q), one row a particle, to the shape parameters of a
form (forms.py), so that the sampler works in one space for all laws. The level of every law is ln y at x_max;
its prior is wide and the same for all, so that it does not decide between them.

Sources of the priors: published exponents of error and loss in compute or examples (Thompson et al. 2020,
Kaplan et al. 2020, Hoffmann et al. 2022, Alabdulmohsin et al. 2022): 0.05 to 1, mostly 0.1 to 0.6; the
irreducible share of the last value between 0 and 0.97, evenly. Those of the drift and all weights: training
parts of the public benchmark and simulated sweeps (docs/fitting.md), never the part that is held out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special

from isoflop.curve import forms

Array = npt.NDArray[np.float64]

MOST_EXPONENT = 4.9
MOST_SHARE = 0.97
"""Of y at x_max that may be irreducible."""


@dataclasses.dataclass(frozen=True)
class Prior:
    """A law with the prior over its shape.

    Attributes:
        law: its name.
        size: number q of shape parameters that the prior draws.
        evaluate: a form of forms.py, which returns g (p, n) first.
        shape: (u (p, q), span of ln x) -> theta (p, k), the form's parameters.
    """

    law: str
    size: int
    evaluate: Callable[..., tuple[Array, Array]]
    shape: Callable[[Array, float], Array]

    def curve(self, u: Array, v: Array, span: float) -> Array:
        """Return ln y relative to that at x_max, (p, n), at v (n,) = ln(x_max / x); v may be below 0."""
        g = self.g(u, np.concatenate([[0.0], v]), span)
        return np.asarray(g[:, 1:] - g[:, :1])

    def g(self, u: Array, v: Array, span: float) -> Array:
        """Return ln y relative to the form's level, (p, n)."""
        return self.evaluate(self.shape(u[:, : self.size], span), v, slopes=False)[0]


@dataclasses.dataclass(frozen=True)
class Member:
    """A prior, and whether the curve may drift away from the law (drift.py).

    `weight` is its share before any data among points that are configurations, `weight_of_rows` where they
    may be evaluations of one run.
    """

    prior: Prior
    drifting: bool
    weight: float
    weight_of_rows: float


def _exponent(u: Array, median: float, spread: float) -> Array:
    """Return a lognormal exponent for standard normal u."""
    return np.minimum(median * np.exp(spread * u), MOST_EXPONENT)


def _power(u: Array, span: float) -> Array:
    return _exponent(u[:, :1], 0.25, 0.7)


def _floor(median: float, spread: float) -> Callable[[Array, float], Array]:
    """Return the prior of a power law with a floor whose exponent has this median and spread."""

    def shape(u: Array, span: float) -> Array:
        share = MOST_SHARE * special.ndtr(u[:, 1])
        return np.column_stack([np.log1p(-share), _exponent(u[:, 0], median, spread)])

    return shape


def _broken(u: Array, span: float) -> Array:
    """One break inside the range of x; the exponent beyond it is a lognormal factor from that before."""
    before = _exponent(u[:, 0], 0.25, 0.7)
    after = np.minimum(before * np.exp(0.8 * u[:, 1]), MOST_EXPONENT)
    place = span * special.ndtr(u[:, 2])
    width = math.log(0.6) + 0.6 * u[:, 3]
    return np.column_stack([np.zeros_like(before), before, after, place, width])


def _sigmoid(u: Array, span: float) -> Array:
    """M4: from a level for small x, left about the middle of the range, to a power law with a floor."""
    b = _exponent(u[:, 0], 0.7, 0.7)
    log_k = np.clip(0.6 * u[:, 1], -2.9, 2.9)
    turn = np.clip(-b * span * (0.5 + 0.7 * u[:, 2]), -39.0, 19.0)
    share = 0.9 * special.ndtr(u[:, 3] - 0.5) ** 2
    return np.column_stack([turn, b, log_k, share])


POWER = Prior("power_law", 1, forms.power_law, _power)
FLOOR = Prior("power_law_floor", 2, forms.power_law_floor, _floor(0.35, 0.6))
BROKEN = Prior("broken_power_law", 4, forms.broken_power_law, _broken)
SIGMOID = Prior("m4", 4, forms.m4, _sigmoid)
LEARNING_CURVE = Prior("power_law_floor", 2, forms.power_law_floor, _floor(0.5, 0.9))

# `weight_of_rows`: the best mean log predictive density of the upper halves of the training parts of 72 image
# curves, their four data sets weighing the same, under a Dirichlet prior of 1.2 (docs/fitting.md); rounded.
MEMBERS = (
    Member(POWER, drifting=False, weight=0.45, weight_of_rows=0.12),
    Member(FLOOR, drifting=False, weight=0.18, weight_of_rows=0.14),
    Member(BROKEN, drifting=False, weight=0.12, weight_of_rows=0.002),
    Member(SIGMOID, drifting=False, weight=0.12, weight_of_rows=0.0005),
    Member(LEARNING_CURVE, drifting=True, weight=0.13, weight_of_rows=0.7375),
)
