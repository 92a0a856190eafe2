#!/usr/bin/env python3
"""Time a training step of ours against other loops: same network, batch, data, precision and optimizer.

usage: python benchmarks/bench_loop.py [--repeats 15] [--runs NAME ...] [--against NAME ...] [--json FILE]

  bare        what people write by hand: gather by index, normalise, forward, backward, fused optimizer
  tuned       the same on batches gathered and normalised beforehand: nothing but the loop
  accelerate  Hugging Face accelerate's loop, on the tuned loop's batches
  lightning   Lightning's Trainer, the same
  hf          transformers' Trainer, the same
  airbench    on a GPU: airbench's own network and training, whole, against our step on that network

Contestants take turns in one process, in an order that rotates; a ratio is ours / theirs of one turn, above 1
where ours is slower. Each framework meets ours in a process of its own, as importing one slows the others'
optimizers (it loads torch's compiler, which wraps their steps). Ours runs as in a real run: schedule,
divergence check and, on a GPU, the energy meter.
The frameworks' set-up is not timed. What is not installed is named and left out:
pip install -c constraints.txt -e '.[all]' airbench      (not part of this project)
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isoflop.config import Config, compose
from isoflop.meter.device.hardware import describe_cpu
from isoflop.meter.energy.window_meter import WindowMeter
from isoflop.runner.energy import gpu_uuids
from isoflop.train import models, schedule
from isoflop.train.data import DataSet, ImageSet, Part, sets
from isoflop.train.loop import Trainer
from isoflop.train.step import EngineKind
from isoflop.train.step.choice import NAMED

sys.path.insert(0, str(Path(__file__).parent))
import bench_loop_others as others

RUNS = {
    "mlp w8 d1, digits": (["model=mlp", "model.width=8", "model.depth=1", "optim=adamw"], "digits", 400),
    "resnet w1 d1, digits": (["model=resnet", "model.width=1", "optim=sgd"], "digits", 60),
    "resnet w16 d3, digits": (
        ["model=resnet", "model.width=16", "model.depth=3", "optim=sgd"],
        "digits",
        8,
    ),
    "resnet w16 d1, cifar-shaped": (["model=resnet", "model.width=16", "optim=sgd"], "random", 4),
}
GPU_STEPS = 200
BY_HAND, APART = ("bare", "tuned"), ("accelerate", "lightning", "hf", "airbench")
Contestant = Callable[[int], float]
"""Takes a number of steps and returns the seconds that they took."""


def random_images(device: torch.device) -> ImageSet:
    """Return noise with the shape of CIFAR-10, a tenth of its size."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (5000, 3, 32, 32), dtype=torch.uint8, generator=draw).to(device)
    part = Part(images, torch.randint(0, 10, (5000,), generator=draw).to(device))
    one = torch.ones(1, 3, 1, 1, device=device)
    return ImageSet("random", 10, part, part, part, 127 * one, 74 * one, "")


def task(overrides: list[str], name: str, device: torch.device, step: str) -> others.Task:
    """Return what all contestants train."""
    common = [f"launch.device={device.type}", f"launch.step={step}", "schedule=steps"]
    config = compose.compose_config([*overrides, *common], None)
    images = sets.load(config.data, device) if name == "digits" else random_images(device)
    return others.Task(config, images, device)


