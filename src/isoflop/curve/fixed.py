"""Laws of which parameters are held at values that the user gives, such as E = 0, instead of fitted.

A law's form has its own coordinates (forms.py). A parameter that is one of them is left out of the fit. An
irreducible error E above 0 is none: there the level c follows from E and the share of y that falls, and that
share is fitted.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from isoflop.curve.forms import Form
from isoflop.curve.joint import forms
from isoflop.curve.joint.laws import JointLaw
from isoflop.curve.laws import Axes, Ends, FitOptions, Law, ReportedParameter, fit_form
from isoflop.curve.observations import Observations

Array = npt.NDArray[np.float64]
Fix = Sequence[tuple[str, float]]
"""(name, value) of each parameter that is held."""

_SHARES = np.array([1e-4, 0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95])
"""Starts of E as a share of y at x_max (of M4: of e0)."""
_LEAST_SHARE = 1e-9
_ALIASES = {"chinchilla": {"alpha": "exponent_parameters", "beta": "exponent_data"}}


@dataclasses.dataclass(frozen=True)
class _Coordinate:
    """The coordinate of a form that a reported parameter is: `inner` of (value, ln x_max), `outer` back."""

    name: str
    inner: Callable[[float, float], float] = lambda value, _: value
    outer: Callable[[float, float], float] = lambda value, _: value


def _log(name: str) -> _Coordinate:
    return _Coordinate(name, lambda value, _: math.log(value), lambda inner, _: math.exp(inner))


def _place(name: str) -> _Coordinate:
    """The coordinate ln(x_max / x) of a place on the axis of x."""
    return _Coordinate(
        name,
        lambda value, log_x_max: log_x_max - math.log(value),
        lambda inner, log_x_max: math.exp(log_x_max - inner),
    )


_B = _Coordinate("b")
_COORDINATES: Mapping[str, Mapping[str, _Coordinate]] = {
    "power_law": {"b": _B},
    "power_law_floor": {"b": _B},
    "m3": {"b": _B, "x_0": _place("m")},
    "m4": {"b": _B, "k": _log("log_k")},
    "broken_power_law": {
        "b0": _Coordinate("b0"),
        "b1": _Coordinate("b1"),
        "d": _place("m"),
        "f": _log("log_f"),
    },
}
"""Law -> reported parameter -> coordinate of its form. E, and e0 of M4, are held besides (`_names`)."""


def _names(law: Law) -> tuple[str, ...]:
    """Return the parameters of a law in one resource that can be held."""
    of_floor = ("E",) if law.name in ("power_law_floor", "m4", "broken_power_law") else ()
    of_level = ("e0",) if law.name == "m4" else ()
    return (*of_floor, *of_level, *_COORDINATES.get(law.name, {}))


def laws(given: Sequence[Law], fix: Fix, observed: Observations, chance: float | None) -> list[Law]:
    """Return the laws, with the parameters of `fix` held in each that has them.

    Args:
        given: the laws.
        fix: what is held.
        observed: the points that robust laws are fitted to.
        chance: M4's level if it is known.

    Raises:
        ValueError: no law has a parameter of that name that can be held, a value is outside its bounds, or
            nothing is left to fit.
    """
    able = {law.name: _names(law) for law in given}
    for name, value in fix:
        if not any(name in names for names in able.values()):
            every = dict.fromkeys(each for names in able.values() for each in names)
            can = "; ".join(
                f"{each} ({', '.join(law for law, names in able.items() if each in names)})" for each in every
            )
            raise ValueError(f"--fix {name}={value:g}: {_none(can)}")
    return [
        _held(law, [each for each in fix if each[0] in able[law.name]], observed, chance) for law in given
    ]


def _none(can: str) -> str:
    return (
        f"no such parameter: what can be fixed is {can}" if can else "these laws have none that can be fixed"
    )


def _held(law: Law, fix: Fix, observed: Observations, chance: float | None) -> Law:
    """Return a law with the parameters of `fix` held; itself without any."""
    if not fix:
        return law
    values = dict(fix)
    restricted = _restricted(law, values, observed, chance)  # refuses what is out of bounds
    if not restricted.names and restricted.level is not None:
        raise ValueError(f"--fix {_said(fix)}: nothing of {law.name} is left to fit: hold fewer parameters")

    def form_for(points: Observations, options: FitOptions) -> Form:
        return _restricted(law, values, points, options.chance)

    def fit(points: Observations, weights: Array, options: FitOptions, log_y: Array | None) -> Array:
        return fit_form(form_for(points, options), points, weights, options, log_y)

    def describe(parameters: Array, axes: Axes) -> tuple[ReportedParameter, ...]:
        return tuple(
            dataclasses.replace(each, draws=np.full(len(parameters), values[each.name]))
            if each.name in values
            else each
            for each in law.describe(parameters, axes)
        )

    def warn(parameters: Array, points: Observations, ends: Ends) -> tuple[str, ...]:
        return tuple(said for said in law.warn(parameters, points, ends) if not _about(said, values))

    return dataclasses.replace(
        law,
        formula=f"{law.formula}, held: {_said(fix)}",
        free_parameters=law.free_parameters - len(fix),
        fit=fit,
        describe=describe,
        warn=warn,
        form=None,
        restricted=form_for,
    )


def _said(fix: Fix) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in fix)


def _about(warning: str, held: Mapping[str, float]) -> bool:
    """Whether a warning is about a parameter that is held: it is at a bound, or not identified, by choice."""
    subjects = {"floor" if name in ("E", "c") else name for name in held}
    words = warning.removeprefix("optimum at a bound: ").split()
    return words[0] in subjects


def _restricted(law: Law, values: Mapping[str, float], observed: Observations, chance: float | None) -> Form:
    """Return the form of a law without the coordinates that are held.

    Raises ValueError where a value is outside its bounds.
    """
    form = law.form
    assert form is not None
    span, log_x_max = float(np.ptp(observed.v)), math.log(float(observed.x.max()))
    held: dict[str, float] = {}
    for name, value in values.items():
        if name not in ("E", "e0"):
            coordinate = _COORDINATES[law.name][name]
            held[coordinate.name] = _inner(f"{name}={value:g}", coordinate, value, form, span, log_x_max)
    level = chance if law.name == "m4" else None
    if "e0" in values:
        level = _above(f"e0={values['e0']:g}", values["e0"], observed.y, level)
    log_level = None if level is None else math.log(level)
    if "E" not in values:
        return restrict(form, held, log_level)
    floor = _below(f"E={values['E']:g}", values["E"], observed.y)
    if law.name == "m4":
        if level is not None or floor == 0:
            return restrict(form, held | {"share": floor / (level or 1.0)}, log_level)
        return restrict(form, held, None, _share_of_level(form, floor))
    if floor == 0:
        return restrict(form, held | {"s": 0.0}, log_level)
    return restrict(form, held, None, _share_of_last(form, floor))


def _inner(
    said: str, coordinate: _Coordinate, value: float, form: Form, span: float, log_x_max: float
) -> float:
    """Return a value in the coordinate of the form.

    Args:
        said: NAME=VALUE, for a message.
        coordinate: the coordinate.
        value: as it is reported.
        form: the form.
        span, log_x_max: of ln x over the points, and its largest.

    Raises:
        ValueError: it is outside the form's bounds.
    """
    i = form.names.index(coordinate.name)
    bounds = [float(side[i]) for side in form.bounds(span)]
    inner = coordinate.inner(value, log_x_max) if value > 0 or coordinate.inner(1.0, 0.0) == 1.0 else math.nan
    if not bounds[0] <= inner <= bounds[1]:
        low, high = sorted(coordinate.outer(bound, log_x_max) for bound in bounds)
        raise ValueError(f"--fix {said}: outside its bounds, {low:.4g} to {high:.4g}")
    return inner


def _below(said: str, floor: float, y: Array) -> float:
    """Return an irreducible error, which must lie below every y (n,)."""
    least = float(y.min())
    if not 0 <= floor < least:
        raise ValueError(
            f"--fix {said}: outside its bounds, 0 to below {least:.4g}, the least y of the points"
        )
    return floor


def _above(said: str, level: float, y: Array, chance: float | None) -> float:
    """Return the level of small x, above every y (n,), and equal to the chance where that is known."""
    largest = float(y.max())
    if chance is not None and level != chance:
        raise ValueError(f"--fix {said}: e0 is the error of guessing, {chance:g} here: leave it out")
    if not level > largest:
        raise ValueError(
            f"--fix {said}: outside its bounds, above {largest:.4g}, the largest y of the points"
        )
    return level


@dataclasses.dataclass(frozen=True)
class _Coupling:
    """c as a function of theta.

    Attributes:
        name: the coordinate that it depends on.
        level: coordinate (r,) -> c (r,) and its derivative (r,).
        starts: of the coordinate.
        bounds: of the coordinate.
    """

    name: str
    level: Callable[[Array], tuple[Array, Array]]
    starts: Array
    bounds: tuple[float, float]


def _share_of_last(form: Form, floor: float) -> _Coupling:
    """Return the coupling of E = e^c (1 - e^s), where e^s is the share of y at x_max that falls."""

    def level(s: Array) -> tuple[Array, Array]:
        share = -np.expm1(s)
        return math.log(floor) - np.log(share), np.exp(s) / share

    least = float(form.bounds(1.0)[0][form.names.index("s")])
    return _Coupling("s", level, np.log1p(-_SHARES), (10 * least, math.log1p(-_LEAST_SHARE)))


def _share_of_level(form: Form, floor: float) -> _Coupling:
    """Return the coupling of E = share e^c, M4's."""

    def level(share: Array) -> tuple[Array, Array]:
        return math.log(floor) - np.log(share), -1.0 / share

    highest = float(form.bounds(1.0)[1][form.names.index("share")])
    return _Coupling("share", level, _SHARES, (_LEAST_SHARE, highest))


