"""The energy of one cell: its meter, its windows, and the replay of a cell too short to meter."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Iterator

import torch

from isoflop.account import Trained
from isoflop.config import Config
from isoflop.launch import SHARED_GPU
from isoflop.meter import rapl
from isoflop.meter.total import total
from isoflop.meter.trace import Window
from isoflop.meter.window_meter import WindowMeter
from isoflop.record import Energy
from isoflop.train import schedule
from isoflop.train.loop import Trainer


@contextlib.contextmanager
def window(meter: WindowMeter | None) -> Iterator[None]:
    """Energy is read while this is open."""
    if meter is None:
        yield
        return
    meter.begin()
    try:
        yield
    finally:
        meter.end()


def energy_meter(
    config: Config, device: torch.device, *, shared: bool
) -> contextlib.AbstractContextManager[WindowMeter | None]:
    """The meter of the device's board or of the processor, or nothing where none is to be read."""
    if config.meter.energy == "none" or shared:
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


def energy(meter: WindowMeter | None, trained: Trained, *, shared: bool) -> tuple[Energy | None, str | None]:
    """Joules of the point's own windows, those of earlier attempts added."""
    if meter is None:
        return None, SHARED_GPU if shared else "meter.energy=none"
    earlier = trained.metered
    if earlier.reason:
        return None, f"an earlier attempt's energy is unknown: {earlier.reason}"
    now, reason = meter.measurement(trained.windows)
    return (total((*earlier.energies, now)), None) if now else (None, reason)


def replay(config: Config, trainer: Trainer, meter: WindowMeter) -> tuple[tuple[Window, ...], int]:
    """Run the whole length again, results discarded, until enough seconds are metered.

    Returns the windows and the examples trained in them.
    """
    factors = schedule.learning_rates(config.schedule, trainer.steps)
    first, examples, metered_seconds = len(meter.windows), 0, 0.0
    while metered_seconds < config.meter.replay_seconds:
        trainer.restart()
        trainer.synchronise()
        with window(meter):
            clock = time.perf_counter()
            trainer.advance(trainer.steps, factors)
            trainer.synchronise()
            metered_seconds += time.perf_counter() - clock
        examples += trainer.examples_seen
    return meter.windows[first:], examples
