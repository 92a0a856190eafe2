"""Seconds to fit a synthetic table with 1,000 resamples, beside a plain loop of scipy's curve_fit.

    python scripts/bench_fit.py [--loop 1000]

Expected time: about a minute. The loop refits the law with a floor alone, once a resample, from one start;
with --loop below 1,000 its time is scaled up and marked so.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize

from isoflop.curve.fit import Method, fit_table

RESAMPLES = 1000
SEEDS = 4

Array = npt.NDArray[np.float64]


def synthetic(runs: int) -> pd.DataFrame:
    """`runs` runs, SEEDS a configuration, on y = 0.05 + 0.6 x^-0.3 with 5% noise over five decades."""
    generator = np.random.default_rng(0)
    config = np.arange(runs) // SEEDS
    x = np.geomspace(1, 1e5, runs // SEEDS)[config]
    y = (0.05 + 0.6 * x**-0.3) * np.exp(0.05 * generator.standard_normal(runs))
    names = {"run_id": [f"run{i}" for i in range(runs)], "config_id": [f"config{c}" for c in config]}
    return pd.DataFrame(names | {"train_gflops": x, "test_error": y})


def log_law(x: Array, e: float, log_a: float, b: float) -> Array:
    """ln of the power law with a floor."""
    return np.asarray(np.log(e + np.exp(log_a) * x**-b))


def naive_loop(table: pd.DataFrame, resamples: int) -> float:
    """Seconds that `resamples` refits of the law with a floor take, one after the other."""
    generator = np.random.default_rng(0)
    x, y = table["train_gflops"].to_numpy(), table["test_error"].to_numpy()
    members = np.arange(len(x)).reshape(-1, SEEDS)
    bounds = ([0.0, -10.0, 1e-3], [1.0, 10.0, 5.0])
    began = time.perf_counter()
    for _ in range(resamples):
        drawn = members[generator.integers(0, len(members), len(members))].ravel()
        start = [0.5 * y[drawn].min(), float(np.log(y[drawn].max())), 0.3]
        optimize.curve_fit(
            log_law,
            x[drawn],
            np.log(y[drawn]),
            start,
            bounds=bounds,
            method="trf",
            loss="huber",
            f_scale=0.07,
        )
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Time the fit against a plain loop.")
    parser.add_argument("--loop", type=int, default=RESAMPLES, help="refits of the plain loop to time")
    loop = parser.parse_args().loop
    scaled = "" if loop == RESAMPLES else f" (scaled from {loop})"
    print(f"{'records':>8} {'all laws, s':>12} {'floor alone, s':>15} {'scipy loop, s':>14} {'ratio':>7}")
    for runs in (100, 1000):
        table = synthetic(runs)
        seconds = {}
        for laws in (("polynomial", "exponential", "power_floor"), ("power_floor",)):
            times = []
            for _ in range(3):
                began = time.perf_counter()
                fit_table(table, method=Method(laws=laws, resamples=RESAMPLES, forecast=False))
                times.append(time.perf_counter() - began)
            seconds[len(laws)] = min(times)
        naive = naive_loop(table, loop) * RESAMPLES / loop
        ours = f"{runs:>8} {seconds[3]:>12.2f} {seconds[1]:>15.2f}"
        print(f"{ours} {naive:>14.1f} {naive / seconds[1]:>6.1f}x{scaled}")


if __name__ == "__main__":
    main()
