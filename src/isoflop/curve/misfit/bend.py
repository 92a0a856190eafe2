"""The bend that points have about a law: the smooth direction that the law itself cannot make.

Near its fit a law is linear in its parameters: what it can explain is the span of its derivatives. The bend
is the polynomial of ln x, of as low a degree as there are parameters, that is left when that span is
projected out: for a power law the parabola on logarithmic axes. Its coefficient by least squares, over the
scatter of the configurations about the bent curve, is the statistic of lack_of_fit.py.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre

from isoflop.curve import forms, observations
from isoflop.curve.forms import Form
from isoflop.curve.laws import AT_BOUND, FitOptions, Law, level_of
from isoflop.curve.observations import Observations

Array = npt.NDArray[np.float64]

STEP = 1e-5
"""Of the numerical derivative of a law without a form, relative to 1 + the parameter."""
END = 1 / 3
"""The slope at an end of the range is the mean over this share of it: at the very end a polynomial is
steepest and least known."""


@dataclasses.dataclass(frozen=True)
class Bend:
    """A law, and the directions along which n points may differ from it.

    Attributes:
        law: the law.
        parameters: its parameters (1, p) of the sample.
        tangent: v (m,) -> the derivatives (m, k) of ln y with respect to the law's free parameters.
        polynomial: coefficients (degree + 1,) of the Legendre polynomials of ln x in the bend.
        explained: coefficients (k,) of the law's derivatives that are taken off it.
        shift: coefficients (k + 1,) of the derivatives and the bend in the residuals, by least squares.
        direction: the bend at the points (n,), over their deviations, of length 1.
        basis: orthonormal basis (n, k) of the law's span at the points, over their deviations.
        residual: ln y less the law (n,), over the deviations.
        span: range of ln x.
    """

    law: Law
    parameters: Array
    tangent: Callable[[Array], Array]
    polynomial: Array
    explained: Array
    shift: Array
    direction: Array
    basis: Array
    residual: Array
    span: float

    @property
    def rank(self) -> int:
        """Number of directions of the law."""
        return int(self.basis.shape[1])

    def statistic(self, residual: Array, cluster: npt.NDArray[np.intp] | None) -> Array:
        """Return the studentised coefficients (r,) of the bend in residuals (r, n), over their deviations.

        Args:
            residual: one sample a row.
            cluster: index (n,) of the configuration of each point, where some have several points: the
                standard error is then that of clusters (CR0); None where each has one, and the scatter about
                the bent curve is pooled.
        """
        # The bend is orthogonal to the law's span, so that no projection is needed for its coefficient.
        size, along = residual @ self.direction, residual @ self.basis
        if cluster is None:
            rest = np.einsum("rn,rn->r", residual, residual) - np.einsum("rk,rk->r", along, along) - size**2
            freedom = residual.shape[1] - self.rank - 1
            error = np.sqrt(np.maximum(rest, 0.0) / freedom)
        else:
            left = residual - along @ self.basis.T
            sums = np.zeros((len(left), int(cluster.max()) + 1))
            np.add.at(sums.T, cluster, (left * self.direction).T)
            error = np.sqrt(np.einsum("rc,rc->r", sums, sums))
        return np.asarray(size / np.maximum(error, 1e-300))

    def deviates(self, v: Array) -> Array:
        """Return ln of the bent curve over the law at v (m,): least squares of the residuals on both."""
        tangent = self.tangent(v)
        polynomials = legendre.legvander(1 - 2 * v / self.span, len(self.polynomial) - 1)
        extra = polynomials @ self.polynomial - tangent @ self.explained
        return np.asarray(np.column_stack([tangent, extra]) @ self.shift)

    def local_exponents(self) -> tuple[float, float]:
        """Return -d ln y / d ln x of the bent curve over the lowest and over the highest third of ln x."""
        step = END * self.span
        v = np.array([0.0, step, self.span - step, self.span])
        curve = self.law.log_predict(self.parameters, -v)[0] + self.deviates(v)
        return float((curve[3] - curve[2]) / step), float((curve[1] - curve[0]) / step)

    def ahead(self, ratio: float) -> float:
        """Return ln of y at `ratio` times the largest x over the law's there.

        The bent curve goes on as the law does, but for the slope that it gained or lost over its last third;
        it does not rise.
        """
        step = END * self.span
        at_end, before = self.deviates(np.array([0.0, step]))
        law = self.law.log_predict(self.parameters, np.array([0.0, np.log(ratio)]))[0]
        on = law[0] + at_end, law[1] + at_end + (at_end - before) / step * np.log(ratio)
        return float(min(on) - law[1])


def _of_form(form: Form, theta: Array, span: float, level: bool) -> Callable[[Array], Array]:
    """Return v (m,) -> the derivatives (m, k) of ln y with respect to what is free, not at a bound.

    Args:
        form: the shape that is fitted.
        theta: its parameters (1, q).
        span: range of ln x.
        level: whether the level is free.
    """
    low, high = form.bounds(span)
    edge = AT_BOUND * (1 + np.abs(high - low))
    free = np.flatnonzero((theta[0] > low + edge) & (theta[0] < high - edge))

    def tangent(v: Array) -> Array:
        derivatives = form.evaluate(theta, v)[1][0][:, free]
        return np.column_stack([np.ones((len(v), int(level))), derivatives])

    return tangent


def _numerical(law: Law, parameters: Array, v: Array) -> Array:
    """Return the derivatives (m, k) of ln y at v (m,) of a law without a form, with parameters (1, p)."""
    columns = []
    for i in range(law.free_parameters):
        step = STEP * (1 + abs(float(parameters[0, i])))
        up, down = parameters.copy(), parameters.copy()
        up[0, i], down[0, i] = up[0, i] + step, down[0, i] - step
        columns.append((law.log_predict(up, -v)[0] - law.log_predict(down, -v)[0]) / (2 * step))
    return np.column_stack(columns)


def bend(law: Law, parameters: Array, observed: Observations, options: FitOptions) -> Bend | None:
    """Return the bend of points about a fitted law; None where no direction is left to them.

    Args:
        law: the law.
        parameters: its parameters (1, p) of the sample.
        observed: the points (n): configuration means.
        options: how the law is fitted.
    """
    v, span = observed.v, float(np.ptp(observed.v))
    form = law.form if law.restricted is None else law.restricted(observed, options)
    level = None if form is None else level_of(form, options)
    about = form or forms.POWER_LAW
    deviation = observations.spread(observed, about, np.ones((1, len(v))), level).deviation
    tangent: Callable[[Array], Array] = functools.partial(_numerical, law, parameters)
    if form is not None:
        theta = parameters[:, 1:] if form.kept is None else parameters[:, 1:][:, form.kept]
        tangent = _of_form(form, theta, span, level is None)
    scaled = tangent(v) / deviation[:, None]
    left_vectors, sizes, _ = np.linalg.svd(scaled / np.linalg.norm(scaled, axis=0), full_matrices=False)
    # Parameters that trade off (m4's k and b) make one direction together.
    basis = left_vectors[:, sizes > 1e-6 * sizes[0]]
    degree = basis.shape[1]
    if len(np.unique(np.round(v, 3))) < degree + 2 or len(v) < degree + 3:
        return None
    polynomials = legendre.legvander(1 - 2 * v / span, degree) / deviation[:, None]
    orthonormal, triangle = np.linalg.qr(polynomials)
    left = orthonormal - basis @ (basis.T @ orthonormal)
    # Of all polynomials of unit length, that of which the law explains least.
    _, norms, axes = np.linalg.svd(left, full_matrices=False)
    direction = left @ axes[0]
    if norms[0] < 1e-3:
        return None
    explained = np.linalg.lstsq(scaled, orthonormal @ axes[0], rcond=None)[0]
    residual = (observed.log_y - law.log_predict(parameters, -v)[0]) / deviation
    return Bend(
        law=law,
        parameters=parameters,
        tangent=tangent,
        polynomial=np.linalg.solve(triangle, axes[0]),
        explained=explained,
        shift=np.linalg.lstsq(np.column_stack([scaled, direction]), residual, rcond=None)[0],
        direction=direction / norms[0],
        basis=basis,
        residual=residual,
        span=span,
    )
