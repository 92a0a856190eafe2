"""run(config) -> Record: one cell from configuration to account, top to bottom.

Here training and metering meet: the clock and the meters run while the trainer advances and stop while the
model is evaluated.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator, Sequence

import torch

from isoflop import account, provenance
from isoflop import record as records
from isoflop.account import Trained
from isoflop.config import Config
from isoflop.meter import hardware, rapl
from isoflop.meter.trace import Window
from isoflop.meter.window_meter import WindowMeter
from isoflop.prepare import Prepared, pick_device, prepare, times
from isoflop.provenance import Machine
from isoflop.record import (
    CurvePoint,
    Energy,
    Record,
    State,
)
from isoflop.report import tracker
from isoflop.train import optim, schedule
from isoflop.train.data import Part
from isoflop.train.evaluate import Score, evaluate
from isoflop.train.loop import DivergedError, Trainer, deterministic, resolve_precision, warm_trainer

Watch = Callable[[CurvePoint, int], None]
"""Called after each evaluation with the point and the run's number of steps."""


def run(
    config: Config,
    *,
    device_index: int = 0,
    command_line: str | None = None,
    lr_interior: bool | None = None,
    again: bool = False,
    watch: Watch | None = None,
) -> tuple[Record, ...]:
    """Train one cell, write a record a point to DIR/records as it is reached, and return the records.

    A cell whose points are all done is not trained but its records returned, unless `again`. A done record is
    only ever replaced by another done one.

    There is one point, or one a horizon with schedule.cooldowns. What happens to the cell is a state of its
    records, never an exception: diverged, oom, interrupted, failed (with the traceback in DIR/logs).

    Raises:
        ValueError: the input cannot be used; nothing was trained or written.
        RecordBusyError: another process is running this cell.
        OSError: a record could not be written; nothing of it is left behind.
    """
    began, started_at = time.perf_counter(), provenance.now()
    if config.launch.threads is not None:
        torch.set_num_threads(config.launch.threads)
    device = pick_device(config.launch, device_index)
    prepared = prepare(config, device)
    gpus = [device.index] if device.type == "cuda" else []
    with records.claim(config.directory, config.run_id), torch.random.fork_rng(gpus):
        if not again and (done := finished(config)):
            return done
        attempt = provenance.next_attempt(config)
        origin = provenance.gather(
            config,
            _machine(config, device),
            started_at=started_at,
            command_line=command_line or provenance.command(),
        )
        written: list[Record] = []
        try:
            for trained, energy, energy_reason in _measure(config, prepared, device, began, watch):
                seconds = time.perf_counter() - began - sum(record.spent.seconds for record in written)
                record = account.done(
                    config,
                    prepared,
                    trained,
                    energy,
                    energy_reason,
                    origin,
                    attempt=attempt,
                    seconds=seconds,
                    lr_interior=lr_interior,
                )
                written.append(_keep(config, record))
        except OSError:
            raise
        except (Exception, KeyboardInterrupt) as error:
            state, reason = _what_happened(error, config)
            seconds = time.perf_counter() - began - sum(record.spent.seconds for record in written)
            for horizon in list(config.point_ids)[len(written) :]:
                lost = provenance.without_point(
                    config, origin, horizon, state=state, reason=reason, attempt=attempt, seconds=seconds
                )
                written.append(_keep(config, lost))
                seconds = 0.0
    return tuple(written)


def finished(config: Config) -> tuple[Record, ...]:
    """The records of this very cell where all its points are done, else none."""
    paths = [records.path_of(config.directory, run_id) for run_id in config.point_ids.values()]
    try:
        found = tuple(records.read(path) for path in paths)
    except (records.RecordError, OSError):
        return ()
    return found if all(record.state == "done" for record in found) else ()


def _keep(config: Config, record: Record) -> Record:
    """Write a record, unless it would put an account of failure in the place of a point."""
    if record.state != "done" and records.is_done(records.path_of(config.directory, record.run_id)):
        return record
    records.write(record, config.directory)
    tracker.track(config, record)
    return record


def _what_happened(error: BaseException, config: Config) -> tuple[State, str]:
    """The state that an exception stands for, and the reason in words; a bug's traceback goes to DIR/logs."""
    if isinstance(error, DivergedError):
        return "diverged", str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", "stopped by Ctrl-C"
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    # Torch has a type for running out of memory on a GPU, and only a message for a CPU.
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error):
        return "oom", first
    log = config.directory / "logs" / f"{config.run_id}.log"
    records.write_bytes(log, "".join(traceback.format_exception(error)).encode())
    return "failed", f"{type(error).__name__}: {first} (traceback in {log})"


