"""What a language sweep answers: frozen dataclasses that encode to JSON. What is unknown has its reason."""

from __future__ import annotations

import dataclasses

from isoflop.curve.isoflop.result import Profiles
from isoflop.curve.joint.result import JointFit
from isoflop.curve.language.cost import ByteCost
from isoflop.curve.measured import BestValue
from isoflop.curve.result import Estimate


@dataclasses.dataclass(frozen=True)
class CountedOptimum:
    """The best size, the bytes it sees and the bits a byte there, at `compute` (GFLOPs), by the joint law."""

    compute: float
    size: BestValue
    seen: BestValue
    bits: Estimate

    @property
    def outside(self) -> tuple[str, ...]:
        """Why the size, and the bytes, lie outside those of the sweep; empty where both lie within."""
        return tuple(each.outside for each in (self.size, self.seen) if each.outside is not None)


@dataclasses.dataclass(frozen=True)
class CountedSplit:
    """The best split of counted compute under the joint law, along the sweep's ladder of shapes.

    `size_exponent`, `seen_exponent`: the mean exponents of N* and D* in compute over the budgets' range.
    They sum to more than 1 where the compute a byte f grows more slowly than N, as D* = C / f(N*).
    `bits_exponent`: bits a byte at the optimum fall as compute to the power of its negative, E included;
    `reducible_exponent`: so does what is above E.
    `at_budgets`: the optimum of each budget; `curve`: the same on a grid of compute, least to largest budget;
    `beyond`: the same beyond that.
    """

    cost: ByteCost
    size_exponent: Estimate
    seen_exponent: Estimate
    bits_exponent: Estimate
    reducible_exponent: Estimate
    at_budgets: tuple[CountedOptimum, ...]
    curve: tuple[CountedOptimum, ...]
    beyond: tuple[CountedOptimum, ...]

    @property
    def outside(self) -> tuple[float, float] | None:
        """The least and the largest compute on the curve whose optimum lies outside what was measured."""
        return range_outside(self.curve)


def range_outside(curve: tuple[CountedOptimum, ...]) -> tuple[float, float] | None:
    """Return the least and largest compute of the optima outside what was measured, None where none is."""
    computes = [each.compute for each in curve if each.outside]
    return (min(computes), max(computes)) if computes else None


@dataclasses.dataclass(frozen=True)
class SizeAnswer:
    """What the sweep says if the size of a model is the column `size`.

    Attributes:
        size: name of the column.
        law: the joint law of bits a byte in size and bytes seen; None with `law_reason`.
        split: what follows from it; None with `split_reason`.
        profiles: the IsoFLOP parabolas, with their bias; None with `profiles_reason`.
    """

    size: str
    law: JointFit | None
    law_reason: str | None
    split: CountedSplit | None
    split_reason: str | None
    profiles: Profiles | None
    profiles_reason: str | None


@dataclasses.dataclass(frozen=True)
class Shape:
    """A configuration: width, depth, parameters without embeddings, bytes seen, mean bits a byte of seeds."""

    width: float
    depth: float
    size: float
    seen: float
    bits: float
    seeds: int


@dataclasses.dataclass(frozen=True)
class PairedDifference:
    """Mean difference in bits a byte over the same test windows, with its standard error over the windows.

    The seeds are what they are: the error is that of the text alone, as if windows were drawn independently.
    """

    difference: float
    standard_error: float
    windows: int


@dataclasses.dataclass(frozen=True)
class ShapePair:
    """Two configurations of equal compute (GFLOPs) and nearly equal size, one deeper than the other.

    `difference` is the deeper one's bits a byte less the other's; `explained` is what the joint law says of
    it, as the deeper one has a slightly other size and, costing more a byte, sees fewer; None without a law.
    `paired`: the same difference window by window; None with `paired_reason`.
    """

    compute: float
    shallow: Shape
    deep: Shape
    difference: float
    explained: float | None
    paired: PairedDifference | None
    paired_reason: str | None


@dataclasses.dataclass(frozen=True)
class WidthDepth:
    """Pairs of shapes at equal size and compute.

    Attributes:
        pairs: least compute first.
        difference: mean of the pairs' differences, in bits a byte, with its interval over pairs.
        unexplained: mean of the differences less what the joint law explains; None without a law.
        seed_spread: standard deviation of bits a byte between seeds of one configuration, pooled; None with
            the reason.
    """

    pairs: tuple[ShapePair, ...]
    difference: Estimate
    unexplained: Estimate | None
    seed_spread: float | None
    seed_spread_reason: str | None


@dataclasses.dataclass(frozen=True)
class ShapeJoules:
    """Joules a byte of one shape at one batch (bytes), of all that was drawn and net of idle power.

    They are medians over runs; None where unknown, with the `reason`. `batch` is None where it is unknown.
    `on_gpu`: whether they are a GPU's, and not a processor's.
    """

    width: float
    depth: float
    batch: float | None
    size: float
    joules: float | None
    net_joules: float | None
    on_gpu: bool
    reason: str | None


@dataclasses.dataclass(frozen=True)
class OptimalTraining:
    """How loss falls with compute where every budget trains its best size: the joint law along N*(C).

    It is the answer of a sweep that crosses sizes and budgets. The law of loss against compute through all of
    its runs lies above it, as most of them are too large or too small for their budget.

    Attributes:
        law: name of the joint law.
        points, configs: number of runs and configurations it is fitted to.
        floor: its irreducible part E.
        floor_identified: whether the interval of E lies above 0.
        exponent: bits a byte fall as compute to the power of its negative; those above E if it is identified.
            The mean over the budgets' range.
        curve: the optimum on a grid of compute from the least budget to ten times the largest.
        largest: at the largest budget.
        ahead: at ten times that.
        misfit: root mean square of ln(bits a byte / law) over the runs.
        warnings: of the joint law.
    """

    law: str
    points: int
    configs: int
    floor: Estimate
    floor_identified: bool
    exponent: Estimate
    curve: tuple[CountedOptimum, ...]
    largest: CountedOptimum
    ahead: CountedOptimum
    misfit: float
    warnings: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class LanguageAnswers:
    """What a language sweep answers.

    Attributes:
        runs, configs: number of runs of text that are not held out, and of their configurations.
        sizes: the answers with the size counted without embeddings, then with them.
        optimal: loss at the best size against compute; None with `optimal_reason`.
        shapes: width against depth; None with `shapes_reason`.
        joules: joules a byte of each shape and batch, narrowest first.
        note: which runs are left out, as the best of several learning rates is kept; None where none is.
        refused: why the runs cannot be compared, so that everything else is unknown; None where they can.
    """

    runs: int
    configs: int
    sizes: tuple[SizeAnswer, ...]
    optimal: OptimalTraining | None
    optimal_reason: str | None
    shapes: WidthDepth | None
    shapes_reason: str | None
    joules: tuple[ShapeJoules, ...]
    note: str | None
    refused: str | None
