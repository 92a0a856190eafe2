"""Seconds for 4,000 resamples of the Chinchilla fit with multistart, beside the published single-start loop.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/bench_chinchilla.py PATH/chinchilla_points.csv

Expected time: about half a minute. PATH is the file of points that Besiroglu et al. (2024, "Chinchilla
Scaling: A replication attempt") read off Hoffmann et al. (2022). Their notebook (github.com/epoch-research/
analyzing-chinchilla, data_analysis.ipynb) refits each resample by scipy's BFGS of the summed Huber loss of
the log-sum-exp from one start, the corrected estimate of Hoffmann et al., with the gradient of the package
autograd. This script repeats that loop: with autograd where it is installed, and with the gradient by
formula, which is the faster of the two. Some of its resamples are timed and scaled up.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy
from scipy import optimize

from isoflop import __version__
from isoflop.curve.joint.fit import fit_joint

Array = npt.NDArray[np.float64]
Gradient = Callable[[Array, Array, Array, Array], Array]

RESAMPLES = 4000
DROPPED = 5
DELTA = 1e-3
START = (6.0073404, 6.0179186, 0.5267228, 0.33917084, 0.2849083)
"""ln A, ln B, ln E, alpha, beta of Hoffmann et al. before rounding, as the notebook has them."""


def read_points(path: Path) -> pd.DataFrame:
    """Return N, D = FLOP / 6N and loss of all points but the five highest losses."""
    rows = pd.read_csv(path).sort_values("loss").iloc[:-DROPPED]
    n = rows["Model Size"].to_numpy(float)
    tokens = rows["Training FLOP"].to_numpy(float) / (6 * n)
    return pd.DataFrame({"N": n, "D": tokens, "loss": rows["loss"].to_numpy(float)})


def objective(p: Array, n: Array, d: Array, loss: Array, xp: Any = np) -> Any:
    """Return the summed Huber loss of ln loss at p = (a, b, e, alpha, beta); `xp` is numpy or autograd's."""
    law = xp.log(xp.exp(p[0] - p[3] * xp.log(n)) + xp.exp(p[1] - p[4] * xp.log(d)) + xp.exp(p[2]))
    size = xp.abs(xp.log(loss) - law)
    return xp.sum(xp.where(size <= DELTA, 0.5 * size**2, DELTA * (size - 0.5 * DELTA)))


def formula(p: Array, n: Array, d: Array, loss: Array) -> Array:
    """Return the gradient of `objective`."""
    log_n, log_d = np.log(n), np.log(d)
    parts = np.exp(np.stack([p[0] - p[3] * log_n, p[1] - p[4] * log_d, np.full_like(n, p[2])]))
    whole = parts.sum(axis=0)
    by_part = parts / whole * np.clip(np.log(whole) - np.log(loss), -DELTA, DELTA)
    return np.array([*by_part.sum(axis=1), -(by_part[0] @ log_n), -(by_part[1] @ log_d)])


def gradients() -> dict[str, Gradient]:
    """Return the gradient by formula, and autograd's if it is installed."""
    by_name: dict[str, Gradient] = {"formula": formula}
    try:
        autograd, xp = importlib.import_module("autograd"), importlib.import_module("autograd.numpy")
    except ImportError:
        return by_name
    return by_name | {"autograd": autograd.grad(lambda p, n, d, loss: objective(p, n, d, loss, xp))}


def loop(rows: pd.DataFrame, resamples: int, gradient: Gradient) -> tuple[float, Array]:
    """Return the seconds of the published loop and the parameters (resamples, 5)."""
    n, d, loss = (rows[name].to_numpy() for name in ("N", "D", "loss"))
    np.seterr(over="ignore", invalid="ignore", divide="ignore")
    generator = np.random.default_rng(42)
    drawn = [generator.integers(0, len(n), len(n)) for _ in range(resamples)]
    minima = []
    began = time.perf_counter()
    for rows_drawn in drawn:
        arguments = (n[rows_drawn], d[rows_drawn], loss[rows_drawn])
        minima.append(optimize.minimize(objective, START, args=arguments, jac=gradient, method="BFGS").x)
    return time.perf_counter() - began, np.array(minima)


def processor() -> str:
    """Return the processor's name as far as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    """Print both times, their ratio and the standard errors."""
    parser = argparse.ArgumentParser(description="Time the Chinchilla fit against the published loop.")
    parser.add_argument("points", type=Path, metavar="PATH", help="chinchilla_points.csv")
    parser.add_argument("--loop", type=int, default=40, help="resamples of the published loop (default 40)")
    options = parser.parse_args()
    rows = read_points(options.points)
    began = time.perf_counter()
    fit = fit_joint(rows, "chinchilla", ("N", "D"), "loss", RESAMPLES)
    ours = time.perf_counter() - began
    errors = fit.standard_errors
    alpha, beta = errors["exponent_parameters"], errors["exponent_data"]
    print(f"isoflop: {RESAMPLES} resamples, 1,600 starts each, in {ours:.1f} s; s.e. {alpha:.4f}, {beta:.4f}")
    for name, gradient in gradients().items():
        seconds, minima = loop(rows, options.loop, gradient)
        scaled = seconds * RESAMPLES / options.loop
        spread = minima[:, 3:].std(axis=0, ddof=1)
        print(
            f"published loop, gradient by {name}: {scaled:.0f} s (scaled from {options.loop} resamples in "
            f"{seconds:.1f} s); s.e. {spread[0]:.4f}, {spread[1]:.4f}; ratio {scaled / ours:.1f}"
        )
    versions = f"isoflop {__version__}, numpy {np.__version__}, scipy {scipy.__version__}"
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    busy = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    print(
        f"{len(rows)} points; {processor()}, {os.cpu_count()} cores, {threads} threads, {busy}; Python "
        f"{platform.python_version()}, {versions}; python {' '.join(sys.argv)}"
    )


if __name__ == "__main__":
    main()
