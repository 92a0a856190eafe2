"""The laws in several resources: their resources, sources and reported parameters."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from isoflop.curve.forms import B_MAX, B_MIN, Form
from isoflop.curve.joint import forms, repeated
from isoflop.curve.laws import AT_BOUND, ReportedParameter

Array = npt.NDArray[np.float64]

OFTEN = 0.025
"""A warning is given if more than this share of the resamples is at a bound."""


@dataclasses.dataclass(frozen=True)
class JointLaw:
    """A law in k resources.

    Attributes:
        name, formula, source: as shown to the user.
        form: the shape that is fitted.
        roles: names of the resources, in the order of v's columns.
        coefficients: names of the factors of their terms.
        floor: name of the constant term.
        compute_powers, compute_factor: compute in FLOPs is the factor times the product of the resources to
            these powers.
        compute_basis: what the factor rests on.
        before: number of the shape's parameters ahead of those of `forms.additive`.
        free_level: the form that is fitted if the level c of `form` is not known.
        repeats: whether a last parameter of the shape, ln R*, counts what repeats of the data are worth. Such
            a law takes the unique examples of the data set as a further resource.
    """

    name: str
    formula: str
    source: str
    form: Form
    roles: tuple[str, ...]
    coefficients: tuple[str, ...]
    floor: str
    compute_powers: tuple[float, ...]
    compute_factor: float
    compute_basis: str
    before: int = 0
    free_level: Form | None = None
    repeats: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """The resources that a table has to have: those of the terms, and the unique data of repeats."""
        return (*self.roles, UNIQUE) if self.repeats else self.roles

    def terms(self, parameters: Array, log_x_max: Array) -> tuple[Array, Array, Array]:
        """Return floor (r,), ln of the factors (r, k) and exponents (r, k) of E + sum_j A_j x_j^-b_j.

        `parameters` (r, p) = (c, theta), `log_x_max` (k,). For the envelope they are those of e~ / eta.
        """
        k = len(self.roles)
        inner = parameters[:, 1 + self.before :]
        level = parameters[:, 0] if not self.before else parameters[:, 1]
        s, b = inner[:, 0], inner[:, k : 2 * k]
        share = forms.shares(inner[:, 1:k])
        with np.errstate(divide="ignore"):
            log_factors = (level + s)[:, None] + np.log(share) + b * log_x_max[:k]
        return np.exp(level) * (0.0 - np.expm1(s)), log_factors, b

    def log_predict(self, parameters: Array, v: Array) -> Array:
        """Return ln y (r, m) at v (m, k) = ln(x_max / x); NaN where a negative floor makes y negative."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(parameters[:, :1] + self.form.evaluate(parameters[:, 1:], v)[0])

    def describe(
        self, parameters: Array, log_x_max: Array, units: tuple[str, ...], y: str
    ) -> list[ReportedParameter]:
        """Return the factors, the floor and the exponents as they are reported."""
        floor, log_factors, b = self.terms(parameters, log_x_max)
        scale = f"{y}" if not self.before else "eta"
        reported = [
            ReportedParameter(name, np.exp(log_factors[:, j]), f"{scale} owed to {units[j]}, at 1")
            for j, name in enumerate(self.coefficients)
        ]
        reported.append(ReportedParameter(self.floor, floor, scale, least=0.0))
        if self.before:
            reported.append(
                ReportedParameter("e0", np.exp(parameters[:, 0]), f"{y} of small models and data")
            )
        reported += [
            ReportedParameter(f"exponent_{role}", b[:, j], f"decades per decade of {units[j]}")
            for j, role in enumerate(self.roles)
        ]
        if self.repeats:
            unit = "repeats after which one more is worth 1/e of a new example"
            reported.append(ReportedParameter(R_STAR, self.r_star(parameters), unit))
        return reported

    def r_star(self, parameters: Array) -> Array:
        """Return R* (r,) of a law with repeats."""
        return np.asarray(np.exp(parameters[:, -1]))

    def warn(self, parameters: Array, outside: float) -> list[str]:
        """Return warnings about parameters that the sample (row 0) and the resamples do not determine.

        `outside` is the share of the resamples below an interval.
        """
        k = len(self.roles)
        inner = parameters[:, 1 + self.before :]
        floor = -np.expm1(inner[:, 0])
        warnings = []
        if self.before and parameters[0, 1] <= forms.LOG_RATIO[0] + AT_BOUND:
            warnings.append(
                "e0 not identified: it is at its bound, no point is near the level of small models"
            )
        if floor[0] <= AT_BOUND:
            warnings.append(
                f"floor not identified: {self.floor} is at its bound 0, the points call for no floor"
            )
        elif len(floor) > 1 and float(np.quantile(floor[1:], outside)) <= AT_BOUND:
            warnings.append(f"floor not identified: the interval of {self.floor} includes 0")
        nothing = self.useless(parameters[:1])
        for j, role in enumerate(self.roles):
            b = inner[:, k + j]
            at = (b >= B_MAX * (1 - AT_BOUND)) | (b <= B_MIN * (1 + AT_BOUND))
            if role in nothing:
                warnings.append(f"{role} explains nothing here: no optimal split of compute can be given")
            elif at[0]:
                warnings.append(f"optimum at a bound: exponent_{role} is {b[0]:.3g}")
            elif len(at) > 1 and at[1:].mean() > OFTEN:
                warnings.append(
                    f"exponent_{role} is at a bound in {at[1:].mean():.0%} of the resamples: its interval is "
                    "cut there"
                )
        return warnings

    def useless(self, parameters: Array) -> tuple[str, ...]:
        """Return the roles that do not lower y under parameters (1, p): no share of its fall, or b near 0."""
        k = len(self.roles)
        inner = parameters[:, 1 + self.before :]
        share, b = forms.shares(inner[:, 1:k])[0], inner[0, k : 2 * k]
        least = math.exp(1.0 - forms.LARGEST_LOGIT)
        return tuple(
            role for j, role in enumerate(self.roles) if share[j] < least or b[j] <= B_MIN * (1 + AT_BOUND)
        )


