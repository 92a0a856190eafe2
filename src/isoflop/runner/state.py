"""What a run has reached, as plain data: its trajectory, its points, and what a checkpoint keeps of both.

Everything here is frozen and can be written as JSON. Fields that a checkpoint stores keep their stored names
(`rename`), so that a run that an earlier version interrupted can be resumed.
"""

from __future__ import annotations

import dataclasses

import msgspec

from isoflop.meter.energy.polls import Window
from isoflop.record import CurvePoint, Energy, Inference
from isoflop.train.inference_work import InferenceWork
from isoflop.train.score import Score


@dataclasses.dataclass(frozen=True)
class EarlierEnergy:
    """Joules of earlier attempts, one entry an attempt; `reason` says why one of them is unknown."""

    energies: tuple[Energy, ...] = ()
    reason: str | None = None


class Reading(msgspec.Struct, frozen=True):
    """What the loop read after `step` steps, at the end of a burst.

    Attributes:
        step: steps since the first.
        seconds: of training until then, evaluations excluded.
        loss_sum: sum of the training losses of all steps until then.
        learning_rate: of the last step.
        watts: mean power since the reading before, or since the evaluation or the checkpoint after it; None
            with the reason where it is unknown.
    """

    step: int
    seconds: float
    loss_sum: float
    learning_rate: float
    watts: float | None
    watts_reason: str | None


class Trajectory(msgspec.Struct, frozen=True, kw_only=True, rename={"earlier_energy": "metered"}):
    """What led from the first step to the present one, along the trunk or a cooldown branch.

    Attributes:
        val: the last evaluation on the validation part, None before the first.
        curve: all evaluations so far.
        loss_sums: (step, sum of the training losses of all steps up to it), at the steps of
            `schedule.loss_marks` passed so far.
        readings: of the loop, between bursts of steps (runner/intervals.py).
        earlier_energy: joules of earlier attempts.
        windows: the metered windows of this attempt, by this process's monotonic clock; empty in a
            checkpoint, where they have been turned into joules.
        train_seconds: seconds in training.
        eval_seconds: seconds in evaluations.
    """

    val: Score | None = None
    curve: tuple[CurvePoint, ...] = ()
    loss_sums: tuple[tuple[int, float], ...] = ()
    readings: tuple[Reading, ...] = ()
    earlier_energy: EarlierEnergy = EarlierEnergy()
    windows: tuple[Window, ...] = ()
    train_seconds: float = 0.0
    eval_seconds: float = 0.0


START = Trajectory()
"""The trajectory of a run that has taken no step."""


class TrainedPoint(msgspec.Struct, frozen=True, kw_only=True, rename={"earlier_energy": "metered"}):
    """A point that was reached: what the loop really did on the way, and where the seconds went.

    Attributes:
        horizon: the share of the whole length at which the point lies.
        steps: optimizer steps from the first to the point.
        examples_seen: examples that went forward and backward on its trajectory.
        examples_own: those of them that this point was the first to need: its cooldown branch, and the trunk
            since the branch before.
        wasted_examples: examples whose steps were lost with an attempt that died, and were taken again.
        wasted_seconds: seconds of training lost in the same way.
        parameters: trainable and other parameters of the model.
        parameters_without_embeddings: of a language model, without its token embeddings; else None.
        optimizer_flops_per_step: FLOPs of one optimizer step.
        curve, loss_sums, readings, windows, earlier_energy, train_seconds, eval_seconds: as in Trajectory.
        setup_seconds: seconds before the trainer was warmed up.
        warmup_seconds: seconds of the warm-up, of which `compile_seconds` went into compiling or capturing.
        eval_examples: examples that went forward in evaluations.
        test, val, train: the final evaluations on each part.
        processes: processes that trained together, one device each.
        own_joules: joules of a point that waits for a replay, as far as they were read on its way; None and
            the reason where they are unknown.
        inference_work: what the finished network costs an example, where the run has a lever.
        inference: the measured forward passes of the finished network; None where none were.
        step_engine, step_choice: how steps were carried out, and why so; None in a checkpoint that an earlier
            version wrote.
    """

    horizon: float
    steps: int
    examples_seen: int
    examples_own: int
    wasted_examples: int
    wasted_seconds: float
    parameters: int
    optimizer_flops_per_step: float
    curve: tuple[CurvePoint, ...]
    windows: tuple[Window, ...]
    earlier_energy: EarlierEnergy
    setup_seconds: float
    warmup_seconds: float
    compile_seconds: float
    train_seconds: float
    eval_seconds: float
    eval_examples: int
    test: Score
    val: Score
    train: Score
    processes: int = 1
    own_joules: float | None = None
    own_joules_reason: str | None = "not read before the run was interrupted"
    loss_sums: tuple[tuple[int, float], ...] = ()
    readings: tuple[Reading, ...] = ()
    step_engine: str | None = None
    step_choice: str | None = None
    parameters_without_embeddings: int | None = None
    inference_work: InferenceWork | None = None
    inference: Inference | None = None


@dataclasses.dataclass(frozen=True)
class MeasuredPoint:
    """A point with its joules or the reason why they are unknown, and the seconds of a replay for them."""

    trained: TrainedPoint
    energy: Energy | None
    energy_reason: str | None
    replay_seconds: float = 0.0


class TrainingState(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={
        "horizon_index": "horizon",
        "trajectory": "way",
        "charged_step": "charged",
        "awaiting_replay": "short",
    },
):
    """Where a run stands, beside the tensors of its trainer.

    Attributes:
        run_id: the run.
        horizon_index: index of the horizon that is trained for.
        trajectory: what led to the present step.
        trunk: in a cooldown branch, the trajectory of the trunk up to the branch; else START.
        charged_step: the step of the trunk up to which earlier points have been charged.
        awaiting_replay: points reached whose training was too short to meter alone.
        steps_done: steps taken so far, on the trunk and on every branch.
        trained_seconds: seconds of training that they took.
        uncharged_seconds: wall time that no record has accounted for.
        wasted_steps, wasted_seconds: work of the present horizon that was lost with an attempt and done
            again.
        split_sha256: hash of the data that it is trained on; None in a checkpoint that an earlier version
            wrote.
    """

    run_id: str
    horizon_index: int = 0
    trajectory: Trajectory = START
    trunk: Trajectory = START
    charged_step: int = 0
    awaiting_replay: tuple[TrainedPoint, ...] = ()
    steps_done: int = 0
    trained_seconds: float = 0.0
    uncharged_seconds: float = 0.0
    wasted_steps: int = 0
    wasted_seconds: float = 0.0
    split_sha256: str | None = None
