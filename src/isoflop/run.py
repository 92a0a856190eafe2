"""run(config) -> Record: one cell from configuration to account, top to bottom.

Here training and metering meet: the clock and the meters run while the trainer advances and stop while the
model is evaluated.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from scipy import stats

from isoflop import provenance
from isoflop import record as records
from isoflop.config import Config, ConfigError, DataConfig, ModelConfig
from isoflop.meter import flops, hardware
from isoflop.meter.flops import FlopCount
from isoflop.meter.power import EnergyMeter
from isoflop.provenance import Machine
from isoflop.record import (
    Compute,
    CurvePoint,
    DataFacts,
    Energy,
    ErrorRate,
    Loss,
    OptimFacts,
    Record,
    Spent,
    State,
    Timing,
    known,
)
from isoflop.report import tracker
from isoflop.train import models, optim, schedule
from isoflop.train.data import DataSet, Part, load
from isoflop.train.evaluate import Score, evaluate
from isoflop.train.loop import DivergedError, Trainer, deterministic, resolve_precision

Watch = Callable[[CurvePoint, int], None]
"""Called after each evaluation with the point and the run's number of steps."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a cell will do, known before anything is trained."""

    steps: int
    examples: int
    planned_train_flops: float | None


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A cell whose input has been found good."""

    data: DataSet
    count: FlopCount
    plan: Plan


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained cell: its learning curve and where the seconds went."""

    curve: tuple[CurvePoint, ...]
    warmup_seconds: float
    train_seconds: float
    eval_seconds: float
    eval_examples: int
    test: Score
    val: Score
    train: Score


