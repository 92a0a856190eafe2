"""One cell on its way: trunk, cool-downs, evaluations; clock and meter are on between evaluations.

Here training and metering meet. On the way the cell gives signs of life, keeps checkpoints, and stops with
one when it is asked to; from a checkpoint it goes on as if it had never stopped.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from isoflop.config import Config
from isoflop.config.launch import Shared
from isoflop.meter.energy.polls import Window
from isoflop.record import CurvePoint, Energy, heartbeat
from isoflop.runner import checkpoint
from isoflop.runner.assemble import Metered, Trained
from isoflop.runner.checkpoint import Resumed, Standing, Way
from isoflop.runner.energy import Meter, energy, energy_meter, replay, window
from isoflop.runner.prepare import Prepared, times
from isoflop.signals import InterruptedRunError, Stop
from isoflop.track.feed import Feed
from isoflop.train import optim, schedule
from isoflop.train.data import Part
from isoflop.train.distributed import SINGLE, World
from isoflop.train.evaluate import Score, evaluate
from isoflop.train.loop import DivergedError, Trainer, deterministic, warm_trainer
from isoflop.train.schedule import Horizon
from isoflop.train.state import Snapshot

Watch = Callable[[CurvePoint, int], None]
"""Called after each evaluation with the point and the run's number of steps."""
Measured = tuple[Trained, Energy | None, str | None]

LOOK_SECONDS = 0.5
"""About how often the clock and the signals are looked at."""
MOST_AT_ONCE = 4096
UNMETERED = Metered()


class Wall:
    """Wall time since the cell began that no record has accounted for yet."""

    def __init__(self) -> None:
        self._since, self.earlier_seconds = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        """What is unaccounted for, with that of earlier attempts."""
        return time.perf_counter() - self._since + self.earlier_seconds

    def charge(self) -> float:
        """The same, which a record now accounts for."""
        seconds = self.seconds
        self._since, self.earlier_seconds = time.perf_counter(), 0.0
        return seconds


@dataclasses.dataclass(frozen=True)
class _Path:
    """A way on which this attempt is: `windows` are its own metered stretches."""

    val: Score | None = None
    curve: tuple[CurvePoint, ...] = ()
    windows: tuple[Window, ...] = ()
    metered: Metered = UNMETERED
    train_seconds: float = 0.0
    eval_seconds: float = 0.0


START = _Path()


@dataclasses.dataclass(frozen=True, eq=False)
class _Place:
    """Which point is trained for; in a cool-down, where the trunk was left."""

    horizon: int = 0
    trunk: _Path = START
    left: Snapshot | None = None
    charged: int = 0


