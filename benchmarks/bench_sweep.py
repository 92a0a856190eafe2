#!/usr/bin/env python3
"""Time what a sweep costs besides its cells: the grid, the scan for missing cells, the launcher.

usage: python benchmarks/bench_sweep.py [--cells 10000] [--epochs 400] [--skip-launchers]

The launcher's overhead is wall time a cell with one process at a time, less what run() takes in a process
that has run such a cell before. The last figure is 20 cells under Hydra's basic launcher and with two
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
from isoflop.runner.attempt import run
from isoflop.sweep import grid, retry, status
from isoflop.sweep.grid import Cell
from isoflop.sweep.local import launch
from isoflop.sweep.local.launch import Slots

TINY = ("model=mlp", "model.width=8", "model.depth=1", "schedule.epochs=1", "launch.threads=1")
SMALL_SWEEP = ("model=mlp", "model.width=8,16", "model.depth=1", "seed=range(0,10)", "launch.threads=1")


def configured(folder: Path, *overrides: str) -> Config:
    """A configuration that writes to `folder`."""
    return config.from_dict(config.to_dict(compose_config(overrides, None)) | {"out": str(folder)})


def large(number: int, folder: Path) -> Config:
    """A sweep of `number` cells, a tenth of whose grid is there twice."""
    shapes, seeds = number // 10, 10
    widths = [*range(1, shapes // 10 + 1), *range(1, shapes // 100 + 1)]
    axes = f"model: {{width: {widths}, depth: {list(range(1, 11))}}}, seed: {list(range(seeds))}"
    return configured(folder, f"sweep.grid={{{axes}}}")


def fill(cells: tuple[Cell, ...], folder: Path) -> None:
    """A done record for every cell but each tenth."""
    (like,) = run(configured(folder / "one", *TINY))
    (folder / "records").mkdir(parents=True, exist_ok=True)
    for index, cell in enumerate(cells):
        if index % 10:
            made = dataclasses.replace(like, run_id=cell.run_id)
            payload = msgspec.json.format(msgspec.json.encode(made), indent=1)
            records.path_of(folder, cell.run_id).write_bytes(payload)


def bench_grid(number: int, folder: Path) -> None:
    """Expansion with removal of duplicates, scan, manifest."""
    base = large(number, folder)
    began = time.perf_counter()
    cells = grid.expand(base)
    expanded = time.perf_counter()
    fill(cells, folder)
    filled = time.perf_counter()
    todo = retry.select(cells, folder)
    scanned = time.perf_counter()
    grid.write_manifest(cells, folder)
    done = time.perf_counter()
    assert len(todo) == len(cells) // 10
    print(f"{len(cells):,} cells expanded and deduplicated {expanded - began:8.2f} s")
    print(f"  scanned for {len(todo):,} missing            {scanned - filled:8.2f} s")
    print(f"  both                               {expanded - began + scanned - filled:8.2f} s  (goal 5)")
    print(f"  manifest written                   {done - scanned:8.2f} s")
    began = time.perf_counter()
    status.read(folder)
    print(f"  status of all                      {time.perf_counter() - began:8.2f} s  (goal 3)")


def bench_overhead(folder: Path, number: int = 20) -> None:
    """What one process at a time adds to each cell."""
    cells = grid.expand(configured(folder / "swept", *TINY, f"seed=range(0,{number})"))
    launch.run_cells(cells[:1], Slots(1, 1, 0), lambda *_: None)  # starts the fork server
    ends = [time.perf_counter()]
    launch.run_cells(cells[1:], Slots(1, 1, 0), lambda *_: ends.append(time.perf_counter()))
    each = [after - before for before, after in itertools.pairwise(ends)]
    alone = []
    for cell in cells:
        began = time.perf_counter()
        run(dataclasses.replace(cell.config, out=str(folder / "alone")))
        alone.append(time.perf_counter() - began)
    swept, bare = statistics.median(each), statistics.median(alone[1:])
    most = f"median of {len(each)}, most {max(each):.3f}"
    print(f"a tiny CPU cell, in a child of its own {swept:6.3f} s  ({most})")
    print(f"  run() in a warm process              {bare:6.3f} s  (median of {len(alone) - 1})")
    print(f"  launcher's overhead                  {swept - bare:6.3f} s  (goal 0.2)")


def command(folder: Path, epochs: int, *words: str) -> float:
    """Wall seconds of an isoflop command over the small sweep."""
    overrides = [*SMALL_SWEEP, f"schedule.epochs={epochs}", f"out={folder}"]
    began = time.perf_counter()
    asked = [sys.executable, "-m", "isoflop", *words, *overrides]
    subprocess.run(asked, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def bench_launchers(folder: Path, epochs: int) -> None:
    """20 cells: Hydra's basic launcher against two processes."""
    basic = command(folder / "basic", epochs, "run", "-m")
    two = command(folder / "two", epochs, "sweep", "launch.workers=2")
    paths = list((folder / "two" / "records").iterdir())
    assert len(paths) == 20
    cell = statistics.median(records.read(path).spent.seconds for path in paths)
    print(f"20 cells of {cell:.1f} s, Hydra's basic launcher {basic:6.1f} s")
    print(f"  isoflop sweep, two processes         {two:6.1f} s: {basic / two:.2f} x  (goal 1.7)")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=400, help="length of each of the 20 cells")
    parser.add_argument("--skip-launchers", action="store_true")
    options = parser.parse_args()
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{len(os.sched_getaffinity(0))} cores, load average {load}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench_grid(options.cells, folder / "grid")
        bench_overhead(folder)
        if not options.skip_launchers:
            bench_launchers(folder, options.epochs)


if __name__ == "__main__":
    main()
