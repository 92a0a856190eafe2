"""One shape trained for a while, nothing recorded: its joules, and how many examples a second it trains."""

from __future__ import annotations

import time

import torch

from isoflop.config import Config
from isoflop.meter.device import hardware
from isoflop.record import Energy
from isoflop.runner.energy import energy_meter, metered_window
from isoflop.runner.prepare import pick_device, prepare
from isoflop.train import schedule
from isoflop.train.loop import Trainer, deterministic, resolve_precision, warm_trainer

SHORT_SECONDS = 0.1
"""About how long a burst of steps takes: the host waits for the device after each."""
LEAST_SECONDS = 10.0
"""A window shorter than this is graded down (meter/energy/measurement.py)."""


class Pacer:
    """Trains one shape over and over, some seconds at a time.

    Raises:
        ValueError: the input of the run cannot be used.
    """

    def __init__(self, config: Config, device_index: int = 0) -> None:
        if config.launch.threads is not None:
            torch.set_num_threads(config.launch.threads)
        self.config, self.device = config, pick_device(config.launch, device_index)
        prepared = prepare(config, self.device)
        self._trainer: Trainer = warm_trainer(config, prepared.data, prepared.plan.steps, self.device)
        self._factors = schedule.learning_rates(config.schedule, self._trainer.steps)
        self._burst_steps = 1
        self._trainer.warm_up()

    @property
    def device_name(self) -> str:
        """Name of the GPU or the processor, as in records."""
        on_gpu = self.device.type == "cuda"
        return torch.cuda.get_device_name(self.device) if on_gpu else hardware.describe_cpu()

    @property
    def precision(self) -> str:
        """Precision of the arithmetic, as in records."""
        return resolve_precision(self.config.precision.compute, self.device)

    def memory_share(self) -> float:
        """Return the share of the GPU's memory that all processes on it use; 0 on a CPU."""
        if self.device.type != "cuda":
            return 0.0
        free, total = torch.cuda.mem_get_info(self.device)
        return 1 - free / total

    def train(self, seconds: float) -> tuple[int, float]:
        """Train for about `seconds`, starting over after the last step.

        Returns the examples trained and the seconds it took.
        """
        trainer, steps, began = self._trainer, 0, time.perf_counter()
        trainer.restart()
        trainer.synchronise()
        while (now := time.perf_counter()) - began < seconds:
            if trainer.step == trainer.steps:
                trainer.restart()
            stop = min(trainer.steps, trainer.step + self._burst_steps)
            steps += stop - trainer.step
            trainer.advance(stop, self._factors)
            trainer.synchronise()
            if time.perf_counter() - now < SHORT_SECONDS:
                self._burst_steps = min(2 * self._burst_steps, trainer.steps)
        return steps * self.config.optim.batch_size, time.perf_counter() - began


ShapeEnergy = tuple[Energy | None, str | None, int, str, str]
"""Energy of a window or None and the reason, examples trained in it, device and precision as in records."""


def meter_shape(config: Config, device_index: int = 0) -> ShapeEnergy:
    """Meter a window in which only this shape is trained, for meter.replay_seconds and 10 s at least.

    Raises:
        ValueError: the input of the run cannot be used.
    """
    with deterministic(config.launch.deterministic):
        pacer = Pacer(config, device_index)
        with energy_meter(config, pacer.device, shared="nothing") as meter:
            if meter is None:
                return None, "there is no GPU to meter", 0, pacer.device_name, pacer.precision
            with metered_window(meter):
                examples, _ = pacer.train(max(config.meter.replay_seconds, LEAST_SECONDS))
            energy, reason = meter.measurement(replayed=True)
        return energy, reason, examples, pacer.device_name, pacer.precision