Measured = tuple[Trained, Energy | None, str | None]


def _measure(
    config: Config, prepared: Prepared, device: torch.device, began: float, watch: Watch | None
) -> Iterator[Measured]:
    """Each point as it is reached, with its joules or the reason why they are unknown.

    Points whose training was too short to meter wait for the replay at the end.
    """
    with deterministic(config.launch.deterministic):
        trainer = warm_trainer(config, prepared.data, prepared.plan.steps, device)
        with _energy_meter(config, device) as meter:
            short: list[Trained] = []
            for trained in _train(config, trainer, prepared, meter, began, watch):
                if meter and meter.senses and trained.train_seconds < config.meter.replay_seconds:
                    short.append(trained)
                else:
                    yield trained, *_energy(meter, trained)
            if meter and short:
                windows, examples = _replay(config, trainer, meter)
                for trained in short:
                    scale = trained.examples_seen / examples
                    yield trained, *meter.measurement(windows, replayed=True, scale=scale)


@dataclasses.dataclass(frozen=True)
class _Path:
    """What led to a step: evaluations (`val` is the last), seconds and metered windows on the way."""

    val: Score | None = None
    curve: tuple[CurvePoint, ...] = ()
    windows: tuple[Window, ...] = ()
    train_seconds: float = 0.0
    eval_seconds: float = 0.0


def _train(
    config: Config,
    trainer: Trainer,
    prepared: Prepared,
    meter: WindowMeter | None,
    began: float,
    watch: Watch | None,
) -> Iterator[Trained]:
    """Warm up, then follow the trunk and cool down at each horizon, with the clock and the meter on between
    evaluations; after a cool-down the trunk goes on from where it was left."""
    data, flops_each = prepared.data, prepared.count.train_flops_per_example
    steps, batch_size = trainer.steps, config.optim.batch_size
    grid = schedule.stops(steps, config.schedule.evaluations)
    setup_seconds = time.perf_counter() - began

    def score(part: Part) -> Score:
        return evaluate(trainer.scored_model, data, part, trainer.autocast, trainer.memory_format)

    def finite(found: Score) -> Score:
        if not math.isfinite(found.loss):
            raise DivergedError(f"an evaluation's loss is {found.loss} after step {trainer.step} of {steps}")
        return found

    def follow(path: _Path, end: int, factors: Sequence[float], *, arrive: bool) -> _Path:
        """Train on to step `end`, evaluating at the grid's stops and, with `arrive`, at the end."""
        for stop in schedule.between(grid, trainer.step, end):
            clock = time.perf_counter()
            with _window(meter):
                trainer.advance(stop, factors)
                trainer.synchronise()
            train_seconds = path.train_seconds + time.perf_counter() - clock
            windows = (*path.windows, *(meter.windows[-1:] if meter else ()))
            path = dataclasses.replace(path, windows=windows, train_seconds=train_seconds)
            if stop in grid or arrive:
                path = look(path)
        return path

    def look(path: _Path) -> _Path:
        clock = time.perf_counter()
        trainer.check_finite()
        val = finite(score(data.val))
        joules = meter.joules_so_far(path.windows) if meter else None
        point = CurvePoint(
            step=trainer.step,
            examples=trainer.examples_seen,
            seconds=path.train_seconds,
            val_error=val.error,
            val_loss=val.loss,
            train_flops=times(trainer.examples_seen, flops_each),
            train_flops_reason=prepared.count.reason,
            energy_joules=joules,
            energy_joules_reason="not known at this point" if joules is None else None,
        )
        if watch:
            watch(point, steps)
        eval_seconds = path.eval_seconds + time.perf_counter() - clock
        return dataclasses.replace(path, val=val, curve=(*path.curve, point), eval_seconds=eval_seconds)

    clock = time.perf_counter()
    score(data.val)
    trainer.warm_up()
    warmup_seconds = time.perf_counter() - clock
    trunk, charged = _Path(), 0
    for horizon in prepared.plan.horizons:
        factors = schedule.learning_rates(config.schedule, steps, horizon.end_step)
        last = horizon.end_step == steps
        if not last:
            trunk = follow(trunk, horizon.branch_step, factors, arrive=False)
            left = trainer.snapshot()
        path = follow(trunk, horizon.end_step, factors, arrive=True)
        assert path.val is not None
        clock = time.perf_counter()
        shown = min(len(data.train), len(data.test))
        test = finite(score(data.test))
        train = finite(score(Part(data.train.images[:shown], data.train.labels[:shown])))
        yield Trained(
            horizon=horizon.share,
            steps=horizon.end_step,
            examples_seen=trainer.examples_seen,
            examples_own=(horizon.end_step - charged) * batch_size,
            parameters=sum(p.numel() for p in trainer.model.parameters()),
            optimizer_flops_per_step=optim.flops_per_step(config.optim, trainer.model),
            curve=path.curve,
            windows=path.windows,
            setup_seconds=setup_seconds,
            warmup_seconds=warmup_seconds,
            compile_seconds=trainer.compile_seconds,
            train_seconds=path.train_seconds,
            eval_seconds=path.eval_seconds + time.perf_counter() - clock,
            eval_examples=len(path.curve) * path.val.n + test.n + train.n,
            test=test,
            val=path.val,
            train=train,
        )
        if not last:
            trainer.restore(left)
            charged = horizon.branch_step


