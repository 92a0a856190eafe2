"""Laws about their fitted curves: how ln y and a goal change with the parameters (delta method).

u = ln(x / x_0), x_0 being the largest x of the source. The power law is ln y = c - b u; with a floor,
y = E + F e^(-b u). Either may have a bend, ln y + g (u / span)^2 with a small g of known prior deviation:
a design that is good for the bent laws too does not rest on the law alone (DuMouchel and Jones 1994, "A
simple Bayesian modification of D-optimal designs to reduce dependence on an assumed model").
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

EXPONENT, FLOOR, REACH = "exponent", "irreducible_error", "reach"
POWER_LAW, WITH_FLOOR = "power_law", "power_law_floor"
LEAST_WEIGHT = 0.2
"""Of either law: the evidence of few points is not trusted to rule one out."""
BENT = 0.3
"""Share of the criterion that the bent laws have."""
BEND = 0.1
"""Prior deviation of the bend: 10% of y at a span below x_0."""
PRIOR_DEVIATIONS = {"c": 2.0, "E": 0.5, "b": 0.5}
"""Of ln y_0, of E in units of y_0, and of b: they keep a design without any run determined."""


@dataclasses.dataclass(frozen=True)
class Goal:
    """What is to be known better: an exponent, the irreducible error, or the x that `target` takes."""

    kind: Literal["exponent", "irreducible_error", "reach"]
    target: float | None = None


@dataclasses.dataclass(frozen=True)
class Curve:
    """A fitted curve: y = E + F e^(-b u), E = 0 for the power law.

    Attributes:
        floor: E in the unit of y.
        falling: F, so that y at x_0 is E + F.
        b: the exponent.
        log_x0: ln of x_0.
    """

    floor: float
    falling: float
    b: float
    log_x0: float

    def log_y(self, log_x: Array) -> Array:
        """Return ln y at ln x, of the same shape."""
        return np.asarray(np.log(self.floor + self.falling * np.exp(-self.b * (log_x - self.log_x0))))

    def reach(self, target: float) -> float | None:
        """Return u at which y comes to `target`, None where it lies at or below E."""
        if target <= self.floor:
            return None
        return math.log(self.falling / (target - self.floor)) / self.b


@dataclasses.dataclass(frozen=True)
class LocalLaw:
    """A law about its curve.

    Attributes:
        name: POWER_LAW or WITH_FLOOR.
        curve: where it is linearised.
        bent: whether a bend is among the parameters.
        weight: in the criterion; those of all laws add up to 1.
        span: of ln x, in which the bend is measured.
        gradient: of the goal by the parameters (p,).
    """

    name: str
    curve: Curve
    bent: bool
    weight: float
    span: float
    gradient: Array

    @property
    def prior(self) -> Array:
        """The precision (p,) of the parameters before any run."""
        names = ("c", "b") if self.name == POWER_LAW else ("E", "c", "b")
        deviations = [PRIOR_DEVIATIONS[name] for name in names] + [BEND] * self.bent
        return np.asarray(1.0 / np.square(deviations))

    def jacobian(self, log_x: Array) -> Array:
        """Return the derivatives (n, p) of ln y by the parameters at ln x (n,)."""
        return jacobian(self.name, self.curve, log_x, self.span if self.bent else None)


def jacobian(name: str, curve: Curve, log_x: Array, span: float | None) -> Array:
    """Return the derivatives (n, p) of ln y by (ln F, b), after E / y_0 with a floor, before the bend."""
    u = log_x - curve.log_x0
    if name == POWER_LAW:
        columns = [np.ones_like(u), -u]
    else:
        falling = curve.falling * np.exp(-curve.b * u)
        share = falling / (curve.floor + falling)
        y = curve.floor + falling
        columns = [(curve.floor + curve.falling) / y, share, -share * u]
    if span is not None:
        columns.append((u / span) ** 2)
    return np.stack(columns, axis=-1)


def local_laws(
    power: Curve, floor: Curve, floor_weight: float, goal: Goal, span: float
) -> tuple[LocalLaw, ...]:
    """Return the laws that a design serves, plain and bent, with their weights.

    Laws in which the goal does not exist (the irreducible error of a power law, a target below a floor) are
    left out, and the others share their weight. None are left where no law has the goal.

    Args:
        power, floor: the fitted curves.
        floor_weight: of the law with a floor by the evidence; that of the power law is the rest.
        goal: what is to be known.
        span: range of ln x of the runs.
    """
    kept: list[tuple[str, Curve, float]] = []
    share = min(max(floor_weight, LEAST_WEIGHT), 1.0 - LEAST_WEIGHT)
    for name, curve, weight in ((POWER_LAW, power, 1.0 - share), (WITH_FLOOR, floor, share)):
        if _gradient(name, curve, goal, None) is not None:
            kept.append((name, curve, weight))
    total = sum(weight for _, _, weight in kept)
    made = []
    for name, curve, weight in kept:
        for bent, part in ((False, 1.0 - BENT), (True, BENT)):
            gradient = _gradient(name, curve, goal, span if bent else None)
            assert gradient is not None
            made.append(LocalLaw(name, curve, bent, weight / total * part, span, gradient))
    return tuple(made)


def _gradient(name: str, curve: Curve, goal: Goal, span: float | None) -> Array | None:
    """Return the derivatives (p,) of the goal by the parameters, None where the law does not have it."""
    size = (2 if name == POWER_LAW else 3) + (span is not None)
    if goal.kind == EXPONENT:
        return _one(size, 1 if name == POWER_LAW else 2)
    if goal.kind == FLOOR:
        return None if name == POWER_LAW else _one(size, 0)
    assert goal.target is not None
    u = curve.reach(goal.target)
    if u is None:
        return None
    # With ln y(u, theta) = ln target held, du/dtheta = (d ln y / d theta) / (-d ln y / du).
    falls = curve.b * (1.0 - curve.floor / goal.target)
    return np.asarray(jacobian(name, curve, np.array([u + curve.log_x0]), span)[0] / falls)


def _one(size: int, index: int) -> Array:
    unit = np.zeros(size)
    unit[index] = 1.0
    return unit


def mean_log_y(laws: Sequence[LocalLaw], log_x: Array) -> Array:
    """Return ln y (n,) of the laws' weighted mean at ln x (n,)."""
    return np.asarray(sum(law.weight * law.curve.log_y(log_x) for law in laws))
