"""One shape trained for a while, nothing recorded: how many examples a second, and in how much memory."""

from __future__ import annotations

import time

import torch

from isoflop.config import Config
from isoflop.runner.prepare import pick_device, prepare
from isoflop.train import schedule
from isoflop.train.loop import Trainer, warm_trainer

SHORT_SECONDS = 0.1
"""About how long a burst of steps takes: the host waits for the device after each."""


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
