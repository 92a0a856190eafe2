"""Results of a comparison of levers: frozen dataclasses that encode to JSON."""

from __future__ import annotations

import dataclasses
from typing import Literal

from isoflop.curve.compare.result import Comparison, Difference, GainAt, Moved
from isoflop.curve.estimate import Interval
from isoflop.table.levers import LeftOut

SCHEMA = 1

Part = Literal["outcome", "training", "inference"]


@dataclasses.dataclass(frozen=True)
class OnAxis:
    """What a lever does to the curve over one measure of training work.

    Attributes:
        x: the column of the work.
        largest, middle, least: the compute-equivalent gain, what the baseline needs over what the lever
            needs, at the largest error that both curves have, at the geometric middle and at the least; None
            with gain_reason.
        moved: what the lever moves.
        law: of both curves.
        b: the exponent less the baseline's, with its interval, p, and the smallest change that could have
            been seen.
        floor: the same of the irreducible error; None where the law has none.
        factor: ln of the factor of compute, one for all scales.
        p_scale: that the factor is the same at all scales; p_factor: that there is none. Both are adjusted
            for the number of levers that were compared.
    """

    x: str
    largest: GainAt | None
    middle: GainAt | None
    least: GainAt | None
    gain_reason: str | None
    moved: Moved
    law: str
    b: Difference
    floor: Difference | None
    factor: Difference
    p_scale: float | None
    p_factor: float | None


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Lever over baseline of one column, at equal width, depth and seed.

    Attributes:
        part: what the column is of.
        column: of the table.
        value: the geometric mean over configurations, each the geometric mean over its seeds.
        interval: Student's, of the logarithms over configurations.
        configurations: how many are paired with known values above 0 in both.
    """

    part: Part
    column: str
    value: float
    interval: Interval
    configurations: int


@dataclasses.dataclass(frozen=True)
class RateSearch:
    """How the learning rates of an arm were chosen.

    Attributes:
        configurations: of the arm.
        searched: those whose rate was chosen among trials.
        interior: those whose best rate was not at an end of the rates tried.
        trials: how many trials the folder holds of the arm; None without a folder.
        gflops: what they cost; None where it is not known.
    """

    configurations: int
    searched: int
    interior: int
    trials: int | None
    gflops: float | None

    @property
    def per_configuration(self) -> float | None:
        """Trials a configuration; None where they are not known."""
        return None if self.trials is None else self.trials / self.configurations


@dataclasses.dataclass(frozen=True)
class LeverRow:
    """One lever against the baseline.

    Attributes:
        lever, settings: as the runs have them.
        name: both, as shown.
        runs, configurations: of the lever.
        in_common: configurations that the baseline has too.
        reason: why no curves are compared; None where they are.
        own: over the runs' own training work; None with `reason`.
        total: with the work counted in that the runs needed beside; None with total_reason.
        prior_share: geometric mean over runs of that work over their own; 0 without any, None where unknown.
        density: mean share of weights that are not zero; None where unknown.
        ratios: lever over baseline at paired configurations.
        rates: how learning rates were chosen.
        warnings: what to beware of.
    """

    lever: str
    settings: str
    name: str
    runs: int
    configurations: int
    in_common: int
    reason: str | None
    own: OnAxis | None
    total: OnAxis | None
    total_reason: str | None
    prior_share: float | None
    density: float | None
    ratios: tuple[Ratio, ...]
    rates: RateSearch
    warnings: tuple[str, ...]

    def ratio(self, column: str) -> Ratio | None:
        """Return the ratio of a column; None where it is not known."""
        return next((each for each in self.ratios if each.column == column), None)


@dataclasses.dataclass(frozen=True)
class LeversReport:
    """Everything that `isoflop levers` says.

    Attributes:
        schema: SCHEMA.
        isoflop_version: that compared.
        source: of the runs.
        y: the column of the error or loss.
        runs, configurations: of the baseline.
        rates: how the baseline's learning rates were chosen.
        levers: a row each, by name.
        left_out: levers that were not trained, and why.
        own: the comparison of all curves over own training work; None where none could be made.
        total: that of the levers with prior work, with that work counted in; None where there are none.
        level, power, resamples, seed: as in Comparison.
        warnings: about the baseline.
    """

    schema: int
    isoflop_version: str
    source: str
    y: str
    runs: int
    configurations: int
    rates: RateSearch
    levers: tuple[LeverRow, ...]
    left_out: tuple[LeftOut, ...]
    own: Comparison | None
    total: Comparison | None
    level: float
    power: float
    resamples: int
    seed: int
    warnings: tuple[str, ...]

    @property
    def compared(self) -> tuple[LeverRow, ...]:
        """The levers whose curves are compared."""
        return tuple(each for each in self.levers if each.own is not None)
