"""Laws in several resources fitted to a table: y against parameters and data, or width, depth and data.

The estimator is that of Hoffmann et al. (2022): the least sum of Huber's loss of ln y, here by the batched
solver, so that the sample and all resamples of configurations are each fitted from the whole grid of starts.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve import bootstrap, solver
from isoflop.curve.joint import allocation, data_grid, forms
from isoflop.curve.joint import rows as joint_rows
from isoflop.curve.joint.laws import JOINT_LAWS, JointLaw
from isoflop.curve.joint.result import Allocation, JointFit, JointHeldOut, Optimum, PredictedRow
from isoflop.curve.joint.rows import JointRows
from isoflop.curve.laws import ReportedParameter
from isoflop.curve.result import Estimate, Interval
from isoflop.curve.solver import Problem
from isoflop.table.columns import nearest

Array = npt.NDArray[np.float64]

DELTA = 1e-3
"""Huber's threshold of ln y in Hoffmann et al. 2022: far below the scatter, so nearly absolute errors."""
LARGEST = 1e200
"""An upper end of an interval above this counts as unbounded."""
RESAMPLED = solver.Effort(tolerance=1e-7, gain=1e-10, steps=200)
"""For resamples. Factors and exponents trade off along narrow valleys: stopping early there gives intervals
that are too narrow."""
LEAST_RESAMPLES = 40
BEYOND = 10.0
"""The optimal split is reported at the largest compute of the rows and at BEYOND times that."""
SPREAD_OF_FACTOR = 0.1
"""A column of compute whose ratio to the product of resources varies by more gives a warning."""


def estimate(reported: ReportedParameter, configs: int, free: int) -> Estimate:
    """Return the sample's value (draw 0) with the 95% interval of the resamples' draws.

    The interval is open where `configs` configurations cannot show the spread of `free` parameters.
    """
    value = float(reported.draws[0])
    if not bootstrap.enough_configs(configs, free) or len(reported.draws) == 1:
        return Estimate(reported.name, value, Interval(None, None), reported.unit)
    positive = bool((reported.draws > 0).all())
    ends = bootstrap.interval(reported.draws[1:], configs, free, logarithm=positive)
    low, high = (float(end) for end in ends)
    low, high = max(min(low, value), reported.least), max(high, value)
    return Estimate(
        *(reported.name, value, Interval(low, high if high < LARGEST else None), reported.unit),
    )


def _powers(logs: Array) -> Array:
    """Return exp of logs, cut at LARGEST and its inverse."""
    return np.asarray(np.exp(np.clip(logs, -math.log(LARGEST), math.log(LARGEST))))


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
    if form is law.free_level:
        parameters[:, 0] += forms.level_above(parameters[:, 1])
    residual = (log_y - law.log_predict(parameters[:1], v))[0]
    return FittedLaw(parameters, float(loss[0]), threshold, residual)


@dataclasses.dataclass(frozen=True)
class _ComputeFactor:
    """compute = factor x the product of resources to their powers; the source of the factor, and warnings."""

    factor: float
    unit: str
    basis: str
    warnings: tuple[str, ...] = ()


def _compute_factor(law: JointLaw, rows: JointRows, name: str | None) -> _ComputeFactor:
    if rows.compute is None or name is None:
        return _ComputeFactor(law.compute_factor, "FLOP", law.compute_basis)
    ratio = rows.compute / np.prod(rows.x ** np.array(law.compute_powers), axis=1)
    factor = float(np.median(ratio))
    low, high = np.quantile(ratio / factor, [0.1, 0.9])
    basis = f"the median of {name} over the product of resources"
    if low >= 1 - SPREAD_OF_FACTOR and high <= 1 + SPREAD_OF_FACTOR:
        return _ComputeFactor(factor, name, basis)
    warning = (
        f"{name} is {low:.2f} to {high:.2f} times {factor:.3g} x the product of resources in 80% of rows: "
        "the optimal split is as rough"
    )
    return _ComputeFactor(factor, name, basis, (warning,))


