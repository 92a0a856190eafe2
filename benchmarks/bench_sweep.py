#!/usr/bin/env python3
"""Time what a sweep costs besides training: expanding the grid, finding missing runs, launching processes.

usage: python benchmarks/bench_sweep.py [--runs 10000] [--epochs 400] [--skip-launchers]

The launcher's overhead is wall time per run with one process at a time, less the time of run() in a process
that has executed such a run before. The last figure is 20 runs under Hydra's basic launcher and with two
processes, each a command of its own, one after the other: other work on the machine shows in both.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from isoflop import config
from isoflop import record as records
from isoflop.config import Config
from isoflop.config.compose import compose_config
from isoflop.runner.run import run
from isoflop.sweep import grid, retry, status
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import launch
from isoflop.sweep.local.launch import Slots

TINY = ("model=mlp", "model.width=8", "model.depth=1", "schedule.epochs=1", "launch.threads=1")
SMALL_SWEEP = ("model=mlp", "model.width=8,16", "model.depth=1", "seed=range(0,10)", "launch.threads=1")


def configure(folder: Path, *overrides: str) -> Config:
    """Return a configuration that writes to `folder`."""
    return config.from_dict(config.to_dict(compose_config(overrides, None)) | {"out": str(folder)})


def large_sweep(number: int, folder: Path) -> Config:
    """Return a sweep of `number` runs, a tenth of whose grid is there twice."""
    shapes, seeds = number // 10, 10
    widths = [*range(1, shapes // 10 + 1), *range(1, shapes // 100 + 1)]
    axes = f"model: {{width: {widths}, depth: {list(range(1, 11))}}}, seed: {list(range(seeds))}"
    return configure(folder, f"sweep.grid={{{axes}}}")


def write_records(planned_runs: tuple[PlannedRun, ...], folder: Path) -> None:
    """Write a done record for nine of ten runs."""
    (template,) = run(configure(folder / "one", *TINY))
    (folder / "records").mkdir(parents=True, exist_ok=True)
    for index, planned in enumerate(planned_runs):
        if index % 10:
            record = dataclasses.replace(template, run_id=planned.run_id)
            payload = msgspec.json.format(msgspec.json.encode(record), indent=1)
            records.path_of(folder, planned.run_id).write_bytes(payload)


def bench_grid(number: int, folder: Path) -> None:
    """Time expansion with removal of duplicates, search for missing runs, manifest and status."""
    base = large_sweep(number, folder)
    began = time.perf_counter()
    planned_runs = grid.expand(base)
    expanded = time.perf_counter()
    write_records(planned_runs, folder)
    filled = time.perf_counter()
    todo = retry.select(planned_runs, folder)
    scanned = time.perf_counter()
    grid.write_manifest(planned_runs, folder)
    done = time.perf_counter()
    assert len(todo) == len(planned_runs) // 10
    print(f"{len(planned_runs):,} runs expanded and deduplicated  {expanded - began:8.2f} s")
    print(f"  searched for {len(todo):,} missing           {scanned - filled:8.2f} s")
    print(f"  both                               {expanded - began + scanned - filled:8.2f} s  (goal 5)")
    print(f"  manifest written                   {done - scanned:8.2f} s")
    began = time.perf_counter()
    status.read_status(folder)
    print(f"  status of all                      {time.perf_counter() - began:8.2f} s  (goal 3)")


def bench_overhead(folder: Path, number: int = 20) -> None:
    """Time what the worker pool adds to each run, with one process at a time."""
    planned_runs = grid.expand(configure(folder / "swept", *TINY, f"seed=range(0,{number})"))
    launch.run_all(planned_runs[:1], Slots(1, 1, 0), lambda *_: None)  # starts the fork server
    ends = [time.perf_counter()]
    launch.run_all(planned_runs[1:], Slots(1, 1, 0), lambda *_: ends.append(time.perf_counter()))
    in_children = [after - before for before, after in itertools.pairwise(ends)]
    in_process = []
    for planned in planned_runs:
        began = time.perf_counter()
        run(dataclasses.replace(planned.config, out=str(folder / "in-process")))
        in_process.append(time.perf_counter() - began)
    swept, bare = statistics.median(in_children), statistics.median(in_process[1:])
    most = f"median of {len(in_children)}, most {max(in_children):.3f}"
    print(f"a tiny CPU run, in a child of its own  {swept:6.3f} s  ({most})")
    print(f"  run() in a warm process              {bare:6.3f} s  (median of {len(in_process) - 1})")
    print(f"  launcher's overhead                  {swept - bare:6.3f} s  (goal 0.2)")


def time_command(folder: Path, epochs: int, *arguments: str) -> float:
    """Return the wall seconds of an isoflop command over the small sweep."""
    overrides = [*SMALL_SWEEP, f"schedule.epochs={epochs}", f"out={folder}"]
    began = time.perf_counter()
    command = [sys.executable, "-m", "isoflop", *arguments, *overrides]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def bench_launchers(folder: Path, epochs: int) -> None:
    """Time 20 runs under Hydra's basic launcher and with two processes."""
    basic = time_command(folder / "basic", epochs, "run", "-m")
    two = time_command(folder / "two", epochs, "sweep", "launch.workers=2")
    paths = list((folder / "two" / "records").iterdir())
    assert len(paths) == 20
    seconds = statistics.median(records.read(path).spent.seconds for path in paths)
    print(f"20 runs of {seconds:.1f} s, Hydra's basic launcher  {basic:6.1f} s")
    print(f"  isoflop sweep, two processes         {two:6.1f} s: {basic / two:.2f} x  (goal 1.7)")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10_000, help="runs of the grid")
    parser.add_argument("--epochs", type=int, default=400, help="length of each of the 20 runs")
    parser.add_argument("--skip-launchers", action="store_true")
    options = parser.parse_args()
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{len(os.sched_getaffinity(0))} cores, load average {load}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench_grid(options.runs, folder / "grid")
        bench_overhead(folder)
        if not options.skip_launchers:
            bench_launchers(folder, options.epochs)


if __name__ == "__main__":
    main()
