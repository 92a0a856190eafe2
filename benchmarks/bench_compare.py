#!/usr/bin/env python3
"""Does `isoflop compare` tell what moved? In simulated pairs of sweeps.

usage: python benchmarks/bench_compare.py results/compare-simulated [--simulations 100] [--case NAME]

Each simulation draws two sweeps of known laws and compares them with 199 resamples through the function that
`isoflop compare` uses. Writes FOLDER/compare.csv, one row a case, and prints it; a case that is there already
is left as it is.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from isoflop.curve.compare.contrast import Settings
from isoflop.curve.compare.front import compare_tables
from isoflop.curve.compare.result import Contrast

Law = Callable[[float], float]
RESAMPLES = 199


@dataclasses.dataclass(frozen=True)
class Case:
    """A pair of sweeps.

    Attributes:
        baseline, other: their laws, x -> y.
        sizes, seeds, decades, noise: of each sweep; noise is the standard deviation of ln y of a run.
        shared, own: standard deviations of ln y of a shape, in both sweeps alike and in each of its own.
        change: the true difference of exponents.
    """

    baseline: Law
    other: Law
    sizes: int
    seeds: int
    decades: float
    noise: float
    shared: float = 0.0
    own: float = 0.0
    change: float = 0.0


CASES = {
    "same, 4 sizes": Case(lambda x: x**-0.3, lambda x: x**-0.3, 4, 3, 2, 0.03),
    "same, 10 sizes, shapes off the law": Case(
        lambda x: x**-0.3, lambda x: x**-0.3, 10, 3, 3, 0.03, shared=0.05, own=0.02
    ),
    "b .30 to .32, 4 sizes": Case(lambda x: x**-0.3, lambda x: x**-0.32, 4, 3, 2, 0.03, change=0.02),
    "b .30 to .35 over E .02, 6 sizes": Case(
        lambda x: 0.02 + x**-0.3, lambda x: 0.02 + x**-0.35, 6, 3, 3, 0.02, change=0.05
    ),
    "A halved over E .02, 6 sizes": Case(
        lambda x: 0.02 + x**-0.3, lambda x: 0.02 + 0.5 * x**-0.3, 6, 3, 3, 0.02
    ),
    "A halved over E .05, 12 sizes, shapes off the law": Case(
        lambda x: 0.05 + x**-0.3, lambda x: 0.05 + 0.5 * x**-0.3, 12, 3, 3, 0.02, shared=0.03, own=0.02
    ),
    "E .02 to .06, 8 sizes": Case(lambda x: 0.02 + x**-0.3, lambda x: 0.06 + x**-0.3, 8, 3, 3, 0.02),
}


def sweep(case: Case, law: Law, shape: np.ndarray, generator: np.random.Generator, name: str) -> pd.DataFrame:
    """Return a table of runs.

    Args:
        case: sizes, seeds and noise.
        law: of this sweep.
        shape: what each size is off the law, in ln y.
        generator: of the noise.
        name: begins the ids.
    """
    x = np.geomspace(1.0, 10.0**case.decades, case.sizes)
    rows = [
        {
            "run_id": f"{name}{i}-{seed}",
            "config_id": f"{name}{i}",
            "seed": seed,
            "width": 8 * 2**i,
            "depth": 1,
            "train_gflops": x[i],
            "test_loss": law(x[i]) * math.exp(shape[i] + case.noise * generator.normal()),
        }
        for i in range(case.sizes)
        for seed in range(case.seeds)
    ]
    return pd.DataFrame(rows)


def compared(case: Case, seed: int) -> Contrast:
    """Return one simulated comparison."""
    generator = np.random.default_rng(seed)
    shared = case.shared * generator.normal(size=case.sizes)
    tables = {
        name: sweep(case, law, shared + case.own * generator.normal(size=case.sizes), generator, name)
        for name, law in (("old", case.baseline), ("new", case.other))
    }
    return compare_tables(tables, y="test_loss", settings=Settings(resamples=RESAMPLES, seed=seed)).contrasts[
        0
    ]


def holds(contrast: Contrast, case: Case) -> tuple[bool | None, bool | None]:
    """Return whether the intervals of the difference of exponents (under the law that was chosen) and of the
    gain at the middle y hold the truth; None where there is no interval."""
    given = "E = 0" if contrast.law == "power_law" else "an E each"
    b = next(of for of in contrast.differences if (of.quantity, of.given) == ("b", given)).interval
    of_b = None if b.low is None or b.high is None else b.low <= case.change <= b.high
    inside = [row for row in contrast.gain.rows if row.inside] if contrast.gain else []
    if not inside:
        return of_b, None
    row = inside[len(inside) // 2]
    grid = np.geomspace(0.1, 10 ** (case.decades + 1), 4000)
    at = [
        np.interp(-math.log(row.y), -np.log([law(x) for x in grid]), np.log(grid))
        for law in (case.baseline, case.other)
    ]
    gain = math.exp(at[0] - at[1])
    low, high = row.interval.low, row.interval.high
    return of_b, (low is None or low <= gain) and (high is None or gain <= high)


def simulate(name: str, simulations: int) -> dict[str, object]:
    """Return the row of a case: shares of verdicts, coverage, and the smallest change of b to be seen."""
    case, began = CASES[name], time.process_time()
    found = [compared(case, seed) for seed in range(simulations)]
    moved = pd.Series([of.moved for of in found]).value_counts()
    held = [holds(of, case) for of in found]
    seen = [
        each.smallest_seen
        for of in found
        for each in of.differences
        if (each.quantity, each.given) == ("b", "E = 0") and each.smallest_seen is not None
    ]
    return {
        "case": name,
        "simulations": simulations,
        **{f"moved: {what}": int(count) for what, count in moved.items()},
        "law with E": sum(of.law == "power_law_floor" for of in found),
        "runs are units": sum(of.pairing.unit == "runs" for of in found),
        "b held": sum(bool(b) for b, _ in held),
        "b intervals": sum(b is not None for b, _ in held),
        "gain held": sum(bool(gain) for _, gain in held),
        "smallest change of b, E = 0 (median)": round(float(np.median(seen)), 4),
        "cpu_seconds": round(time.process_time() - began),
    }


def main() -> None:
    """Run the cases that are not in FOLDER/compare.csv yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--simulations", type=int, default=100)
    parser.add_argument("--case", choices=CASES, action="append")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "compare.csv"
    rows: list[dict[Any, Any]] = pd.read_csv(path).to_dict("records") if path.exists() else []
    for name in options.case or CASES:
        if name in [row["case"] for row in rows]:
            continue
        rows.append(simulate(name, options.simulations))
        pd.DataFrame(rows).to_csv(path, index=False)
        print({key: value for key, value in rows[-1].items() if value == value}, flush=True)


if __name__ == "__main__":
    main()
