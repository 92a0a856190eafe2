#!/usr/bin/env python3
"""Time a training step by engine and shape, with its share of the peak (MFU) and of the roofline.

usage: python benchmarks/bench_step.py [--shapes w4d1 ...] [--engines NAME ...] [--repeats 5] [--json FILE]

  graph           the whole step as a CUDA graph (static: the same step uncaptured, on a CPU)
  compile         forward and backward passes compiled, called from Python
  compiled_graph  the compiled passes inside the graph (compiled_static on a CPU)
  several:N       N seeds of the shape in one graph; its microseconds are those of a step of one seed. It is
                  for narrow networks and left out above width 16

Images are noise of CIFAR-10's shape, precision is `auto`. Each engine is prepared once, then engines take
turns, so that what else the machine does meets all of them; a figure is the median of the turns. `ready` is
what compiling and capturing took: run twice to see it on a warm cache, which is the user's unless
TORCHINDUCTOR_CACHE_DIR names another. Shares of the roofline need `isoflop doctor --measure` first. A share
above 1 says that fewer bytes moved than a step without fusion moves.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch

from isoflop.config import Config, compose
from isoflop.meter.device import ceilings, peaks, roofline
from isoflop.meter.device.hardware import describe_cpu
from isoflop.runner.assemble import BYTES_PER_ELEMENT
from isoflop.runner.prepare import count_flops
from isoflop.train import precision, step
from isoflop.train.data import ImageSet, Part
from isoflop.train.loop import Trainer, deterministic

SHAPES = ("w4d1", "w8d1", "w64d3", "w128d3")
ON_GPU = ("graph", "compile", "compiled_graph", "several:4")
ON_CPU = ("eager", "static", "several:2")
IMAGE_SHAPE, CLASSES = (3, 32, 32), 10
NARROW_WIDTH = 16
TURN_SECONDS = 0.5
"""A turn takes at least so long, so that the clock and the last synchronisation weigh little."""
Advance = Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class Row:
    """One engine at one shape; shares are None where the device's peak or ceilings are unknown."""

    shape: str
    engine: str
    microseconds: float | None
    ready_seconds: float | None
    mfu: float | None
    roofline_share: float | None
    problem: str | None


