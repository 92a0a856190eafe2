"""Measure how often 95% intervals hold the truth, on simulated sweeps through the functions of `isoflop fit`.

    python benchmarks/bench_coverage.py results/coverage-simulated [--minutes 15] [--cases "*-3"]

Expected time: about 30 minutes on one core for 1,000 simulations of every case. Every case keeps its counts
in DIR/cases/NAME.json, written atomically, and a second call goes on from there (delete them after a
change of the method); all cases advance together.
Writes DIR/coverage.csv with one row a case and quantity: the share of simulations whose interval held the
truth, its standard error, and the interval's median width (of ln y for the curve).
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import math
import time
import zlib
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from isoflop import record
from isoflop.curve import bootstrap, law_names, points, predict, profile_likelihood
from isoflop.curve import new_run as scatter
from isoflop.curve.fit import estimate
from isoflop.curve.laws import LAWS, Axes, FitOptions
from isoflop.curve.result import Interval
from isoflop.table import csv_text
from simulated_sweeps import X_MAX, Case, Truth, new_run, simulate

RESAMPLES = 200
BATCH = 25
PROFILED = 3
"""The profile, which costs as much as the fit, is followed in every third simulation."""
FLOOR = 0.05
PLAIN = FitOptions()
UNBOUNDED = 1e9
"""An infinite width in a tally, as JSON has no infinity."""
Hit = tuple[bool, float]
"""Whether an interval held the truth, and its width."""


@dataclasses.dataclass(frozen=True)
class Tally:
    """The simulations of one case so far.

    For each quantity: whether the interval held the truth, and its width.
    """

    simulations: int
    held: dict[str, list[bool]]
    widths: dict[str, list[float]]


def cases() -> dict[str, Case]:
    """Return the cases by name.

    On the frontier the noise is that of seeds, and shapes differ by their excess.
    """
    by_name: dict[str, Case] = {}
    # Cases keep the laws' old names: a case's name seeds its simulations and names its file.
    for law, floor in (("power", 0.0), ("power_floor", FLOOR)):
        truth = Truth(floor=floor)
        for configs in (8, 15, 30):
            by_name[f"{law}-all-{configs}-3"] = Case(truth, configs, 3, 0.03, 0.05)
            by_name[f"{law}-frontier-{configs}-3"] = Case(truth, configs, 3, 0.0, 0.05, of_frontier=True)
        for seeds in (2, 5):
            by_name[f"{law}-all-15-{seeds}"] = Case(truth, 15, seeds, 0.03, 0.05)
            by_name[f"{law}-frontier-15-{seeds}"] = Case(truth, 15, seeds, 0.0, 0.05, of_frontier=True)
        by_name[f"{law}-all-15-3-noisy"] = Case(truth, 15, 3, 0.08, 0.10)
        by_name[f"{law}-all-15-3-counted"] = Case(truth, 15, 3, 0.03, 0.0, trials=1000)
    return by_name


def law_of(name: str) -> str:
    """Return the law that is true, and fitted, in the case of this name."""
    return law_names.current(name.split("-")[0])


def judge(name: str, case: Case, seed: int) -> dict[str, Hit]:
    """Simulate and fit one sweep.

    Return for each quantity whether its interval held the truth, and its width.
    """
    generator = np.random.default_rng([zlib.crc32(name.encode()), seed])
    chosen = points.select(simulate(case, generator), "x", "test_error")
    sample = predict.resample(chosen, RESAMPLES, seed, of_frontier=case.of_frontier)
    law = LAWS[law_of(name)]
    parameters = sample.fit(law, PLAIN)
    hits: dict[str, Hit] = {}
    x_max = float(sample.observations.x.max())
    if bootstrap.enough_configs(sample.units, law.free_parameters):
        for reported in law.describe(parameters, Axes(math.log(x_max), "", "")):
            if reported.name in ("b", "E"):
                truth = case.truth.b if reported.name == "b" else case.truth.floor
                ends = estimate(reported, sample.units, law.free_parameters).interval
                hits[reported.name] = _held(ends, truth)
        if not case.of_frontier and seed % PROFILED == 0:
            followed = profile_likelihood.exponent_interval(
                law, sample.observations, sample.units, parameters, PLAIN
            )
            if followed is not None:
                hits["b, profile"] = _held(followed, case.truth.b)
    fitted = law.log_predict(parameters[:1], np.log(sample.runs.positive.x / x_max))[0]
    runs, used = sample.runs.positive, sample.used
    trials = None if runs.trials is None else runs.trials[used]
    noise = scatter.about(runs.log_y[used], fitted[used], trials, law.free_parameters)
    band = predict.band(law, parameters, sample.observations.x, noise, sample)
    for name, at in (("y at x_max", X_MAX), ("y at 10 x_max", 10 * X_MAX)):
        hits[name] = _inside(band.x, band.low, band.high, at, float(case.truth(at)))
    new = float(new_run(case, np.array([X_MAX]), generator)[0])
    hits["new run at x_max"] = _inside(band.x, band.new_low, band.new_high, X_MAX, new)
    return hits


def _held(ends: Interval, truth: float) -> Hit:
    low = -math.inf if ends.low is None else ends.low
    high = math.inf if ends.high is None else ends.high
    return low <= truth <= high, high - low


def _inside(
    x: tuple[float, ...], low: tuple[float, ...], high: tuple[float, ...], at: float, y: float
) -> Hit:
    ends = [float(np.interp(math.log(at), np.log(x), np.log(end))) for end in (low, high)]
    return bool(y > 0 and ends[0] <= math.log(y) <= ends[1]), ends[1] - ends[0]


def advance(path: Path, case: Case, simulations: int) -> Tally:
    """Read the case's tally, add up to BATCH simulations, write it."""
    tally = msgspec.json.decode(path.read_bytes(), type=Tally) if path.exists() else Tally(0, {}, {})
    until = min(tally.simulations + BATCH, simulations)
    held, widths = dict(tally.held), dict(tally.widths)
    for seed in range(tally.simulations, until):
        for quantity, (hit, width) in judge(path.stem, case, seed).items():
            held.setdefault(quantity, []).append(hit)
            widths.setdefault(quantity, []).append(width if math.isfinite(width) else UNBOUNDED)
    tally = Tally(max(until, tally.simulations), held, widths)
    record.write_bytes(path, msgspec.json.encode(tally))
    return tally


