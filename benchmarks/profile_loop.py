#!/usr/bin/env python3
"""Where a step's time goes, op by op and as the engine that launch.step=auto takes.

usage: python benchmarks/profile_loop.py [--steps 50] [OVERRIDES ...]
  python benchmarks/profile_loop.py model=resnet model.width=1 data=digits optim=sgd

For each engine: microseconds per step without the profiler, and with it the device's busy share, kernels per
step and the costliest ones. On a CPU the operations stand for kernels.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch.profiler import ProfilerActivity, profile

from isoflop.config import compose
from isoflop.runner.prepare import pick_device
from isoflop.train import data
from isoflop.train.loop import Trainer
from isoflop.train.step import EngineKind

SHOWN = 8


def seconds(trainer: Trainer, steps: int) -> float:
    """Return the wall-clock seconds of `steps` steps."""
    began = time.perf_counter()
    trainer.advance(trainer.step + steps, (0.1,) * (trainer.step + steps))
    trainer.synchronise()
    return time.perf_counter() - began


def report(trainer: Trainer, steps: int) -> None:
    """Print where the step of one engine spends its time."""
    on_gpu = trainer.device.type == "cuda"
    trainer.warm_up()
    each = min(seconds(trainer, steps) for _ in range(3)) / steps
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if on_gpu else [])
    with profile(activities=activities) as profiled:
        seconds(trainer, steps)
    events = profiled.key_averages()
    rows = [(e.key, e.count, e.self_device_time_total if on_gpu else e.self_cpu_time_total) for e in events]
    rows = sorted((row for row in rows if row[2] > 0), key=lambda row: -row[2])
    busy = 1e-6 * sum(row[2] for row in rows) / steps
    print(
        f"{trainer.kind}: {1e6 * each:.1f} us a step, compiled or captured in {trainer.compile_seconds:.2f} s"
    )
    print(f"  {sum(row[1] for row in rows) / steps:.0f} kernels a step, busy {busy / each:.0%} of the time")
    for name, count, microseconds in rows[:SHOWN]:
        print(f"  {microseconds / steps:9.1f} us  {count / steps:6.1f} x  {name[:80]}")


def main() -> None:
    """Profile both engines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("overrides", nargs="*")
    given = parser.parse_args()
    config = compose.compose_config(given.overrides, None)
    if config.launch.threads is not None:
        torch.set_num_threads(config.launch.threads)
    device = pick_device(config.launch)
    images = data.sets.load(config.data, device)
    kinds: tuple[EngineKind | None, ...] = ("eager", None) if device.type == "cuda" else ("eager",)
    for kind in kinds:
        report(Trainer(config, images, 10 * given.steps, device, kind=kind), given.steps)


if __name__ == "__main__":
    main()
