"""Many points shared out over few nodes of ln x: a resample of 100,000 points costs what one of 48 costs.

About a curve f that is nearly right, the robust loss of a resample with weights w is to second order

    sum_i w_i (-psi_i d_i + psi'_i d_i^2 / 2),  d = (curve of the resample) - f at the points,

psi being the pull of a point and psi' its curvature. d is smooth, so that between two nodes it is linear to
the square of their distance: each point gives its pull and curvature to the two nodes about it, in proportion
to its nearness (hat functions). What is left is weighted squares at the nodes, whose values and weights are
linear in w. A second round about the resamples' own curves removes the error of the second-order loss.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from isoflop.curve import solver
from isoflop.curve.forms import Form
from isoflop.curve.solver import Effort, Problem

Array = npt.NDArray[np.float64]

EVEN, QUANTILES = 32, 16
"""Nodes are spread evenly over the range of ln x, and placed at quantiles of the points besides."""
MOST_NODES = EVEN + QUANTILES
MANY = 2000
"""With more points, resamples are fitted by one round, and the sample's search for starts uses the nodes."""
ROUNDS, LAST_STEPS = 2, 10
"""Of the sample with many points: rounds on the nodes, and steps on all points from where these led."""
LEAST_CURVATURE = 0.1
"""A point beyond Huber's threshold has no curvature; this share of that of reweighted squares is kept, so
that a node with such points alone stays determined."""
_ELEMENTS = 1 << 20
"""Elements (rows x points) of the passes over all points."""


@dataclasses.dataclass(frozen=True)
class Nodes:
    """k nodes of v = ln(x_max / x), and where n points lie between them.

    Attributes:
        v: of the nodes (k,), ascending.
        left: index (n,) of the node at or below each point.
        share: part (n,) of each point that belongs to the node above it.
    """

    v: Array
    left: npt.NDArray[np.intp]
    share: Array

    def of_units(self, values: Array, unit: npt.NDArray[np.intp], units: int) -> Array:
        """Return the sums (units, k) of values (n,) of points over units and nodes."""
        k = len(self.v)
        first = unit * k + self.left
        flat = np.bincount(first, values * (1.0 - self.share), units * k)
        flat += np.bincount(first + 1, values * self.share, units * k)
        return np.asarray(flat.reshape(units, k))

    def of_rows(self, values: Array) -> Array:
        """Return the sums (r, k) of values (r, n) over nodes."""
        return np.stack([self.of_units(row, np.zeros_like(self.left), 1)[0] for row in values])


def nodes(v: Array) -> Nodes:
    """Return nodes for points at v (n,): their own v where at most MOST_NODES of these are distinct."""
    at = np.unique(v)
    if len(at) > MOST_NODES:
        even = np.linspace(at[0], at[-1], EVEN)
        at = np.unique(np.concatenate([even, np.quantile(v, np.linspace(0.0, 1.0, QUANTILES + 2)[1:-1])]))
    left = np.clip(np.searchsorted(at, v, side="right") - 1, 0, len(at) - 2)
    return Nodes(at, left, np.clip((v - at[left]) / (at[left + 1] - at[left]), 0.0, 1.0))


@dataclasses.dataclass(frozen=True)
class Squares:
    """Weighted squares that stand for the loss of r fits: `values` and `weights` (r, k) at nodes `v` (k,)."""

    v: Array
    values: Array
    weights: Array

    def problem(self, form: Form) -> Problem:
        """Return the problem of the solver."""
        return Problem(form, self.v, self.values, solver.log_error(self.values))


def pulls(problem: Problem, rows: npt.NDArray[np.intp], log_law: Array) -> tuple[Array, Array]:
    """Return pull and curvature (r, n) of the robust loss of each point about curves `log_law` (r, n)."""
    half, pull, curvature = problem.noise(log_law, rows)
    curvature = np.broadcast_to(curvature, log_law.shape)
    if not np.isfinite(problem.threshold):
        return pull, curvature
    size = np.sqrt(2 * half)
    robust = problem.threshold / np.maximum(size, problem.threshold)
    inside = size <= problem.threshold
    return pull * robust, curvature * np.where(inside, 1.0, LEAST_CURVATURE * robust)


def squares(at: Nodes, curve: Array, pull: Array, curvature: Array) -> Squares:
    """Return the squares about `curve` (r or 1, k) with sums of pull and curvature (r, k) at the nodes.

    Nodes without a point in any row are left out, except the first and last: bounds depend on the range.
    """
    used = curvature.max(axis=0) > 0
    used[[0, -1]] = True
    pull, curvature = pull[:, used], curvature[:, used]
    # A row may have no weight at a node that others use (on the frontier): it then has no say there.
    moved = np.divide(pull, curvature, out=np.zeros_like(pull), where=curvature > 0)
    return Squares(at.v[used], curve[:, used] + moved, curvature)


