"""Measure how often a law is rejected, and how often a late deviation is named, on simulated sweeps.

    python benchmarks/bench_lack_of_fit.py results/lack-of-fit-simulated [--simulations 400]

Expected time: about 12 minutes on one core. Sweeps of 6, 8, 12 and 30 configurations over 3 decades, 5% noise
between configurations, through the functions that `isoflop fit` calls. Writes DIR/rejections.csv (the power
law's test and its parts) and DIR/late.csv (deviations of the largest one or two configurations by 15%, with
what the best possible tests reach). Nothing is kept between calls.
"""

from __future__ import annotations

import argparse
import dataclasses
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from isoflop import record
from isoflop.curve import new_run, points, predict
from isoflop.curve.laws import LAWS, FitOptions
from isoflop.curve.misfit import lack_of_fit, late
from isoflop.table import csv_text
from simulated_sweeps import Truth

Array = npt.NDArray[np.float64]

X_MAX = 1e3
CONFIGS = (6, 8, 12, 30)
NOISE = 0.05
RESAMPLES = 200
DEVIATION = float(np.log(1.15))
CORRELATION = 0.5
"""Of error and training loss between configurations."""
LEVEL = 0.05
LAW = LAWS["power_law"]
POWER, FLOOR = Truth(), Truth(floor=0.05)
TRUTHS = {
    "power law": POWER,
    "floor 0.05": FLOOR,
    "break to 0.15 at 100": Truth(later=0.15, bend=100.0),
    "break to 0.45 at 100": Truth(later=0.45, bend=100.0),
}


@dataclasses.dataclass(frozen=True)
class Sweep:
    """ln x and ln y (n,) of one simulated sweep."""

    log_x: Array
    log_y: Array


def line(truth: Truth, configs: int, generator: np.random.Generator, noise: Array | float) -> Sweep:
    """Return one configuration at each of `configs` equal steps of ln x, with normal noise of ln y."""
    x = np.geomspace(1.0, X_MAX, configs)
    return Sweep(np.log(x), np.log(truth(x)) + noise * generator.standard_normal(configs))


def even(truth: Truth, configs: int, generator: np.random.Generator) -> Sweep:
    """Return a sweep whose configurations scatter by NOISE."""
    return line(truth, configs, generator, NOISE)


def growing(truth: Truth, configs: int, generator: np.random.Generator) -> Sweep:
    """Return a sweep whose scatter grows threefold along x, from 3% to 9%."""
    return line(truth, configs, generator, np.geomspace(0.03, 0.09, configs))


def grid(truth: Truth, configs: int, generator: np.random.Generator) -> Sweep:
    """Return a grid of widths x depths: compute grows with both, and each shape has an effect of its own."""
    return _grid(truth, configs, generator, 0.0)


def additive(truth: Truth, configs: int, generator: np.random.Generator) -> Sweep:
    """Return the grid where each width and each depth has an effect of 3% too, which its shapes share."""
    return _grid(truth, configs, generator, 0.03)


def _grid(truth: Truth, configs: int, generator: np.random.Generator, shared: float) -> Sweep:
    depths = 2 if configs < 12 else 3
    widths = configs // depths
    deep = 2.0 ** np.arange(depths)
    x = (np.geomspace(1.0, X_MAX / deep[-1], widths)[:, None] * deep).ravel()
    of_width = np.repeat(shared * generator.standard_normal(widths), depths)
    of_depth = np.tile(shared * generator.standard_normal(depths), widths)
    own = np.sqrt(NOISE**2 - 2 * shared**2) if shared else NOISE
    noise = of_width + of_depth + own * generator.standard_normal(len(x))
    return Sweep(np.log(x), np.log(truth(x)) + noise)


SCATTERS: dict[str, Callable[[Truth, int, np.random.Generator], Sweep]] = {
    "even": even,
    "width x depth grid": grid,
    "shared by widths and depths": additive,
    "growing 3 to 9%": growing,
}


def judge(sweep: Sweep, seed: int) -> dict[str, bool]:
    """Fit the power law to one sweep; return what each test says of it, at 5%."""
    n = len(sweep.log_x)
    ids = [f"config{i}" for i in range(n)]
    axes = {"x": np.exp(sweep.log_x), "y": np.exp(sweep.log_y)}
    table = pd.DataFrame({"run_id": ids, "config_id": ids} | axes)
    chosen = points.select(table, "x", "y")
    sample = predict.resample(chosen, RESAMPLES, seed)
    parameters = sample.fit(LAW, FitOptions())
    x = chosen.means.x
    fitted = LAW.log_predict(parameters[:1], np.log(chosen.runs.x / x.max()))[0]
    scatter = new_run.about(chosen.runs.log_y, fitted, None, LAW.free_parameters)
    band = predict.band(LAW, parameters, x, scatter, sample)
    tested, why = lack_of_fit.lack_of_fit(
        *(LAW, parameters, chosen.means, FitOptions()),
        within=lack_of_fit.within(band, float(x.max())),
        seed=seed,
    )
    assert tested is not None, why
    return {
        "bends": tested.p_value <= LEVEL,
        "rejected": tested.rejected,
        "runs of signs": tested.runs_p is not None and tested.runs_p <= LEVEL,
        "rolling": tested.rolling_p is not None and tested.rolling_p <= LEVEL,
    }


