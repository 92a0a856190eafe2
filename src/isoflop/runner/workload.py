"""What the steps of a run are, for the choice of the engine that takes them."""

from __future__ import annotations

import torch

from isoflop.config import Config
from isoflop.runner.assemble import BYTES_PER_ELEMENT
from isoflop.runner.prepare import Prepared, times
from isoflop.train import precision
from isoflop.train.step import Workload, compiler


def workload(config: Config, prepared: Prepared, device: torch.device, runs: int) -> Workload | None:
    """Return the work that one compiled step of this run would do; None on a CPU, where nothing is chosen.

    Args:
        config: the run.
        prepared: its counted work and its steps, cooldown branches included.
        device: where it is trained.
        runs: runs of the sweep, this one included, that would share the compiled step.
    """
    if device.type != "cuda":
        return None
    count, batch, data = prepared.count, config.optim.batch_size, prepared.data
    element = BYTES_PER_ELEMENT[precision.resolve(config.precision.compute, device)]
    return Workload(
        flops_per_step=times(batch, count.train_flops_per_example),
        bytes_per_step=times(batch * element, count.train_elements_per_example),
        steps=runs * prepared.plan.all_steps,
        cached=compiler.is_cached(compiler.shape_key(config, data.input_shape, data.classes, device)),
    )
