"""What a record holds: one point of the curve, or the reason why there is none.

Unknown is a typed state: every nullable field `x` stands beside `x_reason`, and exactly one of the two
is None. No number in a record is NaN or infinite.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from isoflop.record.learning import CurvePoint, ErrorRate, Loss, LossInterval, TrainingInterval
from isoflop.record.lever import Inference, LeverFacts
from isoflop.record.resources import Compute, Energy, Spent, Timing
from isoflop.record.setting import DataFacts, ModelFacts, OptimFacts, Provenance

SCHEMA = 7

State = Literal["done", "failed", "diverged", "oom", "interrupted"]


@dataclasses.dataclass(frozen=True)
class Record:
    """One point of the curve, or the reason why there is none.

    `cell` is the configuration that defines the point; of a loop of the user's own (isoflop.Recorder) it has
    `source` recorder and what the user gave as `hyperparameters`. `horizon` is the share of its whole length
    at which it was cooled down (1 without cooldowns), and `trunk_id` joins the points of one trunk. `cost`
    holds the factors the user chose (conf/cost, docs/cost.md) and only those; `cost_source` says where they
    are from.
    """

    schema: int
    run_id: str
    config_id: str
    trunk_id: str
    horizon: float
    cell: dict[str, Any]
    attempt: int
    state: State
    reason: str | None
    seed: int
    cost: dict[str, float]
    cost_source: str | None
    cost_source_reason: str | None
    model: ModelFacts
    provenance: Provenance
    spent: Spent
    curve: tuple[CurvePoint, ...]
    train_loss: tuple[LossInterval, ...] | None
    train_loss_reason: str | None
    optim: OptimFacts | None
    optim_reason: str | None
    data: DataFacts | None
    data_reason: str | None
    error: ErrorRate | None
    error_reason: str | None
    loss: Loss | None
    loss_reason: str | None
    compute: Compute | None
    compute_reason: str | None
    energy: Energy | None
    energy_reason: str | None
    time: Timing | None
    time_reason: str | None
    intervals: tuple[TrainingInterval, ...] | None = None
    intervals_reason: str | None = "not recorded by an earlier version"
    lever: LeverFacts | None = None
    lever_reason: str | None = "no lever: this is a baseline"
    inference: Inference | None = None
    inference_reason: str | None = "not measured: meter.inference_seconds=0"
