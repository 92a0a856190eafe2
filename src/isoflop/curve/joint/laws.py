"""The laws in several resources: what each takes, where it is from, and its parameters as reported."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from isoflop.curve.forms import B_MAX, B_MIN, Form
from isoflop.curve.joint import forms
from isoflop.curve.laws import AT_BOUND, Reported

Array = npt.NDArray[np.float64]

OFTEN = 0.025
"""A bound that more than this share of the resamples hits cuts the interval."""


@dataclasses.dataclass(frozen=True)
class JointLaw:
    """A law. `roles` names its k resources in the order of v's columns, `coefficients` their terms' factors.

    `compute_powers`: compute is proportional to the product of the resources to these powers, with
    `compute_factor` FLOPs where `compute_basis` holds. `before` counts the shape's parameters ahead of
    `additive`'s. `free_level` is the form that is fitted where the level c of `form` is not known.
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

    def terms(self, parameters: Array, log_x_max: Array) -> tuple[Array, Array, Array]:
        """Floor (r,), ln of the factors (r, k) and exponents (r, k) of E + sum_j A_j x_j^-b_j.

        `parameters` (r, p) = (c, theta), `log_x_max` (k,). For the envelope they are those of e~ / eta.
        """
        k = len(self.roles)
        inner = parameters[:, 1 + self.before :]
        level = parameters[:, 0] if not self.before else parameters[:, 1]
        s, b = inner[:, 0], inner[:, k:]
        share = forms.shares(inner[:, 1:k])
        with np.errstate(divide="ignore"):
            log_factors = (level + s)[:, None] + np.log(share) + b * log_x_max
        return np.exp(level) * (0.0 - np.expm1(s)), log_factors, b

    def log_predict(self, parameters: Array, v: Array) -> Array:
        """ln y (r, m) at v (m, k) = ln(x_max / x); nan where a resample's floor below 0 is undercut."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(parameters[:, :1] + self.form.evaluate(parameters[:, 1:], v)[0])

    def describe(self, parameters: Array, log_x_max: Array, units: tuple[str, ...], y: str) -> list[Reported]:
        """The factors, the floor and the exponents."""
        floor, log_factors, b = self.terms(parameters, log_x_max)
        scale = f"{y}" if not self.before else "eta"
        found = [
            Reported(name, np.exp(log_factors[:, j]), f"{scale} owed to {units[j]}, at 1")
            for j, name in enumerate(self.coefficients)
        ]
        found.append(Reported(self.floor, floor, scale, least=0.0))
        if self.before:
            found.append(Reported("e0", np.exp(parameters[:, 0]), f"{y} of small models and data"))
        found += [
            Reported(f"exponent_{role}", b[:, j], f"decades per decade of {units[j]}")
            for j, role in enumerate(self.roles)
        ]
        return found

    def warn(self, parameters: Array, outside: float) -> list[str]:
        """What the sample (row 0) and the resamples leave undetermined, in words."""
        k = len(self.roles)
        inner = parameters[:, 1 + self.before :]
        floor = -np.expm1(inner[:, 0])
        words = []
        if self.before and parameters[0, 1] <= forms.LOG_RATIO[0] + AT_BOUND:
            words.append("e0 not identified: it is at its bound, no point is near the level of small models")
        if floor[0] <= AT_BOUND:
            words.append(
                f"floor not identified: {self.floor} is at its bound 0, the points call for no floor"
            )
        elif len(floor) > 1 and float(np.quantile(floor[1:], outside)) <= AT_BOUND:
            words.append(f"floor not identified: the interval of {self.floor} includes 0")
        nothing = self.useless(parameters[:1])
        for j, role in enumerate(self.roles):
            b = inner[:, k + j]
            at = (b >= B_MAX * (1 - AT_BOUND)) | (b <= B_MIN * (1 + AT_BOUND))
            if role in nothing:
                words.append(f"{role} explains nothing here: no best split of compute can be told")
            elif at[0]:
                words.append(f"optimum at a bound: exponent_{role} is {b[0]:.3g}")
            elif len(at) > 1 and at[1:].mean() > OFTEN:
                words.append(
                    f"exponent_{role} is at a bound in {at[1:].mean():.0%} of the resamples: its interval is "
                    "cut there"
                )
        return words

    def useless(self, parameters: Array) -> tuple[str, ...]:
        """The roles that do not lower y under parameters (1, p): no share of its fall, or a flat exponent."""
        k = len(self.roles)
        inner = parameters[:, 1 + self.before :]
        share, b = forms.shares(inner[:, 1:k])[0], inner[0, k:]
        least = math.exp(1.0 - forms.LARGEST_LOGIT)
        return tuple(
            role for j, role in enumerate(self.roles) if share[j] < least or b[j] <= B_MIN * (1 + AT_BOUND)
        )


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