@contextlib.contextmanager
def _window(meter: WindowMeter | None) -> Iterator[None]:
    """Energy is read while this is open."""
    if meter is None:
        yield
        return
    meter.begin()
    try:
        yield
    finally:
        meter.end()


def _energy_meter(
    config: Config, device: torch.device
) -> contextlib.AbstractContextManager[WindowMeter | None]:
    """The meter of the device's board or of the processor, or nothing where none is to be read."""
    if config.meter.energy == "none":
        return contextlib.nullcontext()
    return WindowMeter(
        gpu_uuids(device),
        host=_processor_counters(config, device),
        cpu_watts=config.meter.cpu_watts,
        period_seconds=config.meter.period_seconds,
        idle_seconds=config.meter.idle_seconds,
        polls_path=config.directory / "power" / f"{config.run_id}.jsonl",
        no_gpu="trained on the CPU",
    )


def _processor_counters(config: Config, device: torch.device) -> rapl.Found:
    """RAPL, which is of no use to a cell of a sweep that has the processor together with others."""
    in_sweep = multiprocessing.parent_process() is not None
    if in_sweep and device.type == "cpu" and config.launch.workers != 1:
        return rapl.Found((), "cells side by side share the processor: launch.workers=1 meters them")
    return rapl.find()


def gpu_uuids(device: torch.device) -> tuple[str, ...]:
    """The board's UUID as NVML writes it, or () for a CPU. Torch and NVML order boards differently."""
    if device.type != "cuda":
        return ()
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    return (uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}",)


def _energy(meter: WindowMeter | None, trained: Trained) -> tuple[Energy | None, str | None]:
    """Joules of the point's own windows."""
    return (None, "meter.energy=none") if meter is None else meter.measurement(trained.windows)


def _replay(config: Config, trainer: Trainer, meter: WindowMeter) -> tuple[tuple[Window, ...], int]:
    """Run the whole length again, results discarded, until enough seconds are metered.

    Returns the windows and the examples trained in them.
    """
    factors = schedule.learning_rates(config.schedule, trainer.steps)
    first, examples, metered_seconds = len(meter.windows), 0, 0.0
    while metered_seconds < config.meter.replay_seconds:
        trainer.restart()
        trainer.synchronise()
        with _window(meter):
            clock = time.perf_counter()
            trainer.advance(trainer.steps, factors)
            trainer.synchronise()
            metered_seconds += time.perf_counter() - clock
        examples += trainer.examples_seen
    return meter.windows[first:], examples


@functools.cache
def _gpu(index: int) -> tuple[records.Gpu | None, str | None]:
    (uuid,) = gpu_uuids(torch.device("cuda", index))
    found, reason = hardware.gpus()
    gpu = next((g for g in found if g.uuid == uuid), None)
    return gpu, None if gpu else (reason or f"NVML does not list {uuid}")


def _machine(config: Config, device: torch.device) -> Machine:
    cpu = hardware.describe_cpu()
    gpu, reason = _gpu(device.index) if device.type == "cuda" else (None, "trained on the CPU")
    return Machine(
        cpu=cpu,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else cpu,
        precision=resolve_precision(config.precision.compute, device),
        threads=torch.get_num_threads(),
        libraries=hardware.libraries(),
        gpu=gpu,
        gpu_reason=reason,
    )
