"""Rolling extrapolation over compute: the smaller runs predict the larger, at ratios of x up to ten.

Each cut is a compute scale; a law is fitted to the points at or below it and judged at those above. All cuts
are rows of one batched fit.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from isoflop.curve import solver
from isoflop.curve.forms import Form
from isoflop.curve.observations import View
from isoflop.curve.result import Horizon
from isoflop.curve.solver import Effort, Problem

Array = npt.NDArray[np.float64]

RATIOS = (2.0, 4.0, 10.0)
"""Ratios of x to the largest x that was fitted at which extrapolation is scored."""
EDGES = (1.0, np.sqrt(8.0), np.sqrt(40.0), np.sqrt(250.0))
"""Between the ratios, geometrically; a prediction counts at the ratio it is nearest to."""
MOST_CUTS = 8
LEAST_DECADES = 0.35
"""Of x below a cut: less says nothing about a slope."""
RECENT = 1.2
"""Points count e-fold less for each 1.2 of ln x (half a decade) below the largest in a recent fit."""
EFFORT = Effort(tolerance=1e-4, gain=1e-6, steps=30)
SAME_SCALE = 1e-6
_FINER = 1e-3


@dataclasses.dataclass(frozen=True)
class Cuts:
    """c cuts of a view of n points: `at` (c,) is ln(x_max / x) at the cut, the largest x first; `ahead`
    (c, n) is ln(x / x_cut) of the points that are judged at it, NaN for the others."""

    at: Array
    ahead: Array

    @property
    def tested_ratio(self) -> float | None:
        """The largest ratio of x at which anything was predicted."""
        return float(np.exp(np.nanmax(self.ahead))) if len(self.at) else None


def cuts(view: View, least_scales: int) -> Cuts:
    """Where `view` can be cut so that at least `least_scales` distinct x remain below and some lie above.

    At most MOST_CUTS, evenly spread in ln x over those possible. Single curves of many points are cut where
    a factor of about 1.5 in x lies between.
    """
    scales = np.unique(np.round(view.v / _FINER) * _FINER)
    able = [
        c
        for i, c in enumerate(scales)
        if i > 0 and len(scales) - i >= least_scales and scales[-1] - c >= LEAST_DECADES * np.log(10)
    ]
    able = [c for c in able if c <= np.log(EDGES[-1]) or (scales < c).any()]
    if not able:
        return Cuts(np.zeros(0), np.zeros((0, len(view.v))))
    wanted = np.linspace(able[0], able[-1], MOST_CUTS) if len(able) > MOST_CUTS else np.array(able)
    at = np.unique([min(able, key=lambda c: abs(c - w)) for w in wanted])
    ahead = at[:, None] - view.v[None]
    judged = (ahead > SAME_SCALE + _FINER) & (ahead <= np.log(EDGES[-1]))
    keep = judged.any(axis=1)
    return Cuts(at[keep], np.where(judged, ahead, np.nan)[keep])


def weights(view: View, at: Array, *, recent: bool) -> Array:
    """Weights (c, n) of fits to the points at or below each cut."""
    below = view.v[None] - at[:, None]
    inside = below >= -_FINER
    return np.where(inside, fading(below) if recent else 1.0, 0.0)


def fading(below: Array) -> Array:
    """What a recent fit makes of points so far, in ln x, below the largest."""
    return np.asarray(np.exp(-np.maximum(below, 0.0) / RECENT))


def predict(form: Form, view: View, at: Array, level: float | None, z: Array) -> Array:
    """ln y (2, c, m) at z = ln(x / x_max) by fits below each cut: over the whole range, and recent ones."""
    log_y = view.log_y[None]
    problem = Problem(form, view.v, log_y, solver.log_error(log_y))
    both = np.concatenate([weights(view, at, recent=recent) for recent in (False, True)])
    parameters = solver.solve(problem, both * view.repeats, EFFORT, level=level)[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        curve = solver.log_curve(form, parameters, -z)
    return curve.reshape(2, len(at), -1)


def horizons(ahead: Array, errors: Array) -> tuple[Horizon, ...]:
    """Root mean squares of errors (c, n) of ln y at RATIOS."""
    found = []
    for ratio, low, high in zip(RATIOS, EDGES[:-1], EDGES[1:], strict=True):
        inside = (ahead > np.log(low)) & (ahead <= np.log(high))
        seen = errors[inside]
        found.append(
            Horizon(ratio, int(inside.sum()), float(np.sqrt(np.mean(seen**2))) if len(seen) else None)
        )
    return tuple(found)


def score(ahead: Array, errors: Array) -> float | None:
    """The root mean square error of ln y, every cut weighing the same; None without a cut."""
    if not len(ahead):
        return None
    judged = np.isfinite(ahead)
    each = np.where(judged, errors**2, 0.0).sum(axis=1) / judged.sum(axis=1)
    return float(np.sqrt(each.mean()))
