"""The laws: how y (error or loss) falls with x (compute, energy, time, money).

Every law fits many weighted copies of one sample at once (the bootstrap) and works with
z = ln(x / x_max), so that no unit of x reaches the fit. Formulas: Thompson et al. (2020), "The
Computational Limits of Deep Learning", section 3, for `polynomial` and `exponential`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from isoflop.curve import floor

Array = npt.NDArray[np.float64]

LN10 = math.log(10.0)
LEAST_INVERSE = 1e-3
"""The exponential law's 1/y is held above this share of the least observed 1/y."""


@dataclasses.dataclass(frozen=True)
class Axes:
    """What turns unit-free parameters into reported ones: ln of the reference x_max, and the units."""

    log_x_max: float
    x_unit: str
    y_unit: str


@dataclasses.dataclass(frozen=True)
class Reported:
    """A parameter as reported: its draws (1 + resamples,), the sample's own value first, and its unit.

    With `reciprocal`, the reported number is 1/draws: unbounded where the interval of draws reaches 0.
    """

    name: str
    draws: Array
    unit: str
    reciprocal: bool = False


@dataclasses.dataclass(frozen=True)
class Law:
    """A law and its estimator. r counts the sample (row 0) and its resamples, n the points.

    fit(z (n,), y (n,), weights (r, n)) -> parameters (r, p)
    predict(parameters (r, p), z (m,)) -> y (r, m)
    describe(parameters, axes) -> what is reported; `slope` names the one whose inverse is paper_alpha
    warn(parameters, z, y, outside) -> warnings in words; `outside` is the share beyond each interval end
    scale(y) -> the scale on which r_squared is taken, named by `scale_name`
    """

    name: str
    formula: str
    free_parameters: int
    scale_name: str
    scale: Callable[[Array], Array]
    fit: Callable[[Array, Array, Array], Array]
    predict: Callable[[Array, Array], Array]
    describe: Callable[[Array, Axes], tuple[Reported, ...]]
    warn: Callable[[Array, Array, Array, float], tuple[str, ...]]
    slope: str | None
    no_alpha_reason: str | None


def least_squares(u: Array, t: Array, weights: Array) -> Array:
    """Weighted least squares of t (n,) on u (n,): (r, 3) intercept at u = 0, slope, inverse slope.

    The inverse slope is that of u regressed on t, R^2 / slope; 0 where a resample's t does not vary.
    """
    middle_u, middle_t = u.mean(), t.mean()
    du, dt = u - middle_u, t - middle_t
    total = weights.sum(axis=1)
    mean_u, mean_t, uu, ut, tt = (
        weights @ np.stack([du, dt, du * du, du * dt, dt * dt], axis=1) / total[:, None]
    ).T
    uu, ut, tt = uu - mean_u**2, ut - mean_u * mean_t, tt - mean_t**2
    slope = ut / uu
    intercept = middle_t + mean_t - slope * (middle_u + mean_u)
    inverse = np.divide(ut, tt, out=np.zeros_like(ut), where=tt > 0)
    return np.column_stack([intercept, slope, inverse])


def _log10_inverse(y: Array) -> Array:
    return -np.log10(y)


def _inverse(y: Array) -> Array:
    return 1.0 / y


def _fit_polynomial(z: Array, y: Array, weights: Array) -> Array:
    return least_squares(z / LN10, _log10_inverse(y), weights)


def _predict_polynomial(parameters: Array, z: Array) -> Array:
    return np.asarray(10.0 ** -(parameters[:, :1] + parameters[:, 1:2] * z / LN10))


def _describe_polynomial(parameters: Array, axes: Axes) -> tuple[Reported, ...]:
    at_max, b, inverse = parameters.T
    return (
        Reported(
            "a", at_max - b * axes.log_x_max / LN10, f"log10(1/y) at x = 1 {axes.x_unit}, y in {axes.y_unit}"
        ),
        Reported("b", b, "decades of 1/y per decade of x"),
        Reported("inverse_alpha", inverse, "R^2/b: decades of x per decade of 1/y, x regressed on y"),
    )


def _fit_exponential(z: Array, y: Array, weights: Array) -> Array:
    """(r, 3): 1/y at x_max, its rise per decade of x, and the least 1/y that is ever predicted."""
    inverse = _inverse(y)
    line = least_squares(z / LN10, inverse, weights)
    line[:, 2] = LEAST_INVERSE * inverse.min()
    return line


def _predict_exponential(parameters: Array, z: Array) -> Array:
    line = parameters[:, :1] + parameters[:, 1:2] * z / LN10
    return np.asarray(1.0 / np.maximum(line, parameters[:, 2:]))


