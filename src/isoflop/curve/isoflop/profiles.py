"""IsoFLOP profiles: among runs of equal compute, which size has the least error, and how that size grows.

Approach 2 of Hoffmann et al. (2022): for each compute budget a parabola of ln y in ln(size), its vertex the
optimal size, and a power law of the vertices in compute. With two sizes (width and depth) the parabola is a
quadratic surface. All budgets are one robust linear regression, with one slope of ln y in ln compute for what
compute differs within budgets; the sample and its resamples are solved together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve import bootstrap
from isoflop.curve.isoflop import bias, budgets, intervals, parabola
from isoflop.curve.isoflop.bias import FARTHEST, Bias
from isoflop.curve.isoflop.budgets import Design
from isoflop.curve.isoflop.growth import MIN_BUDGETS, FittedParabolas, fit_growth
from isoflop.curve.isoflop.result import Budget, ProfilePoint, Profiles, Slice
from isoflop.curve.joint import mixture
from isoflop.curve.joint import rows as joint_rows
from isoflop.curve.measured import MeasuredRange

Array = npt.NDArray[np.float64]

TOLERANCE = 0.25
"""Runs whose compute differs by no more than this share make one budget."""
SPARE = 3
"""Distinct sizes beyond the parabola's coefficients that a budget needs."""
SLICE_POINTS = 40


class NoBudgetError(ValueError):
    """No compute is shared by enough sizes."""


def _fit(design: Design, weights: Array, sizes: int, level: float) -> FittedParabolas:
    logs = np.log(design.rows.x)
    columns = parabola.quadratic(design.u)
    coefficient, slope = parabola.regress(design, columns, np.log(design.rows.y), weights)
    # A resample's optimum is held within so many half ranges of the middle of its budget's sizes.
    vertex = np.clip(parabola.vertices(coefficient, sizes), -FARTHEST, FARTHEST)
    parts = [design.middle + design.half * vertex]
    for companion in logs.T[sizes:]:
        line, _ = parabola.regress(design, parabola.linear(design.u), companion, weights)
        parts.append((line * parabola.linear(vertex)).sum(axis=-1)[..., None])
    parts.append((coefficient * parabola.quadratic(vertex)).sum(axis=-1)[..., None])
    return FittedParabolas(coefficient, slope, vertex, np.concatenate(parts, axis=-1), level)


def _no_optimum(vertex: Array, sizes: Sequence[str], middle: Array, half: Array) -> str | None:
    """Return why a parabola with this vertex (k,) in u has no optimum, or None."""
    if np.isnan(vertex).any():
        return f"ln y is not convex in ln {' and ln '.join(sizes)}: no minimum here, measure more sizes"
    for j, name in enumerate(sizes):
        if abs(vertex[j]) > 1:
            low, high = (math.exp(middle[j] + side * half[j]) for side in (-1, 1))
            side, where = ("below", "smaller") if vertex[j] < 0 else ("above", "larger")
            return (
                f"the least y lies {side} the {name} measured, {low:.4g} to {high:.4g}: run {where} {name} "
                "at this compute"
            )
    return None


def _slices(fitted: FittedParabolas, design: Design, b: int, configs: int) -> tuple[Slice, ...]:
    middle, half = design.middle[b], design.half[b]
    grid = np.linspace(-1, 1, SLICE_POINTS)
    centre = np.clip(np.nan_to_num(fitted.vertex[0, b]), -1, 1)
    slices = []
    for j in range(len(middle)):
        u = np.tile(centre, (SLICE_POINTS, 1))
        u[:, j] = grid
        columns = parabola.quadratic(u)
        curves = fitted.coefficient[:, b] @ columns.T
        free = columns.shape[1]
        low = high = curves[0]
        if len(curves) > 1 and bootstrap.enough_configs(configs, free):
            low, high = bootstrap.interval(curves[1:], configs, free, level=fitted.level)
        ends = (np.minimum(low, curves[0]), np.maximum(high, curves[0]))
        slices.append(
            Slice(
                tuple(np.exp(middle[j] + half[j] * grid).tolist()),
                *(tuple(np.exp(side).tolist()) for side in (curves[0], *ends)),
            )
        )
    return tuple(slices)


def _budget(
    fitted: FittedParabolas,
    design: Design,
    b: int,
    names: tuple[str, ...],
    sizes: Sequence[str],
    known_bias: Bias | None,
) -> Budget:
    """Return one budget with its points, parabola and optimum.

    Args:
        fitted: the parabolas of all budgets.
        design: the rows of all budgets.
        b: index of the budget.
        names: of sizes, companions and y.
        sizes: names of the sizes.
        known_bias: that of all budgets.
    """
    rows, members = design.rows, np.flatnonzero(design.of == b)
    assert rows.compute is not None
    k, configs = len(sizes), len(np.unique(rows.config[members]))
    reason = _no_optimum(fitted.vertex[0, b], sizes, design.middle[b], design.half[b])
    optimum = least = factors = None
    if reason is None:
        free = fitted.coefficient.shape[-1]
        estimates = [
            intervals.estimate(
                f"optimal_{name}" if j < len(names) - 1 else f"least_{name}",
                *(name, draws, configs, free, fitted.level),
            )
            for j, (name, draws) in enumerate(zip(names, fitted.at_vertex[:, b].T, strict=True))
        ]
        ranges = [MeasuredRange.of(name, x) for name, x in zip(names[:-1], rows.x[members].T, strict=True)]
        *best, least = estimates
        optimum = tuple(
            measured.judge(intervals.within(each, measured))
            for measured, each in zip(ranges, best, strict=True)
        )
    if optimum is not None and known_bias is not None:
        missed = np.exp(known_bias.by_parabolas[b] - known_bias.by_law[b])
        factors = tuple(missed.tolist()) if np.isfinite(missed).all() else None
    at_budget = rows.y[members] * np.exp(-fitted.slope * design.log_c[members])
    return Budget(
        compute=float(np.exp(design.log_budget[b])),
        compute_low=float(rows.compute[members].min()),
        compute_high=float(rows.compute[members].max()),
        configs=configs,
        points=tuple(
            ProfilePoint(tuple(rows.x[i, :k].tolist()), float(rows.y[i]), float(y))
            for i, y in zip(members, at_budget, strict=True)
        ),
        slices=_slices(fitted, design, b, configs),
        optimum=optimum,
        least=least,
        bias=factors,
        reason=reason,
    )


