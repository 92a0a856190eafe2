#!/usr/bin/env python3
"""Bytes a second of our loop on language models beside other loops: same network, batch, precision, clipping.

usage: python benchmarks/bench_language.py [--nanogpt DIR] [--repeats 21] [--clock processor] [--json FILE]

  nanogpt  nanoGPT's train.py in DIR, a checkout of github.com/karpathy/nanoGPT: the script itself, unchanged,
           with its own options; only the network that it imports is ours, with torch's fused AdamW
  hf       transformers' Trainer with its own optimizer, data loader and schedule, without logging and saving

The text is data=python. All train in fp32 on a CPU and in bf16 on a GPU, with AdamW, fused, and gradients
clipped at norm 1. Ours is what `isoflop run recipe=language` trains, between two evaluations. Each contestant
reads and batches the text as it always does: ours and Trainer every window once, in random order, nanoGPT
from a memory-mapped file at random places. What comes before and after the steps is not timed.

Each meets ours in a process of its own, where the two take turns; a ratio is ours / theirs of one turn, and
above 1 where ours is slower. On a CPU that others use, `--clock processor` counts the process's processor
seconds instead of elapsed ones. Who is not there is named and left out:
pip install -c constraints.txt -e '.[train]' transformers accelerate      (not part of this project)
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from isoflop.config import Config, compose
from isoflop.train.data import TextSet, load
from isoflop.train.step.choice import NAMED

sys.path.insert(0, str(Path(__file__).parent))
import bench_language_others as others
import bench_loop
from bench_loop import Contestant, Row


@dataclasses.dataclass(frozen=True)
class Shape:
    """A network and its batch.

    Attributes:
        width, depth, context: of the network.
        batch_size: bytes predicted a step.
        cpu_steps: steps of a turn on a CPU: whole chunks of windows, as ours gathers many batches at a time.
    """

    width: int
    depth: int
    context: int
    batch_size: int
    cpu_steps: int

    def config(self, device: torch.device, step: str) -> Config:
        """Return the run; `step` is launch.step."""
        overrides = {
            "recipe": "language",
            "model.width": self.width,
            "model.depth": self.depth,
            "model.head_width": HEAD_WIDTH,
            "model.context": self.context,
            "optim.batch_size": self.batch_size,
            "launch.device": device.type,
            "launch.step": step,
        }
        return compose.compose_config([f"{key}={value}" for key, value in overrides.items()], None)


SHAPES = {
    "w16 d1, context 64": Shape(16, 1, 64, 2048, 96),
    "w64 d2, context 256": Shape(64, 2, 256, 4096, 16),
}
GPU_STEPS = 256
HEAD_WIDTH = 16
EVERYONE = ("nanogpt", "hf")
CLOCKS = {"elapsed": time.perf_counter, "processor": time.process_time}


@dataclasses.dataclass(frozen=True)
class Options:
    """What every process needs to know."""

    shapes: tuple[str, ...]
    nanogpt: Path | None
    repeats: int
    step: str
    threads: int
    clock: str

    def contestant(self, name: str, task: others.Task) -> Contestant:
        """Return a loop beside ours."""
        if name == "hf":
            return others.hf(task)
        assert self.nanogpt is not None
        return others.nanogpt(task, self.nanogpt)

    def problem(self, name: str) -> str | None:
        """Return why a contestant cannot take part; None if it can."""
        if name == "nanogpt" and self.nanogpt is None:
            return "give --nanogpt DIR, a checkout of github.com/karpathy/nanoGPT"
        packages = ("transformers", "accelerate") if name == "hf" else ()
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        return f"{' and '.join(missing)} not installed (see --help)" if missing else None


def rows(name: str, given: Options) -> list[Row]:
    """Return ours beside one contestant, at each shape."""
    torch.set_num_threads(given.threads)
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    made = []
    for shape_name in given.shapes:
        shape = SHAPES[shape_name]
        config = shape.config(device, given.step)
        data = load(config, device)
        assert isinstance(data, TextSet)
        steps = GPU_STEPS if device.type == "cuda" else shape.cpu_steps
        ours = bench_loop.ours(config, data, device, steps * (given.repeats + 1), CLOCKS[given.clock])
        with tempfile.TemporaryDirectory() as folder:
            task = others.Task(config, data, device, Path(folder), CLOCKS[given.clock])
            both = {"ours": ours, name: given.contestant(name, task)}
            seconds = bench_loop.turns(both, steps, given.repeats)
        made.append(bench_loop.row(shape_name, name, seconds["ours"], seconds[name]))
    return made


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nanogpt", type=lambda name: Path(name).resolve(), metavar="DIR")
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--against", nargs="*", default=list(EVERYONE), choices=EVERYONE)
    parser.add_argument("--step", default="auto", choices=["auto", *NAMED])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", default="elapsed", choices=CLOCKS)
    parser.add_argument("--json", type=lambda name: Path(name).resolve())
    given = parser.parse_args()
    if given.nanogpt and not (given.nanogpt / "train.py").is_file():
        parser.error(
            f"--nanogpt: {given.nanogpt} has no train.py: give a checkout of github.com/karpathy/nanoGPT"
        )
    if given.clock == "processor" and (torch.cuda.is_available() or given.threads > 1):
        parser.error("--clock processor needs a CPU and --threads 1: leave it out")
    if given.repeats < 2:
        parser.error("--repeats must be at least 2, for quartiles")
    return given


def main() -> None:
    """Print the table."""
    given = arguments()
    options = Options(
        tuple(given.shapes), given.nanogpt, given.repeats, given.step, given.threads, given.clock
    )
    load_before = os.getloadavg()[0]
    made: list[Row] = []
    for name in given.against:
        problem = options.problem(name)
        if problem:
            print(f"{name} left out: {problem}", file=sys.stderr)
            continue
        # A process each: importing one framework slows the others' optimizers (bench_loop.py).
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            made += process.submit(rows, name, options).result()
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    circumstances = bench_loop.environment(device, given.threads, load_before)
    for key, value in circumstances.items():
        print(f"{key}: {value}")
    head = f"{'shape':20} {'against':8} {'ours/theirs':>11}  {'quartiles':13} {'n':>3}"
    print(f"{head} {'kB a second (ours, theirs)':>27} {'us a step (ours, theirs)':>25}")
    for r in made:
        speeds = [1e3 * SHAPES[r.run].batch_size / us for us in (r.our_microseconds, r.their_microseconds)]
        print(
            f"{r.run:20} {r.against:8} {r.ratio:11.3f}  {r.low:5.3f} - {r.high:5.3f} {r.n:3d} "
            f"{speeds[0]:14.0f} {speeds[1]:12.0f} {r.our_microseconds:12.0f} {r.their_microseconds:12.0f}"
        )
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        table = {"environment": circumstances, "rows": [dataclasses.asdict(r) for r in made]}
        given.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
