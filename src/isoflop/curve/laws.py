"""The laws: how y (error or loss) falls with x (compute, energy, time, money).

Every law fits many weighted copies of one sample at once (the bootstrap) and works with z = ln(x / x_max), so
that no unit of x reaches the fit. `power_law_ols` (the paper calls it polynomial) and `exponential` are the
forms of Thompson et al. (2020, "The Computational Limits of Deep Learning", section 3) with their estimator,
least squares over all runs; the others are the forms of forms.py with the robust estimator over
configurations.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from isoflop.curve import forms
from isoflop.curve.forms import Form
from isoflop.curve.observations import Observations
from isoflop.curve.robust import PLAIN as PLAIN
from isoflop.curve.robust import FitOptions as FitOptions
from isoflop.curve.robust import fit_form as fit_form
from isoflop.curve.robust import level_of as level_of
from isoflop.curve.robust import log_curve as log_curve
from isoflop.curve.robust import problem_of as problem_of

Array = npt.NDArray[np.float64]
Ends = Callable[[Array], tuple[Array, Array]]
"""Draws (resamples,) -> the ends of their interval."""

LN10 = math.log(10.0)
LEAST_INVERSE = 1e-3
"""The exponential law's 1/y is held above this share of the least observed 1/y."""
FLAT = 1e-6
AT_BOUND = 1e-6


@dataclasses.dataclass(frozen=True)
class Axes:
    """ln of the reference x_max and the units, which turn unit-free parameters into reported ones."""

    log_x_max: float
    x_unit: str
    y_unit: str


@dataclasses.dataclass(frozen=True)
class ReportedParameter:
    """A parameter as it is reported.

    Attributes:
        name: of the parameter.
        draws: its values (1 + resamples,), the sample's first.
        unit: of the reported number.
        reciprocal: report 1 / draws, with an unbounded interval if that of the draws reaches 0.
        least: the interval is cut here, as smaller values have no meaning.
    """

    name: str
    draws: Array
    unit: str
    reciprocal: bool = False
    least: float = -math.inf


@dataclasses.dataclass(frozen=True)
class Law:
    """A law and its estimator. r counts the sample (row 0) and its resamples, n the points.

    Attributes:
        name, formula, source: as shown to the user.
        free_parameters: how many the law has.
        over_runs: it is fitted to single runs, not to configuration means.
        scale, scale_name: the scale of y on which r_squared is taken, and its name.
        fit: (n points, weights (r, n), options, log_y) -> parameters (r, p). log_y (r, n) replaces ln y in
            each row (wild bootstrap); None for that of the points.
        log_predict: (parameters (r, p), z (m,)) -> ln y (r, m).
        describe: (parameters, axes) -> the reported parameters.
        warn: (parameters, points, ends) -> warnings; `ends` gives the interval of draws (bootstrap.interval).
        slope: name of the reported parameter whose inverse is paper_alpha.
        no_alpha_reason: why there is no paper_alpha.
        form: the shape that a robust law fits.
        restricted: where parameters are held (fixed.py), (points, options) -> the shape that is fitted.
    """

    name: str
    formula: str
    source: str
    free_parameters: int
    over_runs: bool
    scale_name: str
    scale: Callable[[Array], Array]
    fit: Callable[[Observations, Array, FitOptions, Array | None], Array]
    log_predict: Callable[[Array, Array], Array]
    describe: Callable[[Array, Axes], tuple[ReportedParameter, ...]]
    warn: Callable[[Array, Observations, Ends], tuple[str, ...]]
    slope: str | None = None
    no_alpha_reason: str | None = None
    form: Form | None = None
    restricted: Callable[[Observations, FitOptions], Form] | None = None

    def predict(self, parameters: Array, z: Array) -> Array:
        """Return y (r, m) for parameters (r, p) at z (m,) = ln(x / x_max); z may be above 0."""
        return np.asarray(np.exp(self.log_predict(parameters, z)))


def least_squares(u: Array, t: Array, weights: Array) -> Array:
    """Return weighted least squares of t (n,) or (r, n) on u (n,) for weights (r, n).

    The result (r, 3) holds the intercept at u = 0, the slope, and the slope of u regressed on t, which is
    R^2 / slope (0 where a resample's t does not vary).
    """
    # Centred first, so that the sums of squares do not cancel.
    middle_u, middle_t = u.mean(), t.mean()
    du, dt = u - middle_u, t - middle_t
    total = weights.sum(axis=1)
    mean_u, uu = (weights @ part / total for part in (du, du * du))
    # One t for all rows makes the sums matrix products.
    mean_t, ut, tt = (
        (weights @ part if part.ndim == 1 else (weights * part).sum(axis=1)) / total
        for part in (dt, du * dt, dt * dt)
    )
    uu, ut, tt = uu - mean_u**2, ut - mean_u * mean_t, tt - mean_t**2
    slope = ut / uu
    intercept = middle_t + mean_t - slope * (middle_u + mean_u)
    inverse = np.divide(ut, tt, out=np.zeros_like(ut), where=tt > 0)
    return np.column_stack([intercept, slope, inverse])


