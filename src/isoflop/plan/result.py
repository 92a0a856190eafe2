"""Results of a forecast of costs: frozen dataclasses that encode to JSON and that text and pages show."""

from __future__ import annotations

import dataclasses

from isoflop.plan.amount import Amount
from isoflop.plan.firm_result import FirmAnswer


@dataclasses.dataclass(frozen=True)
class Training:
    """What one training takes, by one law.

    Attributes:
        train_gflops: training FLOPs / 1e9.
        parameters, examples: of the model that spends this compute as the runs did, or best.
        device_seconds: of one device, or of several added up.
        energy_joules: of the devices, before PUE.
        kilograms_co2, dollars: by the chosen prices.
    """

    train_gflops: Amount
    parameters: Amount
    examples: Amount
    device_seconds: Amount
    energy_joules: Amount
    kilograms_co2: Amount
    dollars: Amount


@dataclasses.dataclass(frozen=True)
class Inference:
    """What answering queries takes with the model that training made; a query is one example, forward.

    Attributes:
        gflops_per_query: forward FLOPs / 1e9.
        gflops_per_year, device_seconds_per_year, energy_joules_per_year, kilograms_co2_per_year,
            dollars_per_year: of all queries of 365 days, at the efficiency of training.
        break_even_days: days after which the queries have taken the FLOPs of the training.
    """

    gflops_per_query: Amount
    gflops_per_year: Amount
    device_seconds_per_year: Amount
    energy_joules_per_year: Amount
    kilograms_co2_per_year: Amount
    dollars_per_year: Amount
    break_even_days: Amount


@dataclasses.dataclass(frozen=True)
class LawCost:
    """What a target costs by one law.

    Attributes:
        law: its name, or forecast, the average of the laws by their evidence.
        rejected: whether the points reject it.
        log10_train_gflops: None, with `reason`, where it does not come to the target.
        times_largest: training compute over that of the largest run.
        interval_of: what the interval of compute is.
        training, inference: amounts; inference None where no queries were named.
    """

    law: str
    rejected: bool
    log10_train_gflops: float | None
    reason: str | None
    times_largest: float | None
    interval_of: str | None
    training: Training
    inference: Inference | None


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """Orders of magnitude between the laws that come to a target; None where fewer than two do.

    `least`, `most`: the laws at both ends. `reached` of `laws` come to it. The average is not counted.
    """

    orders: float | None
    least: str | None
    most: str | None
    reached: int
    laws: int


@dataclasses.dataclass(frozen=True)
class TargetCost:
    """What one target costs. `warnings` come first wherever it is shown."""

    target: float
    warnings: tuple[str, ...]
    costs: tuple[LawCost, ...]
    disagreement: Disagreement


@dataclasses.dataclass(frozen=True)
class LawReach:
    """The y that a budget buys by one law: of the mean, and the interval of a new run."""

    law: str
    rejected: bool
    y: Amount
    new_run: tuple[float | None, float | None]


@dataclasses.dataclass(frozen=True)
class BudgetReach:
    """What one budget buys: its training, and the y of each law there."""

    budget: str
    warnings: tuple[str, ...]
    times_largest: float
    training: Training
    inference: Inference | None
    reaches: tuple[LawReach, ...]


@dataclasses.dataclass(frozen=True)
class CostForecast:
    """What targets cost and what budgets buy.

    Attributes:
        source: the folder or file.
        x, y: columns of the fit.
        quantity: what falls, in a sentence; `unit` and `scale` show it.
        level: of all intervals.
        largest_gflops: training compute of the largest run.
        tested_ratio: up to how many times the largest x of a fit its forecasts can be tested by these runs
            (`isoflop fit` does); None where they cannot.
        device: that training is timed on; None where it is unknown.
        queries_per_day: None where none were named.
        warnings: what to know before any number: faults of the checks, and where no forecast is made.
        targets, budgets: the answers.
        notes: how time, energy, sizes and prices were formed.
        firm: of each target, who has no data centre; empty where no numbers of GPUs were named.
    """

    source: str
    x: str
    y: str
    quantity: str
    unit: str
    scale: float
    level: float
    largest_gflops: float
    tested_ratio: float | None
    device: str | None
    queries_per_day: float | None
    warnings: tuple[str, ...]
    targets: tuple[TargetCost, ...]
    budgets: tuple[BudgetReach, ...]
    notes: tuple[str, ...]
    firm: tuple[FirmAnswer, ...] = ()
