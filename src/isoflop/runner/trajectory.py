"""The trajectory of a run: along the trunk, down a cooldown branch at each horizon, and back to the trunk.

Here training and metering meet: clock and meter run while the trainer takes steps, and stand still during
evaluations. On the way the run writes heartbeats and checkpoints, and stops with a checkpoint when it is
asked to; resumed from one, it goes on bit-identically on the CPU, as if it had never stopped.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

import torch
from msgspec.structs import replace
from torch import nn

from isoflop.config import Config
from isoflop.meter.energy.polls import Window
from isoflop.meter.energy.shape_energy import of_examples
from isoflop.record import Inference
from isoflop.runner import checkpoint, inference, session, weights
from isoflop.runner.checkpoint import Checkpoint
from isoflop.runner.checkpoint_check import PRESENT, TRUNK
from isoflop.runner.context import RunContext
from isoflop.runner.energy import Meter, WorldMeter, energy_meter, energy_of
from isoflop.runner.evaluation import Evaluator
from isoflop.runner.prepare import Prepared
from isoflop.runner.replay import replay
from isoflop.runner.request import RunRequest
from isoflop.runner.segment import SegmentTrainer
from isoflop.runner.state import START, EarlierEnergy, MeasuredPoint, TrainedPoint, TrainingState, Trajectory
from isoflop.runner.workload import workload
from isoflop.signals import InterruptedRunError, StopNow
from isoflop.train import levers, models, optim, schedule
from isoflop.train.distributed import World
from isoflop.train.loop import Trainer, deterministic, warm_trainer
from isoflop.train.schedule import Horizon
from isoflop.train.state import Snapshot


def train_and_meter(
    config: Config, prepared: Prepared, device: torch.device, request: RunRequest, context: RunContext
) -> Iterator[MeasuredPoint]:
    """Train a run and yield each of its points as it is reached.

    Points whose training was too short to meter come last. Their joules are those per example of the whole
    run, of all its windows along trunk and branches; only where these are short too, a replay lengthens them.

    Args:
        config: the run.
        prepared: its data, counted work and steps.
        device: where it is trained.
        request: how it is to be carried out.
        context: what accompanies it.

    Raises:
        DivergedError: a loss is NaN or infinite.
        InterruptedRunError: the process was asked to stop; a checkpoint was written.
        StopNow: it was asked to stop before the first step.
    """
    world = context.world
    with deterministic(config.launch.deterministic, config.precision.compute):
        with context.at_once():
            work = workload(config, prepared, device, request.runs_of_step)
            lever = levers.of(config, prepared.prior.weights)
            trainer = warm_trainer(config, prepared.data, prepared.plan.steps, device, world, work, lever)
        with contextlib.ExitStack() as stack:
            with context.at_once():  # the meter measures the idle device first
                meter = stack.enter_context(_meter_of(config, device, request, world))
            run = RunTrainer(config, prepared, trainer, meter, context)
            first = len(meter.windows) if meter else 0
            for trained in run.points():
                measured = MeasuredPoint(trained, *energy_of(trained, meter, shared=request.shared))
                seconds = world.from_main(trained.train_seconds)
                is_short = seconds < config.meter.window_seconds
                if request.metering == "run" and meter and meter.has_readings and is_short:
                    run.defer(measured)
                else:
                    yield measured
            if meter and request.metering == "shape":
                windows = run.training_windows(first)
                session.of(config, device).add(config.run_id, windows, run.metered_examples)
            elif meter and run.state.awaiting_replay:
                yield from _points_by_run(config, run, trainer, meter, run.training_windows(first), context)


def _meter_of(
    config: Config, device: torch.device, request: RunRequest, world: World
) -> contextlib.AbstractContextManager[Meter | None]:
    if request.metering == "shape":
        return session.kept_meter(config, device)
    return energy_meter(config, device, world, shared=request.shared)


def _points_by_run(
    config: Config,
    run: RunTrainer,
    trainer: Trainer,
    meter: Meter,
    windows: Sequence[Window],
    context: RunContext,
) -> Iterator[MeasuredPoint]:
    """Yield the points that were too short by themselves, by the joules per example of the whole run.

    Args:
        config: the run.
        run: how far it came.
        trainer: its trainer.
        meter: its meter.
        windows: all windows of this attempt.
        context: what accompanies it; a request to stop ends the replay early.
    """
    trained_seconds = context.world.from_main(sum(window.seconds for window in windows))
    missing, before = config.meter.window_seconds - trained_seconds, len(meter.windows)
    examples = run.metered_examples
    if missing > 0:
        examples += replay(config, trainer, meter, missing, lambda: context.stop.reason is not None)
    repeated = meter.windows[before:]
    measured, reason = meter.measurement((*windows, *repeated), replayed=bool(repeated))
    replay_seconds = sum(window.seconds for window in repeated)
    for trained in run.state.awaiting_replay:
        energy = measured and of_examples(
            measured, trained.examples_seen / examples, trained.own_joules, trained.own_joules_reason
        )
        yield MeasuredPoint(trained, energy, reason, replay_seconds)
        replay_seconds = 0.0  # charged to the first point that waited for it


class RunTrainer:
    """Trains one run from point to point; `state` is where it stands."""

    def __init__(
        self,
        config: Config,
        prepared: Prepared,
        trainer: Trainer,
        meter: Meter | None,
        context: RunContext,
    ) -> None:
        self._config, self._prepared, self._trainer = config, prepared, trainer
        self._meter, self._context = meter, context
        self._segments = SegmentTrainer(
            *(config, trainer, meter, context),
            prepared.plan.all_steps,
            prepared.count.train_flops_per_example,
        )
        self._evaluator = Evaluator(prepared, trainer, meter, context)
        self._evaluation_steps = schedule.stops(trainer.steps, config.schedule.evaluations)
        ends = tuple(horizon.end_step for horizon in prepared.plan.horizons)
        trainer.keep_loss_sums(schedule.loss_marks(trainer.steps, ends))
        self._branched_from: Snapshot | None = None
        self._resumed_steps = 0
        self._inference_windows: frozenset[Window] = frozenset()
        self.state = TrainingState(run_id=config.run_id, split_sha256=prepared.data.split_sha256)

    def points(self) -> Iterator[TrainedPoint]:
        """Train, and yield each point as it is reached; after a branch the trunk goes on from where it was
        left.

        Raises:
            DivergedError: a loss is NaN or infinite.
            InterruptedRunError: the process was asked to stop; a checkpoint was written.
        """
        with self._context.at_once():
            setup_seconds, warmup_seconds = self._warm_up()
        for horizon in self._prepared.plan.horizons[self.state.horizon_index :]:
            self._train_to(horizon)
            with self._checkpoint_if_stopped():
                point = self._point_at(horizon, setup_seconds, warmup_seconds)
            yield point
            self._leave(horizon)

    @property
    def metered_examples(self) -> int:
        """Examples that this attempt trained, on the trunk and on every branch."""
        return (self.state.steps_done - self._resumed_steps) * self._config.optim.batch_size

    def training_windows(self, first: int) -> tuple[Window, ...]:
        """Return the windows of the meter from number `first` on in which training was metered."""
        assert self._meter is not None
        return tuple(each for each in self._meter.windows[first:] if each not in self._inference_windows)

    def defer(self, measured: MeasuredPoint) -> None:
        """Keep a point until the end of the run, when its joules will be known better."""
        own = measured.energy.energy_joules if measured.energy else None
        kept = replace(measured.trained, own_joules=own, own_joules_reason=measured.energy_reason)
        self.state = replace(self.state, awaiting_replay=(*self.state.awaiting_replay, kept))

    def _warm_up(self) -> tuple[float, float]:
        """Warm up, resume from a checkpoint if there is one; return the seconds of set-up and warm-up."""
        setup_seconds = self._context.clock.seconds
        resumed = self._agree_on(checkpoint.load(self._config, self._trainer, self._prepared.plan))
        began = time.perf_counter()
        self._evaluator.warm_up()
        self._trainer.warm_up()
        warmup_seconds = time.perf_counter() - began
        self._resume(resumed)
        self._evaluator.show_again(self.state.trajectory)
        return setup_seconds, warmup_seconds

    def _agree_on(self, resumed: Checkpoint | None) -> Checkpoint | None:
        """Return the checkpoint. Raises RuntimeError if the processes do not all read the same one."""
        steps = self._context.world.all_gather(resumed.state.steps_done if resumed else None)
        if len(set(steps)) > 1:
            raise RuntimeError("the processes read different checkpoints: out must be a folder they share")
        return resumed

    def _resume(self, resumed: Checkpoint | None) -> None:
        """Go back to the checkpoint, if there is one, and account for what was lost after it."""
        steps, seconds = checkpoint.lost_work(self._config, resumed.state if resumed else None)
        clock = self._context.clock
        clock.earlier_seconds += seconds
        if resumed is not None:
            # The data are the same (same_data), though a checkpoint of an earlier version does not say which.
            self.state = replace(resumed.state, split_sha256=self.state.split_sha256)
            self._resumed_steps = self.state.steps_done
            clock.earlier_seconds += self.state.uncharged_seconds
            self._branched_from = resumed.snapshots.get(TRUNK)
            self._trainer.take_over(resumed.snapshots[PRESENT])
        self.state = replace(
            self.state,
            wasted_steps=self.state.wasted_steps + steps,
            wasted_seconds=self.state.wasted_seconds + seconds,
        )

    def _train_to(self, horizon: Horizon) -> None:
        """Train along the trunk to the branch of `horizon`, and down the branch to its end."""
        factors = schedule.learning_rates(self._config.schedule, self._trainer.steps, horizon.end_step)
        if not self._is_last(horizon) and self._branched_from is None:
            self._follow(horizon.branch_step, factors, at_point=False)
            self._branched_from = self._trainer.snapshot()
            self.state = replace(self.state, trunk=self.state.trajectory)
        self._follow(horizon.end_step, factors, at_point=True)

    def _is_last(self, horizon: Horizon) -> bool:
        """Return whether the trunk itself cools down to this horizon: there is nothing to come back for."""
        return horizon.end_step == self._trainer.steps

    def _leave(self, horizon: Horizon) -> None:
        """Put the trainer back on the trunk; the next point is charged from the branch on."""
        self.state = replace(self.state, wasted_steps=0, wasted_seconds=0.0)
        if self._is_last(horizon):
            return
        assert self._branched_from is not None
        self._trainer.restore(self._branched_from)
        self._branched_from = None
        self.state = replace(
            self.state,
            horizon_index=self.state.horizon_index + 1,
            trajectory=self.state.trunk,
            trunk=START,
            charged_step=horizon.branch_step,
        )

    def _follow(self, end_step: int, factors: Sequence[float], *, at_point: bool) -> None:
        """Train to `end_step`, evaluating at the steps of the schedule and, at a point, at the end."""
        begin = self._trainer.step
        stops = schedule.between(self._evaluation_steps, begin, end_step)
        if begin in self._evaluation_steps or (at_point and begin == end_step):
            stops = (begin, *stops)  # an earlier attempt was stopped in this evaluation, or has done it
        for step in stops:
            while self._trainer.step < step:
                self.state = self._segments.train_towards(step, factors, self.state)
                if self._trainer.step < step:
                    self._write_checkpoint(self._segments.stop_reason)
            if (step in self._evaluation_steps or at_point) and not self._is_evaluated(step):
                with self._checkpoint_if_stopped():
                    trajectory = self._evaluator.validate(self.state.trajectory, self.state.steps_done)
                self.state = replace(self.state, trajectory=trajectory)

    def _is_evaluated(self, step: int) -> bool:
        curve = self.state.trajectory.curve
        return bool(curve) and curve[-1].step == step

    @contextlib.contextmanager
    def _checkpoint_if_stopped(self) -> Iterator[None]:
        """Let a signal end an evaluation at once; the next attempt begins with that evaluation.

        Raises:
            InterruptedRunError: a signal came; a checkpoint of the step before the evaluation was written.
        """
        random_state = torch.get_rng_state()  # of which an evaluation that is cut off may have used a part
        try:
            with self._context.at_once():
                yield
        except StopNow as stop:
            torch.set_rng_state(random_state)
            self._write_checkpoint(str(stop))

    def _write_checkpoint(self, stop_reason: str | None) -> None:
        """Write a checkpoint. Raises InterruptedRunError if there is a reason to stop."""
        snapshots = {PRESENT: self._trainer.snapshot()}
        if self._branched_from is not None:
            snapshots[TRUNK] = self._branched_from
        stored = replace(
            self.state,
            trajectory=self._settled(self.state.trajectory),
            trunk=self._settled(self.state.trunk),
            uncharged_seconds=self._context.clock.seconds,
        )
        is_main = self._context.world.is_main
        written = is_main and checkpoint.save(self._config, Checkpoint(stored, snapshots))
        self._segments.checkpoint_written()
        if stop_reason is not None:
            if is_main:
                self._segments.beat(self.state)
            step = f"after step {self._trainer.step} of {self._trainer.steps}"
            hint = "run it again to go on" if written else "no checkpoint could be written"
            raise InterruptedRunError(f"{stop_reason} {step}: {hint}")

    def _settled(self, trajectory: Trajectory) -> Trajectory:
        """Return the trajectory with the windows of this attempt turned into joules.

        Windows are on the monotonic clock of this process: the next attempt could not read them.
        """
        earlier = trajectory.earlier_energy
        if self._meter and self._meter.has_readings and trajectory.windows:
            energy, reason = self._meter.measurement(trajectory.windows)
            if energy is not None:
                earlier = EarlierEnergy((*earlier.energies, energy), earlier.reason)
            else:
                earlier = EarlierEnergy(earlier.energies, reason)
        return replace(trajectory, earlier_energy=earlier, windows=())

    def _without_embeddings(self) -> int | None:
        """Return the parameters of a language model without its token embeddings; None for other models."""
        if not self._config.data.is_text:
            return None
        return models.parameters_without_embeddings(self._trainer.model)

    def _point_at(self, horizon: Horizon, setup_seconds: float, warmup_seconds: float) -> TrainedPoint:
        """Return the point at `horizon`, tested."""
        began, trainer, state = time.perf_counter(), self._trainer, self.state
        reached, batch_size = state.trajectory, self._config.optim.batch_size
        assert reached.val is not None, "a point ends in an evaluation"
        finished, lever = trainer.finished_model(), trainer.lever
        test = self._evaluator.score("test", finished)
        # Right after the test part, whose examples alone the finished network may have counted.
        of_lever = lever.inference(finished, self._prepared.count.inference_flops_per_example)
        train = self._evaluator.score("train", finished)
        val = self._evaluator.score("val", finished) if lever.finishes else reached.val
        passes = self._measure_inference(finished)
        if self._config.launch.keep_weights and self._context.world.is_main:
            weights.write(finished, weights.path_of(self._config, horizon.share))
        return TrainedPoint(
            horizon=horizon.share,
            steps=horizon.end_step,
            examples_seen=trainer.examples_seen,
            examples_own=(horizon.end_step - state.charged_step) * batch_size,
            wasted_examples=state.wasted_steps * batch_size,
            wasted_seconds=state.wasted_seconds,
            parameters=sum(p.numel() for p in trainer.model.parameters()),
            parameters_without_embeddings=self._without_embeddings(),
            optimizer_flops_per_step=optim.flops_per_step(self._config.optim, trainer.model),
            curve=reached.curve,
            loss_sums=reached.loss_sums,
            readings=reached.readings,
            windows=reached.windows,
            earlier_energy=reached.earlier_energy,
            setup_seconds=setup_seconds,
            warmup_seconds=warmup_seconds,
            compile_seconds=trainer.compile_seconds,
            train_seconds=reached.train_seconds,
            eval_seconds=reached.eval_seconds + time.perf_counter() - began,
            eval_examples=(len(reached.curve) + lever.finishes) * val.n + test.n + train.n,
            test=test,
            val=val,
            train=train,
            processes=self._context.world.size,
            step_engine=trainer.kind,
            step_choice=trainer.choice.why,
            inference_work=None if self._config.lever.is_none else of_lever,
            inference=passes,
        )

    def _measure_inference(self, finished: nn.Module) -> Inference | None:
        """Return the measured forward passes of a finished network; None where they are not asked for."""
        seconds = self._config.meter.inference_seconds
        if not seconds or not self._context.world.is_main:
            return None
        meter = self._meter if self._meter and self._meter.has_readings else None
        if isinstance(meter, WorldMeter):
            meter = None  # one process alone makes the passes
        measured, windows = inference.measure(self._trainer, finished, seconds, meter)
        self._inference_windows |= frozenset(windows)
        return measured