def _log10_inverse(y: Array) -> Array:
    return -np.log10(y)


def _inverse(y: Array) -> Array:
    return 1.0 / y


def _fit_power_law_ols(
    observed: Observations, weights: Array, options: FitOptions, log_y: Array | None
) -> Array:
    return least_squares(-observed.v / LN10, -(observed.log_y if log_y is None else log_y) / LN10, weights)


def _predict_power_law_ols(parameters: Array, z: Array) -> Array:
    return np.asarray(-(parameters[:, :1] * LN10 + parameters[:, 1:2] * z))


def _describe_power_law_ols(parameters: Array, axes: Axes) -> tuple[ReportedParameter, ...]:
    at_max, b, inverse = parameters.T
    return (
        ReportedParameter(
            "a", at_max - b * axes.log_x_max / LN10, f"log10(1/y) at x = 1 {axes.x_unit}, y in {axes.y_unit}"
        ),
        ReportedParameter("b", b, "decades of 1/y per decade of x"),
        ReportedParameter(
            "inverse_alpha", inverse, "R^2/b: decades of x per decade of 1/y, x regressed on y"
        ),
    )


def _fit_exponential(
    observed: Observations, weights: Array, options: FitOptions, log_y: Array | None
) -> Array:
    """Return (r, 3): 1/y at x_max, its rise per decade of x, and the least 1/y that is predicted."""
    inverse = np.exp(-(observed.log_y if log_y is None else log_y))
    line = least_squares(-observed.v / LN10, inverse, weights)
    line[:, 2] = LEAST_INVERSE * inverse.min()
    return line


def _predict_exponential(parameters: Array, z: Array) -> Array:
    line = parameters[:, :1] + parameters[:, 1:2] * z / LN10
    return np.asarray(-np.log(np.maximum(line, parameters[:, 2:])))


def _describe_exponential(parameters: Array, axes: Axes) -> tuple[ReportedParameter, ...]:
    at_max, b, _ = parameters.T
    return (
        ReportedParameter(
            "a", at_max - b * axes.log_x_max / LN10, f"1/y at x = 1 {axes.x_unit}, y in {axes.y_unit}"
        ),
        ReportedParameter("b", b, "1/y per decade of x"),
    )


def _does_not_fall(slopes: Array) -> tuple[str, ...]:
    if slopes[0] > 0:
        return ()
    return (f"b is {slopes[0]:.3g}: y does not fall with x in these points",)


def _warn_power_law_ols(parameters: Array, observed: Observations, ends: Ends) -> tuple[str, ...]:
    return _does_not_fall(parameters[:, 1])


def _warn_exponential(parameters: Array, observed: Observations, ends: Ends) -> tuple[str, ...]:
    below = parameters[0, 0] - parameters[0, 1] * observed.v / LN10 <= parameters[0, 2]
    warning = (
        f"the fitted 1/y is not positive at {int(below.sum())} of {len(below)} points: the law does not "
        "describe the low end of x"
    )
    return (*_does_not_fall(parameters[:, 1]), *((warning,) if below.any() else ()))


def _bound_warnings(form: Form, parameters: Array, observed: Observations) -> tuple[str, ...]:
    """Return warnings that name shape parameters at a bound; `_floor_warnings` covers a floor at 0."""
    lower, upper = form.bounds(float(np.ptp(observed.v)))
    warnings = []
    for name, value, low, high in zip(form.names, parameters[0, 1:], lower, upper, strict=True):
        edge = AT_BOUND * (1 + abs(high - low))
        if value <= low + edge and not (name == "share" and low == 0):
            warnings.append(f"optimum at a bound: {name} is at its least, {low:.3g}")
        elif value >= high - edge and name != "s":
            warnings.append(f"optimum at a bound: {name} is at its greatest, {high:.3g}")
    return tuple(warnings)


def _floor_warnings(floor: Array, least_y: float, ends: Ends) -> tuple[str, ...]:
    if floor[0] <= AT_BOUND * least_y:
        return ("floor not identified: E is at its bound 0, the points call for no floor",)
    if float(ends(floor)[0]) <= AT_BOUND * least_y:
        return ("floor not identified: the interval of E includes 0",)
    return ()