def _describe_exponential(parameters: Array, axes: Axes) -> tuple[Reported, ...]:
    at_max, b, _ = parameters.T
    return (
        Reported("a", at_max - b * axes.log_x_max / LN10, f"1/y at x = 1 {axes.x_unit}, y in {axes.y_unit}"),
        Reported("b", b, "1/y per decade of x"),
    )


def _reaches_zero(slopes: Array) -> tuple[str, ...]:
    if slopes[0] > 0:
        return ()
    return (f"b is {slopes[0]:.3g}: y does not fall with x in these points",)


def _warn_polynomial(parameters: Array, z: Array, y: Array, outside: float) -> tuple[str, ...]:
    return _reaches_zero(parameters[:, 1])


def _warn_exponential(parameters: Array, z: Array, y: Array, outside: float) -> tuple[str, ...]:
    below = parameters[0, 0] + parameters[0, 1] * z / LN10 <= parameters[0, 2]
    words = (
        f"the fitted 1/y is not positive at {int(below.sum())} of {len(z)} points: the law does not describe "
        "the low end of x"
    )
    return (*_reaches_zero(parameters[:, 1]), *((words,) if below.any() else ()))


def _floor_parts(parameters: Array) -> tuple[Array, Array, Array, Array]:
    """E (r,), ln A in units of x_max (r,), b (r,) and the local slope -d ln y / d ln x at x_max (r,)."""
    c, s, b = parameters.T
    return np.exp(c) * (0.0 - np.expm1(s)), c + s, b, b * np.exp(s)


def _describe_floor(parameters: Array, axes: Axes) -> tuple[Reported, ...]:
    e, log_a, b, slope = _floor_parts(parameters)
    a = np.exp(log_a + b * axes.log_x_max)
    rows = (
        Reported("E", e, axes.y_unit),
        Reported("A", a, f"{axes.y_unit}: y's excess over E at x = 1 {axes.x_unit}"),
        Reported("b", b, "decades of y - E per decade of x"),
    )
    if slope[0] <= _FLAT:
        return rows
    local = Reported(
        "local_alpha_at_x_max", slope, "decades of x per decade of 1/y, at x_max", reciprocal=True
    )
    return (*rows, local)


_FLAT = 1e-6


def _warn_floor(parameters: Array, z: Array, y: Array, outside: float) -> tuple[str, ...]:
    e, _, b, slope = _floor_parts(parameters)
    words = []
    if e[0] <= 0:
        words.append("floor not identified: E is at its bound 0, the points call for no floor")
    elif float(np.quantile(e[1:], outside)) <= 1e-6 * float(y.min()):
        words.append("floor not identified: the interval of E includes 0")
    if b[0] <= floor.B_MIN * (1 + 1e-9):
        words.append(
            f"optimum at a bound: b is at its least, {floor.B_MIN:g}; y does not fall with x as a power"
        )
    elif b[0] >= floor.B_MAX * (1 - 1e-9):
        words.append(
            f"optimum at a bound: b is at its greatest, {floor.B_MAX:g}; only the low end of x falls"
        )
    at_bound = float(np.mean((b[1:] >= floor.B_MAX * (1 - 1e-9)) | (b[1:] <= floor.B_MIN * (1 + 1e-9))))
    if at_bound > 0.025:
        words.append(f"b is at a bound in {at_bound:.0%} of the resamples: its interval is cut there")
    if slope[0] <= _FLAT:
        words.append("the fitted curve is flat at x_max: no local alpha there")
    return tuple(words)


_POLYNOMIAL = Law(
    name="polynomial",
    formula="log10(1/y) = a + b log10(x), the power law y = 10^-a x^-b",
    free_parameters=2,
    scale_name="log10(1/y)",
    scale=_log10_inverse,
    fit=_fit_polynomial,
    predict=_predict_polynomial,
    describe=_describe_polynomial,
    warn=_warn_polynomial,
    slope="b",
    no_alpha_reason=None,
)

_EXPONENTIAL = Law(
    name="exponential",
    formula="1/y = a + b log10(x)",
    free_parameters=2,
    scale_name="1/y",
    scale=_inverse,
    fit=_fit_exponential,
    predict=_predict_exponential,
    describe=_describe_exponential,
    warn=_warn_exponential,
    slope=None,
    no_alpha_reason="the exponential law is no power of x: 1/b of its line is no alpha",
)

_POWER_FLOOR = Law(
    name="power_floor",
    formula="y = E + A x^-b, E >= 0, b > 0",
    free_parameters=3,
    scale_name="log10(1/y)",
    scale=_log10_inverse,
    fit=floor.fit,
    predict=floor.predict,
    describe=_describe_floor,
    warn=_warn_floor,
    slope=None,
    no_alpha_reason="with a floor the local 1/b depends on compute",
)

LAWS: dict[str, Law] = {law.name: law for law in (_POLYNOMIAL, _EXPONENTIAL, _POWER_FLOOR)}
"""Name -> law, in the order of the report."""