def rows(name: str, case: Case, tally: Tally) -> list[dict[str, object]]:
    """Return the case's lines of coverage.csv."""
    lines = []
    for quantity, held in tally.held.items():
        share = float(np.mean(held))
        width = float(np.median(tally.widths[quantity]))
        lines.append(
            {
                "case": name,
                "law": law_of(name),
                "frontier": case.of_frontier,
                "configurations": case.configs,
                "seeds": case.seeds,
                "config_noise": case.config_noise,
                "seed_noise": case.seed_noise,
                "test_n": case.trials,
                "quantity": quantity,
                "coverage": round(share, 4),
                "standard_error": round(math.sqrt(share * (1 - share) / len(held)), 4),
                "median_width": float(f"{width:.4g}") if width < UNBOUNDED else None,
                "intervals": len(held),
                "simulations": tally.simulations,
            }
        )
    return lines


def write_table(folder: Path) -> None:
    """Write coverage.csv of all cases that have a tally."""
    lines: list[dict[str, object]] = []
    for name, case in cases().items():
        path = folder / "cases" / f"{name}.json"
        if path.exists():
            lines += rows(name, case, msgspec.json.decode(path.read_bytes(), type=Tally))
    record.write_bytes(folder / "coverage.csv", csv_text.to_csv(pd.DataFrame(lines)).encode())


def main() -> None:
    """Advance all cases until they are done or time is up, and write the table."""
    parser = argparse.ArgumentParser(description="How often do 95%% intervals hold the truth?")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--cases", default="*", help="only those whose names match, as power-all-*")
    options = parser.parse_args()
    ends = time.monotonic() + 60 * options.minutes
    (options.folder / "cases").mkdir(parents=True, exist_ok=True)
    everything = {name: case for name, case in cases().items() if fnmatch.fnmatch(name, options.cases)}
    done = 0
    while done < options.simulations and time.monotonic() < ends:
        tallies = {
            name: advance(options.folder / "cases" / f"{name}.json", case, options.simulations)
            for name, case in everything.items()
        }
        done = min(tally.simulations for tally in tallies.values())
        write_table(options.folder)
        print(f"{done} simulations a case", flush=True)


if __name__ == "__main__":
    main()
