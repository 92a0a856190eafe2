"""Seconds and joules of forward passes of a finished network, measured one batch after another."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from isoflop.meter.energy.polls import Window
from isoflop.record import Inference
from isoflop.runner.energy import Meter, metered_window
from isoflop.train.data import TextSet
from isoflop.train.evaluate import example_batches
from isoflop.train.loop import Trainer

WARM_PASSES = 3
"""Passes before the clock runs: kernels are loaded and chosen in the first ones."""
ROWS = 256
"""Largest batch, in images."""


def measure(
    trainer: Trainer, model: nn.Module, seconds: float, meter: Meter | None
) -> tuple[Inference, tuple[Window, ...]]:
    """Return what a forward pass of `model` takes an example, and the metered windows of it.

    Seconds are those of the median pass, as other processes disturb some; joules are a mean.

    The batch is the first of the test part: at most ROWS images, or some windows of text; an example of text
    is a byte. It is in the run's precision. The windows are no training: the caller keeps them apart.

    Args:
        trainer: of the run.
        model: the finished network, in eval mode.
        seconds: how long passes are repeated.
        meter: that of the run; None where joules are not metered.
    """
    batch = next(example_batches(trainer.data, trainer.memory_format, "test"))[:ROWS]
    each = batch.numel() if isinstance(trainer.data, TextSet) else len(batch)
    before = len(meter.windows) if meter else 0
    with torch.inference_mode():
        for _ in range(WARM_PASSES):
            with trainer.autocast:
                model(batch)
        trainer.synchronise()
        times: list[float] = []
        ends = time.perf_counter() + seconds
        with metered_window(meter):
            while not times or time.perf_counter() < ends:
                began = time.perf_counter()
                with trainer.autocast:
                    model(batch)
                trainer.synchronise()  # a queue that grows without end would be timed, not the passes
                times.append(time.perf_counter() - began)
    windows = meter.windows[before:] if meter else ()
    energy, reason = meter.measurement(windows) if meter else (None, "no energy was metered")
    examples = len(times) * each
    measured = Inference(
        batch_size=each,
        examples=examples,
        seconds_per_example=statistics.median(times) / each,
        joules_per_example=energy.energy_joules / examples if energy else None,
        joules_per_example_reason=reason,
    )
    return measured, windows
