#!/usr/bin/env python3
"""Time a step of several processes: ours against other ways to average the gradients, in one run.

usage: torchrun --standalone --nproc-per-node=2 benchmarks/bench_ddp.py [--repeats 25] [--models NAME ...]

  ours   what Trainer does: DistributedDataParallel, running statistics averaged beside the backward pass
  flat   one all-reduce of a flat buffer with gradients and statistics, after the backward pass
  ddp    DistributedDataParallel as it comes: rank 0's running statistics are broadcast before each forward
  none   nothing is exchanged: the distance to it is what communication costs (such training is wrong)

Contestants take turns in blocks of steps, in an order that rotates; before each block the processes meet. A
ratio is ours / theirs of one turn, above 1 where ours is slower. One thread per process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from isoflop.config import compose
from isoflop.train import data, distributed, state, step
from isoflop.train.data import ImageSet
from isoflop.train.distributed import World
from isoflop.train.loop import Trainer

SGD = ["optim=sgd", "optim.batch_size=64"]
MODELS = {
    "mlp w64 d2": (["model=mlp", "model.width=64", "model.depth=2", "optim.batch_size=64"], 200),
    "mlp w1024 d3": (["model=mlp", "model.width=1024", "model.depth=3", "optim.batch_size=64"], 12),
    "resnet w16 d1": (["model=resnet", "model.width=16", "model.depth=1", *SGD], 20),
    "resnet w16 d2": (["model=resnet", "model.width=16", "model.depth=2", *SGD], 12),
    "resnet w64 d2": (["model=resnet", "model.width=64", "model.depth=2", *SGD], 3),
}
CONTESTANTS = ("ours", "flat", "ddp", "none")
WARMUP_TURNS = 2


def flat_average(world: World, model: nn.Module) -> Callable[[], None]:
    """Return a function that averages gradients and floating buffers by one all-reduce of a flat buffer."""
    parameters, buffers = state.trained(model), state.floating_buffers(model)
    shown = [*parameters, *buffers]
    flat = torch.zeros(sum(t.numel() for t in shown), device=shown[0].device)
    parts = torch.split(flat, [t.numel() for t in shown])
    views = [part.view(t.shape) for part, t in zip(parts, shown, strict=True)]

    def average() -> None:
        tensors = [*(p.grad for p in parameters if p.grad is not None), *buffers]
        torch._foreach_copy_(views, tensors)
        dist.all_reduce(flat)
        flat.div_(world.size)
        torch._foreach_copy_(tensors, views)

    return average


def contestant(name: str, overrides: list[str], images: ImageSet, world: World, steps: int) -> Trainer:
    """Return a trainer that steps op by op and averages the gradients in the way called `name`."""
    config = compose.compose_config([*overrides, "schedule=steps", f"schedule.steps={steps}"], None)
    trainer = Trainer(config, images, steps, images.train.labels.device, world=world, kind="eager")
    if name != "ours":
        model = DistributedDataParallel(trainer.model) if name == "ddp" else trainer.model
        parts = step.Parts(
            model=model,
            optimizers=trainer.optimizers,
            average=None,
            loss_sum=trainer.loss_sum,
            autocast=None,
            label_smoothing=0.0,
            after_backward=flat_average(world, model) if name == "flat" else None,
        )
        trainer._engine = step.Eager(parts)
    return trainer


def block_timer(trainer: Trainer, world: World, steps: int) -> Callable[[], float]:
    """Return a function that takes `steps` steps and returns the seconds per step."""

    def take() -> float:
        trainer.restart()
        trainer.synchronise()
        dist.barrier(group=world.group)
        began = time.perf_counter()
        trainer.advance(steps, (1e-3,) * steps)
        trainer.synchronise()
        return (time.perf_counter() - began) / steps

    return take


def measure(name: str, repeats: int, images: ImageSet, world: World) -> None:
    """Measure one model and print, in the main process, one row per contestant."""
    overrides, steps = MODELS[name]
    blocks = {
        way: block_timer(contestant(way, overrides, images, world, steps), world, steps)
        for way in CONTESTANTS
    }
    seconds: dict[str, list[float]] = {way: [] for way in CONTESTANTS}
    for turn in range(WARMUP_TURNS + repeats):
        first = turn % len(CONTESTANTS)
        for way in CONTESTANTS[first:] + CONTESTANTS[:first]:
            took = blocks[way]()
            if turn >= WARMUP_TURNS:
                seconds[way].append(took)
    if not world.is_main:
        return
    for way in CONTESTANTS:
        ratios = [ours / theirs for ours, theirs in zip(seconds["ours"], seconds[way], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        micro = 1e6 * statistics.median(seconds[way])
        print(
            f"{name:14} against {way:5} {middle:6.3f}  {low:.3f} - {high:.3f}  n={repeats}  {micro:9.0f} us"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    given = parser.parse_args()
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    gpus = torch.cuda.device_count() >= size
    device = torch.device("cuda", rank) if gpus else torch.device("cpu")
    torch.set_num_threads(1)
    with distributed.process_group(rank, size, device, 600) as world:
        images = data.sets.load(compose.compose_config([], None).data, device)
        if world.is_main:
            load = os.getloadavg()[0]
            print(f"torch {torch.__version__}, {size} processes on {device.type}, load average {load:.1f}")
        for name in given.models:
            measure(name, given.repeats, images, world)


if __name__ == "__main__":
    main()