def restrict(
    form: Form, held: Mapping[str, float], log_level: float | None, coupling: _Coupling | None = None
) -> Form:
    """Return a form with fewer coordinates, whose parameters `expand` to those of `form`.

    Args:
        form: the form.
        held: coordinate -> the value that it is held at.
        log_level: the value that c is held at, or None.
        coupling: c as a function of a coordinate, or None.
    """
    free = [i for i, name in enumerate(form.names) if name not in held]
    names = tuple(form.names[i] for i in free)
    at = form.names.index(coupling.name) if coupling is not None else -1

    def full(theta: Array) -> Array:
        whole = np.empty((len(theta), len(form.names)))
        whole[:, free] = theta
        for name, value in held.items():
            whole[:, form.names.index(name)] = value
        return whole

    def evaluate(theta: Array, v: Array) -> tuple[Array, Array]:
        whole = full(theta)
        shape, derivatives = form.evaluate(whole, v)
        if coupling is not None:
            level, slope = coupling.level(whole[:, at])
            shape, derivatives = shape + level[:, None], np.array(derivatives)
            derivatives[..., at] += slope[:, None]
        return shape, derivatives[..., free]

    def sides(of: Callable[[float], tuple[Array, Array]], span: float) -> tuple[Array, Array]:
        low, high = (side.copy() for side in of(span))
        if coupling is not None:
            low[at], high[at] = coupling.bounds
        return low[free], high[free]

    def starts(span: float) -> tuple[Array, ...]:
        grids = form.starts(span)
        if coupling is None:
            return tuple(np.unique(grid[:, free], axis=0) for grid in grids)
        others = np.unique(
            np.concatenate([np.delete(grid[:, free], free.index(at), axis=1) for grid in grids]), axis=0
        )
        each, other = (index.ravel() for index in np.indices((len(coupling.starts), len(others))))
        return (np.insert(others[other], free.index(at), coupling.starts[each], axis=1),)

    def expand(parameters: Array) -> Array:
        whole = full(parameters[:, 1:])
        level = parameters[:, 0] if coupling is None else coupling.level(whole[:, at])[0]
        return np.column_stack([level, whole])

    return Form(
        names=names,
        evaluate=evaluate,
        bounds=lambda span: sides(form.bounds, span),
        starts=starts,
        # A floor that is held is no bound that resamples may pass.
        relaxed=lambda span: sides(form.bounds if coupling is not None else form.relaxed, span),
        level=0.0 if coupling is not None else log_level,
        expand=expand,
        kept=tuple(free),
    )


