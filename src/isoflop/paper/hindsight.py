"""Did the forecast of 2020 come true? By inequality only, from errors that have been reached since.

A form demands a compute for an error. Where that error has been reached, and even the lower end of what was
demanded exceeds any training run that is known, the form asked too much. Where it does not, nothing is shown:
what the model that reached the error took in fact is not known, so no inequality can confirm a form.
"""

from __future__ import annotations

import dataclasses
import math

from isoflop.curve.judge.answer import Ruling
from isoflop.paper import forms
from isoflop.paper.hindsight_facts import (
    ALLOWANCE,
    LARGEST_TRAINING_FLOPS,
    LINES,
    REACHED,
    BenchmarkLines,
    Reached,
)


@dataclasses.dataclass(frozen=True)
class Demand:
    """What one form demanded for an error that has been reached: log10 GFLOP, its lower end, and the ruling.

    `orders` is by how many powers of ten the demand exceeds the largest training run known.
    """

    form: str
    log10_gflops: float
    low: float
    orders: float
    ruling: Ruling


@dataclasses.dataclass(frozen=True)
class Outcome:
    """An error that has been reached, with what each form demanded for it."""

    reached: Reached
    demands: tuple[Demand, ...]


@dataclasses.dataclass(frozen=True)
class HindsightResult:
    """Outcomes by benchmark; the largest training run known, and what it is raised to, in log10 GFLOP."""

    outcomes: tuple[Outcome, ...]
    log10_largest: float
    log10_limit: float


def demanded(lines: BenchmarkLines, form: str, error: float) -> float:
    """Return log10 GFLOP at which a form's line reaches an error, a fraction."""
    line = lines.of(form)
    height = math.log10(1 / error) if form == "polynomial" else 1 / error
    return (height - line.intercept) / line.slope


def judge(low: float, log10_limit: float) -> Ruling:
    """Judge a demand by its lower end, in log10 GFLOP: it can be refuted, and never confirmed."""
    if low > log10_limit:
        return Ruling("disagrees", f"even the lower end, 10^{low:.1f}, exceeds 10^{log10_limit:.1f} GFLOP")
    return Ruling(
        "compatible but not decisive",
        f"the lower end, 10^{low:.1f}, does not exceed 10^{log10_limit:.1f} GFLOP",
    )


def analyse() -> HindsightResult:
    """Return every error of REACHED with what both forms demanded for it."""
    largest = math.log10(LARGEST_TRAINING_FLOPS) - 9
    limit = largest + math.log10(ALLOWANCE)
    return HindsightResult(tuple(_outcome(each, largest, limit) for each in REACHED), largest, limit)


def _outcome(reached: Reached, largest: float, limit: float) -> Outcome:
    demands = []
    for form in forms.FORMS:
        value = demanded(LINES[reached.benchmark], form, reached.error)
        low = reached.polynomial_low if form == "polynomial" else reached.exponential_low
        demands.append(Demand(form, value, low, value - largest, judge(low, limit)))
    return Outcome(reached, tuple(demands))