def pick_device(name: str, index: int = 0) -> torch.device:
    """`auto` is the GPU where there is one; `index` says which.

    Raises:
        ConfigError: a GPU was asked for and there is none.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigError("launch.device=cuda: torch sees no GPU here: `isoflop doctor` says why")
    return torch.device("cuda", index)


def prepare(config: Config, device: torch.device) -> Prepared:
    """Load the data, count the FLOPs and lay out the steps; trains and writes nothing.

    Raises:
        ValueError: the data is missing or damaged, the batch is larger than the data, the model does not
            exist or cannot take these images, or a FLOP budget is asked for and FLOPs are unknown.
    """
    data = _load(config.data, device)
    count = count_flops(config.model, data.image_shape, data.classes)
    steps = schedule.total_steps(
        config.schedule,
        train_n=len(data.train),
        batch_size=config.optim.batch_size,
        train_flops_per_example=count.train_flops_per_example,
    )
    examples = steps * config.optim.batch_size
    return Prepared(data, count, Plan(steps, examples, _times(examples, count.train_flops_per_example)))


@functools.lru_cache(maxsize=2)
def _load(config: DataConfig, device: torch.device) -> DataSet:
    """The set on the device, kept for the next cell of this process."""
    root = Path(config.root)
    return load(config.name, root, fraction=config.fraction, download=config.download, device=device)


@functools.lru_cache(maxsize=1024)
def count_flops(config: ModelConfig, image_shape: tuple[int, int, int], classes: int) -> FlopCount:
    """Per-example work of the configured model, counted on a twin without weights.

    Raises:
        ConfigError: the model cannot take images of this shape.
    """
    twin = models.build(config, image_shape, classes, seed=0, device=torch.device("meta"))
    try:
        with torch.no_grad():
            twin.eval()(torch.zeros(1, *image_shape, device="meta"))
    except (RuntimeError, ValueError, AssertionError) as error:
        channels, height, width = image_shape
        first = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"model {config.name} cannot take {channels}x{height}x{width} images: {first}"
        ) from error
    return flops.count(twin, image_shape)


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
    with records.claim(config.directory, config.run_id), torch.random.fork_rng():
        attempt = provenance.next_attempt(config.directory, config.run_id)
        began, started_at = time.perf_counter(), provenance.now()
        if config.launch.threads is not None:
            torch.set_num_threads(config.launch.threads)
        device = pick_device(config.launch.device, device_index)
        prepared = prepare(config, device)
        origin = provenance.gather(
            config,
            _machine(config, device),
            started_at=started_at,
            command_line=command_line or provenance.command(),
        )

        def lost(state: State, reason: str) -> Record:
            return provenance.without_point(
                config,
                origin,
                state=state,
                reason=reason,
                attempt=attempt,
                seconds=time.perf_counter() - began,
            )

        try:
            record = _measure(config, prepared, device, origin, attempt, began, watch)
        except DivergedError as error:
            record = lost("diverged", str(error))
        except KeyboardInterrupt:
            record = lost("interrupted", "stopped by Ctrl-C")
        except Exception as error:
            if _out_of_memory(error):
                record = lost("oom", f"out of memory on {device}: {str(error).splitlines()[0]}")
            else:
                log = config.directory / "logs" / f"{config.run_id}.log"
                records.write_bytes(log, traceback.format_exc().encode())
                record = lost("failed", f"{type(error).__name__}: {error} (traceback in {log})")
        records.write(record, config.directory)
        tracker.track(config, record)
    return record


def _measure(
    config: Config,
    prepared: Prepared,
    device: torch.device,
    origin: records.Provenance,
    attempt: int,
    began: float,
    watch: Watch | None,
) -> Record:
    """Train, meter, evaluate, and put the numbers into a record."""
    with deterministic(config.launch.deterministic):
        trainer = Trainer(config, prepared.data, prepared.plan.steps, device)
        with _energy_meter(config, device) as meter:
            trained = _train(config, trainer, prepared, meter, watch, began)
            energy, energy_reason = _energy(config, trainer, meter, trained)
    compute = _compute(config, trainer, prepared, trained)
    setup = (
        time.perf_counter()
        - began
        - sum((trained.warmup_seconds, trained.train_seconds, trained.eval_seconds))
    )
    return Record(
        schema=records.SCHEMA,
        run_id=config.run_id,
        config_id=config.config_id,
        trunk_id=config.run_id,
        cell=config.identity,
        attempt=attempt,
        state="done",
        reason=None,
        seed=config.seed,
        cost=config.cost.factors,
        model=provenance.model_facts(config, sum(p.numel() for p in trainer.model.parameters())),
        provenance=origin,
        spent=_spent(compute, energy, energy_reason, time.perf_counter() - began),
        curve=_with_energy(trained.curve, energy, energy_reason),
        energy=energy,
        energy_reason=energy_reason,
        **known(
            optim=_optim_facts(config, trainer),
            data=_data_facts(config, prepared.data),
            error=_error_rate(trained.test, trained.val),
            loss=Loss(test=trained.test.loss, val=trained.val.loss, train=trained.train.loss),
            compute=compute,
            time=_timing(compute, trained, origin, setup),
        ),
    )


def _train(
    config: Config,
    trainer: Trainer,
    prepared: Prepared,
    meter: EnergyMeter | None,
    watch: Watch | None,
    began: float,
) -> Trained:
    """Warm up, then train from stop to stop with the clock and the meter on, evaluating in between."""
    data, flops_each = prepared.data, prepared.count.train_flops_per_example

    def score(part: Part) -> Score:
        return evaluate(trainer.model, data, part, trainer.autocast, trainer.memory_format)

    clock = time.perf_counter()
    trainer.warm_up()
    score(data.val)
    trainer.synchronise()
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
            train_flops=_times(trainer.examples_seen, flops_each),
            train_flops_reason=prepared.count.reason,
            energy_joules=joules,
            energy_joules_reason="not metered" if joules is None else None,
        )
        curve.append(point)
        if watch:
            watch(point, trainer.steps)
    clock = time.perf_counter()
    shown = min(len(data.train), len(data.test))
    test, train = score(data.test), score(Part(data.train.images[:shown], data.train.labels[:shown]))
    eval_seconds += time.perf_counter() - clock
    eval_examples = len(curve) * val.n + test.n + train.n
    return Trained(tuple(curve), warmup_seconds, train_seconds, eval_seconds, eval_examples, test, val, train)


@contextlib.contextmanager
def _window(meter: EnergyMeter | None) -> Iterator[None]:
    """Energy is read while this is open."""
    if meter:
        meter.begin()
    yield
    if meter:
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
    repeats, clock = 0, time.perf_counter()
    with _window(meter):
        while time.perf_counter() - clock < config.meter.replay_seconds:
            trainer.restart()
            trainer.advance(trainer.steps)
            trainer.synchronise()
            repeats += 1
    return meter.measurement(replayed=True, scale=1 / repeats)


def _with_energy(
    curve: tuple[CurvePoint, ...], energy: Energy | None, reason: str | None
) -> tuple[CurvePoint, ...]:
    """The curve with joules where they are known: a replayed cell's are its joules per example x examples."""
    if energy is None:
        return tuple(dataclasses.replace(p, energy_joules=None, energy_joules_reason=reason) for p in curve)
    if not energy.replayed:
        return curve
    each = energy.energy_joules / curve[-1].examples
    return tuple(
        dataclasses.replace(p, energy_joules=each * p.examples, energy_joules_reason=None) for p in curve
    )


