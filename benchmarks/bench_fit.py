"""Seconds of processor time of the default fit as a table grows, beside scipy and simple-scaling-laws.

    python benchmarks/bench_fit.py [--save results/fit-speed] [--rows 10,100,1000] [--peer PYTHON]

Expected time: three minutes, and what the peers take. Each row of a table is a configuration of its own on
y = 0.05 + 0.6 x^-0.3 with 5% noise over five decades. Figures are processor seconds (user and system) on one
core, which waiting on a busy machine does not stretch; the least of --repeats.

- laws: fit_table without a forecast: seven laws, each with 1,000 resamples, profile, rolling extrapolation.
- forecast: what the forecast adds.
- command: `isoflop fit FILE`, with imports, reading, checks and what is printed.
- scipy: curve_fit of the power law with a floor alone, Huber's loss, one start, refitted once a resample; up
  to --loop refits are timed and scaled to 1,000.
- peer: simple-scaling-laws (its default law, 1,000 draws), under the interpreter --peer that has it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy
from scipy import optimize

from isoflop.curve.fit import Method, fit_table

RESAMPLES = 1000
ROWS = (10, 33, 100, 333, 1000, 10_000, 100_000)
MOST_OF_PEERS = 10_000
"""Rows up to which scipy and the peer are timed."""
PEER_SCRIPT = Path(__file__).with_name("rival_simple_scaling_laws.py")

Array = npt.NDArray[np.float64]


def synthetic(rows: int) -> pd.DataFrame:
    """Return `rows` runs, each a configuration, on y = 0.05 + 0.6 x^-0.3 with 5% noise over five decades."""
    generator = np.random.default_rng(0)
    x = np.sort(10 ** generator.uniform(0, 5, rows))
    y = (0.05 + 0.6 * x**-0.3) * np.exp(0.05 * generator.standard_normal(rows))
    names = [f"run{i}" for i in range(rows)]
    return pd.DataFrame({"run_id": names, "config_id": names, "flops": x, "loss": y})


def ours(table: pd.DataFrame, method: Method, repeats: int) -> float:
    """Return the processor seconds of one fit, the least of `repeats`."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        fit_table(table, x="flops", y="loss", method=method)
        times.append(time.process_time() - began)
    return min(times)


def command(table: pd.DataFrame, repeats: int) -> float:
    """Return the processor seconds of `isoflop fit` of the table as a CSV file, the least of `repeats`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.csv"
        table[["flops", "loss"]].to_csv(path, index=False)
        arguments = [sys.executable, "-m", "isoflop", "fit", str(path), "--x", "flops", "--y", "loss"]
        return min(_child_seconds(arguments) for _ in range(repeats))


def _child_seconds(arguments: list[str]) -> float:
    """Return the processor seconds of a command, of all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(arguments, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def log_law(x: Array, e: float, log_a: float, b: float) -> Array:
    """Return ln y of the power law with a floor."""
    return np.asarray(np.log(e + np.exp(log_a) * x**-b))


def scipy_loop(table: pd.DataFrame, refits: int) -> float:
    """Return the processor seconds of RESAMPLES refits of the law with a floor, scaled from `refits`."""
    generator = np.random.default_rng(0)
    x, y = table["flops"].to_numpy(), table["loss"].to_numpy()
    bounds = ([0.0, -10.0, 1e-3], [1.0, 10.0, 5.0])
    began = time.process_time()
    for _ in range(refits):
        drawn = generator.integers(0, len(x), len(x))
        start = [0.5 * y[drawn].min(), float(np.log(y[drawn].max())), 0.3]
        optimize.curve_fit(
            *(log_law, x[drawn], np.log(y[drawn]), start),
            **{"bounds": bounds, "method": "trf", "loss": "huber", "f_scale": 0.07},
        )
    return (time.process_time() - began) * RESAMPLES / refits


def peer(table: pd.DataFrame, interpreter: str) -> float | None:
    """Return the processor seconds of simple-scaling-laws, without its imports; None where it gives none."""
    sweep = {"x": table["flops"].tolist(), "y": table["loss"].tolist()}
    law = "separable-power"
    request = {"sweeps": [sweep], "at": [1e6], "laws": [law], "draws": RESAMPLES}
    done = subprocess.run(
        [interpreter, str(PEER_SCRIPT)],
        check=False,
        capture_output=True,
        text=True,
        input=json.dumps(request),
    )
    answer = json.loads(done.stdout)[law][0] if done.returncode == 0 else {}
    seconds = answer.get("seconds")
    return None if seconds is None else float(seconds)


def measure(rows: int, loop: int, interpreter: str | None, repeats: int) -> dict[str, Any]:
    """Return the figures of a table of so many rows, in processor seconds."""
    table = synthetic(rows)
    laws = ours(table, Method(resamples=RESAMPLES, forecast=False), repeats)
    both = ours(table, Method(resamples=RESAMPLES), repeats)
    small = rows <= MOST_OF_PEERS
    return {
        "rows": rows,
        "repeats": repeats,
        "laws": laws,
        "forecast": max(0.0, both - laws),
        "command": command(table, repeats),
        "scipy": scipy_loop(table, max(5, min(loop, 100_000 // rows))) if small else None,
        "peer": peer(table, interpreter) if small and interpreter else None,
    }


def main() -> None:
    """Print the table, and keep it with --save."""
    parser = argparse.ArgumentParser(description="Processor seconds of the fit as a table grows.")
    parser.add_argument("--rows", default=",".join(map(str, ROWS)), help="numbers of rows")
    parser.add_argument("--loop", type=int, default=200, help="most refits of scipy to time")
    parser.add_argument("--repeats", type=int, default=2, help="how often each figure is taken")
    parser.add_argument("--peer", metavar="PYTHON", help="an interpreter with simple-scaling-laws")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write DIR/speed.json")
    options = parser.parse_args()
    columns = ("laws", "forecast", "command", "scipy", "peer")
    print(f"{'rows':>7} " + " ".join(f"{name + ', s':>12}" for name in columns))
    measured = []
    for rows in map(int, options.rows.split(",")):
        figures = measure(rows, options.loop, options.peer, options.repeats)
        measured.append(figures)
        shown = ("-" if figures[name] is None else f"{figures[name]:.2f}" for name in columns)
        print(f"{rows:>7} " + " ".join(f"{each:>12}" for each in shown), flush=True)
    if options.save:
        environment = {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "resamples": RESAMPLES,
        }
        options.save.mkdir(parents=True, exist_ok=True)
        content = {"environment": environment, "processor_seconds": measured}
        (options.save / "speed.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