def about(problem: Problem, at: Nodes, weights: Array, parameters: Array) -> Squares:
    """Return the squares that stand for the loss about the curves of `parameters` (r, p).

    Args:
        problem: what is fitted, to n points.
        at: their nodes.
        weights: weights (r, n) of the points.
        parameters: of the curves, one a row.
    """
    count, pull, curvature = max(1, _ELEMENTS // len(problem.v)), [], []
    for first in range(0, len(parameters), count):
        rows = np.arange(first, min(first + count, len(parameters)))
        parts = pulls(problem, rows, solver.log_curve(problem.form, parameters[rows], problem.v))
        pull.append(at.of_rows(weights[rows] * parts[0]))
        curvature.append(at.of_rows(weights[rows] * parts[1]))
    curve = solver.log_curve(problem.form, parameters, at.v)
    return squares(at, curve, np.concatenate(pull), np.concatenate(curvature))


@dataclasses.dataclass(frozen=True)
class Resamples:
    """Random factors (r, u) of u units in r resamples, and the unit (n,) that each point belongs to.

    They are the weights of the points or, in a wild bootstrap, the signs of their residuals.
    """

    factors: Array
    unit: npt.NDArray[np.intp]
    wild: bool = False

    def first(self, at: Nodes, curve: Array, pull: Array, curvature: Array) -> Squares:
        """Return the squares of all resamples about the sample's curve (1, k) at the nodes.

        Args:
            at: the nodes.
            curve: of the sample at the nodes.
            pull, curvature: of the points (n,) about the sample's curve.
        """
        units = self.factors.shape[1]
        pulled = self.factors @ at.of_units(pull, self.unit, units)
        if self.wild:
            one = at.of_units(curvature, np.zeros_like(self.unit), 1)
            return squares(at, curve, pulled, np.repeat(one, len(pulled), axis=0))
        return squares(at, curve, pulled, self.factors @ at.of_units(curvature, self.unit, units))


def resample(
    problem: Problem, sample: Array, resamples: Resamples, level: float | None, again: Problem | None
) -> Array:
    """Return the parameters (r, p) of resamples, as solver.solve with COARSE finds them on all points.

    Args:
        problem: what is fitted, to n points.
        sample: parameters (1, p) of the sample.
        resamples: the resamples.
        level: a value to hold c at, or None.
        again: the problem of the r resamples, for a second round; None for one round.
    """
    form, at = problem.form, nodes(problem.v)
    curve = solver.log_curve(form, sample, problem.v)
    pull, curvature = (part[0] for part in pulls(problem, np.arange(1), curve))
    first = resamples.first(at, solver.log_curve(form, sample, at.v), pull, curvature)
    parameters = solver.solve(first.problem(form), first.weights, solver.COARSE, relaxed=True, level=level)[0]
    if again is None:
        return parameters
    weights = resamples.factors[:, resamples.unit]
    second = about(again, at, np.ones_like(weights) if resamples.wild else weights, parameters)
    return solver.polish(
        *(second.problem(form), second.weights, parameters, solver.COARSE), relaxed=True, level=level
    )[0]


def solve(
    problem: Problem, weights: Array, effort: Effort, *, level: float | None = None
) -> tuple[Array, Array]:
    """Return what solver.solve returns for few rows (r, n) of weights, in little time for many points.

    Starts and first steps are those of weighted squares of ln y at the nodes; ROUNDS about the curves that
    these lead to follow, and the last steps are on all points.
    """
    if len(problem.v) <= MANY or problem.v.ndim > 1:
        return solver.solve(problem, weights, effort, level=level)
    at = nodes(problem.v)
    start = squares(at, np.zeros((1, len(at.v))), at.of_rows(weights * problem.log_y), at.of_rows(weights))
    parameters = solver.solve(start.problem(problem.form), start.weights, effort, level=level)[0]
    for _ in range(ROUNDS):
        near = about(problem, at, weights, parameters)
        parameters = solver.polish(near.problem(problem.form), near.weights, parameters, effort, level=level)[
            0
        ]
    last = dataclasses.replace(effort, steps=min(effort.steps, LAST_STEPS))
    # With the loss's own curvature the last steps converge quadratically.
    return solver.polish(dataclasses.replace(problem, newton=True), weights, parameters, last, level=level)
