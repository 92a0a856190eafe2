#!/usr/bin/env python3
"""Time what a user waits for besides training: --help, aggregation, fit and page. Records are synthetic.

usage: python benchmarks/bench_spine.py [--largest 100000]

Aggregation is linear if the microseconds a record stay level as the number of records grows tenfold.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from isoflop import config
from isoflop import record as records
from isoflop.config.compose import compose_config
from isoflop.curve import fit
from isoflop.record import Record
from isoflop.report import page
from isoflop.runner.run import run
from isoflop.table import aggregate

RESAMPLES = 1000


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def one_record(folder: str) -> Record:
    """A real record to be varied."""
    made = compose_config(["schedule.epochs=1", "model.width=8", "launch.threads=1"], None)
    raw = config.to_dict(made) | {"out": folder}
    return run(config.from_dict(raw))[-1]


def synthetic(like: Record, number: int, directory: Path) -> None:
    """`number` records whose error follows 0.5 x GFLOPs^-0.3 with 5% seed noise, three seeds a shape."""
    draw = np.random.default_rng(0)
    (directory / "records").mkdir(parents=True)
    for index in range(number):
        gflops = 10 ** (4 * (index // 3) / (number / 3))
        error = float(min(0.9, 0.5 * gflops**-0.3 * np.exp(0.05 * draw.standard_normal())))
        made = varied(like, index, gflops, error)
        records.path_of(directory, made.run_id).write_bytes(msgspec.json.encode(made))


def varied(like: Record, index: int, gflops: float, error: float) -> Record:
    """Record number `index`, of shape number index // 3."""
    assert like.compute is not None
    assert like.error is not None
    return replace(
        like,
        run_id=f"{index:016x}",
        config_id=f"{index // 3:016x}",
        seed=index % 3,
        model=replace(like.model, width=8 * (1 + index // 3 % 30), depth=1 + index // 90 % 4),
        compute=replace(like.compute, train_flops=gflops * 1e9),
        error=replace(like.error, test=error, ci_low=error * 0.95, ci_high=error * 1.05),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=100_000)
    largest = parser.parse_args().largest
    print(f"python {platform.python_version()}, {platform.processor() or platform.machine()}")

    ask = [sys.executable, "-m", "isoflop", "--help"]
    helps = [seconds(lambda: subprocess.run(ask, capture_output=True, check=True)) for _ in range(5)]
    print(f"isoflop --help                {statistics.median(helps):8.3f} s  (n=5, most {max(helps):.3f})")
    with tempfile.TemporaryDirectory() as folder:
        like = one_record(folder + "/one")
        number = 1000
        while number <= largest:
            directory = Path(folder) / str(number)
            synthetic(like, number, directory)
            began = time.perf_counter()
            aggregate.aggregate(directory)
            took = time.perf_counter() - began
            print(f"aggregate {number:7,d} records     {took:8.2f} s  {1e6 * took / number:6.0f} us a record")
            number *= 10
        table = aggregate.aggregate(Path(folder) / "1000")
        began = time.perf_counter()
        fits = fit.fit_all(table.rows, source="synthetic", method=fit.Method(resamples=RESAMPLES))
        fitted = time.perf_counter()
        page.write_report(Path(folder) / "1000", table, fits)
        done = time.perf_counter()
        print(f"fit of 1,000 records          {fitted - began:8.2f} s  ({RESAMPLES} resamples)")
        print(f"page of 1,000 records         {done - fitted:8.2f} s")
        print(f"fit and page together         {done - began:8.2f} s")


if __name__ == "__main__":
    main()