class Course:
    """Follows the trunk of one cell and cools down at each horizon."""

    def __init__(
        self,
        config: Config,
        prepared: Prepared,
        trainer: Trainer,
        meter: Meter | None,
        *,
        attempt: int,
        wall: Wall,
        stop: Stop,
        watch: Watch | None,
        feed: Feed | None = None,
    ) -> None:
        self._config, self._prepared, self._trainer, self._meter = config, prepared, trainer, meter
        self._world = trainer.world
        self._attempt, self._wall, self._stop = attempt, wall, stop
        self._watch, self._feed = (watch, feed) if self._world.is_main else (None, None)
        self._asked: str | None = None
        self._due = False
        self._grid = schedule.stops(trainer.steps, config.schedule.evaluations)
        self._beat = heartbeat.Beat(config.directory, config.run_id)
        self._saved, self._at_once = time.monotonic(), 1
        self._steps_done, self._trained_seconds = 0, 0.0
        self._wasted_steps, self._wasted_seconds = 0, 0.0
        self._place = _Place()
        self.short: tuple[Trained, ...] = ()

    def points(self) -> Iterator[Trained]:
        """Each point as it is reached; after a cool-down the trunk goes on from where it was left.

        Raises:
            DivergedError: a loss is NaN or infinite.
            InterruptedRunError: the process was asked to stop; a checkpoint was written.
        """
        trainer, setup_seconds = self._trainer, self._wall.seconds
        resumed = self._same_for_all(checkpoint.load(self._config, trainer))
        clock = time.perf_counter()
        self._score(self._prepared.data.val)
        trainer.warm_up()
        warmup_seconds = time.perf_counter() - clock
        path = self._take_up(resumed)
        for point in path.curve:
            self._tell(point, point.step)
        plan = self._prepared.plan
        for index, horizon in list(enumerate(plan.horizons))[self._place.horizon :]:
            factors = schedule.learning_rates(self._config.schedule, trainer.steps, horizon.end_step)
            last = horizon.end_step == trainer.steps
            if not last and self._place.left is None:
                path = self._follow(path, horizon.branch_step, factors, arrive=False)
                self._place = dataclasses.replace(self._place, trunk=path, left=trainer.snapshot())
            path = self._follow(path, horizon.end_step, factors, arrive=True)
            yield self._arrived(horizon, path, setup_seconds, warmup_seconds)
            self._wasted_steps, self._wasted_seconds = 0, 0.0
            if not last:
                left, path = self._place.left, self._place.trunk
                assert left is not None
                trainer.restore(left)
                self._place = _Place(index + 1, charged=horizon.branch_step)

    def _same_for_all(self, resumed: Resumed | None) -> Resumed | None:
        """Raises RuntimeError if the processes of the world do not read the same checkpoint."""
        steps = self._world.all_gather(resumed.standing.steps_done if resumed else None)
        if len(set(steps)) > 1:
            raise RuntimeError("the processes read different checkpoints: out must be a folder they share")
        return resumed

    def _take_up(self, resumed: Resumed | None) -> _Path:
        """Be where the checkpoint was written, if there is one, and know what was lost after it."""
        standing = resumed.standing if resumed else None
        steps, seconds = checkpoint.lost(self._config, standing)
        self._wasted_steps, self._wasted_seconds = steps, seconds
        self._wall.earlier_seconds += seconds
        if resumed is None:
            return _Path()
        standing = resumed.standing
        self._wall.earlier_seconds += standing.uncharged_seconds
        self._wasted_steps += standing.wasted_steps
        self._wasted_seconds += standing.wasted_seconds
        self._steps_done, self._trained_seconds = standing.steps_done, standing.trained_seconds
        self.short = standing.short
        self._place = _Place(
            standing.horizon, _path(standing.trunk), resumed.snapshots.get("trunk"), standing.charged
        )
        self._trainer.take_over(resumed.snapshots["way"])
        return _path(standing.way)

    def _follow(self, path: _Path, end: int, factors: Sequence[float], *, arrive: bool) -> _Path:
        """Train on to step `end`, evaluating at the grid's stops and, with `arrive`, at the end."""
        for stop in schedule.between(self._grid, self._trainer.step, end):
            while self._trainer.step < stop:
                path = self._stretch(path, stop, factors)
                if self._trainer.step < stop:
                    self._pause(path)
            if stop in self._grid or arrive:
                path = self._look(path)
        return path

    def _stretch(self, path: _Path, stop: int, factors: Sequence[float]) -> _Path:
        """Train towards step `stop` until it is reached, a checkpoint is due or the process is to stop."""
        before, clock = len(self._meter.windows) if self._meter else 0, time.perf_counter()
        with window(self._meter):
            while self._trainer.step < stop:
                self._agree()
                if self._asked is not None:
                    break
                self._advance(min(stop, self._trainer.step + self._at_once), factors)
                self._give_sign(time.perf_counter() - clock)
                if self._due:
                    break
        seconds = time.perf_counter() - clock
        self._trained_seconds += seconds
        new = self._meter.windows[before:] if self._meter else ()
        return dataclasses.replace(
            path, windows=(*path.windows, *new), train_seconds=path.train_seconds + seconds
        )

    def _agree(self) -> None:
        """What all processes go by until the next look: a stop asked of any of them, the chief's clock."""
        looks = self._world.all_gather((self._stop.reason, self._at_once, self._checkpoint_due()))
        self._asked = next((word for word, _, _ in looks if word is not None), None)
        _, self._at_once, self._due = looks[0]

    def _advance(self, stop: int, factors: Sequence[float]) -> None:
        """Take steps, and as many more the next time as make about half of LOOK_SECONDS."""
        clock, steps = time.perf_counter(), stop - self._trainer.step
        self._trainer.advance(stop, factors)
        self._trainer.synchronise()
        self._steps_done += steps
        seconds = time.perf_counter() - clock
        if seconds < LOOK_SECONDS / 2 and steps == self._at_once:
            self._at_once = min(2 * self._at_once, MOST_AT_ONCE)
        elif seconds > LOOK_SECONDS:
            self._at_once = max(1, self._at_once // 2)

    def _checkpoint_due(self) -> bool:
        period = self._config.launch.checkpoint_seconds
        return period is not None and time.monotonic() - self._saved >= period

    def _give_sign(self, seconds: float) -> None:
        if self._world.is_main and self._beat.due():
            trained = self._trained_seconds + seconds
            steps = self._prepared.plan.all_steps
            self._beat.write(checkpoint.sign(self._attempt, self._steps_done, steps, trained))

    def _pause(self, path: _Path) -> None:
        """Write a checkpoint. Raises InterruptedRunError if the process was asked to stop."""
        place = self._place
        snapshots = {"way": self._trainer.snapshot()}
        if place.left is not None:
            snapshots["trunk"] = place.left
        standing = Standing(
            run_id=self._config.run_id,
            horizon=place.horizon,
            trunk=self._way(place.trunk),
            way=self._way(path),
            charged=place.charged,
            short=self.short,
            steps_done=self._steps_done,
            trained_seconds=self._trained_seconds,
            uncharged_seconds=self._wall.seconds,
            wasted_steps=self._wasted_steps,
            wasted_seconds=self._wasted_seconds,
        )
        kept = self._world.is_main and checkpoint.keep(self._config, standing, snapshots)
        self._saved = time.monotonic()
        if self._asked is not None:
            if self._world.is_main:
                steps = self._prepared.plan.all_steps
                sign = checkpoint.sign(self._attempt, self._steps_done, steps, self._trained_seconds)
                self._beat.write(sign)
            where = f"after step {self._trainer.step} of {self._trainer.steps}"
            rest = "run it again to go on" if kept else "no checkpoint could be written"
            raise InterruptedRunError(f"{self._asked} {where}: {rest}")

    def _way(self, path: _Path) -> Way:
        metered = path.metered
        if self._meter and self._meter.has_readings and path.windows:
            energy, reason = self._meter.measurement(path.windows)
            earlier = metered.energies
            metered = Metered((*earlier, energy), metered.reason) if energy else Metered(earlier, reason)
        return Way(path.val, path.curve, metered, path.train_seconds, path.eval_seconds)

    def _score(self, part: Part) -> Score:
        trainer = self._trainer
        data = self._prepared.data
        how = trainer.autocast, trainer.memory_format
        return evaluate(trainer.scored_model, data, part, *how, trainer.world)

    def _finite(self, part: Part) -> Score:
        found = self._score(part)
        if not math.isfinite(found.loss):
            step, steps = self._trainer.step, self._trainer.steps
            raise DivergedError(f"an evaluation's loss is {found.loss} after step {step} of {steps}")
        return found

    def _look(self, path: _Path) -> _Path:
        """Evaluate on the validation part."""
        clock, trainer, count = time.perf_counter(), self._trainer, self._prepared.count
        trainer.check_finite()
        val = self._finite(self._prepared.data.val)
        joules = self._joules_so_far(path)
        point = CurvePoint(
            step=trainer.step,
            examples=trainer.examples_seen,
            seconds=path.train_seconds,
            val_error=val.error,
            val_loss=val.loss,
            train_flops=times(trainer.examples_seen, count.train_flops_per_example),
            train_flops_reason=count.reason,
            energy_joules=joules,
            energy_joules_reason="not known at this point" if joules is None else None,
        )
        if self._watch:
            self._watch(point, trainer.steps)
        self._tell(point, self._steps_done)
        eval_seconds = path.eval_seconds + time.perf_counter() - clock
        return dataclasses.replace(path, val=val, curve=(*path.curve, point), eval_seconds=eval_seconds)

    def _tell(self, point: CurvePoint, steps_done: int) -> None:
        if self._feed:
            self._feed.point(point, steps_done)

    def _joules_so_far(self, path: _Path) -> float | None:
        now = self._meter.joules_so_far(path.windows) if self._meter else None
        if now is None or path.metered.reason:
            return None
        return now + sum(energy.energy_joules for energy in path.metered.energies)

    def _arrived(self, horizon: Horizon, path: _Path, setup_seconds: float, warmup_seconds: float) -> Trained:
        """The point at `horizon`, tested."""
        assert path.val is not None
        trainer, data, clock = self._trainer, self._prepared.data, time.perf_counter()
        shown = min(len(data.train), len(data.test))
        test = self._finite(data.test)
        train = self._finite(Part(data.train.images[:shown], data.train.labels[:shown]))
        return Trained(
            horizon=horizon.share,
            steps=horizon.end_step,
            examples_seen=trainer.examples_seen,
            examples_own=(horizon.end_step - self._place.charged) * self._config.optim.batch_size,
            wasted_examples=self._wasted_steps * self._config.optim.batch_size,
            wasted_seconds=self._wasted_seconds,
            parameters=sum(p.numel() for p in trainer.model.parameters()),
            optimizer_flops_per_step=optim.flops_per_step(self._config.optim, trainer.model),
            curve=path.curve,
            windows=path.windows,
            metered=path.metered,
            setup_seconds=setup_seconds,
            warmup_seconds=warmup_seconds,
            compile_seconds=trainer.compile_seconds,
            train_seconds=path.train_seconds,
            eval_seconds=path.eval_seconds + time.perf_counter() - clock,
            eval_examples=len(path.curve) * path.val.n + test.n + train.n,
            test=test,
            val=path.val,
            train=train,
            processes=self._world.size,
        )


def _path(way: Way) -> _Path:
    return _Path(
        val=way.val,
        curve=way.curve,
        metered=way.metered,
        train_seconds=way.train_seconds,
        eval_seconds=way.eval_seconds,
    )


def measure(
    config: Config,
    prepared: Prepared,
    device: torch.device,
    *,
    attempt: int,
    shared: Shared,
    wall: Wall,
    stop: Stop,
    watch: Watch | None,
    feed: Feed | None = None,
    world: World = SINGLE,
) -> Iterator[Measured]:
    """Each point as it is reached, with its joules or the reason why they are unknown.

    Points whose training was too short to meter wait for the replay at the end. Raises as Course.points.
    """
    with deterministic(config.launch.deterministic):
        trainer = warm_trainer(config, prepared.data, prepared.plan.steps, device, world)
        with energy_meter(config, device, world, shared=shared) as meter:
            course = Course(
                *(config, prepared, trainer, meter),
                attempt=attempt,
                wall=wall,
                stop=stop,
                watch=watch,
                feed=feed,
            )
            for trained in course.points():
                seconds = world.from_main(trained.train_seconds)
                if meter and meter.has_readings and seconds < config.meter.replay_seconds:
                    course.short = (*course.short, trained)
                else:
                    yield trained, *energy(meter, trained, shared=shared)
            if course.short:
                assert meter is not None
                windows, examples = replay(config, trainer, meter)
                for trained in course.short:
                    scale = trained.examples_seen / examples
                    yield trained, *meter.measurement(windows, replayed=True, scale=scale)
