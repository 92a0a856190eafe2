"""Result of a fit of a law in several resources: frozen dataclasses that encode to JSON."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from isoflop.curve.joint import repeated
from isoflop.curve.joint.data_grid import GrowthPath
from isoflop.curve.joint.laws import JOINT_LAWS, R_STAR
from isoflop.curve.measured import BestValue
from isoflop.curve.result import Estimate, Excluded

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Optimum:
    """Optimum of each resource at `compute`, then their ratio (examples per parameter, width per depth).

    `outside`: why that compute itself lies outside what was measured, None where it does not.
    """

    compute: float
    outside: str | None
    best: tuple[BestValue, ...]


@dataclasses.dataclass(frozen=True)
class Allocation:
    """The optimal split of compute, where compute = `factor` x the resources to the `powers`.

    `exponents` are those of each optimal resource in compute. `optima` are at the largest compute of the rows
    and at ten times that, or at the compute that was named. `basis` is the source of the factor.
    """

    compute_unit: str
    factor: float
    powers: tuple[float, ...]
    basis: str
    exponents: tuple[Estimate, ...]
    optima: tuple[Optimum, ...]


@dataclasses.dataclass(frozen=True)
class PredictedRow:
    """A held-out row: its y, the prediction, and the interval for a new run."""

    row: str
    y: float
    predicted: float
    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True)
class JointHeldOut:
    """Held-out rows and the law fitted without them; `inside` counts rows in the interval for a new run."""

    rows: tuple[PredictedRow, ...]
    log_rmse: float
    inside: int | None


@dataclasses.dataclass(frozen=True)
class JointFit:
    """A law in several resources fitted to `points` rows of `configs` configurations.

    `resources` are the columns in the order of `roles`. `objective` is the least sum of Huber's loss of ln y
    with threshold `delta`. `standard_errors` by parameter are standard deviations of the resamples' values,
    None without enough configurations. `allocation` is None if a resource does not lower y (see `warnings`).
    `growth` is the best size for each amount of data, where the rows cross the two. `level`: the share of
    truths that its intervals should hold.
    """

    law: str
    formula: str
    source: str
    roles: tuple[str, ...]
    resources: tuple[str, ...]
    y: str
    points: int
    configs: int
    parameters: tuple[Estimate, ...]
    standard_errors: dict[str, float | None]
    objective: float
    delta: float
    log10_rmse: float
    allocation: Allocation | None
    growth: GrowthPath | None
    held_out: JointHeldOut | None
    excluded: tuple[Excluded, ...]
    warnings: tuple[str, ...]
    resamples: int
    bootstrap_seed: int
    level: float = 0.95

    def value(self, name: str) -> float:
        """Return the value of the parameter called `name`."""
        return next(e.value for e in self.parameters if e.name == name)

    def predict(self, x: Array) -> Array:
        """Return y (m,) at resources x (m, k) in the order of `roles`, in the table's units."""
        law = JOINT_LAWS[self.law]
        if law.repeats:
            unique = np.minimum(x[:, 1], x[:, 2])
            counted = repeated.worth(x[:, 1] / unique, self.value(R_STAR))
            x = np.column_stack([x[:, 0], unique * counted])
        parts = np.full(len(x), self.value(law.floor))
        for j, (role, name) in enumerate(zip(law.roles, law.coefficients, strict=True)):
            parts += self.value(name) * x[:, j] ** -self.value(f"exponent_{role}")
        return parts if not law.before else np.asarray(self.value("e0") * parts / np.hypot(parts, 1.0))
