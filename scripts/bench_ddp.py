#!/usr/bin/env python3
"""Time a step of two processes: our one all-reduce against DistributedDataParallel, in one run.

usage: torchrun --standalone --nproc-per-node=2 scripts/bench_ddp.py [--repeats 15] [--models NAME ...]

  flat          train/distributed.Exchange: one all-reduce of a flat buffer after the backward pass
  ddp           DistributedDataParallel as it comes: buckets reduced during the backward pass, rank 0's
                running statistics broadcast before each forward pass
  ddp-views     the same with gradient_as_bucket_view, which saves a copy of the gradients
  ddp-static    ddp-views with static_graph, which learns the order of the gradients in the first step
  ddp-no-stats  ddp-views without the broadcast: running statistics then differ between processes
  none          nothing is exchanged: what the exchange costs is the distance from here (training is wrong)

Contestants take turns in blocks of steps, in an order that rotates; before each block the processes meet. A
ratio is theirs / flat of one turn, above 1 where DDP is slower. One thread a process on a CPU.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from isoflop.config import compose
from isoflop.train import data, distributed, step
from isoflop.train.data import DataSet
from isoflop.train.distributed import World
from isoflop.train.loop import Trainer

SGD = ["optim=sgd", "optim.batch_size=64"]
MODELS = {
    "mlp w64 d2": (["model=mlp", "model.width=64", "model.depth=2", "optim.batch_size=64"], 200),
    "mlp w1024 d3": (["model=mlp", "model.width=1024", "model.depth=3", "optim.batch_size=64"], 15),
    "vit w64 d4": (
        ["model=vit", "model.width=64", "model.depth=4", "model.patch=2", "model.head_width=16"],
        15,
    ),
    "resnet w16 d1": (["model=resnet", "model.width=16", "model.depth=1", *SGD], 20),
    "resnet w16 d2": (["model=resnet", "model.width=16", "model.depth=2", *SGD], 15),
    "resnet w64 d2": (["model=resnet", "model.width=64", "model.depth=2", *SGD], 3),
}
DDP: dict[str, dict[str, bool]] = {
    "ddp": {},
    "ddp-views": {"gradient_as_bucket_view": True},
    "ddp-static": {"gradient_as_bucket_view": True, "static_graph": True},
    "ddp-no-stats": {"gradient_as_bucket_view": True, "broadcast_buffers": False},
}
WARMUP_TURNS = 2


def contestant(name: str, overrides: list[str], images: DataSet, world: World, steps: int) -> Trainer:
    """A trainer whose op-by-op step averages the gradients in the way called `name`."""
    config = compose.compose_config([*overrides, "schedule=steps", f"schedule.steps={steps}"], None)
    device = images.train.labels.device
    trainer = Trainer(config, images, steps, device, world=world, kind="eager")
    if name != "flat":
        model = trainer.model
        if name in DDP:
            model = DistributedDataParallel(model, **DDP[name])  # type: ignore[arg-type]
        smoothing = config.optim.label_smoothing
        parts = step.Parts(model, trainer.optimizers, None, trainer.loss_sum, trainer.autocast, smoothing)
        trainer._engine = step.Eager(parts)
    return trainer


def block_timer(trainer: Trainer, world: World, steps: int) -> Callable[[], float]:
    """A function that takes `steps` steps and returns the seconds per step."""

    def take() -> float:
        trainer.restart()
        trainer.synchronise()
        dist.barrier(group=world.group)
        began = time.perf_counter()
        trainer.advance(steps, (1e-3,) * steps)
        trainer.synchronise()
        return (time.perf_counter() - began) / steps

    return take


def measure(name: str, repeats: int, images: DataSet, world: World) -> None:
    """Print one row per contestant from the main process."""
    overrides, steps = MODELS[name]
    contestants = ["flat", *DDP, "none"]
    blocks = {c: block_timer(contestant(c, overrides, images, world, steps), world, steps) for c in contestants}
    seconds: dict[str, list[float]] = {c: [] for c in contestants}
    for turn in range(WARMUP_TURNS + repeats):
        first = turn % len(contestants)
        for c in contestants[first:] + contestants[:first]:
            took = blocks[c]()
            if turn >= WARMUP_TURNS:
                seconds[c].append(took)
    if not world.is_main:
        return
    for c in contestants:
        ratios = [theirs / ours for theirs, ours in zip(seconds[c], seconds["flat"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        micro = 1e6 * statistics.median(seconds[c])
        print(f"{name:14} {c:13} {middle:6.3f}  {low:.3f} - {high:.3f}  n={repeats}  {micro:9.0f} us", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    given = parser.parse_args()
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    gpus = torch.cuda.device_count() >= size
    device = torch.device("cuda", rank) if gpus else torch.device("cpu")
    torch.set_num_threads(1)
    with distributed.process_group(rank, size, device, 600) as world:
        images = data.load(compose.compose_config([], None).data, device)
        if world.is_main:
            print(f"torch {torch.__version__}, {size} processes on {device.type}, ratio = theirs / flat")
        for name in given.models:
            measure(name, given.repeats, images, world)


if __name__ == "__main__":
    main()
