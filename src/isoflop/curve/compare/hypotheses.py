"""Tests of constrained against free fits by a wild cluster bootstrap, made under the constraint.

Samples of the bootstrap are the constrained curves plus their residuals, all of a unit multiplied by one
random weight, so that what the runs of a unit share stays shared (Cameron, Gelbach and Miller 2008). The
weights are the six points of Webb (2023, "Reworking wild bootstrap-based inference for clustered errors"),
which serve few units too.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from isoflop.curve import observations, solver
from isoflop.curve.compare import models
from isoflop.curve.compare.models import Both, Model
from isoflop.curve.compare.pairing import Units
from isoflop.curve.compare.result import NullTest
from isoflop.curve.forms import POWER_LAW, Form
from isoflop.curve.observations import Observations

Array = npt.NDArray[np.float64]

_WEBB = np.sqrt([1.5, 1.0, 0.5])
FLOOR_FROM = 5
"""Fewest points of an arm for whose noise a law with a floor is fitted."""
OWN_NOISE = 8
"""Fewest points of an arm whose noise is estimated from its own residuals."""
EFFORT = solver.Effort(tolerance=1e-7, gain=1e-9, steps=100)
"""Of the sample and its bootstrap samples alike: a difference of losses needs more digits than parameters."""


def sample(units: Units, form: Form) -> Both:
    """Return the points of both arms with their noise about curves of `form`.

    It is estimated for each arm as `isoflop fit` does (observations.spread); where an arm has under OWN_NOISE
    points, one misfit is estimated from the residuals of both.
    """
    first, second = units.observed
    largest = max(float(first.x.max()), float(second.x.max()))
    few = min(len(first.x), len(second.x)) < OWN_NOISE
    deviation, threshold = (_pooled if few else _own)(units.observed, form)
    return Both(
        v=np.concatenate([np.round(np.log(largest / each.x), 12) for each in units.observed]),
        arm=np.repeat([0.0, 1.0], [len(first.x), len(second.x)]),
        log_y=np.concatenate([first.log_y, second.log_y]),
        deviation=deviation,
        threshold=threshold,
        y=np.concatenate([first.y, second.y]),
        trials=(
            None
            if first.trials is None or second.trials is None
            else np.concatenate([first.trials, second.trials])
        ),
    )


def _own(both: tuple[Observations, Observations], form: Form) -> tuple[Array, float]:
    """Return the deviations (n,) of ln y with each arm's own misfit, and Huber's threshold."""
    each = [observations.spread(of, form, np.ones((1, len(of.x))), None) for of in both]
    return np.concatenate([of.deviation for of in each]), float(np.mean([of.threshold for of in each]))


def _pooled(both: tuple[Observations, Observations], form: Form) -> tuple[Array, float]:
    """Return the same with one misfit for both arms."""
    if min(len(observed.x) for observed in both) < FLOOR_FROM:
        form = POWER_LAW
    residuals, free = [], 0
    for observed in both:
        log_y = observed.log_y[None]
        plain = solver.Problem(form, observed.v, log_y, solver.log_error(log_y))
        one = np.ones_like(log_y)
        for _ in range(2):  # plain squares first, for a threshold
            fitted = solver.solve(plain, one, solver.COARSE)[0]
            residual = observed.log_y - solver.log_curve(form, fitted, observed.v)[0]
            plain = dataclasses.replace(plain, threshold=solver.threshold_of(residual))
        residuals.append(residual)
        free += form.free_parameters
    residual = np.concatenate(residuals)
    by_seeds = np.concatenate([(of.seed_variance or 0.0) / of.repeats for of in both])
    by_counting = np.concatenate([of.binomial_variance() for of in both])
    misfit, share = observations.components(residual, free, by_seeds, by_counting)
    deviation = np.sqrt(misfit + by_seeds + share * by_counting)
    return deviation, solver.threshold_of(residual / deviation, least=0.5)


def test(
    null: str,
    constrained: Model,
    free: Model,
    both: Both,
    units: Units,
    bootstraps: int,
    generator: np.random.Generator,
) -> NullTest:
    """Test a constraint.

    Args:
        null: the constraint, in words.
        constrained, free: the models; the free one contains the other.
        both: the points.
        units: what shares a weight.
        bootstraps: how many samples are made.
        generator: of the weights.
    """
    unit = np.concatenate(units.unit)
    parameters = sum(block.form.free_parameters for block in free)
    if units.count * 2 <= parameters or len(both.v) <= parameters:
        reason = f"{len(both.v)} points for {parameters} parameters"
        return NullTest(null, None, None, None, 0, reason)
    one = np.ones((1, len(both.v)))
    fitted, loss = models.fit(constrained, both, both.log_y[None], one, EFFORT)
    wider, least = models.fit(free, both, both.log_y[None], one, EFFORT)
    statistic = _statistic(loss, least)[0]
    under_null = models.curve(constrained, fitted, len(both.v))[0]
    weight = generator.choice(np.concatenate([-_WEBB, _WEBB]), size=(bootstraps, units.count))
    made = under_null + weight[:, unit] * (both.log_y - under_null)
    ones = np.ones((bootstraps, len(both.v)))
    pair = models.near(constrained, fitted), models.near(free, wider)
    losses = [models.fit(model, both, made, ones, EFFORT)[1] for model in pair]
    drawn = _statistic(*losses)
    p = (1 + int((drawn >= statistic * (1 - 1e-9)).sum())) / (1 + bootstraps)
    return NullTest(null, float(statistic), p, None, bootstraps, None)


def _statistic(constrained: Array, free: Array) -> Array:
    """Return (constrained - free) / free loss (r,), at least 0; a local minimum may be above the other."""
    return np.maximum(constrained - free, 0.0) / np.maximum(free, 1e-300)


def holm(tests: list[NullTest]) -> list[NullTest]:
    """Return tests with p_holm, adjusted for their number (Holm 1979)."""
    known = sorted((t.p, i) for i, t in enumerate(tests) if t.p is not None)
    adjusted, largest = list(tests), 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        adjusted[i] = dataclasses.replace(tests[i], p_holm=largest)
    return adjusted