def _often(vertex: Array) -> npt.NDArray[np.bool_]:
    """Return which budgets (B,) have an optimum in at least half of the resamples."""
    known = np.isfinite(vertex[:, :, 0])
    return np.asarray(known[0] if len(known) == 1 else known[1:].mean(axis=0) >= 0.5)


def _check(sizes: Sequence[str], tolerance: float, resamples: int, level: float) -> None:
    if not 1 <= len(sizes) <= 2:
        raise ValueError(f"{len(sizes)} sizes: give one (parameters, width or depth) or two (width, depth)")
    if not 0 <= tolerance <= 1:
        raise ValueError(f"tolerance is {tolerance:g}: give the share by which compute may differ, 0 to 1")
    if resamples != 0:
        bootstrap.check_resamples(resamples, level)


def fit_profiles(
    table: pd.DataFrame,
    compute: str,
    sizes: Sequence[str],
    y: str,
    companions: Sequence[str] = (),
    *,
    data: str | None = None,
    mixed: bool = False,
    group: str | None = None,
    tolerance: float = TOLERANCE,
    resamples: int = 1000,
    seed: int = 0,
    level: float = bootstrap.CONFIDENCE,
) -> Profiles:
    """Return IsoFLOP profiles of y over one size, or over two at once (width and depth).

    Args:
        table: one row a run.
        compute: column of the training compute.
        sizes: columns of one or two sizes.
        y: column of the error or loss.
        companions: further columns (examples, parameters) whose value at each optimum is reported.
        data: the companion that holds the data seen, from which, with the sizes, the bias of the parabolas
            follows; without it the bias is unknown.
        mixed: fit rows of several data sets, optimizers or families of models together.
        group: column whose values are the configurations, which are resampled; else config_id, else rows.
        tolerance: runs whose compute spans at most the ratio 1 + tolerance make a budget.
        resamples: of the bootstrap; 0 for none.
        seed: of the resamples.
        level: of the intervals.

    Raises:
        NoBudgetError: no budget has enough sizes.
        ValueError: a column is missing, holds text or is named twice, or rows are of several experiments.
    """
    _check(sizes, tolerance, resamples, level)
    assert data is None or data in companions
    k, names = len(sizes), (*sizes, *companions, y)
    rows = joint_rows.select(table, names[:-1], y, group=group, compute=compute)
    assert rows.compute is not None
    least = parabola.coefficients(k) + SPARE
    budget = budgets.group(rows.compute, rows.x[:, :k], tolerance, least)
    if not (budget >= 0).any():
        each = f", {budgets.LEAST_VALUES} or more of each," if k > 1 else ""
        raise NoBudgetError(
            f"no {compute} is shared within {tolerance:.0%} by {least} distinct {' x '.join(sizes)}{each} of "
            f"{len(rows.y)} usable rows: run more sizes at equal compute"
        )
    if float(rows.y.min()) == float(rows.y.max()):
        raise ValueError(f"{y} is {rows.y[0]:g} in every row: no size is better than another")
    of_several = mixture.refuse(table, sizes, mixed)
    design = budgets.design(rows, budget, k)
    fitted = _fit(design, joint_rows.resample(design.rows, resamples, seed), k, level)
    known_bias, bias_reason = bias.read(design, rows, names, k, data)
    fitted_budgets = tuple(
        _budget(fitted, design, b, names, sizes, known_bias) for b in range(len(design.log_budget))
    )
    usable = np.array([each.optimum is not None for each in fitted_budgets]) & _often(fitted.vertex)
    enough = int(usable.sum()) >= MIN_BUDGETS
    reason = f"{int(usable.sum())} budgets have an optimum in most resamples: exponents need {MIN_BUDGETS}"
    return Profiles(
        compute=compute,
        sizes=tuple(sizes),
        companions=tuple(companions),
        y=y,
        tolerance=tolerance,
        budgets=fitted_budgets,
        slope=fitted.slope,
        growth=fit_growth(fitted, design, usable, names, known_bias) if enough else None,
        growth_reason=None if enough else reason,
        bias_law=None if known_bias is None else known_bias.law,
        bias_reason=bias_reason,
        without_budget=int((budget < 0).sum()),
        excluded=rows.excluded,
        warnings=(*of_several, *_warnings(fitted_budgets, compute)),
        resamples=resamples,
        bootstrap_seed=seed,
        level=level,
    )


def _warnings(fitted_budgets: tuple[Budget, ...], compute: str) -> tuple[str, ...]:
    warnings = [
        f"{compute} about {each.compute:.3g}: {each.reason}" for each in fitted_budgets if each.reason
    ]
    open_ended = [
        each
        for each in fitted_budgets
        if each.optimum and (each.optimum[0].interval.low is None or each.optimum[0].interval.high is None)
    ]
    if open_ended:
        shown = ", ".join(f"{each.compute:.3g}" for each in open_ended)
        warnings.append(
            f"no closed interval of the optimum at {compute} {shown}: few sizes, or it reaches beyond them"
        )
    return tuple(warnings)
