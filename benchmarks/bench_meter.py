#!/usr/bin/env python3
"""Cost of metering: step time with the meter on against off, and the sampler's share of a core.

usage: python benchmarks/bench_meter.py [--uuid GPU-...] [--pairs 200] [--period 0.1] [--threads N]

Blocks of steps with the sampler running alternate with blocks in which it is stopped (SIGSTOP), in one
process. Without --uuid the sampler reads the tests' stub of NVML, which needs a C compiler: its watts are
made up, the cost of reading them is real (a driver's own calls may take longer).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from isoflop.meter.energy.energy_meter import wait_for_cuda
from isoflop.meter.energy.window_meter import WindowMeter

STUB = Path(__file__).parents[1] / "tests/meter/nvml_stub.c"
STUB_UUID = "GPU-00000000-0000-0000-0000-000000000000"
BLOCK_SECONDS = 0.5
STEP_TARGET, CORE_TARGET = 1.005, 0.01


@contextlib.contextmanager
def stubbed() -> Iterator[None]:
    """Put the stub into the library path of processes started inside the context."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "libnvidia-ml.so.1"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, STUB, "-lm"], check=True)
        os.environ["LD_LIBRARY_PATH"] = folder
        yield


def training_step() -> Callable[[], None]:
    """Return a training step of a small network, about a millisecond on a CPU core."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    width = 4096 if device == "cuda" else 256
    model = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(3))).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    images = torch.randn(128, width, device=device)

    def step() -> None:
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()

    return step


def block(step: Callable[[], None], steps: int) -> tuple[float, float]:
    """Return seconds and processor seconds of `steps` steps; other programs disturb the second much less."""
    began, used = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    wait_for_cuda()
    return time.perf_counter() - began, time.process_time() - used


def core_seconds(pid: int) -> float:
    """Return the processor time the process has used, in seconds over all its threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) * 1e-9


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--uuid", help="a GPU (default: the stub)")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--period", type=float, default=0.1)
    parser.add_argument("--threads", type=int, help="torch's threads (default: its own choice)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    step = training_step()
    block(step, 50)
    steps = max(10, int(BLOCK_SECONDS / (block(step, 50)[0] / 50)))
    pairs, polls = [], Path(tempfile.mkdtemp()) / "polls.jsonl"
    with (
        contextlib.nullcontext() if options.uuid else stubbed(),
        WindowMeter([options.uuid or STUB_UUID], period_seconds=options.period, polls_path=polls) as meter,
    ):
        assert meter.has_readings, meter.measurement()[1]
        pid = meter.sampler_pid
        assert pid is not None
        on_seconds, used, size = 0.0, core_seconds(pid), polls.stat().st_size
        for pair in range(options.pairs):
            took = {}
            # The order alternates, so that a drift of the machine does not favour one side.
            for running in (True, False) if pair % 2 else (False, True):
                os.kill(pid, signal.SIGCONT if running else signal.SIGSTOP)
                if running:
                    meter.begin()
                took[running] = block(step, steps)
                if running:
                    meter.end()
                    on_seconds += took[running][0]
            pairs.append([on / off for on, off in zip(took[True], took[False], strict=True)])
        share = (core_seconds(pid) - used) / on_seconds
        rate = (polls.stat().st_size - size) / on_seconds
        os.kill(pid, signal.SIGCONT)
    threads = torch.get_num_threads()
    print(f"{options.pairs} pairs of {steps} steps, {threads} threads, polls every {options.period} s")
    for name, ratios in zip(("step time", "its processor time"), zip(*pairs, strict=True), strict=True):
        low, ratio, high = statistics.quantiles(ratios, n=4)
        spread = f"quartiles {low:.4f} to {high:.4f}"
        print(f"{name + ', on / off:':28}{ratio:.4f} ({spread}; wanted {STEP_TARGET})")
    print(f"{'sampler, share of a core:':28}{share:.4%} (wanted {CORE_TARGET:.0%})")
    print(f"{'polls kept:':28}{rate:.0f} bytes a second")


if __name__ == "__main__":
    main()