@dataclasses.dataclass(frozen=True)
class FixedJointLaw(JointLaw):
    """A law in several resources with parameters held.

    Attributes:
        held: their names.
        whole: the form with all coordinates, those of the parameters that a fit returns.
    """

    held: tuple[str, ...] = ()
    whole: Form = forms.CHINCHILLA

    def log_predict(self, parameters: Array, v: Array) -> Array:
        """Return ln y (r, m) as JointLaw does, from all coordinates."""
        return dataclasses.replace(self, form=self.whole)._log_predict(parameters, v)

    def _log_predict(self, parameters: Array, v: Array) -> Array:
        return super().log_predict(parameters, v)

    def warn(self, parameters: Array, outside: float) -> list[str]:
        """Return the warnings but those about parameters that are held."""
        held = dict.fromkeys(self.held, 0.0)
        return [said for said in super().warn(parameters, outside) if not _about(said, held)]


def joint(law: JointLaw, fix: Fix, y: Array, log_level: float | None) -> tuple[JointLaw, float | None]:
    """Return a law in several resources with the parameters of `fix` held, and ln of Rosenfeld's e0 if known.

    Args:
        law: the law.
        fix: what is held.
        y: of the rows (n,).
        log_level: ln of e0 if it is known.

    Raises:
        ValueError: as `laws`.
    """
    if not fix:
        return law, log_level
    exponents = {f"exponent_{role}": f"b{j + 1}" for j, role in enumerate(law.roles)}
    able = (*exponents, *(("e0",) if law.before else (law.floor,)))
    held: dict[str, float] = {}
    coupling = None
    for given, value in fix:
        name = _ALIASES.get(law.name, {}).get(given, given)
        said = f"{given}={value:g}"
        if name in exponents:
            coordinate = _Coordinate(exponents[name])
            held[coordinate.name] = _inner(said, coordinate, value, law.form, 1.0, 0.0)
        elif name == "e0" and law.before:
            log_level = math.log(_above(said, value, y, None if log_level is None else math.exp(log_level)))
        elif name == law.floor and not law.before:
            floor = _below(said, value, y)
            if floor == 0:
                held["s"] = 0.0
            else:
                coupling = _share_of_last(law.form, floor)
        else:
            raise ValueError(f"--fix {said}: {_none(', '.join(able))}")
    fields = {each.name: getattr(law, each.name) for each in dataclasses.fields(JointLaw)}
    fields["form"] = restrict(law.form, held, None, coupling)
    if law.free_level is not None:
        fields["free_level"] = restrict(law.free_level, held, None)
    fields["formula"] = f"{law.formula}, held: {_said(fix)}"
    return FixedJointLaw(**fields, held=tuple(name for name, _ in fix), whole=law.form), log_level
