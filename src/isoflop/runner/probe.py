"""A cell's shape on its own, nothing recorded: the joules of its steps, and how many examples a second it
trains, alone or beside others."""

from __future__ import annotations

import time

import torch

from isoflop.config import Config
from isoflop.meter.device import hardware
from isoflop.record import Energy
from isoflop.runner import energy as metering
from isoflop.runner.prepare import pick_device, prepare
from isoflop.train import schedule
from isoflop.train.loop import Trainer, deterministic, resolve_precision, warm_trainer

SHORT_SECONDS = 0.1
"""The device is waited for about this often."""
LEAST_SECONDS = 10.0
"""A window shorter than this is graded down (meter/energy/measurement.py)."""


class Pacer:
    """Trains one shape over and over, a stretch of seconds at a time.

    Raises:
        ValueError: the cell's input cannot be used.
    """

    def __init__(self, config: Config, device_index: int = 0) -> None:
        if config.launch.threads is not None:
            torch.set_num_threads(config.launch.threads)
        self.config, self.device = config, pick_device(config.launch, device_index)
        prepared = prepare(config, self.device)
        self._trainer: Trainer = warm_trainer(config, prepared.data, prepared.plan.steps, self.device)
        self._factors = schedule.learning_rates(config.schedule, self._trainer.steps)
        self._at_once = 1
        self._trainer.warm_up()

    @property
    def device_name(self) -> str:
        """The GPU, or the processor, as records name it."""
        on_gpu = self.device.type == "cuda"
        return torch.cuda.get_device_name(self.device) if on_gpu else hardware.describe_cpu()

    @property
    def precision(self) -> str:
        """The arithmetic that is used, as records name it."""
        return resolve_precision(self.config.precision.compute, self.device)

    def memory_share(self) -> float:
        """The share of the GPU's memory in use, by every process on it; 0 on a CPU."""
        if self.device.type != "cuda":
            return 0.0
        free, total = torch.cuda.mem_get_info(self.device)
        return 1 - free / total

    def train(self, seconds: float) -> tuple[int, float]:
        """Train for about `seconds`, from the first step again whenever the last is done.

        Returns the examples trained and the seconds it really took.
        """
        trainer, steps, began = self._trainer, 0, time.perf_counter()
        trainer.restart()
        trainer.synchronise()
        while (now := time.perf_counter()) - began < seconds:
            if trainer.step == trainer.steps:
                trainer.restart()
            stop = min(trainer.steps, trainer.step + self._at_once)
            steps += stop - trainer.step
            trainer.advance(stop, self._factors)
            trainer.synchronise()
            if time.perf_counter() - now < SHORT_SECONDS:
                self._at_once = min(2 * self._at_once, trainer.steps)
        return steps * self.config.optim.batch_size, time.perf_counter() - began


Alone = tuple[Energy | None, str | None, int, str, str]
"""Energy of a window or the reason why not, examples trained in it, device and precision as in records."""


def meter_shape(config: Config, device_index: int = 0) -> Alone:
    """Joules of a window in which only this shape is trained, for meter.replay_seconds and 10 s at least.

    Raises:
        ValueError: the cell's input cannot be used.
    """
    with deterministic(config.launch.deterministic):
        pacer = Pacer(config, device_index)
        with metering.energy_meter(config, pacer.device, shared="nothing") as meter:
            if meter is None:
                return None, "there is no board to meter", 0, pacer.device_name, pacer.precision
            with metering.window(meter):
                examples, _ = pacer.train(max(config.meter.replay_seconds, LEAST_SECONDS))
            energy, reason = meter.measurement(replayed=True)
        return energy, reason, examples, pacer.device_name, pacer.precision
