"""The payload of data-parallel training: the steps that a run takes with launch.devices, and nothing else."""

from __future__ import annotations

import dataclasses

import torch

from isoflop.config import Config
from isoflop.parallel.measure.clock import Clock
from isoflop.runner.prepare import Prepared, times
from isoflop.train.distributed import World
from isoflop.train.loop import Trainer

LEARNING_RATE = 1e-3
"""Factor of the peak rate: the seconds of a step do not depend on it, and no loss must overflow."""
MOST_STEPS = 100_000


class Training:
    """One worker's part of data-parallel training.

    Attributes:
        flops_per_step: training FLOPs of a batch, of all workers; None where the counters do not agree.
        engine: how steps are carried out (train/step).
    """

    def __init__(
        self, config: Config, prepared: Prepared, device: torch.device, world: World, clock: Clock
    ) -> None:
        """Draw the weights and warm the step up. Collective.

        Args:
            config: the run, with the batch of all workers together.
            prepared: its data and its counted work.
            device: the worker's.
            world: the workers.
            clock: with `split`, each exchange of a step passes it; without, gradients are exchanged while
                others are computed, as in any run.
        """
        if clock.split and world.group is not None:
            world = dataclasses.replace(world, exchange=clock.exchange)
        self._trainer = Trainer(config, prepared.data, MOST_STEPS, device, world=world)
        self._trainer.warm_up()
        self.engine = self._trainer.kind
        self.flops_per_step = times(config.optim.batch_size, prepared.count.train_flops_per_example)

    def run(self, steps: int, clock: Clock) -> None:
        """Take the first `steps` steps. Collective."""
        trainer = self._trainer
        trainer.restart()
        trainer.advance(steps, (LEARNING_RATE,) * steps)

    def residual(self) -> None:
        """Return None: a step of training has no other result to be compared with."""