def ours(
    config: Config,
    data: DataSet,
    device: torch.device,
    steps: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Contestant:
    """Return our trainer, as `isoflop run` uses it between two evaluations.

    Args:
        config: what it trains.
        data: what it trains on, on `device`.
        device: where it trains.
        steps: after so many it starts anew.
        clock: returns seconds.
    """
    trainer = Trainer(config, data, steps, device)
    trainer.warm_up()
    factors = schedule.learning_rates(config.schedule, steps)
    uuids = gpu_uuids(device)
    meter = WindowMeter(uuids, period_seconds=0.1, idle_seconds=0).__enter__() if uuids else None

    def take(number: int) -> float:
        if trainer.step + number > steps:
            trainer.restart()
        began = clock()
        if meter:
            meter.begin()
        trainer.advance(trainer.step + number, factors)
        trainer.synchronise()
        if meter:
            meter.end()
        trainer.check_finite()
        return clock() - began

    return take


def built(given: others.Task) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """Return a network and optimizer of a contestant's own: torch's fused one, over all parameters."""
    config, data = given.config, given.data
    model = models.build(config.model, data.input_shape, data.classes, seed=0, device=given.device)
    model = model.to(memory_format=given.memory_format).train()
    if config.optim.name == "sgd":
        momentum = config.optim.momentum or 0.0
        return model, torch.optim.SGD(
            model.parameters(), lr=config.optim.lr, momentum=momentum, nesterov=True, fused=True
        )
    return model, torch.optim.AdamW(
        model.parameters(), lr=config.optim.lr, betas=config.optim.betas or (0.9, 0.99), fused=True
    )


def by_hand(given: others.Task, *, gathered: bool) -> Contestant:
    """Return a plain loop; with `gathered` its batches are ready before the clock starts."""
    model, optimizer = built(given)
    stream: Iterator[tuple[Tensor, Tensor]] = given.batches() if gathered else gathering(given)
    rates = schedule.learning_rates(given.config.schedule, 10_000)
    taken, peak, autocast = 0, given.config.optim.lr, given.autocast

    def take(number: int) -> float:
        nonlocal taken
        began = time.perf_counter()
        for _ in range(number):
            for group in optimizer.param_groups:
                group["lr"] = peak * rates[taken % len(rates)]
            images, labels = next(stream)
            optimizer.zero_grad(set_to_none=True)
            if given.mixed:
                with autocast:
                    loss = torch.nn.functional.cross_entropy(model(images), labels)
            else:
                loss = torch.nn.functional.cross_entropy(model(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            taken += 1
        given.synchronise()
        return time.perf_counter() - began

    return take


def gathering(given: others.Task) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield shuffled batches of the set on the device, gathered and normalised one by one."""
    data, size = given.data, given.config.optim.batch_size
    while True:
        order = torch.randperm(len(data.train), device=given.device)
        for at in range(0, len(order) - size + 1, size):
            picked = order[at : at + size]
            images = data.train.images[picked].to(torch.float32, memory_format=given.memory_format)
            yield (images - data.mean) / data.std, data.train.labels[picked]


def contestants(given: others.Task, wanted: list[str], steps: int) -> dict[str, Contestant]:
    """Return those wanted that are installed; the others are named on stderr."""
    made: dict[str, Contestant] = {"ours": ours(given.config, given.data, given.device, steps)}
    makers: dict[str, Callable[[], Contestant]] = {
        "bare": lambda: by_hand(given, gathered=False),
        "tuned": lambda: by_hand(given, gathered=True),
        "accelerate": lambda: others.accelerate(given, *built(given)),
        "lightning": lambda: others.lightning(given, *built(given)),
        "hf": lambda: others.transformers(given, *built(given)),
    }
    for name in wanted:
        try:
            if name in makers:
                made[name] = makers[name]()
        except ModuleNotFoundError as error:
            print(f"{name} left out: {error.name} is not installed (see --help)", file=sys.stderr)
    return made


def turns(made: dict[str, Contestant], steps: int, repeats: int) -> dict[str, list[float]]:
    """Return the seconds per step of each contestant in each turn; the first turn, a warm-up, is dropped."""
    seconds: dict[str, list[float]] = {name: [] for name in made}
    names = list(made)
    for turn in range(repeats + 1):
        at = turn % len(names)
        for name in names[at:] + names[:at]:
            took = made[name](steps) / steps
            if turn:
                seconds[name].append(took)
    return seconds


@dataclasses.dataclass(frozen=True)
class Row:
    """Ours / theirs over the turns: median, quartiles; and the median microseconds of a step."""

    run: str
    against: str
    ratio: float
    low: float
    high: float
    n: int
    our_microseconds: float
    their_microseconds: float


def row(run: str, name: str, our: list[float], their: list[float]) -> Row:
    """Compare turn by turn, so that what else the machine does cancels."""
    ratios = sorted(a / b for a, b in zip(our, their, strict=True))
    low, middle, high = statistics.quantiles(ratios, n=4)
    micro = [1e6 * statistics.median(each) for each in (our, their)]
    return Row(run, name, middle, low, high, len(ratios), *micro)


def environment(device: torch.device, threads: int, load: float) -> dict[str, Any]:
    """Return the circumstances that the ratios belong to."""
    packages = ("torch", "lightning", "transformers", "accelerate", "airbench")
    versions = {"python": platform.python_version()}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    cores = os.cpu_count()
    return {
        "device": gpu or describe_cpu(),
        "cores": cores,
        "threads": threads,
        "load_average_before": round(load, 1),
        "versions": versions,
        "command": " ".join(["python", *sys.argv]),
    }


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--runs", nargs="*", default=list(RUNS), choices=list(RUNS))
    everyone = [*BY_HAND, *APART]
    parser.add_argument("--against", nargs="*", default=everyone, choices=everyone)
    parser.add_argument("--step", default="auto", choices=["auto", *NAMED])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=lambda name: Path(name).resolve())
    return parser.parse_args()


def measured(given: argparse.Namespace, device: torch.device) -> list[Row]:
    """Return the rows of contestants that may share a process."""
    rows: list[Row] = []
    if "airbench" in given.against:
        return airbench(device, given.repeats, "graph" if given.step == "auto" else given.step)
    for run in given.runs:
        overrides, name, steps = RUNS[run]
        steps = GPU_STEPS if device.type == "cuda" else steps
        made = contestants(task(overrides, name, device, given.step), given.against, 20 * steps)
        seconds = turns(made, steps, given.repeats)
        rows += [row(run, each, seconds["ours"], seconds[each]) for each in made if each != "ours"]
    return rows


def apart(given: argparse.Namespace, against: list[str]) -> list[Row]:
    """Return the rows of one group, measured by this script in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        options = [f"--repeats={given.repeats}", f"--step={given.step}", f"--threads={given.threads}"]
        command = [sys.executable, __file__, *options, "--runs", *given.runs, "--against", *against]
        subprocess.run([*command, "--json", file], check=True, stdout=subprocess.DEVNULL)
        return [Row(**each) for each in json.loads(file.read_text())["rows"]]


def main() -> None:
    """Print the table."""
    given = arguments()
    torch.set_num_threads(given.threads)
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    groups = [[name for name in BY_HAND if name in given.against]]
    groups += [[name] for name in APART if name in given.against]
    groups = [group for group in groups if group]
    load = os.getloadavg()[0]
    if len(groups) == 1:
        rows = measured(given, device)
    else:
        rows = [each for group in groups for each in apart(given, group)]
    rows.sort(key=lambda each: list(RUNS).index(each.run) if each.run in RUNS else len(RUNS))
    circumstances = environment(device, given.threads, load)
    for key, value in circumstances.items():
        print(f"{key}: {value}")
    head = f"{'run':30} {'against':11} {'ours/theirs':>11}  {'quartiles':13} {'n':>3}"
    print(f"{head} {'us a step (ours, theirs)':>26}")
    for r in rows:
        print(
            f"{r.run:30} {r.against:11} {r.ratio:11.3f}  {r.low:5.3f} - {r.high:5.3f} {r.n:3d} "
            f"{r.our_microseconds:13.0f} {r.their_microseconds:12.0f}"
        )
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(
            {"environment": circumstances, "rows": [dataclasses.asdict(r) for r in rows]}, indent=1
        )
        given.json.write_text(text + "\n")


def airbench(device: torch.device, repeats: int, kind: EngineKind) -> list[Row]:
    """Return one row against airbench's own training, or none after a line that says why.

    Args:
        device: where both train.
        repeats: turns, of which five at most are taken: each is a whole training of theirs.
        kind: our engine.
    """
    if device.type != "cuda":
        print("airbench left out: it needs a GPU", file=sys.stderr)
        return []
    try:
        theirs, mine, steps = others.airbench(device, random_images(device), kind)
    except ModuleNotFoundError as error:
        print(f"airbench left out: {error.name} is not installed (see --help)", file=sys.stderr)
        return []
    seconds = turns({"ours": mine, "airbench": theirs}, steps, min(repeats, 5))
    return [row(f"airbench94's network, {kind}", "airbench", seconds["ours"], seconds["airbench"])]


if __name__ == "__main__":
    main()
