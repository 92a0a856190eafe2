#!/usr/bin/env python3
"""How sharp and how calibrated the forecast is on simulated sweeps with known curves, beside a straight line.

usage: python benchmarks/bench_forecast.py [--sweeps 20] [--out results/forecast-simulated]

Sweeps of 6, 8, 12 and 30 configurations over three decades (x from 1 to 1,000), 5% noise, one run each; new
runs at 2, 4, 10 and 25 times the largest x. Families: power 0.6 x^-0.3; floor 0.05 + 0.55 x^-0.3; a break
from exponent 0.15 to 0.35 at 10 (break) or 100 (late break); sigmoid 0.9 / (1 + (x/10)^0.5). The last four
have the floor's mean curve: noise falling from 10% to 2.5% (heteroskedastic), Student's t with 3 degrees of
freedom (t3), one end off by 4 standard deviations (outlier), the largest one (of 30: two) 15% too high
(undertrained).

The interval score (Winkler 1972) is of 95% intervals of ln y, over that of least squares on log axes. M4
(Alabdulmohsin et al. 2022) is judged likewise, as the only law: its prior and sampler are the forecast's.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import math
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import stats

from isoflop.curve.forecast.members import MEMBERS
from isoflop.curve.forecast.predictive import predictive
from isoflop.curve.laws import PLAIN
from isoflop.curve.observations import Observations

Array = npt.NDArray[np.float64]

CONFIGS = (6, 8, 12, 30)
AHEAD = np.array([2.0, 4.0, 10.0, 25.0])
NOISE = 0.05
TAILS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
M4 = tuple(member for member in MEMBERS if member.prior.law == "m4")
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


@dataclasses.dataclass
class Judged:
    """What one way of predicting was worth over the sweeps of a cell: an entry a sweep in each list."""

    inside: list[Array] = dataclasses.field(default_factory=list)
    scores: list[float] = dataclasses.field(default_factory=list)
    squares: list[float] = dataclasses.field(default_factory=list)
    widths: list[float] = dataclasses.field(default_factory=list)

    def add(self, quantiles: Array, later: Array, truth: Array) -> None:
        """Judge quantiles (2 k + 1, 4) of ln y, the widest interval outermost, on new runs and the mean."""
        pairs = [(quantiles[i], quantiles[-1 - i]) for i in range(len(quantiles) // 2)]
        self.inside.append(np.array([(low <= later) & (later <= high) for low, high in pairs]))
        self.scores.append(float(interval_score(*pairs[0], later).mean()))
        self.squares.append(float(np.mean((quantiles[len(pairs)] - truth) ** 2)))
        self.widths.append(float(np.median(pairs[0][1] - pairs[0][0])))

    @property
    def score(self) -> float:
        """The mean interval score."""
        return float(np.mean(self.scores))

    @property
    def rms(self) -> float:
        """The root mean square error of ln y against the true mean curve."""
        return float(np.sqrt(np.mean(self.squares)))


def judge(family: str, configs: int, sweeps: int) -> dict[str, float | int | str]:
    """Return coverage, interval score, error and time over so many simulated sweeps."""
    ours, line, m4 = Judged(), Judged(), Judged()
    seconds = 0.0
    for seed in range(sweeps):
        generator = np.random.default_rng([seed, configs, FAMILIES.index(family)])
        x, log_y, later = simulate(family, configs, generator)
        at, truth = np.log(AHEAD), np.log(curve(family, x[-1] * AHEAD))
        observed = Observations(x, np.exp(log_y), np.arange(configs), np.ones(configs), None, None)
        began = time.process_time()
        run = predictive(observed, PLAIN).draws(at).run
        seconds += time.process_time() - began
        ours.add(np.quantile(run, TAILS, axis=0), later, truth)
        alone = predictive(observed, PLAIN, members=M4).draws(at).run
        m4.add(np.quantile(alone, TAILS, axis=0), later, truth)
        middle, half = straight(x, log_y, x[-1] * AHEAD)
        line.add(np.stack([middle - half, middle, middle + half]), later, truth)
    cover, by_target = np.mean(ours.inside, axis=(0, 2)), np.mean(ours.inside, axis=0)[0]
    return {
        "family": family,
        "configs": configs,
        "sweeps": sweeps,
        **{f"inside_{n}": round(float(c), 4) for n, c in zip((95, 80, 50), cover, strict=True)},
        **{f"inside_95_at_{r:g}x": round(float(c), 4) for r, c in zip(AHEAD, by_target, strict=True)},
        "interval_score": round(ours.score, 4),
        "interval_score_over_line": round(ours.score / line.score, 4),
        "rms_ln": round(ours.rms, 4),
        "rms_ln_line": round(line.rms, 4),
        "median_width_ln": round(float(np.median(ours.widths)), 4),
        "cpu_seconds": round(seconds / sweeps, 3),
        "m4_inside_95": round(float(np.mean(m4.inside, axis=(0, 2))[0]), 4),
        "m4_interval_score_over_line": round(m4.score / line.score, 4),
        "m4_rms_ln": round(m4.rms, 4),
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