def rejections(simulations: int) -> pd.DataFrame:
    """Return the share of sweeps of each kind that each test calls misfit."""
    rows = []
    kinds = [("power law", scatter) for scatter in SCATTERS]
    kinds += [(truth, "even") for truth in TRUTHS if truth != "power law"]
    for truth, scatter in kinds:
        for configs in CONFIGS:
            generator = np.random.default_rng([zlib.crc32(f"{truth} {scatter}".encode()), configs])
            made = SCATTERS[scatter]
            said = [judge(made(TRUTHS[truth], configs, generator), seed) for seed in range(simulations)]
            shares = {name: round(float(np.mean([each[name] for each in said])), 4) for name in said[0]}
            rows.append({"truth": truth, "scatter": scatter, "configurations": configs} | shares)
            rows[-1]["simulations"] = simulations
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def late_sweep(
    truth: Truth, configs: int, noise: float, top: int, generator: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Return ln x, ln y and ln of the training loss (n,), the largest `top` of both raised by DEVIATION.

    Args:
        truth: the curve of the error; the training loss has twice its irreducible part, 2.5 times its scale.
        configs: number of configurations n.
        noise: s.d. of both, with CORRELATION between them.
        top: how many deviate.
        generator: of the noise.
    """
    x = np.geomspace(1.0, X_MAX, configs)
    of_loss = dataclasses.replace(truth, floor=2 * truth.floor, scale=2.5 * truth.scale)
    own, other = generator.standard_normal((2, configs))
    raised = DEVIATION * (np.arange(configs) >= configs - top)
    log_y = np.log(truth(x)) + noise * own + raised
    shared = CORRELATION * own + np.sqrt(1 - CORRELATION**2) * other
    return np.log(x), log_y, np.log(of_loss(x)) + noise * shared + raised


def best(configs: int, top: int, parameters: int) -> float:
    """Return the power of the best one-sided test at 5% that knows how many deviate.

    Args:
        configs: number of configurations n.
        top: how many deviate.
        parameters: 0 if curve and noise are known (normal test); else those of a polynomial of ln x that must
            be estimated with the noise (noncentral t; uniformly most powerful invariant).
    """
    raised = (np.arange(configs) >= configs - top).astype(float)
    if parameters == 0:
        return float(stats.norm.sf(stats.norm.isf(LEVEL) - DEVIATION / NOISE * np.sqrt(top)))
    basis = np.linalg.qr(np.vander(np.linspace(-1, 1, configs), parameters))[0]
    left = raised - basis @ (basis.T @ raised)
    freedom = configs - parameters - 1
    shift = DEVIATION / NOISE * float(np.linalg.norm(left))
    return float(stats.nct.sf(stats.t.isf(LEVEL, freedom), freedom, shift))


def deviations(simulations: int) -> pd.DataFrame:
    """Return the share of sweeps in which a deviation is named, with one and without."""
    rows = []
    cases = [(NOISE, top) for top in (0, 1, 2)] + [(0.03, 0), (0.1, 0)]
    for name, truth in (("power law", POWER), ("floor 0.05", FLOOR)):
        for configs in CONFIGS:
            nulls: dict[bool, float] = {}
            for noise, top in cases:
                seed = [zlib.crc32(name.encode()), configs, top, round(1e3 * noise)]
                generator = np.random.default_rng(seed)
                sweeps = [late_sweep(truth, configs, noise, top, generator) for _ in range(simulations)]
                for with_loss in (False, True):
                    judged = [late.judge(x, y, loss if with_loss else None) for x, y, loss in sweeps]
                    evidence = np.array([each[1] for each in judged])
                    if (noise, top) == (NOISE, 0):
                        nulls[with_loss] = float(np.quantile(evidence, 1 - LEVEL))
                    row = {
                        "truth": name,
                        "configurations": configs,
                        "noise": noise,
                        "deviating": top,
                        "training_loss": with_loss,
                        "named": round(float(np.mean([each[2] for each in judged])), 4),
                        "evidence_95": round(float(np.quantile(evidence, 1 - LEVEL)), 3),
                    }
                    if top:
                        at_own = float(np.mean(evidence >= nulls[with_loss]))
                        row["named_at_own_5_percent"] = round(at_own, 4)
                    if top and not with_loss:
                        row |= {
                            f"best_{what}": round(best(configs, top, p), 3)
                            for what, p in (("known_curve", 0), ("power_law", 2), ("curved", 3))
                        }
                    rows.append(row | {"simulations": simulations})
                    print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    """Simulate, and write both tables."""
    parser = argparse.ArgumentParser(description="How often is a law rejected, or a late deviation named?")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--simulations", type=int, default=400)
    parser.add_argument("--only", choices=("rejections", "late"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    parts = {"rejections": rejections, "late": deviations}
    for name, made in parts.items():
        if options.only in (None, name):
            text = csv_text.to_csv(made(options.simulations))
            record.write_bytes(options.folder / f"{name}.csv", text.encode())


if __name__ == "__main__":
    main()