def _optimum(
    law: JointLaw, rows: JointRows, fitted: FittedLaw, compute: _ComputeFactor, at: float
) -> Optimum:
    """Return the optimum of each resource, and their ratio.

    Args:
        law: the law.
        rows: the rows that it was fitted to.
        fitted: its parameters.
        compute: the factor between compute and resources.
        at: the compute.
    """
    _, log_factors, b = law.terms(fitted.parameters, rows.log_x_max)
    best = allocation.optimum(log_factors, b, np.array(law.compute_powers), math.log(at / compute.factor))
    reported = [
        ReportedParameter(f"optimal_{role}", _powers(best[:, j]), role) for j, role in enumerate(law.roles)
    ]
    if law.roles == ("parameters", "data"):
        reported.append(
            ReportedParameter("examples_per_parameter", _powers(best[:, 1] - best[:, 0]), "examples")
        )
    else:
        reported.append(
            ReportedParameter("width_per_depth", _powers(best[:, 0] - best[:, 1]), "width units per layer")
        )
    return Optimum(at, tuple(estimate(r, rows.configs, law.form.free_parameters) for r in reported))


def _allocate(
    law: JointLaw, rows: JointRows, fitted: FittedLaw, compute: _ComputeFactor, at_compute: float | None
) -> Allocation | None:
    """Return the optimal split, or None if a term of the sample is at its bound 0 or flat.

    Args:
        law: the law.
        rows: the rows that it was fitted to.
        fitted: its parameters.
        compute: the factor between compute and resources.
        at_compute: the compute to split; None for the largest of the rows and BEYOND times it.
    """
    if law.useless(fitted.parameters[:1]):
        return None
    powers = np.array(law.compute_powers)
    spent = float((compute.factor * np.prod(rows.x**powers, axis=1)).max())
    grows = allocation.exponents(law.terms(fitted.parameters, rows.log_x_max)[2], powers)
    unit = "decades per decade of compute"
    named = [
        ReportedParameter(f"optimal_{role}_exponent", grows[:, j], unit) for j, role in enumerate(law.roles)
    ]
    return Allocation(
        compute_unit=compute.unit,
        factor=compute.factor,
        powers=law.compute_powers,
        basis=compute.basis,
        exponents=tuple(estimate(r, rows.configs, law.form.free_parameters) for r in named),
        optima=tuple(
            _optimum(law, rows, fitted, compute, at)
            for at in ((spent, BEYOND * spent) if at_compute is None else (at_compute,))
        ),
    )


def _judge(
    law: JointLaw, rows: JointRows, held: JointRows, fitted: FittedLaw, seed: int
) -> JointHeldOut | None:
    """Compare the law with held-out rows; None without any.

    Args:
        law: the law.
        rows: the rows that it was fitted to.
        held: the held-out rows.
        fitted: the parameters of the sample and its resamples.
        seed: of the residuals that are drawn for the interval of a new run.
    """
    if not len(held.y):
        return None
    v = rows.v(held.x)
    curves = law.log_predict(fitted.parameters, v)
    configs, free = rows.configs, law.form.free_parameters
    missed = np.log(held.y) - curves[0]
    ends: tuple[Array, Array] | None = None
    if len(curves) > 1 and bootstrap.enough_configs(configs, free):
        widened = (fitted.residual - fitted.residual.mean()) * math.sqrt(configs / (configs - free))
        noise = np.random.default_rng(seed + 1).choice(widened, curves[1:].shape)
        drawn = np.where(np.isnan(curves[1:]), -np.inf, curves[1:]) + noise
        ends = bootstrap.interval(drawn, configs, free)
    predictions = tuple(
        PredictedRow(
            row=name,
            y=float(held.y[i]),
            predicted=float(np.exp(curves[0, i])),
            low=None if ends is None else float(np.exp(min(ends[0][i], curves[0, i]))),
            high=None if ends is None else float(np.exp(max(ends[1][i], curves[0, i]))),
        )
        for i, name in enumerate(held.names)
    )
    inside = None if ends is None else int(((np.log(held.y) >= ends[0]) & (np.log(held.y) <= ends[1])).sum())
    return JointHeldOut(predictions, float(np.sqrt(np.mean(missed**2))), inside)


