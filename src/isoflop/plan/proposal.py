"""Results of a plan: frozen dataclasses that encode to JSON and that text shows."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class PlannedRuns:
    """The seeds of one configuration that are to be trained.

    Attributes:
        label: what it is, in words.
        width, depth: of the shape; None where the source tells no shape.
        data_fraction: of the training part; None where the source does not say.
        length: of training, such as `10 epochs`; None for a table of one's own.
        parameters: of the model; None where they are unknown.
        examples: seen by one seed up to each of its points.
        train_gflops: training compute of each of its points.
        seeds: that are to be trained.
        lr_factors: factors of the learning rate that its first seed tries before; () where none have to be.
        new: whether the source has no run of this configuration.
        amount: what all of it costs, in the unit of the budget's kind, the search included.
    """

    label: str
    width: int | None
    depth: int | None
    data_fraction: float | None
    length: str | None
    parameters: float | None
    examples: tuple[float | None, ...]
    train_gflops: tuple[float, ...]
    seeds: tuple[int, ...]
    lr_factors: tuple[float, ...]
    new: bool
    amount: float


@dataclasses.dataclass(frozen=True)
class Ends:
    """An estimate with its interval; an end that is open, or not known, is None."""

    value: float | None
    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True)
class DesignOutcome:
    """What a design is expected to leave of the interval.

    Attributes:
        design: planned, uniform grid or largest runs.
        runs: trained trunks, seeds counted.
        amount: what they cost, in the unit of the budget's kind.
        width_ratio: expected width of the interval over that before; None where there is none before.
        deviation: expected standard deviation of the goal (of ln x for an error), by the laws as they are.
        after: the interval as it is expected.
        largest_gflops: training compute of the largest run.
    """

    design: str
    runs: int
    amount: float
    width_ratio: float | None
    deviation: float
    after: Ends | None
    largest_gflops: float | None


@dataclasses.dataclass(frozen=True)
class Weight:
    """A law of the design and its weight; the curve's parameters where it is linearised."""

    law: str
    weight: float
    irreducible: float
    b: float


@dataclasses.dataclass(frozen=True)
class Proposal:
    """The next runs.

    Attributes:
        source: the folder or file; None from nothing.
        x, y: columns of the fit.
        goal: as it was asked for.
        quantity: what the interval is of, in words, with its unit; `log10` says that it is log10 of x GFLOPs.
        interval_of: the law, or forecast, whose interval it is.
        level: of the intervals.
        budget, kind, budget_amount: as it was written, what it is of, and how much.
        before: the interval now; None from nothing.
        designs: the plan first, then a uniform grid and the largest runs at the same budget.
        runs: of the plan, the smallest first.
        laws: that the design serves.
        seed_noise, config_noise: standard deviations of ln y that it reckons with.
        files: sweep files, by name, with their content.
        commands: that train the plan, once the files are written.
        written: paths of the files that were written.
        warnings: what to know before any number.
        notes: how it was formed.
    """

    source: str | None
    x: str
    y: str
    goal: str
    quantity: str
    log10: bool
    interval_of: str
    level: float
    budget: str
    kind: str
    budget_amount: float
    before: Ends | None
    designs: tuple[DesignOutcome, ...]
    runs: tuple[PlannedRuns, ...]
    laws: tuple[Weight, ...]
    seed_noise: float
    config_noise: float
    files: tuple[tuple[str, str], ...]
    commands: tuple[str, ...]
    written: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
