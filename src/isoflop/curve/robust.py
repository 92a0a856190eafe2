"""The robust estimator of a form: noise and threshold from the sample, then the sample and its resamples."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from isoflop.curve import condensed, forms, observations, solver
from isoflop.curve.condensed import Resamples
from isoflop.curve.forms import Form
from isoflop.curve.observations import Observations
from isoflop.curve.solver import Problem

Array = npt.NDArray[np.float64]

LEAST_SHARE = 1e-9
"""A curve is held above this share of its level, as the negative floor of a resample may cross 0."""


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """How robust laws are fitted, and what a forecast may take for granted.

    `chance` fixes M4's level, `quantile` fits that quantile of y given x. `independent`: the points are known
    to be configurations, each trained by itself; else they may be evaluations of one run, which wander
    together, and the forecast allows for more drift.
    """

    chance: float | None = None
    quantile: float | None = None
    independent: bool = True


PLAIN = FitOptions()


def level_of(form: Form, options: FitOptions) -> float | None:
    """Return the value that c is held at: the form's own, ln chance for M4 if chance is known, or None."""
    if form.level is not None:
        return form.level
    return math.log(options.chance) if options.chance is not None and form is forms.M4 else None


def problem_of(form: Form, observed: Observations, weights: Array, options: FitOptions) -> Problem:
    """Return the problem of the solver, with noise and threshold from the sample's weights (1, n)."""
    if options.quantile is not None:
        noise, threshold = observations.quantile_noise(observed, form, weights, options.quantile)
    else:
        spread = observations.spread(observed, form, weights, level_of(form, options))
        noise, threshold = spread.noise, spread.threshold
    return Problem(form, observed.v, observed.log_y[None], noise, threshold)


def fit_form(
    form: Form, observed: Observations, weights: Array, options: FitOptions, log_y: Array | None = None
) -> Array:
    """Return the parameters (r, 1 + q) of `form` for each row of `weights`.

    Noise and Huber's threshold are estimated once, from the sample; starts are found anew in each row.
    Resamples have the relaxed bounds of the form. Those of more points than nodes are fitted on the nodes
    (fit_condensed), except to a quantile and in a wild bootstrap.

    Args:
        form: the form.
        observed: the points (n).
        weights: weights (r, n); row 0 is the sample.
        options: how it is fitted.
        log_y: ln y (r, n) of each row in a wild bootstrap, else None.
    """
    if len(observed.x) > condensed.MOST_NODES and options.quantile is None and log_y is None:
        each = Resamples(weights, np.arange(len(observed.x)))
        return fit_condensed(form, observed, each, options)
    level = level_of(form, options)
    problem = problem_of(form, observed, weights[:1], options)
    sample = condensed.solve(problem, weights[:1], solver.FINE, level=level)[0]
    if len(weights) == 1:
        return _expanded(form, sample)
    rest, again = weights[1:], problem
    if log_y is not None:
        deviation = observations.spread(observed, form, weights[:1], level).deviation
        flipped = log_y[1:]
        again = dataclasses.replace(problem, log_y=flipped, noise=solver.log_error(flipped, deviation))
    resampled = solver.solve(again, rest, solver.COARSE, relaxed=True, level=level)[0]
    return _expanded(form, np.concatenate([sample, resampled]))


def fit_condensed(form: Form, observed: Observations, resamples: Resamples, options: FitOptions) -> Array:
    """Return what fit_form returns, (r, 1 + q), with the resamples fitted on nodes (condensed.py).

    Args:
        form: the form.
        observed: the points (n).
        resamples: row 0 of their factors is the sample.
        options: how it is fitted; not to a quantile.
    """
    level, unit = level_of(form, options), resamples.unit
    one = np.ones((1, len(unit))) if resamples.wild else resamples.factors[:1, unit]
    problem = problem_of(form, observed, one, options)
    sample = condensed.solve(problem, one, solver.FINE, level=level)[0]
    if len(resamples.factors) == 1:
        return _expanded(form, sample)
    rest = dataclasses.replace(resamples, factors=resamples.factors[1:])
    many = len(observed.x) > condensed.MANY
    if resamples.wild:
        deviation = observations.spread(observed, form, one, level).deviation
        problem = dataclasses.replace(problem, noise=solver.log_error(problem.log_y, deviation))
    again = problem
    if resamples.wild and not many:
        fitted = log_curve(form, sample, -observed.v)
        flipped = fitted + rest.factors[:, unit] * (observed.log_y - fitted)
        again = dataclasses.replace(problem, log_y=flipped, noise=solver.log_error(flipped, deviation))
    drawn = condensed.resample(problem, sample, rest, level, None if many else again)
    return _expanded(form, np.concatenate([sample, drawn]))


def _expanded(form: Form, parameters: Array) -> Array:
    """Return the parameters with those that a restricted form holds."""
    return parameters if form.expand is None else form.expand(parameters)


def log_curve(form: Form, parameters: Array, z: Array) -> Array:
    """Return ln y (r, m) of a form at z (m,) = ln(x / x_max), held above LEAST_SHARE of the level."""
    with np.errstate(invalid="ignore", divide="ignore"):
        curve = solver.log_curve(form, parameters, -z)
    least = parameters[:, :1] + math.log(LEAST_SHARE)
    return np.where(np.isnan(curve), least, np.maximum(curve, least))
