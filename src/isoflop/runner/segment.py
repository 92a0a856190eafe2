"""Training between two evaluations: in bursts of steps, with a look at clock and signals between them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec.structs import replace

from isoflop.config import Config
from isoflop.record.heartbeat import HeartbeatWriter
from isoflop.runner import checkpoint, intervals
from isoflop.runner.context import RunContext
from isoflop.runner.energy import Meter, metered_window
from isoflop.runner.intervals import IntervalReader
from isoflop.runner.prepare import times
from isoflop.runner.state import Reading, TrainingState
from isoflop.track.history import interval_of
from isoflop.train import optim
from isoflop.train.loop import Trainer

BURST_SECONDS = 0.5
"""About how long a burst takes: a step of 100 us must not pay for reading clocks and signals."""
LONGEST_BURST_STEPS = 4096


class SegmentTrainer:
    """Trains towards a step until it is reached, a checkpoint is due, or the process is asked to stop.

    All processes of the world take the same bursts. Before each of them they agree on its length, on whether
    a checkpoint is due (the main process's clock decides) and on whether any of them was asked to stop: a
    process that decided alone would leave the others waiting in the next gradient exchange.

    Attributes:
        stop_reason: the signal by which a process was asked to stop, None while none was.
        checkpoint_due: whether the main process's clock asks for a checkpoint.
    """

    def __init__(
        self,
        config: Config,
        trainer: Trainer,
        meter: Meter | None,
        context: RunContext,
        all_steps: int,
        train_flops_per_example: float | None,
    ) -> None:
        self._trainer, self._meter, self._context = trainer, meter, context
        self._all_steps, self._batch_size = all_steps, config.optim.batch_size
        self._of_text = config.data.is_text
        self._peak_lr, _ = optim.scaled(config.optim, trainer.steps)
        self._flops_per_step = times(config.optim.batch_size, train_flops_per_example)
        self._period_seconds = config.launch.checkpoint_seconds
        self._heartbeat = HeartbeatWriter(config.directory, config.run_id)
        self._burst_steps = 1
        self._saved_at = time.monotonic()
        self.stop_reason: str | None = None
        self.checkpoint_due = False

    def train_towards(self, step: int, factors: Sequence[float], state: TrainingState) -> TrainingState:
        """Train and return the state with the new steps, seconds and metered windows.

        Args:
            step: the step to reach.
            factors: factor on the peak learning rates, by step since the start.
            state: the state before.
        """
        trainer, first = self._trainer, self._trainer.step
        windows_before = len(self._meter.windows) if self._meter else 0
        reader = IntervalReader(trainer, self._meter, self._peak_lr, state.trajectory)
        began = time.perf_counter()
        with metered_window(self._meter):
            while trainer.step < step:
                self._agree()
                if self.stop_reason is not None:
                    break
                self._burst(min(step, trainer.step + self._burst_steps), factors)
                seconds, steps_done = time.perf_counter() - began, state.steps_done + trainer.step - first
                self._beat(state, trainer.step - first, seconds)
                if reader.read(step, factors, seconds):
                    self._show(reader.readings, steps_done)
                if self.checkpoint_due:
                    break
        seconds = time.perf_counter() - began
        windows = self._meter.windows[windows_before:] if self._meter else ()
        so_far = state.trajectory
        return replace(
            state,
            steps_done=state.steps_done + trainer.step - first,
            trained_seconds=state.trained_seconds + seconds,
            trajectory=replace(
                so_far,
                windows=(*so_far.windows, *windows),
                train_seconds=so_far.train_seconds + seconds,
                loss_sums=(*so_far.loss_sums, *trainer.take_loss_sums()),
                readings=reader.readings,
            ),
        )

    def _show(self, readings: Sequence[Reading], steps_done: int) -> None:
        """Show the interval that the last reading ends to the tracker."""
        if self._context.world.is_main:
            before = readings[-2] if len(readings) > 1 else intervals.BEFORE
            interval = intervals.between(before, readings[-1], self._batch_size)
            self._context.feed.interval(interval_of(interval), steps_done)

    def _agree(self) -> None:
        """Agree with all processes on a stop that was asked of any, and on the main process's clock."""
        views = self._context.world.all_gather(
            (self._context.stop.reason, self._burst_steps, self._is_checkpoint_due())
        )
        self.stop_reason = next((reason for reason, _, _ in views if reason is not None), None)
        _, self._burst_steps, self.checkpoint_due = views[0]

    def _burst(self, step: int, factors: Sequence[float]) -> None:
        """Take the steps, and choose how many to take the next time."""
        began, steps = time.perf_counter(), step - self._trainer.step
        self._trainer.advance(step, factors)
        self._trainer.synchronise()
        seconds = time.perf_counter() - began
        # Doubled only after a whole burst: the last one before an evaluation may be short for another reason.
        if seconds < BURST_SECONDS / 2 and steps == self._burst_steps:
            self._burst_steps = min(2 * self._burst_steps, LONGEST_BURST_STEPS)
        elif seconds > BURST_SECONDS:
            self._burst_steps = max(1, self._burst_steps // 2)

    def _is_checkpoint_due(self) -> bool:
        return self._period_seconds is not None and time.monotonic() - self._saved_at >= self._period_seconds

    def checkpoint_written(self) -> None:
        """Start the period until the next checkpoint."""
        self._saved_at = time.monotonic()

    def _beat(self, state: TrainingState, steps: int, seconds: float) -> None:
        if self._context.world.is_main and self._heartbeat.due():
            self.beat(replace(state, steps_done=state.steps_done + steps), seconds)

    def beat(self, state: TrainingState, seconds: float = 0.0) -> None:
        """Write the heartbeat of `state`, `seconds` of training later."""
        curve = state.trajectory.curve
        self._heartbeat.write(
            checkpoint.heartbeat_of(
                *(self._context.attempt, state.steps_done, self._all_steps, state.trained_seconds + seconds),
                latest=curve[-1] if curve else None,
                of_text=self._of_text,
                train_flops=times(state.steps_done, self._flops_per_step),
                watts=self._meter.watts_lately() if self._meter else None,
            )
        )
