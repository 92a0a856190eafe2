"""What the loop reads between bursts of steps: training loss, learning rate, seconds and watts.

A trajectory keeps about MOST readings, evenly spaced in steps, and one at each evaluation. They are taken
where the loop waits for the device anyway, so that training is not slowed: a reading copies one number.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence

from isoflop.meter.energy.polls import Window
from isoflop.record import TrainingInterval
from isoflop.runner.energy import Meter
from isoflop.runner.state import Reading, Trajectory
from isoflop.train.loop import Trainer

MOST = 50
"""Readings of a whole run, about, beside those at its evaluations."""
LEAST_WINDOW_SECONDS = 1.0
"""Below this a sensor that is read ten times a second says little of the mean power."""
BEFORE = Reading(0, 0.0, 0.0, 0.0, None, None)
"""What stands before the first reading."""


class IntervalReader:
    """Takes the readings of one stretch of training between two evaluations or checkpoints.

    Attributes:
        readings: those of the trajectory, with the new ones.
    """

    def __init__(self, trainer: Trainer, meter: Meter | None, peak_lr: float, trajectory: Trajectory) -> None:
        """Begin at the trainer's present step.

        Args:
            trainer: what is trained.
            meter: what meters it, None for nothing.
            peak_lr: the learning rate that the schedule's factors multiply.
            trajectory: what led to the present step.
        """
        self._trainer, self._meter, self._peak_lr = trainer, meter, peak_lr
        self._earlier_seconds = trajectory.train_seconds
        self._since = time.monotonic()
        self.readings = trajectory.readings

    def read(self, end_step: int, factors: Sequence[float], seconds: float) -> bool:
        """Take a reading if one is due, and return whether one was taken.

        Collective, after the device was waited for. A loss that is not finite is none: the evaluation that
        follows reports it.

        Args:
            end_step: where the stretch ends, which is always read.
            factors: as in Trainer.advance.
            seconds: of training since the stretch began.
        """
        trainer, before = self._trainer, self.readings[-1] if self.readings else BEFORE
        step = trainer.step
        if step != end_step and step * MOST // trainer.steps == before.step * MOST // trainer.steps:
            return False
        loss_sum = trainer.read_loss_sum()
        watts, reason = self._watts()
        if not math.isfinite(loss_sum) or step == before.step:
            return False
        rate = self._peak_lr * factors[step - 1]
        taken = Reading(step, self._earlier_seconds + seconds, loss_sum, rate, watts, reason)
        self.readings = (*self.readings, taken)
        return True

    def _watts(self) -> tuple[float | None, str | None]:
        """Return the mean power since the last reading of this stretch, or None and why it is unknown."""
        if self._meter is None:
            return None, "not metered"
        window = Window(self._since, time.monotonic())
        # The processes ask their meters together or not at all.
        if self._trainer.world.from_main(window.seconds) < LEAST_WINDOW_SECONDS:
            return None, f"shorter than {LEAST_WINDOW_SECONDS:g} s: too short to meter"
        self._since = window.end_seconds
        joules = self._meter.joules_so_far((window,))
        return (None, "no sensor was read") if joules is None else (joules / window.seconds, None)


def of(readings: Sequence[Reading], batch_size: int) -> tuple[TrainingInterval, ...]:
    """Return the interval that each reading ends, of a run of `batch_size` examples a step."""
    return tuple(
        between(before, reading, batch_size)
        for before, reading in itertools.pairwise((BEFORE, *readings))
        if reading.seconds > before.seconds
    )


def between(before: Reading, reading: Reading, batch_size: int) -> TrainingInterval:
    """Return the interval from one reading to the next, of a run of `batch_size` examples a step."""
    steps, seconds = reading.step - before.step, reading.seconds - before.seconds
    return TrainingInterval(
        end_step=reading.step,
        examples=reading.step * batch_size,
        seconds=reading.seconds,
        mean_loss=(reading.loss_sum - before.loss_sum) / steps,
        learning_rate=reading.learning_rate,
        examples_per_second=steps * batch_size / seconds,
        watts=reading.watts,
        watts_reason=reading.watts_reason,
    )