def _describe_power_law(parameters: Array, axes: Axes) -> tuple[ReportedParameter, ...]:
    c, b = parameters.T
    return (
        ReportedParameter("A", np.exp(c + b * axes.log_x_max), f"{axes.y_unit}: y at x = 1 {axes.x_unit}"),
        ReportedParameter("b", b, "decades of y per decade of x"),
    )


def _warn_power_law(parameters: Array, observed: Observations, ends: Ends) -> tuple[str, ...]:
    return _bound_warnings(forms.POWER_LAW, parameters, observed)


def _floor_parts(parameters: Array) -> tuple[Array, Array]:
    """Return E (r,) and -d ln y / d ln x at x_max (r,) for the columns c, s, b (r, 3)."""
    c, s, b = parameters.T
    return np.exp(c) * (0.0 - np.expm1(s)), b * np.exp(s)


def _local(slope: Array) -> tuple[ReportedParameter, ...]:
    if slope[0] <= FLAT:
        return ()
    unit = "decades of x per decade of 1/y, at x_max"
    return (ReportedParameter("local_alpha_at_x_max", slope, unit, reciprocal=True),)


def _describe_power_law_floor(parameters: Array, axes: Axes) -> tuple[ReportedParameter, ...]:
    c, s, b = parameters.T
    e, slope = _floor_parts(parameters)
    a = np.exp(c + s + b * axes.log_x_max)
    return (
        ReportedParameter("E", e, axes.y_unit, least=0.0),
        ReportedParameter("A", a, f"{axes.y_unit}: y's excess over E at x = 1 {axes.x_unit}"),
        ReportedParameter("b", b, "decades of y - E per decade of x"),
        *_local(slope),
    )


def _warn_power_law_floor(parameters: Array, observed: Observations, ends: Ends) -> tuple[str, ...]:
    e, slope = _floor_parts(parameters)
    least = float(np.exp(observed.log_y.min()))
    warnings = [
        *_floor_warnings(e, least, ends),
        *_bound_warnings(forms.POWER_LAW_FLOOR, parameters, observed),
    ]
    b, (low, high) = parameters[1:, 2], (forms.B_MIN, forms.B_MAX)
    at_bound = float(np.mean((b >= high * (1 - AT_BOUND)) | (b <= low * (1 + AT_BOUND)))) if len(b) else 0.0
    if at_bound > 0.025:
        warnings.append(f"b is at a bound in {at_bound:.0%} of the resamples: its interval is cut there")
    if slope[0] <= FLAT:
        warnings.append("the fitted curve is flat at x_max: no local alpha there")
    return tuple(warnings)


def _describe_m3(parameters: Array, axes: Axes) -> tuple[ReportedParameter, ...]:
    c, b, m = parameters.T
    return (
        ReportedParameter(
            "A", np.exp(c + b * axes.log_x_max), f"{axes.y_unit} at x = 1 {axes.x_unit} without levelling"
        ),
        ReportedParameter("b", b, "decades of y per decade of x, far below x_0"),
        ReportedParameter("x_0", np.exp(axes.log_x_max - m), f"{axes.x_unit}: where y levels off"),
        ReportedParameter("E", np.exp(c + b * m), f"{axes.y_unit}: the level far above x_0"),
        *_local(b * np.exp(-np.logaddexp(0.0, m))),
    )


def _warn_m3(parameters: Array, observed: Observations, ends: Ends) -> tuple[str, ...]:
    m = parameters[0, 2]
    warnings = () if m > -2.3 else ("x_0 is beyond ten times x_max: no levelling off is seen",)
    return (*warnings, *_bound_warnings(forms.M3, parameters, observed)[: 0 if warnings else None])


def _describe_m4(parameters: Array, axes: Axes) -> tuple[ReportedParameter, ...]:
    c, tau, b, log_k, share = parameters.T
    start = np.exp(c)
    k = np.exp(log_k)
    a = np.exp(tau + (1 - k) * np.log1p(-share) + (1 - k) * c + b * axes.log_x_max)
    return (
        ReportedParameter("E", share * start, axes.y_unit, least=0.0),
        ReportedParameter("e0", start, f"{axes.y_unit}: level for small x (chance)"),
        ReportedParameter("k", k, "exponent of e0 - y"),
        ReportedParameter("A", a, f"(y - E) / (e0 - y)^k at x = 1 {axes.x_unit}"),
        ReportedParameter("b", b, "decades of (y - E) / (e0 - y)^k per decade of x"),
    )


def _warn_m4(parameters: Array, observed: Observations, ends: Ends) -> tuple[str, ...]:
    floor = parameters[:, 4] * np.exp(parameters[:, 0])
    least = float(np.exp(observed.log_y.min()))
    return (*_floor_warnings(floor, least, ends), *_bound_warnings(forms.M4, parameters, observed))


