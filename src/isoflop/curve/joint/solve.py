"""A law in several resources solved for a table and for resamples of its configurations.

The estimator is that of Hoffmann et al. (2022): the least sum of Huber's loss of ln y, here by the batched
solver, so that the sample and all resamples of configurations are each fitted from the whole grid of starts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from isoflop.curve import bootstrap, solver
from isoflop.curve.joint import forms, repeated
from isoflop.curve.joint import rows as joint_rows
from isoflop.curve.joint.laws import JointLaw
from isoflop.curve.joint.rows import JointRows
from isoflop.curve.laws import ReportedParameter
from isoflop.curve.result import Estimate, Interval
from isoflop.curve.solver import Problem

Array = npt.NDArray[np.float64]

DELTA = 1e-3
"""Huber's threshold of ln y in Hoffmann et al. 2022: far below the scatter, so nearly absolute errors."""
LARGEST = 1e200
"""An upper end of an interval above this counts as unbounded."""
RESAMPLED = solver.Effort(tolerance=1e-7, gain=1e-10, steps=200)
"""For resamples. Factors and exponents trade off along narrow valleys: stopping early there gives intervals
that are too narrow."""


def estimate(
    reported: ReportedParameter, configs: int, free: int, confidence: float = bootstrap.CONFIDENCE
) -> Estimate:
    """Return the sample's value (draw 0) with the interval of the resamples' draws at `confidence`.

    The interval is open where `configs` configurations cannot show the spread of `free` parameters.
    """
    value = float(reported.draws[0])
    if not bootstrap.enough_configs(configs, free) or len(reported.draws) == 1:
        return Estimate(reported.name, value, Interval(None, None), reported.unit)
    positive = bool((reported.draws > 0).all())
    ends = bootstrap.interval(reported.draws[1:], configs, free, logarithm=positive, level=confidence)
    low, high = (float(end) for end in ends)
    low, high = max(min(low, value), reported.least), max(high, value)
    return Estimate(
        *(reported.name, value, Interval(low, high if high < LARGEST else None), reported.unit),
    )


@dataclasses.dataclass(frozen=True)
class FittedLaw:
    """The parameters (1 + r, p) of the sample and its resamples, and the sample's loss and residuals (n,)."""

    parameters: Array
    objective: float
    delta: float
    residual: Array


def fit_law(
    law: JointLaw, rows: JointRows, weights: Array, delta: float | None, level: float | None
) -> FittedLaw:
    """Fit a law to each row of `weights`.

    Args:
        law: the law.
        rows: the n rows.
        weights: weights (1 + r, n) of the sample and its resamples.
        delta: Huber's threshold; None estimates it from the sample's residuals.
        level: ln of Rosenfeld's e0 if it is known, else None.
    """
    log_y, v = np.log(rows.y)[None], rows.v(rows.x)
    form = law.form if level is not None or law.free_level is None else law.free_level
    level = level if form.level is None else form.level
    problem = Problem(form, v, log_y, solver.log_error(log_y), newton=True)
    threshold = delta
    if threshold is None:
        first = solver.solve(problem, weights[:1], solver.COARSE, level=level)[0]
        threshold = solver.threshold_of((log_y - solver.log_curve(form, first, v))[0])
        again = dataclasses.replace(problem, threshold=threshold)
        first = solver.solve(again, weights[:1], solver.COARSE, level=level)[0]
        threshold = solver.threshold_of((log_y - solver.log_curve(form, first, v))[0])
    problem = dataclasses.replace(problem, threshold=threshold)
    sample, loss = solver.solve(problem, weights[:1], solver.FINE, level=level)
    parts = [sample]
    if len(weights) > 1:
        parts.append(solver.solve(problem, weights[1:], RESAMPLED, relaxed=True, level=level)[0])
    parameters = np.concatenate(parts)
    if form.expand is not None:
        parameters = form.expand(parameters)
    if form is law.free_level:
        parameters[:, 0] += forms.level_above(parameters[:, 1])
    residual = (log_y - law.log_predict(parameters[:1], v))[0]
    return FittedLaw(parameters, float(loss[0]), threshold, residual)


@dataclasses.dataclass(frozen=True)
class Solved:
    """A law with its rows, and its parameters for the sample and each resample.

    Attributes:
        law: the law.
        rows: the rows that it is fitted to.
        resources, y: their columns.
        fitted: the parameters.
        resamples, seed: how many resamples, and the seed that drew them.
        collinear: warnings about resources that nearly follow from one another; none where they are crossed.
        confidence: level of the intervals.
    """

    law: JointLaw
    rows: JointRows
    resources: tuple[str, ...]
    y: str
    fitted: FittedLaw
    resamples: int
    seed: int
    collinear: tuple[str, ...]
    confidence: float = bootstrap.CONFIDENCE

    @property
    def has_intervals(self) -> bool:
        """Whether the resamples show how far the parameters are determined."""
        return self.resamples > 0 and bootstrap.enough_configs(
            self.rows.configs, self.law.form.free_parameters
        )

    @property
    def draws(self) -> Array:
        """The parameters (1 + r, p) of the sample and its resamples; of the sample only without intervals."""
        return self.fitted.parameters if self.has_intervals else self.fitted.parameters[:1]

    def estimate(self, reported: ReportedParameter) -> Estimate:
        """Return the value of what follows from each draw, with its interval (`estimate`)."""
        return estimate(reported, self.rows.configs, self.law.form.free_parameters, self.confidence)


def solve(
    law: JointLaw,
    rows: JointRows,
    resources: Sequence[str],
    y: str,
    *,
    resamples: int,
    seed: int,
    delta: float | None = DELTA,
    level: float | None = None,
    confidence: float = bootstrap.CONFIDENCE,
) -> Solved:
    """Fit a law to rows and to resamples of their configurations.

    Args:
        law: the law.
        rows: the rows.
        resources, y: their columns, for messages.
        resamples: of the bootstrap; 0 for none.
        seed: of the resamples.
        delta, level: as in `fit_law`.
        confidence: level of the intervals.

    Raises:
        ValueError: the rows cannot determine the law.
    """
    # Repeats are told apart by passes; what size and data need is asked of size and examples seen.
    terms = repeated.of_seen(rows) if law.repeats else rows
    named = resources[: len(law.roles)]
    joint_rows.refuse_too_few(law.name, law.form.free_parameters, named, terms)
    collinear = joint_rows.collinearity_warnings(terms, named)
    fitted = fit_law(law, rows, joint_rows.resample(rows, resamples, seed), delta, level)
    return Solved(law, rows, tuple(resources), y, fitted, resamples, seed, tuple(collinear), confidence)
