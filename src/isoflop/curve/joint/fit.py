"""Laws in several resources fitted to a table: y against parameters and data, or width, depth and data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve import bootstrap, fixed
from isoflop.curve.joint import allocation, data_grid, mixture, predict, repeated, solve
from isoflop.curve.joint import rows as joint_rows
from isoflop.curve.joint.laws import JOINT_LAWS, R_STAR, UNIQUE, JointLaw
from isoflop.curve.joint.result import Allocation, JointFit, Optimum
from isoflop.curve.joint.rows import JointRows
from isoflop.curve.joint.solve import DELTA, LARGEST, Solved
from isoflop.curve.laws import ReportedParameter
from isoflop.curve.measured import MeasuredRegion
from isoflop.table.columns import nearest

Array = npt.NDArray[np.float64]

_OF_DATA = ("data", UNIQUE)
"""Roles of resources that are no size of a model."""
BEYOND = 10.0
"""The optimal split is reported at the largest compute of the rows and at BEYOND times that."""
SPREAD_OF_FACTOR = 0.1
"""A column of compute whose ratio to the product of resources varies by more gives a warning."""


def _powers(logs: Array) -> Array:
    """Return exp of logs, cut at LARGEST and its inverse."""
    return np.asarray(np.exp(np.clip(logs, -math.log(LARGEST), math.log(LARGEST))))


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
    ratio = rows.compute / _product(law, rows)
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


def _product(law: JointLaw, rows: JointRows) -> Array:
    """Return the product (n,) of the resources to their powers in compute."""
    x = repeated.of_seen(rows).x if law.repeats else rows.x
    return np.asarray(np.prod(x ** np.array(law.compute_powers), axis=1))


def _best(solved: Solved, log_compute: float) -> Array:
    """Return ln of the best of each resource (r, k) at ln(C / f); with repeats, of the largest data set."""
    law, parameters = solved.law, solved.fitted.parameters
    _, log_factors, b = law.terms(parameters, solved.rows.log_x_max)
    if not law.repeats:
        return allocation.optimum(log_factors, b, np.array(law.compute_powers), log_compute)
    unique = float(solved.rows.x[:, 1].max())
    return repeated.best_split(log_factors, b, law.r_star(parameters), unique, log_compute)


def _exponents(solved: Solved, log_compute: float) -> Array:
    """Return the exponents (r, k) of the best resources in compute; with repeats, those at ln(C / f)."""
    law = solved.law
    if law.repeats:
        step = 0.05
        return (_best(solved, log_compute + step) - _best(solved, log_compute - step)) / (2 * step)
    b = law.terms(solved.fitted.parameters, solved.rows.log_x_max)[2]
    return allocation.exponents(b, np.array(law.compute_powers))


def _region(solved: Solved, compute: _ComputeFactor) -> MeasuredRegion:
    """Return what was measured of each resource and ratio of `_optimum` at each compute."""
    law, rows = solved.law, solved.rows
    x = repeated.of_seen(rows).x if law.repeats else rows.x
    quantities = {role: x[:, j] for j, role in enumerate(law.roles)}
    if law.roles == ("parameters", "data"):
        quantities["examples per parameter"] = x[:, 1] / x[:, 0]
    else:
        quantities["width per depth"] = x[:, 0] / x[:, 1]
    if law.repeats:
        quantities["passes"] = x[:, 1] / rows.x[:, 1].max()
    return MeasuredRegion.of(compute.unit, compute.factor * _product(law, rows), quantities)


def _optimum(solved: Solved, compute: _ComputeFactor, region: MeasuredRegion, at: float) -> Optimum:
    """Return the optimum of each resource at a compute, and their ratio, judged by what was measured."""
    law, best = solved.law, _best(solved, math.log(at / compute.factor))
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
    if law.repeats:
        passes = _powers(best[:, 1] - math.log(solved.rows.x[:, 1].max()))
        reported.append(ReportedParameter("passes", passes, "times that the largest data set is seen"))
    judged = (each.judge(solved.estimate(draws)) for each, draws in zip(region.at(at), reported, strict=True))
    return Optimum(at, region.compute.outside(at), tuple(judged))


def _allocate(solved: Solved, compute: _ComputeFactor, at_compute: float | None) -> Allocation | None:
    """Return the optimal split, or None if a term of the sample is at its bound 0 or flat.

    Args:
        solved: the law.
        compute: the factor between compute and resources.
        at_compute: the compute to split; None for the largest of the rows and BEYOND times it.
    """
    law = solved.law
    if law.useless(solved.fitted.parameters[:1]):
        return None
    region = _region(solved, compute)
    spent = region.compute.largest
    grows = _exponents(solved, math.log(spent / compute.factor))
    unit = "decades per decade of compute"
    named = [
        ReportedParameter(f"optimal_{role}_exponent", grows[:, j], unit) for j, role in enumerate(law.roles)
    ]
    return Allocation(
        compute_unit=compute.unit,
        factor=compute.factor,
        powers=law.compute_powers,
        basis=compute.basis,
        exponents=tuple(solved.estimate(each) for each in named),
        optima=tuple(
            _optimum(solved, compute, region, at)
            for at in ((spent, BEYOND * spent) if at_compute is None else (at_compute,))
        ),
    )


def _check(
    law: str, resources: Sequence[str], resamples: int, delta: float | None, confidence: float
) -> JointLaw:
    if law not in JOINT_LAWS:
        raise ValueError(f"unknown law {law}: {nearest(law, JOINT_LAWS)}")
    joint_law = JOINT_LAWS[law]
    if len(resources) != len(joint_law.inputs):
        raise ValueError(
            f"{law} is a law of {', '.join(joint_law.inputs)}: name a column for each, not {len(resources)}"
        )
    if resamples != 0:
        bootstrap.check_resamples(resamples, confidence)
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
    mixed: bool = False,
    confidence: float = bootstrap.CONFIDENCE,
    fix: Sequence[tuple[str, float]] = (),
    keep: Callable[[Solved], None] | None = None,
) -> JointFit:
    """Fit a law in several resources to y, with intervals over resampled configurations.

    Args:
        table: one row a run.
        law: name of the law.
        resources: the columns of JOINT_LAWS[law].inputs, in that order, in any unit. Where a law with repeats
            finds passes that do not vary, chinchilla is fitted in the first two, with a warning.
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
        mixed: fit rows of several data sets, optimizers or families of models together.
        confidence: level of the intervals.
        fix: (name, value) of parameters that are held (fixed.joint).
        keep: is given the solved law with its resamples (draws.Draws).

    Raises:
        ValueError: an unknown law, a missing column, or rows that cannot determine the law or are of several
            experiments.
    """
    joint_law = _check(law, resources, resamples, delta, confidence)
    if chance is not None and law != "rosenfeld":
        raise ValueError(f"{law} has no chance level: leave chance out, or fit rosenfeld")
    if at_compute is not None and not (at_compute > 0 and math.isfinite(at_compute)):
        raise ValueError(f"compute to allocate is {at_compute:g}: give it above 0")
    rows = joint_rows.select(table, resources, y, group=group, chance=chance, compute=compute)
    of_several = mixture.refuse(
        table,
        [column for column, role in zip(resources, joint_law.inputs, strict=True) if role not in _OF_DATA],
        mixed,
    )
    held = None if held_out is None else joint_rows.select(held_out, resources, y)
    fallback: tuple[str, ...] = ()
    if joint_law.repeats and len(rows.y):
        rows, held = repeated.by_passes(rows), None if held is None else repeated.by_passes(held)
        if why := repeated.why_none(rows.x[:, 2]):
            fallback = (f"what a repeat is worth cannot be told, as {why}: chinchilla is fitted",)
            joint_law, resources = JOINT_LAWS["chinchilla"], resources[:2]
            rows, held = repeated.of_seen(rows), None if held is None else repeated.of_seen(held)
    joint_law, level = fixed.joint(joint_law, fix, rows.y, None if chance is None else math.log(chance))
    solved = solve.solve(
        *(joint_law, rows, resources, y),
        resamples=resamples,
        seed=seed,
        delta=delta,
        level=level,
        confidence=confidence,
    )
    if keep is not None:
        keep(solved)
    result = report(solved, compute=compute, at_compute=at_compute, held=held)
    return dataclasses.replace(result, warnings=(*fallback, *of_several, *result.warnings))


def report(
    solved: Solved,
    *,
    compute: str | None = None,
    at_compute: float | None = None,
    held: JointRows | None = None,
) -> JointFit:
    """Return what a solved law says.

    Args:
        solved: the law.
        compute, at_compute: as in `fit_joint`.
        held: rows that the law is judged on.
    """
    law, rows, fitted, warnings = solved.law, solved.rows, solved.fitted, list(solved.collinear)
    configs, free, tells = rows.configs, law.form.free_parameters, solved.has_intervals
    if solved.resamples and not tells:
        warnings.append(f"{configs} configurations for {free} parameters: no interval can be given")
    outside = (1 - solved.confidence) / 2
    warnings += law.warn(solved.draws, outside)
    if law.repeats:
        warnings += repeated.unsettled(rows, law.r_star(solved.draws), outside)
    factor = _compute_factor(law, rows, compute)
    reported = law.describe(fitted.parameters, rows.log_x_max, solved.resources, solved.y)
    return JointFit(
        law=law.name,
        formula=law.formula,
        source=law.source,
        roles=law.inputs,
        resources=solved.resources,
        y=solved.y,
        points=len(rows.y),
        configs=configs,
        parameters=tuple(
            repeated.open_ended(solved.estimate(each)) if each.name == R_STAR else solved.estimate(each)
            for each in reported
        ),
        standard_errors={r.name: float(r.draws[1:].std(ddof=1)) if tells else None for r in reported},
        objective=fitted.objective,
        delta=fitted.delta,
        log10_rmse=float(np.sqrt(np.mean((fitted.residual / math.log(10)) ** 2))),
        allocation=_allocate(solved, factor, at_compute),
        growth=data_grid.growth_path(law, rows, solved.draws, solved.estimate),
        held_out=None if held is None else predict.judge(solved, held),
        excluded=rows.excluded,
        warnings=(*warnings, *factor.warnings),
        resamples=solved.resamples,
        bootstrap_seed=solved.seed,
        level=solved.confidence,
    )