UNIQUE, R_STAR = "unique", "R_star"
"""Names of the resource and of the parameter that a law with repeats has."""
_TOKENS = "6 FLOPs per parameter and example, a transformer's"

_ALL = (
    JointLaw(
        name="chinchilla",
        formula="y = E + A / parameters^alpha + B / data^beta",
        source="Hoffmann et al. 2022, approach 3",
        form=forms.CHINCHILLA,
        roles=("parameters", "data"),
        coefficients=("A", "B"),
        floor="E",
        compute_powers=(1.0, 1.0),
        compute_factor=6.0,
        compute_basis=_TOKENS,
    ),
    JointLaw(
        name="chinchilla_repeated",
        formula="y = E + A / parameters^alpha + B / D'^beta, D' = U (1 + R* (1 - exp(-(data / U - 1) / R*)))",
        source="Muennighoff et al. 2023, without excess parameters",
        form=repeated.REPEATED,
        roles=("parameters", "data"),
        coefficients=("A", "B"),
        floor="E",
        compute_powers=(1.0, 1.0),
        compute_factor=6.0,
        compute_basis=_TOKENS,
        repeats=True,
    ),
    JointLaw(
        name="width_depth_data",
        formula="y = E + A / width^a + B / depth^b + C / data^g",
        source="McLeish et al. 2025 (Gemstones)",
        form=forms.WIDTH_DEPTH_DATA,
        roles=("width", "depth", "data"),
        coefficients=("A", "B", "C"),
        floor="E",
        compute_powers=(2.0, 1.0, 1.0),
        compute_factor=72.0,
        compute_basis=f"{_TOKENS}, and 12 width^2 depth parameters",
    ),
    JointLaw(
        name="rosenfeld",
        formula="y = e0 |e~ / (e~ - i eta)|, e~ = a / data^alpha + b / parameters^beta + c, in units of eta",
        source="Rosenfeld et al. 2020",
        form=forms.ROSENFELD,
        roles=("parameters", "data"),
        coefficients=("b", "a"),
        floor="c",
        compute_powers=(1.0, 1.0),
        compute_factor=6.0,
        compute_basis=_TOKENS,
        before=1,
        free_level=forms.FREE_ROSENFELD,
    ),
)

JOINT_LAWS: dict[str, JointLaw] = {law.name: law for law in _ALL}
"""Name -> law."""
