"""Seconds of the default fit of a synthetic table with 1,000 resamples, beside a plain loop of scipy's.

    python benchmarks/bench_fit.py [--loop 1000]

Expected time: two minutes. `default` is what `isoflop fit` does for its first axes: all laws, each with its
profile and rolling extrapolation, and the forecast. Seconds are wall time, the best of three, with the
processor time beside, which waiting on a busy machine does not stretch. The loop of curve_fit refits the law
with a floor alone, once a resample, from one start; with --loop below 1,000 its time is scaled up and marked
so.
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
SEEDS = 3

TRIALS = 10_000

Array = npt.NDArray[np.float64]


def synthetic(runs: int) -> pd.DataFrame:
    """Return `runs` runs, SEEDS a configuration, on y = 0.05 + 0.6 x^-0.3 with 5% noise over five decades.

    Each error is counted on TRIALS examples.
    """
    generator = np.random.default_rng(0)
    config = np.arange(runs) // SEEDS
    x = np.geomspace(1, 1e5, runs // SEEDS)[config]
    law = (0.05 + 0.6 * x**-0.3) * np.exp(0.05 * generator.standard_normal(runs))
    y = generator.binomial(TRIALS, np.minimum(law, 0.85)) / TRIALS
    names = {"run_id": [f"run{i}" for i in range(runs)], "config_id": [f"config{c}" for c in config]}
    return pd.DataFrame(
        names | {"train_gflops": x, "test_error": y, "test_n": float(TRIALS), "chance_error": 0.9}
    )


def log_law(x: Array, e: float, log_a: float, b: float) -> Array:
    """Return ln y of the power law with a floor."""
    return np.asarray(np.log(e + np.exp(log_a) * x**-b))


def naive_loop(table: pd.DataFrame, resamples: int) -> float:
    """Return the seconds that `resamples` refits of the law with a floor take, one after the other."""
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


def ours(table: pd.DataFrame, method: Method) -> tuple[float, float]:
    """Return wall and processor seconds of one fit, the best of three each."""
    times = []
    for _ in range(3):
        began, used = time.perf_counter(), time.process_time()
        fit_table(table, method=method)
        times.append((time.perf_counter() - began, time.process_time() - used))
    wall, processor = (min(each) for each in zip(*times, strict=True))
    return wall, processor


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Time the fit against a plain loop.")
    parser.add_argument("--loop", type=int, default=RESAMPLES, help="refits of the plain loop to time")
    loop = parser.parse_args().loop
    scaled = "" if loop == RESAMPLES else f" (scaled from {loop})"
    print(
        f"{'records':>8} {'default, s':>11} {'processor, s':>13} {'floor alone, s':>15} "
        f"{'scipy loop, s':>14} {'ratio':>7}"
    )
    for runs in (99, 999):
        table = synthetic(runs)
        whole, processor = ours(table, Method(resamples=RESAMPLES))
        alone, _ = ours(table, Method(laws=("power_law_floor",), resamples=RESAMPLES, forecast=False))
        naive = naive_loop(table, loop) * RESAMPLES / loop
        row = f"{runs:>8} {whole:>11.2f} {processor:>13.2f} {alone:>15.2f}"
        print(f"{row} {naive:>14.1f} {naive / alone:>6.1f}x{scaled}")


if __name__ == "__main__":
    main()
