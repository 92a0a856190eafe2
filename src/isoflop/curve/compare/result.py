"""Results of a comparison: frozen dataclasses that encode to JSON, for terminal, figure and notebooks."""

from __future__ import annotations

import dataclasses
from typing import Literal

from isoflop.curve.result import Estimate, Excluded, Interval

SCHEMA = 1

Moved = Literal[
    "cannot be told", "factor", "exponent", "irreducible error", "exponent and irreducible error", "shape"
]
"""What a change moved: nothing that could be seen, the factor of compute alone, or what makes that factor
depend on scale; `shape` where it does and the runs do not tell exponent from irreducible error."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """A fitted curve on a grid of x within the runs, with its pointwise interval of the mean."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class ArmFit:
    """One of the curves that are compared.

    Attributes:
        name: as shown.
        runs, configurations, scales: how many runs, configurations and distinct scales of x it has.
        x_min, x_max: the range of x.
        x, y: of the configuration means.
        parameters: of `law`, as `isoflop fit` reports them.
        curve: the fitted curve between x_min and x_max.
        excluded: rows that are not used.
    """

    name: str
    runs: int
    configurations: int
    scales: int
    x_min: float
    x_max: float
    x: tuple[float, ...]
    y: tuple[float, ...]
    parameters: tuple[Estimate, ...]
    curve: Curve
    excluded: tuple[Excluded, ...]


@dataclasses.dataclass(frozen=True)
class Pairing:
    """What was resampled, and what pairs there were.

    Attributes:
        unit: what is resampled as a whole.
        unit_reason: why.
        units: how many, a pair counting once.
        paired_configurations, paired_runs: that both arms have, of one shape and, for runs, of one seed.
        relative_width: standard error of the difference of exponents over what it would be if the arms were
            resampled apart; None without pairs.
    """

    unit: Literal["configurations", "runs"]
    unit_reason: str
    units: int
    paired_configurations: int
    paired_runs: int
    relative_width: float | None


@dataclasses.dataclass(frozen=True)
class Difference:
    """The other arm less the baseline.

    Attributes:
        quantity: `b`, `E`, `ln factor` of compute, or `ln y` of paired configurations and its slope in ln x.
        given: what is assumed of the other parameters.
        value: the difference.
        interval: its interval.
        p: of the test that it is 0; None where it is not tested.
        smallest_seen: the smallest difference that would have been seen with the stated power; None where
            the units are too few for an interval.
        unit: of value, interval and smallest_seen.
    """

    quantity: str
    given: str
    value: float
    interval: Interval
    p: float | None
    smallest_seen: float | None
    unit: str


@dataclasses.dataclass(frozen=True)
class NullTest:
    """A wild cluster bootstrap test of a constrained against the free fit.

    Attributes:
        null: the constraint.
        statistic: (loss of the constrained fit - loss of the free one) / the latter.
        p: share of bootstrap samples, made under the null, with at least that statistic.
        p_holm: the same, adjusted for the number of tests that the verdicts rest on, two an arm (Holm
            1979); None for other tests.
        bootstraps: how many.
        reason: why there is no p.
    """

    null: str
    statistic: float | None
    p: float | None
    p_holm: float | None
    bootstraps: int
    reason: str | None


@dataclasses.dataclass(frozen=True)
class GainAt:
    """The compute-equivalent gain at one y.

    Attributes:
        y: the error or loss.
        x_baseline, x_other: what each arm needs for it; None where its curve never reaches it.
        gain: x_baseline / x_other, above 1 where the other arm needs less.
        interval: its interval; an end that resamples cannot invert is None.
        inside: whether y lies within both arms' runs; else one of the two is extrapolated.
    """

    y: float
    x_baseline: float | None
    x_other: float | None
    gain: float | None
    interval: Interval
    inside: bool


@dataclasses.dataclass(frozen=True)
class Gain:
    """The compute-equivalent gain as a function of y, falling: few rows for a table, many for a figure."""

    rows: tuple[GainAt, ...]
    curve: tuple[GainAt, ...]


@dataclasses.dataclass(frozen=True)
class Contrast:
    """One arm against the baseline.

    Attributes:
        baseline, other: names of the arms.
        law: the law of both curves, of the gain and of the verdict.
        law_reason: why this law.
        pairing: what was resampled.
        moved: what the change moved.
        verdict: the same in sentences.
        tests: that the curves are the same; that there is no factor of compute between them, given that they
            are the same up to one; that they are that; and under a law with a floor of single parameters.
        differences: of exponents, irreducible errors and the constant factor of compute, and of paired
            configurations without a law.
        gain: None with gain_reason.
        warnings: what to beware of.
    """

    baseline: str
    other: str
    law: str
    law_reason: str
    pairing: Pairing
    moved: Moved
    verdict: tuple[str, ...]
    tests: tuple[NullTest, ...]
    differences: tuple[Difference, ...]
    gain: Gain | None
    gain_reason: str | None
    warnings: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Everything that `isoflop compare` says.

    Attributes:
        schema: SCHEMA.
        isoflop_version: that compared.
        x, y: columns.
        arms: the baseline first.
        contrasts: each other arm against it.
        not_compared: arms that could not be fitted, with the reason.
        level: of the intervals; tests are made at 1 - level.
        power: of smallest_seen.
        resamples, seed: of the bootstrap.
        warnings: about the arms.
    """

    schema: int
    isoflop_version: str
    x: str
    y: str
    arms: tuple[ArmFit, ...]
    contrasts: tuple[Contrast, ...]
    not_compared: tuple[Excluded, ...]
    level: float
    power: float
    resamples: int
    seed: int
    warnings: tuple[str, ...]
