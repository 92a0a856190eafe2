"""run(config) -> Record: one cell from configuration to account, top to bottom.

Here training and metering meet: the clock and the meters run while the trainer advances and stop while the
model is evaluated.
"""

from __future__ import annotations

import contextlib
import functools
import time
import traceback
from collections.abc import Callable, Iterator

import torch

from isoflop import account, provenance
from isoflop import record as records
from isoflop.account import Trained
from isoflop.config import Config
from isoflop.meter import hardware
from isoflop.meter.power import EnergyMeter
from isoflop.prepare import Prepared, pick_device, prepare, times
from isoflop.provenance import Machine
from isoflop.record import (
    CurvePoint,
    Energy,
    Record,
    State,
)
from isoflop.report import tracker
from isoflop.train import schedule
from isoflop.train.data import Part
from isoflop.train.evaluate import Score, evaluate
from isoflop.train.loop import DivergedError, Trainer, deterministic, resolve_precision

Watch = Callable[[CurvePoint, int], None]
"""Called after each evaluation with the point and the run's number of steps."""


def run(
    config: Config, *, device_index: int = 0, command_line: str | None = None, watch: Watch | None = None
) -> Record:
    """Train one cell, write its record to DIR/records and return it.

    What happens to the cell is a state of its record, never an exception: diverged, oom, interrupted, failed
    (with the traceback in DIR/logs).

    Raises:
        ValueError: the input cannot be used; nothing was trained or written.
        RecordBusyError: another process is running this cell.
        OSError: the record could not be written; nothing of it is left behind.
    """
    began, started_at = time.perf_counter(), provenance.now()
    if config.launch.threads is not None:
        torch.set_num_threads(config.launch.threads)
    device = pick_device(config.launch.device, device_index)
    prepared = prepare(config, device)
    with records.claim(config.directory, config.run_id), torch.random.fork_rng():
        attempt = provenance.next_attempt(config.directory, config.run_id)
        origin = provenance.gather(
            config,
            _machine(config, device),
            started_at=started_at,
            command_line=command_line or provenance.command(),
        )
        try:
            trained, energy, energy_reason = _measure(config, prepared, device, began, watch)
        except (Exception, KeyboardInterrupt) as error:
            state, reason = _what_happened(error, config)
            seconds = time.perf_counter() - began
            record = provenance.without_point(
                config, origin, state=state, reason=reason, attempt=attempt, seconds=seconds
            )
        else:
            seconds = time.perf_counter() - began
            record = account.done(
                config, prepared, trained, energy, energy_reason, origin, attempt=attempt, seconds=seconds
            )
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


def _measure(
    config: Config, prepared: Prepared, device: torch.device, began: float, watch: Watch | None
) -> tuple[Trained, Energy | None, str | None]:
    """Train and meter; the joules, or the reason why they are unknown, come with what was trained."""
    with deterministic(config.launch.deterministic):
        trainer = Trainer(config, prepared.data, prepared.plan.steps, device)
        with _energy_meter(config, device) as meter:
            trained = _train(config, trainer, prepared, meter, began, watch)
            return trained, *_energy(config, trainer, meter, trained)


def _train(
    config: Config,
    trainer: Trainer,
    prepared: Prepared,
    meter: EnergyMeter | None,
    began: float,
    watch: Watch | None,
) -> Trained:
    """Warm up, then train from stop to stop with the clock and the meter on, evaluating in between."""
    data, flops_each = prepared.data, prepared.count.train_flops_per_example
    setup_seconds = time.perf_counter() - began

    def score(part: Part) -> Score:
        return evaluate(trainer.model, data, part, trainer.autocast, trainer.memory_format)

    clock = time.perf_counter()
    score(data.val)
    trainer.warm_up()
    warmup_seconds = time.perf_counter() - clock
    curve: list[CurvePoint] = []
    train_seconds = eval_seconds = 0.0
    for stop in schedule.stops(trainer.steps, config.schedule.evaluations):
        with _window(meter):
            clock = time.perf_counter()
            trainer.advance(stop)
            trainer.synchronise()
            train_seconds += time.perf_counter() - clock
        clock = time.perf_counter()
        trainer.check_finite()
        val = score(data.val)
        eval_seconds += time.perf_counter() - clock
        joules = meter.joules_so_far() if meter else None
        point = CurvePoint(
            step=stop,
            examples=trainer.examples_seen,
            seconds=train_seconds,
            val_error=val.error,
            val_loss=val.loss,
            train_flops=times(trainer.examples_seen, flops_each),
            train_flops_reason=prepared.count.reason,
            energy_joules=joules,
            energy_joules_reason="not known at this point" if joules is None else None,
        )
        curve.append(point)
        if watch:
            watch(point, trainer.steps)
    clock = time.perf_counter()
    shown = min(len(data.train), len(data.test))
    test, train = score(data.test), score(Part(data.train.images[:shown], data.train.labels[:shown]))
    eval_seconds += time.perf_counter() - clock
    return Trained(
        steps=trainer.steps,
        examples_seen=trainer.examples_seen,
        parameters=sum(p.numel() for p in trainer.model.parameters()),
        curve=tuple(curve),
        setup_seconds=setup_seconds,
        warmup_seconds=warmup_seconds,
        train_seconds=train_seconds,
        eval_seconds=eval_seconds,
        eval_examples=len(curve) * val.n + test.n + train.n,
        test=test,
        val=val,
        train=train,
    )


@contextlib.contextmanager
def _window(meter: EnergyMeter | None) -> Iterator[None]:
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
) -> contextlib.AbstractContextManager[EnergyMeter | None]:
    """The meter of the device's board, or nothing where none is to be read."""
    uuids = gpu_uuids(device) if config.meter.energy == "auto" else ()
    if not uuids:
        return contextlib.nullcontext()
    return EnergyMeter(
        uuids, period_seconds=config.meter.period_seconds, idle_seconds=config.meter.idle_seconds
    )


def gpu_uuids(device: torch.device) -> tuple[str, ...]:
    """The board's UUID as NVML writes it, or () for a CPU. Torch and NVML order boards differently."""
    if device.type != "cuda":
        return ()
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    return (uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}",)


def _energy(
    config: Config, trainer: Trainer, meter: EnergyMeter | None, trained: Trained
) -> tuple[Energy | None, str | None]:
    """Joules of the training window; a short cell's steps are run again until the window is long enough."""
    if meter is None:
        cpu = "there is no GPU: CPU energy is not read"
        return None, cpu if config.meter.energy == "auto" else "meter.energy=none"
    if trained.train_seconds >= config.meter.replay_seconds:
        return meter.measurement()
    meter.forget()
    repeats, metered_seconds = 0, 0.0
    while metered_seconds < config.meter.replay_seconds:
        trainer.restart()
        trainer.synchronise()
        with _window(meter):
            clock = time.perf_counter()
            trainer.advance(trainer.steps)
            trainer.synchronise()
            metered_seconds += time.perf_counter() - clock
        repeats += 1
    return meter.measurement(replayed=True, scale=1 / repeats)


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
        gpu=gpu,
        gpu_reason=reason,
    )
