"""What a run learned: its errors and losses, at the end and along the way.

Unknown is a reason beside the value (schema.py).
"""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class ErrorRate:
    """Share of images classified wrongly, or of bytes predicted wrongly, in [0, 1].

    The 95% interval of `test` is Wilson's for images, and that over documents for bytes, which depend on each
    other. A training loop of the user's own (isoflop.Recorder) may know only some of the figures.
    """

    test: float | None
    val: float | None
    ci_low: float | None
    ci_high: float | None
    test_n: int | None
    val_n: int | None
    # Defaults, here and below: isoflop's own runs know all figures that were always there.
    test_reason: str | None = None
    val_reason: str | None = None
    ci_low_reason: str | None = None
    ci_high_reason: str | None = None
    test_n_reason: str | None = None
    val_n_reason: str | None = None


@dataclasses.dataclass(frozen=True)
class Loss:
    """Mean cross-entropy in nats.

    `train` is over some of the training examples: as many images as are tested, at most; of text about
    data.eval_bytes, in evenly spaced windows.

    `test_document_se_nats` is the standard error of `test` over the documents of the test part, each of which
    may be easier or harder as a whole.

    `test_brier` is the Brier score of the test part: the mean over images of the sum over classes of
    (probability - indicator)^2, in [0, 2].

    `train_over` is `steps` where `train` is not an evaluation but what a loop of the user's own gave: the
    mean over its last steps.
    """

    test: float | None
    val: float | None
    train: float | None
    test_brier: float | None
    test_brier_reason: str | None
    test_document_se_nats: float | None
    test_document_se_nats_reason: str | None
    test_reason: str | None = None
    val_reason: str | None = None
    train_reason: str | None = None
    train_over: Literal["examples", "steps"] = "examples"


@dataclasses.dataclass(frozen=True)
class LossInterval:
    """Mean training loss in nats over the steps since the interval before, up to and with step `end_step`,
    of the batches as they were trained on (augmented, with label smoothing where there is any)."""

    end_step: int
    examples: int
    mean_loss: float


@dataclasses.dataclass(frozen=True)
class TrainingInterval:
    """Training since the interval before, up to and with step `end_step`, as the loop read it on the way.

    `seconds` are those of training since the first step, without evaluations; `mean_loss` is in nats over the
    interval's steps, as in LossInterval; `learning_rate` is that of the last step: the peak (OptimFacts.lr)
    times the schedule's factor. `watts` is the mean power of what is metered; where the interval was cut by
    an evaluation or a checkpoint, since that.
    """

    end_step: int
    examples: int
    seconds: float
    mean_loss: float
    learning_rate: float
    examples_per_second: float
    watts: float | None
    watts_reason: str | None


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """One evaluation during training, on the validation part; meters exclude the evaluation itself."""

    step: int
    examples: int
    seconds: float
    val_error: float | None
    val_loss: float | None
    train_flops: float | None
    train_flops_reason: str | None
    energy_joules: float | None
    energy_joules_reason: str | None
    val_error_reason: str | None = None
    val_loss_reason: str | None = None
