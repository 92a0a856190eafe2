"""A density near the posterior of a law that does not drift: a few Newton steps, then the curvature there.

A posterior of four shape parameters and little noise is a thin curved ridge: a few parts with the covariances
of particles (mixture.py) miss most of it, and importance weights then rest on one draw. Here many particles
climb towards the ridge by Gauss-Newton steps, and each gives a part whose covariance is the inverse of the
curvature at its place (Laplace's approximation, one a particle): together they bend as the ridge does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from isoflop.curve.forecast import mixture

Array = npt.NDArray[np.float64]

PARTS = 32
"""Particles that climb and give a part each."""
STEPS = 6
FARTHEST = 0.5
"""Length of a step at most, in standard deviations of the prior."""
SHORTER = (1.0, 0.3, 0.1)
"""Shares of a step that are tried; what falls stays where it is."""
FAR = 3.0
"""Standard deviations of noise beyond which a point pulls no harder (Huber 1964)."""
_SMALL = 1e-4
"""Of the differences that give the slopes."""


@dataclasses.dataclass(frozen=True)
class Target:
    """A posterior with standard normal priors.

    Attributes:
        log_density: of u (k, d), up to a constant, (k,).
        law: ln y (k, n) at the points for u (k, d).
        log_y: the points (n,).
        deviation: standard deviation (k, n) of their noise for u (k, d).
        noise_at: the variable that ln of the noise is linear in; law depends on those before it alone.
        noise_spread: its slope.
    """

    log_density: Callable[[Array], Array]
    law: Callable[[Array], Array]
    log_y: Array
    deviation: Callable[[Array], Array]
    noise_at: int
    noise_spread: float


def near(u: Array, target: Target) -> mixture.Mixture:
    """Return the mixture about particles (k, d), one part for each, after they climbed."""
    value = target.log_density(u)
    for _ in range(STEPS):
        curvature, downhill = _curvature(u, target)
        step = np.linalg.solve(curvature, downhill[..., None])[..., 0]
        step /= np.maximum(1.0, np.linalg.norm(step, axis=1) / FARTHEST)[:, None]
        for share in SHORTER:
            trial = u - share * step
            new = target.log_density(trial)
            better = new > value
            u, value = np.where(better[:, None], trial, u), np.where(better, new, value)
            step[better] = 0.0
    roots = np.linalg.cholesky(np.linalg.inv(_curvature(u, target)[0]))
    return mixture.Mixture(u, mixture.WIDER * roots, np.full(len(u), 1 / len(u)))


def _curvature(u: Array, target: Target) -> tuple[Array, Array]:
    """Return the Gauss-Newton curvature (k, d, d) and the gradient (k, d) of -ln density at u (k, d)."""
    count, size = u.shape
    at = target.noise_at
    law = target.law(u)
    moved = np.concatenate([u + _SMALL * unit for unit in np.eye(size)[:at]])
    slopes = (target.law(moved).reshape(at, count, -1) - law) / _SMALL / target.deviation(u)
    distance = (target.log_y - law) / target.deviation(u)
    # A wild point pulls as hard as one FAR away, as it does in the contaminated likelihood.
    kept = 1.0 / np.maximum(1.0, np.abs(distance) / FAR)
    curvature = np.tile(np.eye(size), (count, 1, 1))
    curvature[:, :at, :at] += np.einsum("akn,bkn,kn->kab", slopes, slopes, kept)
    curvature[:, at, at] += 2 * len(target.log_y) * target.noise_spread**2
    gradient = u.copy()
    gradient[:, :at] -= np.einsum("akn,kn->ka", slopes, distance * kept)
    gradient[:, at] += target.noise_spread * (len(target.log_y) - (distance**2 * kept).sum(axis=1))
    return curvature, gradient
