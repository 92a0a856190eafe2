"""The energy of one cell: its meter, its windows, and the replay of a cell too short to meter."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import torch

from isoflop.account import Trained
from isoflop.config import Config
from isoflop.meter.power import EnergyMeter
from isoflop.meter.total import total
from isoflop.meter.trace import Window
from isoflop.record import Energy
from isoflop.train import schedule
from isoflop.train.loop import Trainer


@contextlib.contextmanager
def window(meter: EnergyMeter | None) -> Iterator[None]:
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


def energy(config: Config, meter: EnergyMeter | None, trained: Trained) -> tuple[Energy | None, str | None]:
    """Joules of the point's own windows, those of earlier attempts added."""
    if meter is None:
        cpu = "there is no GPU: CPU energy is not read"
        return None, cpu if config.meter.energy == "auto" else "meter.energy=none"
    earlier = trained.metered
    if earlier.reason:
        return None, f"an earlier attempt's energy is unknown: {earlier.reason}"
    now, reason = meter.measurement(trained.windows)
    return (total((*earlier.energies, now)), None) if now else (None, reason)


def replay(config: Config, trainer: Trainer, meter: EnergyMeter) -> tuple[tuple[Window, ...], int]:
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
