#!/usr/bin/env python3
"""How sharp and how calibrated the forecast is on simulated sweeps with known curves, beside a straight line.

usage: python benchmarks/bench_forecast.py [--sweeps 20] [--out results/forecast-simulated]

Sweeps of 6, 8, 12 and 30 configurations over three decades (x from 1 to 1,000), 5% noise, one run each; new
runs at 2, 4, 10 and 25 times the largest x. Families: power 0.6 x^-0.3; floor 0.05 + 0.55 x^-0.3; a break
from exponent 0.15 to 0.35 at 10 (break) or 100 (late break); sigmoid 0.9 / (1 + (x/10)^0.5). The last four
have the floor's mean curve: noise falling from 10% to 2.5% (heteroskedastic), Student's t with 3 degrees of
freedom (t3), one end off by 4 standard deviations (outlier), the largest one (of 30: two) 15% too high
(undertrained).

The interval score (Winkler 1972) is of 95% intervals of ln y, over that of least squares on log axes.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import stats

from isoflop.curve.forecast.predictive import predictive
from isoflop.curve.laws import PLAIN
from isoflop.curve.observations import Observations

Array = npt.NDArray[np.float64]

CONFIGS = (6, 8, 12, 30)
AHEAD = np.array([2.0, 4.0, 10.0, 25.0])
NOISE = 0.05
FAMILIES = (
    "power",
    "floor",
    "break",
    "late break",
    "sigmoid",
    "heteroskedastic",
    "t3",
    "outlier",
    "undertrained",
)


def curve(family: str, x: Array) -> Array:
    """Return y at x, of the same shape."""
    if family == "power":
        return np.asarray(0.6 * x**-0.3)
    if family == "sigmoid":
        return np.asarray(0.9 / (1 + (x / 10) ** 0.5))
    if family.endswith("break"):
        place = 100.0 if family.startswith("late") else 10.0
        return np.asarray(0.6 * x**-0.15 * (1 + (x / place) ** 2) ** -0.1)
    return np.asarray(0.05 + 0.55 * x**-0.3)


def simulate(family: str, configs: int, generator: np.random.Generator) -> tuple[Array, Array, Array]:
    """Return x and ln y (n,) of one sweep, and ln y (4,) of new runs at AHEAD times the largest x."""
    x = np.geomspace(1, 1e3, configs)
    noise = NOISE * generator.standard_normal(configs)
    later = NOISE * generator.standard_normal(len(AHEAD))
    if family == "heteroskedastic":
        noise, later = noise * np.geomspace(2, 0.5, configs), later * 0.5
    if family == "t3":
        noise = NOISE * generator.standard_t(3, configs) / math.sqrt(3)
        later = NOISE * generator.standard_t(3, len(AHEAD)) / math.sqrt(3)
    if family == "outlier":
        noise[generator.choice([0, -1])] += 4 * NOISE * generator.choice([-1, 1])
    if family == "undertrained":
        noise[-(1 if configs < 20 else 2) :] += math.log(1.15)
    return x, np.log(curve(family, x)) + noise, np.log(curve(family, x[-1] * AHEAD)) + later


def straight(x: Array, log_y: Array, at: Array) -> tuple[Array, Array]:
    """Return ln y (m,) of a straight line on log axes at `at`, and half its 95% prediction interval (m,)."""
    u, n = np.log(x), len(x)
    around = np.sum((u - u.mean()) ** 2)
    slope = np.sum((u - u.mean()) * log_y) / around
    residual = log_y - log_y.mean() - slope * (u - u.mean())
    apart = np.log(at) - u.mean()
    deviation = np.sqrt(np.sum(residual**2) / (n - 2) * (1 + 1 / n + apart**2 / around))
    return log_y.mean() + slope * apart, stats.t.ppf(0.975, n - 2) * deviation


def interval_score(low: Array, high: Array, y: Array) -> Array:
    """Return the width of 95% intervals plus 40 times by how much they miss."""
    return np.asarray(high - low + 40 * (np.maximum(low - y, 0) + np.maximum(y - high, 0)))


def judge(family: str, configs: int, sweeps: int) -> dict[str, float | int | str]:
    """Return coverage, interval score, error and time over so many simulated sweeps."""
    inside, scores, errors, seconds = [], [], [], 0.0
    widths = []
    for seed in range(sweeps):
        generator = np.random.default_rng([seed, configs, FAMILIES.index(family)])
        x, log_y, later = simulate(family, configs, generator)
        began = time.process_time()
        observed = Observations(x, np.exp(log_y), np.arange(configs), np.ones(configs), None, None)
        run = predictive(observed, PLAIN).draws(np.log(AHEAD)).run
        seconds += time.process_time() - began
        tails = np.quantile(run, (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975), axis=0)
        inside.append([(tails[i] <= later) & (later <= tails[-1 - i]) for i in range(3)])
        middle, half = straight(x, log_y, x[-1] * AHEAD)
        ours = interval_score(tails[0], tails[-1], later).mean()
        scores.append((ours, interval_score(middle - half, middle + half, later).mean()))
        truth = np.log(curve(family, x[-1] * AHEAD))
        errors.append((np.mean((tails[3] - truth) ** 2), np.mean((middle - truth) ** 2)))
        widths.append(np.median(tails[-1] - tails[0]))
    cover = np.mean(inside, axis=(0, 2))
    by_target = np.mean([each[0] for each in inside], axis=0)
    ours, line = np.mean(scores, axis=0)
    rms = np.sqrt(np.mean(errors, axis=0))
    return {
        "family": family,
        "configs": configs,
        "sweeps": sweeps,
        **{f"inside_{n}": round(float(c), 4) for n, c in zip((95, 80, 50), cover, strict=True)},
        **{f"inside_95_at_{r:g}x": round(float(c), 4) for r, c in zip(AHEAD, by_target, strict=True)},
        "interval_score": round(float(ours), 4),
        "interval_score_over_line": round(float(ours / line), 4),
        "rms_ln": round(float(rms[0]), 4),
        "rms_ln_line": round(float(rms[1]), 4),
        "median_width_ln": round(float(np.median(widths)), 4),
        "cpu_seconds": round(seconds / sweeps, 3),
    }


def main() -> None:
    """Write forecast.csv, a line as each is done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sweeps", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("results/forecast-simulated"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for configs in CONFIGS:
        for family in FAMILIES:
            rows.append(judge(family, configs, given.sweeps))
            print(rows[-1], flush=True)
    with (given.out / "forecast.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