def _describe_broken_power_law(parameters: Array, axes: Axes) -> tuple[ReportedParameter, ...]:
    _, s, low, high, m, log_f = parameters.T
    e, _ = _floor_parts(parameters[:, [0, 1, 3]])
    f = np.exp(log_f)
    gate = 1.0 / (1.0 + np.exp(-m / f))
    return (
        ReportedParameter("E", e, axes.y_unit, least=0.0),
        ReportedParameter("b0", low, "decades of y - E per decade of x, far below the break"),
        ReportedParameter("b1", high, "decades of y - E per decade of x, far above the break"),
        ReportedParameter("d", np.exp(axes.log_x_max - m), f"{axes.x_unit}: x of the break"),
        ReportedParameter("f", f, "width of the break in ln x"),
        *_local(np.exp(s) * (low + (high - low) * gate)),
    )


def _warn_broken_power_law(parameters: Array, observed: Observations, ends: Ends) -> tuple[str, ...]:
    e, _ = _floor_parts(parameters[:, [0, 1, 3]])
    least = float(np.exp(observed.log_y.min()))
    return (
        *_floor_warnings(e, least, ends),
        *_bound_warnings(forms.BROKEN_POWER_LAW, parameters, observed),
    )


WITH_FLOOR = "with a floor the local 1/b depends on compute"


def _robust(
    name: str,
    formula: str,
    source: str,
    form: Form,
    describe: Callable[[Array, Axes], tuple[ReportedParameter, ...]],
    warn: Callable[[Array, Observations, Ends], tuple[str, ...]],
    slope: str | None = None,
) -> Law:
    """Return a law that the robust estimator fits to configuration means.

    Args:
        name, formula, source: as shown to the user.
        form: the shape.
        describe, warn, slope: as in Law.
    """
    return Law(
        name=name,
        formula=formula,
        source=source,
        free_parameters=form.free_parameters,
        over_runs=False,
        scale_name="log10(1/y)",
        scale=_log10_inverse,
        fit=lambda observed, weights, options, log_y: fit_form(form, observed, weights, options, log_y),
        log_predict=lambda parameters, z: log_curve(form, parameters, z),
        describe=describe,
        warn=warn,
        slope=slope,
        no_alpha_reason=None if slope else WITH_FLOOR,
        form=form,
    )


THOMPSON = "Thompson et al. 2020, section 3"
M_LAWS = "Alabdulmohsin et al. 2022"

_ALL = (
    Law(
        name="power_law_ols",
        formula="log10(1/y) = a + b log10(x), the power law y = 10^-a x^-b, least squares over all runs",
        source=THOMPSON,
        free_parameters=2,
        over_runs=True,
        scale_name="log10(1/y)",
        scale=_log10_inverse,
        fit=_fit_power_law_ols,
        log_predict=_predict_power_law_ols,
        describe=_describe_power_law_ols,
        warn=_warn_power_law_ols,
        slope="b",
    ),
    Law(
        name="exponential",
        formula="1/y = a + b log10(x), least squares over all runs",
        source=THOMPSON,
        free_parameters=2,
        over_runs=True,
        scale_name="1/y",
        scale=_inverse,
        fit=_fit_exponential,
        log_predict=_predict_exponential,
        describe=_describe_exponential,
        warn=_warn_exponential,
        no_alpha_reason="the exponential law is no power of x: 1/b of its line is no alpha",
    ),
    _robust(
        "power_law", "y = A x^-b", f"{M_LAWS}, M1", forms.POWER_LAW, _describe_power_law, _warn_power_law, "b"
    ),
    _robust(
        *("power_law_floor", "y = E + A x^-b, E >= 0, b > 0", f"{M_LAWS}, M2"),
        *(forms.POWER_LAW_FLOOR, _describe_power_law_floor, _warn_power_law_floor),
    ),
    _robust(*("m3", "y = A (1/x + 1/x_0)^b", f"{M_LAWS}, M3", forms.M3, _describe_m3, _warn_m3)),
    _robust(
        *("m4", "(y - E) / (e0 - y)^k = A x^-b", f"{M_LAWS}, M4"),
        *(forms.M4, _describe_m4, _warn_m4),
    ),
    _robust(
        *(
            "broken_power_law",
            "y = E + A x^-b0 (1 + (x/d)^(1/f))^((b0 - b1) f)",
            "Caballero et al. 2023, one break",
        ),
        *(forms.BROKEN_POWER_LAW, _describe_broken_power_law, _warn_broken_power_law),
    ),
)

LAWS: dict[str, Law] = {law.name: law for law in _ALL}
"""Name -> law, in the order of the report."""
