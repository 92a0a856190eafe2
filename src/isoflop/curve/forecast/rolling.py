"""Rolling extrapolation over compute: fits to the smaller runs predict the larger ones.

Each cut is a compute scale; a law is fitted to the points at or below it and judged at those above. This is
rolling-origin evaluation of forecasts (Tashman 2000) with compute in place of time. All cuts are rows of one
batched fit.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from isoflop.curve import condensed, solver
from isoflop.curve.forms import Form
from isoflop.curve.laws import FitOptions, Law, level_of
from isoflop.curve.observations import Observations
from isoflop.curve.result import HorizonError
from isoflop.curve.solver import Effort, Problem

Array = npt.NDArray[np.float64]

RATIOS = (2.0, 4.0, 10.0)
"""Ratios of x to the largest x that was fitted at which extrapolation is scored."""
EDGES = (1.0, np.sqrt(8.0), np.sqrt(40.0), np.sqrt(250.0))
"""Between the ratios, geometrically; a prediction counts at the ratio it is nearest to."""
MOST_CUTS = 8
LEAST_DECADES = 0.35
"""Decades of x that must lie below a cut: fewer do not determine a slope."""
LEAST_BELOW, MOST_BELOW = 4, 6
"""Distinct x needed below a cut: half of all, within these limits."""
EFFORT = Effort(tolerance=1e-4, gain=1e-6, steps=30)
SAME_SCALE = 1e-6
FINER = 1e-3
"""Of ln x: nearer scales are one."""


@dataclasses.dataclass(frozen=True)
class Cuts:
    """c cuts of n points.

    `at` (c,) is ln(x_max / x) at the cut, the largest x first; `ahead` (c, n) is ln(x / x_cut) of the points
    that are judged at the cut, NaN for the others.
    """

    at: Array
    ahead: Array

    @property
    def tested_ratio(self) -> float | None:
        """The largest ratio of x over which a fit predicted a point; None without a cut."""
        return float(np.exp(np.nanmax(self.ahead))) if len(self.at) else None


def cuts(observed: Observations, least_scales: int) -> Cuts:
    """Return cuts with at least `least_scales` distinct x at or below and some points above.

    There are at most MOST_CUTS, evenly spread in ln x over those possible.
    """
    # v = ln(x_max / x) runs downwards: scales[0] = 0 is the largest x, and what lies "above" a cut in x has
    # the smaller v.
    scales = np.unique(np.round(observed.v / FINER) * FINER)
    able = [
        c
        for i, c in enumerate(scales)
        if i > 0 and len(scales) - i >= least_scales and scales[-1] - c >= LEAST_DECADES * np.log(10)
    ]
    able = [c for c in able if c <= np.log(EDGES[-1]) or (scales < c).any()]
    if not able:
        return Cuts(np.zeros(0), np.zeros((0, len(observed.v))))
    # The possible cuts nearest to an even grid; two grid points may share one.
    wanted = np.linspace(able[0], able[-1], MOST_CUTS) if len(able) > MOST_CUTS else np.array(able)
    at = np.unique([min(able, key=lambda c: abs(c - w)) for w in wanted])
    # A point is judged at every cut below it, up to the last of EDGES ahead.
    ahead = at[:, None] - observed.v[None]
    judged = (ahead > SAME_SCALE + FINER) & (ahead <= np.log(EDGES[-1]))
    keep = judged.any(axis=1)
    return Cuts(at[keep], np.where(judged, ahead, np.nan)[keep])


def usual_cuts(observed: Observations) -> Cuts:
    """Return the cuts of `observed` with half of its scales below, from LEAST_BELOW to MOST_BELOW."""
    scales = len(np.unique(np.round(observed.v, 3)))
    return cuts(observed, int(np.clip(scales // 2, LEAST_BELOW, MOST_BELOW)))


def predict(form: Form, observed: Observations, at: Array, level: float | None, z: Array) -> Array:
    """Return ln y (c, m) predicted by fits to the points at or below each cut.

    Args:
        form: the form that is fitted.
        observed: the points (n).
        at: ln(x_max / x) (c,) of the cuts.
        level: a value to hold the level c of the form at, or None.
        z: ln(x / x_max) (m,) of the predictions.
    """
    log_y = observed.log_y[None]
    problem = Problem(form, observed.v, log_y, solver.log_error(log_y))
    weights = np.where(observed.v[None] - at[:, None] >= -FINER, 1.0, 0.0)
    parameters = condensed.solve(problem, weights * observed.repeats, EFFORT, level=level)[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(solver.log_curve(form, parameters, -z))


def errors(law: Law, observed: Observations, where: Cuts, options: FitOptions) -> Array:
    """Return ln(predicted / observed) (c, n) of fits below each cut; NaN where a point is not judged."""
    assert law.form is not None
    curve = predict(law.form, observed, where.at, level_of(law.form, options), -observed.v)
    # A curve that is not above 0 has no logarithm: it counts as a gross error, not as no error.
    return np.where(np.isfinite(where.ahead), np.nan_to_num(curve, nan=-20.0) - observed.log_y, np.nan)


def horizons(ahead: Array, errors: Array) -> tuple[HorizonError, ...]:
    """Return the root mean squares of errors (c, n) of ln y at RATIOS; `ahead` (c, n) as in Cuts."""
    horizons_of_ratios = []
    for ratio, low, high in zip(RATIOS, EDGES[:-1], EDGES[1:], strict=True):
        inside = (ahead > np.log(low)) & (ahead <= np.log(high))
        judged = errors[inside]
        horizons_of_ratios.append(
            HorizonError(
                ratio, int(inside.sum()), float(np.sqrt(np.mean(judged**2))) if len(judged) else None
            )
        )
    return tuple(horizons_of_ratios)


def score(ahead: Array, errors: Array) -> float | None:
    """Return the root mean square error of ln y with equal weight for every cut; None without a cut."""
    if not len(ahead):
        return None
    judged = np.isfinite(ahead)
    each = np.where(judged, errors**2, 0.0).sum(axis=1) / judged.sum(axis=1)
    return float(np.sqrt(each.mean()))
