"""Evaluations of a run: on the validation part along the way, on all parts at a point."""

from __future__ import annotations

import math
import time

from msgspec.structs import replace
from torch import nn

from isoflop.record import CurvePoint
from isoflop.runner import intervals
from isoflop.runner.context import RunContext
from isoflop.runner.energy import Meter
from isoflop.runner.prepare import Prepared, times
from isoflop.runner.state import Trajectory
from isoflop.track.events import Interval
from isoflop.track.history import in_order, interval_of
from isoflop.train.data import PartName
from isoflop.train.evaluate import evaluate
from isoflop.train.loop import DivergedError, Trainer
from isoflop.train.score import Score


class Evaluator:
    """Evaluates a trainer's model, and shows each evaluation to the tracker and to the caller's watch."""

    def __init__(
        self, prepared: Prepared, trainer: Trainer, meter: Meter | None, context: RunContext
    ) -> None:
        self._prepared, self._trainer, self._meter, self._context = prepared, trainer, meter, context

    def warm_up(self) -> None:
        """Evaluate once for nothing, so that the first evaluation that counts finds its kernels loaded."""
        self._score("val")

    def validate(self, trajectory: Trajectory, steps_done: int) -> Trajectory:
        """Evaluate on the validation part and return the trajectory with that evaluation.

        Args:
            trajectory: what led to the present step.
            steps_done: steps taken so far on the trunk and on every branch, for the tracker.

        Raises:
            DivergedError: the loss of a step, or of the evaluation, is NaN or infinite.
        """
        began, trainer, count = time.perf_counter(), self._trainer, self._prepared.count
        trainer.check_finite()
        val = self._finite_score("val")
        joules = self._joules_so_far(trajectory)
        point = CurvePoint(
            step=trainer.step,
            examples=trainer.examples_seen,
            seconds=trajectory.train_seconds,
            val_error=val.error,
            val_loss=val.loss,
            train_flops=times(trainer.examples_seen, count.train_flops_per_example),
            train_flops_reason=count.reason,
            energy_joules=joules,
            energy_joules_reason="not known at this point" if joules is None else None,
        )
        if self._context.world.is_main:
            if self._context.watch:
                self._context.watch(point, trainer.steps)
            self._context.feed.point(point, steps_done)
        seconds = time.perf_counter() - began
        return replace(
            trajectory,
            val=val,
            curve=(*trajectory.curve, point),
            eval_seconds=trajectory.eval_seconds + seconds,
        )

    def show_again(self, trajectory: Trajectory) -> None:
        """Show what earlier attempts read and evaluated to the tracker, which has begun anew."""
        if not self._context.world.is_main:
            return
        read = intervals.of(trajectory.readings, self._trainer.config.optim.batch_size)
        for each in in_order(tuple(map(interval_of, read)), trajectory.curve):
            if isinstance(each, Interval):
                self._context.feed.interval(each, each.step)
            else:
                self._context.feed.point(each, each.step)

    def score(self, part: PartName, model: nn.Module) -> Score:
        """Return the score of a finished network on a part; of the training part on what record.Loss says.

        Raises:
            DivergedError: the loss is NaN or infinite.
        """
        return self._finite_score(part, model)

    def _score(self, part: PartName, model: nn.Module | None = None) -> Score:
        trainer, data = self._trainer, self._prepared.data
        precision = trainer.autocast, trainer.memory_format
        return evaluate(model or trainer.scored_model, data, part, *precision, trainer.world)

    def _finite_score(self, part: PartName, model: nn.Module | None = None) -> Score:
        score = self._score(part, model)
        if not math.isfinite(score.loss):
            step, steps = self._trainer.step, self._trainer.steps
            raise DivergedError(f"an evaluation's loss is {score.loss} after step {step} of {steps}")
        return score

    def _joules_so_far(self, trajectory: Trajectory) -> float | None:
        now = self._meter.joules_so_far(trajectory.windows) if self._meter else None
        if now is None or trajectory.earlier_energy.reason:
            return None
        return now + sum(energy.energy_joules for energy in trajectory.earlier_energy.energies)
