"""What a loop has logged so far: plain, frozen data, which a checkpoint of the user's carries along."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from isoflop.record import LossInterval
from isoflop.runner.recorder.errors import NotFiniteError, RecorderError
from isoflop.runner.state import EarlierEnergy

SHARES = ("val_error", "val_accuracy", "test_error", "test_accuracy")
LOSSES = ("train_loss", "val_loss", "test_loss")
METRICS = (*SHARES, *LOSSES)
"""What `Recorder.log` takes beside the step and the examples."""


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation on the validation part, with what training up to it took.

    `seconds` and `joules` are those of training; joules are None where they are not known at this point.
    """

    step: int
    examples: int
    seconds: float
    joules: float | None
    val_error: float | None
    val_loss: float | None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a loop is.

    Attributes:
        step, examples: the latest that were logged; examples are counted over all processes.
        curve: the evaluations, by rising step.
        train_loss: the mean training loss of each interval that was logged.
        val_error, val_loss, test_error, test_loss: the latest of each.
        train_seconds, eval_seconds: of earlier attempts.
        wall_seconds: wall time of earlier attempts, of which `wasted_seconds` went into lost steps.
        earlier: joules of earlier attempts.
        wasted_steps, wasted_seconds: steps of earlier attempts that were taken again, and their seconds.
    """

    step: int = 0
    examples: int = 0
    curve: tuple[Evaluated, ...] = ()
    train_loss: tuple[LossInterval, ...] = ()
    val_error: float | None = None
    val_loss: float | None = None
    test_error: float | None = None
    test_loss: float | None = None
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    wall_seconds: float = 0.0
    earlier: EarlierEnergy = EarlierEnergy()
    wasted_steps: int = 0
    wasted_seconds: float = 0.0


def check_order(progress: Progress, step: object, examples: object) -> tuple[int, int]:
    """Return step and examples as integers, if they follow those before.

    Raises:
        RecorderError: no whole numbers, or below what was logged before.
    """
    given = []
    for name, value, before in (("step", step, progress.step), ("examples", examples, progress.examples)):
        try:
            number = int(value)  # type: ignore[call-overload]
        except (TypeError, ValueError, OverflowError):
            raise RecorderError(f"recorder.log: {name}={value!r}: give a whole number") from None
        if number != value or number < 0:
            raise RecorderError(f"recorder.log: {name}={value!r}: give a whole number, 0 or more")
        if number < before:
            raise RecorderError(
                f"recorder.log: {name}={number} after {name}={before}: log in the order of training, "
                f"{name} counted from the first step of the run"
            )
        given.append(number)
    if given[0] == progress.step and given[1] != progress.examples and progress.step > 0:
        raise RecorderError(
            f"recorder.log: step {given[0]} was logged with examples={progress.examples}, "
            f"now {given[1]}: count the steps too"
        )
    return given[0], given[1]


def checked_metrics(step: int, given: Mapping[str, object]) -> dict[str, float]:
    """Return the metrics that are not None as numbers, an accuracy as an error.

    Raises:
        NotFiniteError: one is NaN or infinite.
        RecorderError: one is no number, out of its range, or an error and an accuracy of one part are given.
    """
    metrics: dict[str, float] = {}
    for name, value in given.items():
        if value is None:
            continue
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise RecorderError(f"recorder.log: {name}={value!r}: give a number") from None
        if not math.isfinite(number):
            raise NotFiniteError(f"{name} is {number} at step {step}: the training has diverged")
        if name in SHARES and not 0 <= number <= 1:
            raise RecorderError(f"recorder.log: {name}={number:g}: give a fraction in [0, 1], not per cent")
        error = name.replace("accuracy", "error")
        if error in metrics:
            raise RecorderError(
                f"recorder.log: give {error} or {name.replace('error', 'accuracy')}, not both"
            )
        metrics[error] = 1 - number if error != name else number
    return metrics


def logged(progress: Progress, metrics: dict[str, float], seconds: float, joules: float | None) -> Progress:
    """Return the progress with metrics of its present step; those logged before at this step are kept.

    Args:
        progress: with the step and the examples that the metrics belong to.
        metrics: by name, as `checked_metrics` returns them.
        seconds: of training up to here.
        joules: of training up to here, None where they are not known.
    """
    curve, intervals = progress.curve, progress.train_loss
    again = bool(curve) and curve[-1].step == progress.step
    if "val_error" in metrics or "val_loss" in metrics:
        before = curve[-1] if again else None
        point = Evaluated(
            step=progress.step,
            examples=progress.examples,
            seconds=before.seconds if before else seconds,
            joules=before.joules if before else joules,
            val_error=metrics.get("val_error", before.val_error if before else None),
            val_loss=metrics.get("val_loss", before.val_loss if before else None),
        )
        curve = (*(curve[:-1] if again else curve), point)
    if "train_loss" in metrics:
        kept = intervals[:-1] if intervals and intervals[-1].end_step == progress.step else intervals
        intervals = (*kept, LossInterval(progress.step, progress.examples, metrics["train_loss"]))
    latest = {name: value for name, value in metrics.items() if name != "train_loss"}
    return msgspec.structs.replace(progress, curve=curve, train_loss=intervals, **latest)
