#!/usr/bin/env python3
"""What trackers cost the smallest cell: its training seconds and its wall time with each, against none.

usage: python scripts/bench_tracker.py [--rounds 20] [--epochs 40] [--trackers tensorboard,wandb]

Each round runs the cell without a tracker and with each, in turns and in one process, and waits for the
trackers in between. Printed are medians of the ratios of a round: `wall` is all of run(), with the start of
the tracker's process; `training` is train_seconds; `processor` is processor time of the process that
trains, which other programs disturb much less; `after` is how long the tracker took to finish by itself.
On a machine without a free core the tracker's process competes with training for the processor. W&B is
offline.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path

from isoflop import run
from isoflop.compose import compose_config
from isoflop.config import Config
from isoflop.report import tracker

CELL = ("model.width=8", "model.depth=1", "launch.threads=1", "meter=none")
OVERRIDES = {
    "none": ("tracker=none",),
    "csv": ("tracker=csv",),
    "tensorboard": ("tracker=tensorboard",),
    "wandb": ("tracker=wandb", "tracker.mode=offline"),
    "custom": ("tracker=custom",),
}


def timed(config: Config) -> tuple[float, float, float, float]:
    """(wall seconds of the run, its training seconds, processor seconds of its process, seconds until its
    tracker had finished)."""
    clock, used = time.perf_counter(), time.process_time()
    (record,) = run.run(config, again=True)
    wall, used = time.perf_counter() - clock, time.process_time() - used
    assert record.time is not None
    clock = time.perf_counter()
    assert tracker.wait(config.directory, 120)
    return wall, record.time.train_seconds, used, time.perf_counter() - clock


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--epochs", type=float, default=40)
    parser.add_argument("--trackers", default="csv,tensorboard,wandb,custom")
    options = parser.parse_args()
    names = ["none", *options.trackers.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        configs = {
            name: dataclasses.replace(
                compose_config((*CELL, *OVERRIDES[name], f"schedule.epochs={options.epochs}"), None),
                out=str(Path(folder) / name),
            )
            for name in names
        }
        timed(configs["none"])
        rounds = []
        for number in range(options.rounds):
            order = names[number % len(names) :] + names[: number % len(names)]
            rounds.append({name: timed(configs[name]) for name in order})
    base = [statistics.median(found["none"][i] for found in rounds) for i in (0, 1)]
    print(f"{options.rounds} rounds; without a tracker: wall {base[0]:.3f} s, training {base[1]:.3f} s")
    print(f"{'tracker':12} {'wall':>8} {'training':>9} {'processor':>10} {'after, s':>9}")
    for name in names[1:]:
        wall, train, used = (statistics.median(f[name][i] / f["none"][i] for f in rounds) for i in range(3))
        after = statistics.median(found[name][3] for found in rounds)
        print(f"{name:12} {wall:8.4f} {train:9.4f} {used:10.4f} {after:9.2f}")


if __name__ == "__main__":
    main()
