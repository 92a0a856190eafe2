#!/usr/bin/env python3
"""What trackers cost: a ratio on a run of a minute, and the seconds they add to the smallest run.

usage: python benchmarks/bench_tracker.py [--rounds 5] [--seconds 60] [--small-rounds 30] [--trackers A,B]

Each round trains a run without a tracker and with each, in an order that turns from round to round and in one
process, and waits for the trackers in between. Printed are median and quartiles over the rounds. For the run
of `--seconds`: `wall` is all of run() and `training` train_seconds, each over the same round's without a
tracker. For the smallest run, of 40 epochs: the seconds of wall time that a tracker adds, and of processor
time of the process that trains; `calls` is the wall time that this process spends in calls of its tracker, in
milliseconds and as a share of the run: it can hold up training by no more, but for the cores and the memory
that the tracker's own process takes. `after` is how long the tracker took to finish by itself, while nothing
waits for it but the end of a sweep. One thread trains, so that with two cores the tracker has the other; on a
machine without a free core it competes with training. W&B is offline.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from isoflop.config import Config
from isoflop.config.compose import compose_config
from isoflop.record import CurvePoint, Record
from isoflop.runner import run
from isoflop.runner.request import RunRequest
from isoflop.track import feed

MODEL = ("model.width=8", "model.depth=1", "launch.threads=1", "meter=none")
SMALLEST, TRIAL = 40, 400
"""Epochs of the smallest run, and of the one whose seconds say how many a long run takes."""
OVERRIDES = {
    "none": ("tracker=none",),
    "csv": ("tracker=csv",),
    "tensorboard": ("tracker=tensorboard",),
    "wandb": ("tracker=wandb", "tracker.mode=offline"),
    "custom": ("tracker=custom",),
}


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds: of the run, of its training, of processor in its process, in calls of its tracker, until its
    tracker had finished."""

    wall: float
    training: float
    processor: float
    calls: float
    after: float


class Timed(feed.Feed):
    """A feed that adds up the seconds of its calls."""

    seconds = 0.0

    def begin(self, attempt: int) -> None:
        """Timed."""
        with stopwatch():
            super().begin(attempt)

    def point(self, point: CurvePoint, steps_done: int, *, most_seconds: float = 0.0) -> None:
        """Timed."""
        with stopwatch():
            super().point(point, steps_done, most_seconds=most_seconds)

    def end(self, finished: tuple[Record, ...]) -> None:
        """Timed."""
        with stopwatch():
            super().end(finished)


@contextlib.contextmanager
def stopwatch() -> Iterator[None]:
    """Add the seconds of what is done within to Timed.seconds."""
    began = time.perf_counter()
    yield
    Timed.seconds += time.perf_counter() - began


def timed(config: Config) -> Timing:
    """Train the run and wait for its tracker."""
    Timed.seconds = 0.0
    clock, used = time.perf_counter(), time.process_time()
    (record,) = run.run(config, RunRequest(again=True))
    wall, used = time.perf_counter() - clock, time.process_time() - used
    assert record.time is not None
    clock = time.perf_counter()
    assert feed.wait(config.directory, 120)
    return Timing(wall, record.time.train_seconds, used, Timed.seconds, time.perf_counter() - clock)


def quartiles(values: list[float], digits: int) -> str:
    """Median (first to third quartile)."""
    first, middle, third = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.{digits}f} ({first:.{digits}f} to {third:.{digits}f})"


def rounds_of(configs: dict[str, Config], rounds: int) -> list[dict[str, Timing]]:
    """Return what each configuration took, round by round."""
    names, rounds_timed = list(configs), []
    for number in range(rounds):
        start = number % len(names)
        rounds_timed.append({name: timed(configs[name]) for name in names[start:] + names[:start]})
    return rounds_timed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="of the long run; 0 leaves it out")
    parser.add_argument("--seconds", type=float, default=60.0, help="of training of the long run")
    parser.add_argument("--small-rounds", type=int, default=30, help="of the smallest run; 0 leaves it out")
    parser.add_argument("--trackers", default="csv,tensorboard,wandb,custom")
    options = parser.parse_args()
    names = ["none", *options.trackers.split(",")]
    feed.Feed = Timed  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:

        def configs(epochs: float) -> dict[str, Config]:
            overrides = {name: (*MODEL, *OVERRIDES[name], f"schedule.epochs={epochs:g}") for name in names}
            return {
                name: dataclasses.replace(compose_config(overrides[name], None), out=str(Path(folder) / name))
                for name in names
            }

        timed(configs(SMALLEST)["none"])
        if options.small_rounds:
            timings = rounds_of(configs(SMALLEST), options.small_rounds)
            base = statistics.median(each["none"].wall for each in timings)
            print(f"smallest run, n = {len(timings)}, load {os.getloadavg()[0]:.2f}: {base:.3f} s alone")
            print(
                f"{'tracker':12} {'wall added, s':>28} {'processor added, s':>28} {'calls, ms':>24}"
                f" {'calls, %':>20} {'after, s':>20}"
            )
            for name in names[1:]:
                wall = quartiles([each[name].wall - each["none"].wall for each in timings], 4)
                used = quartiles([each[name].processor - each["none"].processor for each in timings], 4)
                after = quartiles([each[name].after for each in timings], 2)
                calls = quartiles([1e3 * each[name].calls for each in timings], 2)
                share = quartiles([100 * each[name].calls / each[name].wall for each in timings], 2)
                print(f"{name:12} {wall:>28} {used:>28} {calls:>24} {share:>20} {after:>20}")
        if options.rounds:
            few = configs(TRIAL)["none"]
            epochs = math.ceil(TRIAL * options.seconds / timed(few).training)
            timings = rounds_of(configs(epochs), options.rounds)
            base = statistics.median(each["none"].training for each in timings)
            print(f"{epochs} epochs, n = {len(timings)}, load {os.getloadavg()[0]:.2f}: {base:.1f} s alone")
            print(f"{'tracker':12} {'wall, ratio':>28} {'training, ratio':>28}", end="")
            print(f" {'calls, ms':>20} {'calls, %':>18}")
            for name in names[1:]:
                wall = quartiles([each[name].wall / each["none"].wall for each in timings], 4)
                training = quartiles([each[name].training / each["none"].training for each in timings], 4)
                calls = quartiles([1e3 * each[name].calls for each in timings], 2)
                share = quartiles([100 * each[name].calls / each[name].wall for each in timings], 4)
                print(f"{name:12} {wall:>28} {training:>28} {calls:>20} {share:>18}")


if __name__ == "__main__":
    main()