def _compute(config: Config, trainer: Trainer, prepared: Prepared, trained: Trained) -> Compute:
    count, examples = prepared.count, trainer.examples_seen
    parameters = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    per_step = optim.FLOPS_PER_PARAMETER[config.optim.name] * parameters
    counted: dict[str, Any] = {
        "forward_macs_per_example": count.forward_macs_per_example,
        "train_flops_per_example": count.train_flops_per_example,
        "train_flops": _times(examples, count.train_flops_per_example),
        "train_to_forward_ratio": count.train_to_forward_ratio,
        "inference_flops_per_example": count.inference_flops_per_example,
        "eval_flops": _times(trained.eval_examples, count.inference_flops_per_example),
    }
    reasons: dict[str, Any] = {f"{name}_reason": count.reason for name in counted}
    return Compute(
        examples_seen=examples,
        **counted,
        **reasons,
        **known(optimizer_flops=float(per_step * trainer.steps)),
        forward_macs_by_op=count.forward_macs_by_op,
        uncounted_ops=count.uncounted_ops,
        counters_agree=count.counters_agree,
    )


def _timing(compute: Compute, trained: Trained, origin: records.Provenance, setup: float) -> Timing:
    peak = hardware.peak_rate(origin.gpu.name, origin.precision) if origin.gpu else None
    no_peak = "no peak rate is known for this device" if origin.gpu else "not a GPU"
    achieved = _times(1 / trained.train_seconds, compute.train_flops)
    mfu = hardware.mfu(achieved, peak) if achieved is not None and peak is not None else None
    return Timing(
        train_seconds=trained.train_seconds,
        warmup_seconds=trained.warmup_seconds,
        eval_seconds=trained.eval_seconds,
        setup_seconds=setup,
        examples_per_second=compute.examples_seen / trained.train_seconds,
        achieved_flops_per_second=achieved,
        achieved_flops_per_second_reason=compute.train_flops_reason,
        mfu=mfu,
        mfu_reason=None if mfu is not None else (compute.train_flops_reason or no_peak),
        peak=peak,
        peak_reason=None if peak else no_peak,
    )


def _spent(compute: Compute, energy: Energy | None, energy_reason: str | None, seconds: float) -> Spent:
    """Of `seconds`, the whole run's, replayed steps are waste in the sense that their result is discarded."""
    replayed = energy.window_seconds if energy and energy.replayed else 0.0
    return Spent(
        flops=compute.train_flops,
        flops_reason=compute.train_flops_reason,
        joules=energy.energy_joules if energy else None,
        joules_reason=energy_reason,
        seconds=seconds,
        wasted_seconds=replayed,
    )


def _error_rate(test: Score, val: Score) -> ErrorRate:
    interval = stats.binomtest(test.wrong, test.n).proportion_ci(0.95, method="wilson")
    return ErrorRate(
        test=test.error,
        val=val.error,
        ci_low=float(interval.low),
        ci_high=float(interval.high),
        test_n=test.n,
        val_n=val.n,
    )


def _optim_facts(config: Config, trainer: Trainer) -> OptimFacts:
    return OptimFacts(
        name=config.optim.name,
        lr=config.optim.lr,
        weight_decay=config.optim.weight_decay,
        batch_size=config.optim.batch_size,
        **known(steps=trainer.steps),
    )


def _data_facts(config: Config, data: DataSet) -> DataFacts:
    return DataFacts(
        name=data.name,
        fraction=config.data.fraction,
        train_n=len(data.train),
        val_n=len(data.val),
        test_n=len(data.test),
        classes=data.classes,
        chance_error=data.chance_error,
        image_shape=data.image_shape,
        split_sha256=data.split_sha256,
    )


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


def _out_of_memory(error: Exception) -> bool:
    """Torch has a type for the GPU's and only a message for the CPU's."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def _times(number: float, each: float | None) -> float | None:
    return None if each is None else number * each
