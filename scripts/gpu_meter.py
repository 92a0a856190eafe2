#!/usr/bin/env python3
"""Accuracy of a GPU's sensors: update periods, counter against integral, joules of n and of 2n steps.

usage: python scripts/gpu_meter.py PART [--uuid GPU-...] [--scale 1.0]

  sensor        update periods of power and counter, read every 5 ms for 20 s, the load coming and going
  idle, load    5 windows each of 5, 20 and 60 s within one measurement of 300 s: counter / integral
  double        n steps and 2n steps, about 15 and 30 s, 3 times: the ratio of their joules

Prints one CSV line per figure. `--scale` shortens every duration, for rehearsals. Without a GPU, --uuid names
a GPU of the tests' stub of NVML, and the figures are the stub's.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import torch

from isoflop.meter.device import nvml
from isoflop.meter.energy.polls import Window
from isoflop.meter.energy.window_meter import WindowMeter
from isoflop.runner.energy import gpu_uuids

WINDOWS, REPEATS = (5.0, 20.0, 60.0), 5


def work() -> Callable[[], None]:
    """Return a function that runs a matrix product that fills the device, and synchronizes."""
    on_gpu = torch.cuda.is_available()
    size, kind = (8192, torch.bfloat16) if on_gpu else (256, torch.float32)
    left = torch.randn(size, size, device="cuda" if on_gpu else "cpu", dtype=kind)

    def step() -> None:
        left @ left
        if on_gpu:
            torch.cuda.synchronize()

    return step


def keep_busy(step: Callable[[], None], seconds: float) -> int:
    """Call `step` for that long and return the number of steps."""
    end, steps = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        step()
        steps += 1
    return steps


def sensor(uuid: str, scale: float) -> Iterator[str]:
    """Yield the time between changes of each reading while the load comes and goes: median, least, most."""
    nvml.start()
    gpu, step = nvml.device_by_uuid(uuid), work()
    readings: dict[str, list[tuple[float, float]]] = {"power": [], "counter": []}
    end, deadline = time.monotonic() + 20 * scale, time.monotonic()
    while time.monotonic() < end:
        if int(time.monotonic() * 3) % 2:  # a third of a second of load, a third of rest
            step()
        readings["power"].append((time.monotonic(), nvml.watts(gpu)))
        if (joules := nvml.counter_joules(gpu)) is not None:
            readings["counter"].append((time.monotonic(), joules))
        deadline = max(deadline + 0.005, time.monotonic())
        time.sleep(max(0.0, deadline - time.monotonic()))
    nvml.stop()
    for name, pairs in readings.items():
        changes = [b for a, b in itertools.pairwise(pairs) if a[1] != b[1]]
        gaps = [b[0] - a[0] for a, b in itertools.pairwise(changes)]
        rises = [b[1] - a[1] for a, b in itertools.pairwise(changes)]
        if gaps:
            middle, low, high = statistics.median(gaps), min(gaps), max(gaps)
            yield f"{name},{gpu.power_field},{middle:.4f},{low:.4f},{high:.4f},{len(gaps)}"
            yield f"{name} step,,{statistics.median(map(abs, rises)):.3f},,,{len(rises)}"


def windows(uuid: str, scale: float, step: Callable[[], None] | None) -> Iterator[str]:
    """Yield counter / integral of windows of each length."""
    longest = max(WINDOWS) * REPEATS * scale
    with WindowMeter((uuid,), period_seconds=0.1) as meter:
        meter.begin()
        if step:
            keep_busy(step, longest)
        else:
            time.sleep(longest)
        meter.end()
        (whole,) = meter.windows
        for length in WINDOWS:
            for repeat in range(REPEATS):
                begin = whole.begin_seconds + repeat * max(WINDOWS) * scale
                energy, reason = meter.measurement((Window(begin, begin + length * scale),))
                if energy is None or energy.counter_joules is None or energy.integral_joules is None:
                    yield f"{length},{repeat},unknown,{reason},,"
                    continue
                ratio = energy.counter_joules / energy.integral_joules
                watts = energy.energy_joules / energy.window_seconds
                yield f"{length},{repeat},{ratio:.5f},{watts:.2f},{energy.coverage:.4f},{energy.grade}"


def double(uuid: str, scale: float) -> Iterator[str]:
    """Yield joules of 2n steps / joules of n steps, after the same warm-up."""
    step = work()
    steps = keep_busy(step, 15 * scale)
    for repeat in range(3):
        joules = []
        for factor in (1, 2):
            with WindowMeter((uuid,), period_seconds=0.1) as meter:
                meter.begin()
                for _ in range(factor * steps):
                    step()
                meter.end()
                energy, reason = meter.measurement()
            joules.append(energy.energy_joules if energy else float("nan"))
            yield f"{repeat},{factor * steps} steps,{joules[-1]:.2f} J,{energy.grade if energy else reason}"
        yield f"{repeat},ratio,{joules[1] / joules[0]:.4f},"


def main() -> None:
    """Print the figures of one part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=["sensor", "idle", "load", "double"])
    parser.add_argument("--uuid")
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    uuid = given.uuid or gpu_uuids(torch.device("cuda", 0))[0]
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "sensor": lambda: sensor(uuid, given.scale),
        "idle": lambda: windows(uuid, given.scale, None),
        "load": lambda: windows(uuid, given.scale, work()),
        "double": lambda: double(uuid, given.scale),
    }
    for line in parts[given.part]():
        print(line, flush=True)


if __name__ == "__main__":
    main()
