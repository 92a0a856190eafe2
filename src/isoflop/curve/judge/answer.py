"""What a claim is answered with, and why."""

from __future__ import annotations

import dataclasses
from typing import Literal

from isoflop.curve.estimate import Estimate

Answer = Literal["agrees", "disagrees", "compatible but not decisive", "cannot be told"]
ANSWERS: tuple[Answer, ...] = ("agrees", "disagrees", "compatible but not decisive", "cannot be told")

Cause = Literal[
    "outcome",
    "decades",
    "configurations",
    "seeds",
    "fixed data",
    "no fit",
    "no fall",
    "law rejected",
    "undertrained",
    "no interval",
]
"""Why a sweep cannot tell: what its records do not hold, too little of it, or points that do not show it."""


@dataclasses.dataclass(frozen=True)
class Ruling:
    """The answer of one rule, and in half a sentence why."""

    answer: Answer
    why: str


@dataclasses.dataclass(frozen=True)
class Reason:
    """One reason for which a sweep cannot tell; `sentence` begins small and has no full stop."""

    cause: Cause
    sentence: str


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The verdict of one sweep on the paper's limit (judge.limit).

    Attributes:
        claim: what is judged.
        answer: the verdict.
        why: half a sentence; the first of `reasons` where it cannot be told.
        reasons: all that keeps the sweep from telling; empty where the rule could be applied.
        outcome: the column that was judged, None where the runs hold no root mean square error.
        runs, configs: points and configurations of the fit; 0 without one.
        exponent: b of outcome ~ compute^-b, with its 95% interval over configurations.
        alpha: 1 / b.
    """

    claim: str
    answer: Answer
    why: str
    reasons: tuple[Reason, ...]
    outcome: str | None
    runs: int
    configs: int
    exponent: Estimate | None
    alpha: Estimate | None
