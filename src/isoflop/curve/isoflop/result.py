"""IsoFLOP profiles: frozen dataclasses that encode to JSON."""

from __future__ import annotations

import dataclasses

from isoflop.curve.measured import BestValue
from isoflop.curve.result import Estimate, Excluded


@dataclasses.dataclass(frozen=True)
class ProfilePoint:
    """A run of a budget: its sizes, its y, and y brought to the budget's compute by the common slope."""

    sizes: tuple[float, ...]
    y: float
    y_at_budget: float


@dataclasses.dataclass(frozen=True)
class Slice:
    """The parabola through one size, the others at their optimum (or their middle), with the 95% interval of
    the mean; the same length each."""

    size: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Budget:
    """The runs of about one compute and the parabola of ln y through them.

    `compute` is their geometric mean, `compute_low` to `compute_high` what they span. `optimum` holds the
    best of each size and companion, `least` the y there; None with the `reason` where the parabola has no
    minimum within the sizes measured. `bias`: for each of `optimum` the factor by which parabolas through the
    joint law's own values miss that law's optimum here; None where it is unknown. `slices`: one a size.
    """

    compute: float
    compute_low: float
    compute_high: float
    configs: int
    points: tuple[ProfilePoint, ...]
    slices: tuple[Slice, ...]
    optimum: tuple[BestValue, ...] | None
    least: Estimate | None
    bias: tuple[float, ...] | None
    reason: str | None


@dataclasses.dataclass(frozen=True)
class GrowthBias:
    """Exponents without noise: `by_parabolas` through the joint law's own values at these rows, and `by_law`,
    of that law's own optima. Their difference is the bias of the method on this design."""

    by_parabolas: float
    by_law: float


@dataclasses.dataclass(frozen=True)
class Growth:
    """Growth of an optimum with compute: its exponent, and the `value` of the power law at `compute`.

    `bias` is that of the exponent, None where it is unknown.
    """

    exponent: Estimate
    compute: float
    value: float
    bias: GrowthBias | None


@dataclasses.dataclass(frozen=True)
class Profiles:
    """IsoFLOP profiles of y over `sizes`, and how the optimum moves with compute.

    Budgets span at most the ratio 1 + `tolerance` of compute. `growth`: of each optimal size and companion
    (columns that follow from the sizes, such as examples) in compute; None with the reason. `slope` is that
    of ln y in ln compute within a budget, at fixed sizes. `without_budget` counts rows whose compute too few
    others share. `bias_law` names the law that the bias of the parabolas is read from; None with
    `bias_reason`. `level`: the share of truths that its intervals should hold.
    """

    compute: str
    sizes: tuple[str, ...]
    companions: tuple[str, ...]
    y: str
    tolerance: float
    budgets: tuple[Budget, ...]
    slope: float
    growth: tuple[Growth, ...] | None
    growth_reason: str | None
    bias_law: str | None
    bias_reason: str | None
    without_budget: int
    excluded: tuple[Excluded, ...]
    warnings: tuple[str, ...]
    resamples: int
    bootstrap_seed: int
    level: float = 0.95