def noise(device: torch.device) -> ImageSet:
    """Return images of CIFAR-10's shape, enough for a few batches."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8192, *IMAGE_SHAPE), dtype=torch.uint8, generator=draw).to(device)
    part = Part(images, torch.randint(0, CLASSES, (8192,), generator=draw).to(device))
    one = torch.ones(1, 3, 1, 1, device=device)
    return ImageSet("noise", CLASSES, part, part, part, 127 * one, 74 * one, "")


def config_of(shape: str, batch: int) -> Config:
    """Return the run of a shape such as w64d3."""
    match = re.fullmatch(r"w(\d+)d(\d+)", shape)
    if not match:
        raise SystemExit(f"--shapes {shape}: write width and depth as w64d3")
    words = [f"model.width={match[1]}", f"model.depth={match[2]}", f"optim.batch_size={batch}"]
    return compose.compose_config(["model=resnet", "optim=sgd", *words], None)


def one(kind: step.EngineKind, config: Config, data: ImageSet, device: torch.device, steps: int) -> Advance:
    """Return how to advance one network by some steps."""
    trainer = Trainer(config, data, steps, device, kind=kind)
    trainer.warm_up()

    def advance(number: int) -> None:
        trainer.restart()
        trainer.advance(number, (0.1,) * number)

    return advance


def several(number: int, config: Config, data: ImageSet, device: torch.device, steps: int) -> Advance:
    """Return how to advance `number` seeds of the shape in one graph."""
    trainers = [
        Trainer(dataclasses.replace(config, seed=seed), data, steps, device, kind="static")
        for seed in range(number)
    ]
    parts = [
        step.Parts(
            each.model,
            each.optimizers,
            None,
            each.loss_sum,
            each.autocast if each.is_mixed else None,
            label_smoothing=0.0,
        )
        for each in trainers
    ]
    streams = [each._batches for each in trainers]
    engine = step.Several(parts, streams, steps, capture=device.type == "cuda")
    engine.prepare(streams)

    def advance(wanted: int) -> None:
        engine.advance(streams, [(0.1,) * wanted] * number)

    return advance


def prepared(
    engine: str, config: Config, data: ImageSet, device: torch.device, steps: int
) -> tuple[Advance, float]:
    """Return how to advance, and the seconds that getting ready took."""
    began = time.perf_counter()
    if engine.startswith("several:"):
        advance = several(int(engine.partition(":")[2]), config, data, device, steps)
    else:
        advance = one(cast(step.EngineKind, engine), config, data, device, steps)
    synchronise(device)
    return advance, time.perf_counter() - began


def synchronise(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(advance: Advance, number: int, device: torch.device) -> float:
    """Return the seconds of so many steps."""
    synchronise(device)
    began = time.perf_counter()
    advance(number)
    synchronise(device)
    return time.perf_counter() - began


def measured(shape: str, given: argparse.Namespace, data: ImageSet, device: torch.device) -> list[Row]:
    """Return a row for each engine at one shape; what fails becomes a row with its reason."""
    config, ready, rows = config_of(shape, given.batch), {}, []
    wide = (config.model.width or 0) > NARROW_WIDTH
    for engine in given.engines:
        if wide and engine.startswith("several:"):
            continue
        try:
            ready[engine] = prepared(engine, config, data, device, given.most_steps)
        except Exception as error:  # another engine may work, and the time on the device is short
            first = next(iter(str(error).splitlines()), "")
            rows.append(Row(shape, engine, None, None, None, None, f"{type(error).__name__}: {first}"))
            print(f"{shape} {engine}: {rows[-1].problem}", file=sys.stderr, flush=True)
    seconds: dict[str, list[float]] = {engine: [] for engine in ready}
    numbers = {
        engine: steps_a_turn(seconds_of(advance, 3, device) / 3, given.most_steps)
        for engine, (advance, _) in ready.items()
    }
    for _ in range(given.repeats):
        for engine, (advance, _) in ready.items():
            seconds[engine].append(seconds_of(advance, numbers[engine], device) / numbers[engine])
    for engine, (_, took) in ready.items():
        seeds = int(engine.partition(":")[2] or 1)
        rows.append(row(shape, engine, statistics.median(seconds[engine]) / seeds, took, config, device))
    return rows


def steps_a_turn(seconds_a_step: float, most: int) -> int:
    """Return how many steps make a turn of TURN_SECONDS."""
    return max(3, min(most, round(TURN_SECONDS / seconds_a_step)))


def row(shape: str, engine: str, seconds: float, ready: float, config: Config, device: torch.device) -> Row:
    """Return a row with its shares.

    Args:
        shape: such as w64d3.
        engine: as on the command line.
        seconds: of a step of one network.
        ready: seconds of compiling and capturing.
        config: the run.
        device: where it ran.
    """
    batch = config.optim.batch_size
    count = count_flops(config.model, IMAGE_SHAPE, CLASSES, batch)
    dtype = precision.resolve(config.precision.compute, device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else describe_cpu()
    mfu = share = None
    if count.train_flops_per_example is not None and device.type == "cuda":
        rate = batch * count.train_flops_per_example / seconds
        memory = float(torch.cuda.get_device_properties(device).total_memory)
        peak = peaks.peak_rate(name, dtype, memory)
        mfu = roofline.mfu(rate, peak) if peak else None
        ceiling, _ = ceilings.find(name, dtype, 0)
        if ceiling and count.train_elements_per_example:
            moved = BYTES_PER_ELEMENT[dtype] * count.train_elements_per_example
            roof = roofline.roof_flops_per_second(ceiling, count.train_flops_per_example / moved)
            share = rate / roof
    return Row(shape, engine, 1e6 * seconds, ready, mfu, share, None)


def arguments(device: torch.device) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES))
    parser.add_argument("--engines", nargs="*", default=list(ON_GPU if device.type == "cuda" else ON_CPU))
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--most-steps", type=int, default=400)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    """Print a line as each engine of a shape is done, and write the JSON after each shape."""
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    given = arguments(device)
    torch.set_num_threads(1)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else describe_cpu()
    facts = {"device": name, "torch": str(torch.__version__), "python": platform.python_version()}
    facts |= {"batch": str(given.batch), "command": " ".join(["python", *sys.argv])}
    data, rows = noise(device), []
    print(f"{'shape':8} {'engine':15} {'us a step':>10} {'ready s':>8} {'MFU':>7} {'roofline':>9}")
    with deterministic(False):
        for shape in given.shapes:
            for each in measured(shape, given, data, device):
                rows.append(each)
                if each.problem is None:
                    print(line(each), flush=True)
            if given.json:
                write(given.json, facts, rows)


def line(each: Row) -> str:
    """Return a row of the table."""
    shares = ["-" if share is None else f"{share:.1%}" for share in (each.mfu, each.roofline_share)]
    micro, ready = each.microseconds, each.ready_seconds
    return f"{each.shape:8} {each.engine:15} {micro:10.0f} {ready:8.1f} {shares[0]:>7} {shares[1]:>9}"


def write(path: Path, facts: dict[str, Any], rows: list[Row]) -> None:
    """Write what is known so far."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"environment": facts, "rows": [dataclasses.asdict(each) for each in rows]}, indent=1)
    path.write_text(text + "\n")


if __name__ == "__main__":
    main()