def _check(law: str, resources: Sequence[str], resamples: int, delta: float | None) -> JointLaw:
    if law not in JOINT_LAWS:
        raise ValueError(f"unknown law {law}: {nearest(law, JOINT_LAWS)}")
    joint_law = JOINT_LAWS[law]
    if len(resources) != len(joint_law.roles):
        raise ValueError(
            f"{law} is a law of {', '.join(joint_law.roles)}: name a column for each, not {len(resources)}"
        )
    if resamples < LEAST_RESAMPLES and resamples != 0:
        raise ValueError(f"resamples is {resamples}: a 95% interval needs at least {LEAST_RESAMPLES}")
    if delta is not None and not (delta > 0 and math.isfinite(delta)):
        raise ValueError(f"delta is {delta:g}: give Huber's threshold of ln y, above 0 (1e-3 as published)")
    return joint_law


def fit_joint(
    table: pd.DataFrame,
    law: str,
    resources: Sequence[str],
    y: str,
    resamples: int = 1000,
    seed: int = 0,
    delta: float | None = DELTA,
    *,
    group: str | None = None,
    chance: float | None = None,
    compute: str | None = None,
    at_compute: float | None = None,
    held_out: pd.DataFrame | None = None,
) -> JointFit:
    """Fit a law in several resources to y, with intervals over resampled configurations.

    Args:
        table: one row a run.
        law: name of the law.
        resources: the columns of JOINT_LAWS[law].roles, in that order, in any unit.
        y: column of the error or loss.
        resamples: of the bootstrap; 0 for none.
        seed: of the resamples.
        delta: Huber's threshold of ln y; None takes 1.345 robust standard deviations of the residuals, which
            is more efficient for normal noise.
        group: column whose values are the configurations, as in joint_rows.select.
        chance: value that Rosenfeld's e0 is held at.
        compute: column of training compute that sets the factor of the allocation; without it the law's
            `compute_factor`.
        at_compute: compute of the optimal split; without it the largest of the rows and BEYOND times that.
        held_out: rows with the same columns that the fit is judged on.

    Raises:
        ValueError: an unknown law, a missing column, or rows that cannot determine the law.
    """
    joint_law = _check(law, resources, resamples, delta)
    if chance is not None and law != "rosenfeld":
        raise ValueError(f"{law} has no chance level: leave chance out, or fit rosenfeld")
    if at_compute is not None and not (at_compute > 0 and math.isfinite(at_compute)):
        raise ValueError(f"compute to allocate is {at_compute:g}: give it above 0")
    rows = joint_rows.select(table, resources, y, group=group, chance=chance, compute=compute)
    free = joint_law.form.free_parameters
    joint_rows.refuse_too_few(law, free, resources, rows)
    warnings = joint_rows.collinearity_warnings(rows, resources)
    weights = joint_rows.resample(rows, resamples, seed)
    level = None if chance is None else math.log(chance)
    fitted = fit_law(joint_law, rows, weights, delta, level)
    configs, tells = rows.configs, resamples > 0 and bootstrap.enough_configs(rows.configs, free)
    if resamples and not tells:
        warnings.append(f"{configs} configurations for {free} parameters: no interval can be given")
    draws = fitted.parameters if tells else fitted.parameters[:1]
    warnings += joint_law.warn(draws, (1 - bootstrap.CONFIDENCE) / 2)
    factor = _compute_factor(joint_law, rows, compute)
    reported = joint_law.describe(fitted.parameters, rows.log_x_max, tuple(resources), y)
    held = None if held_out is None else joint_rows.select(held_out, resources, y)
    return JointFit(
        law=law,
        formula=joint_law.formula,
        source=joint_law.source,
        roles=joint_law.roles,
        resources=tuple(resources),
        y=y,
        points=len(rows.y),
        configs=configs,
        parameters=tuple(estimate(r, configs, free) for r in reported),
        standard_errors={r.name: float(r.draws[1:].std(ddof=1)) if tells else None for r in reported},
        objective=fitted.objective,
        delta=fitted.delta,
        log10_rmse=float(np.sqrt(np.mean((fitted.residual / math.log(10)) ** 2))),
        allocation=_allocate(joint_law, rows, fitted, factor, at_compute),
        growth=data_grid.growth_path(
            joint_law, rows, draws, functools.partial(estimate, configs=configs, free=free)
        ),
        held_out=None if held is None else _judge(joint_law, rows, held, fitted, seed),
        excluded=rows.excluded,
        warnings=(*warnings, *factor.warnings),
        resamples=resamples,
        bootstrap_seed=seed,
    )
