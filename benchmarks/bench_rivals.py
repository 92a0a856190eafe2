"""Extrapolation error and coverage on simulated sweeps, beside simple-scaling-laws and scipy's curve_fit.

    python3.12 -m venv RIVAL && RIVAL/bin/pip install simple-scaling-laws==0.2.0
    python benchmarks/bench_rivals.py results/rivals-simulated --rival RIVAL/bin/python [--sweeps 100]

Expected time: about 5 minutes on one core. Every tool gets the same sweeps, of 15 configurations with three
seeds over four decades, and predicts the mean curve at 4 and 10 times the largest x. Truths: a power law with
a floor, and a power law whose exponent changes smoothly within the sweep. Writes DIR/rivals.csv.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, stats

from isoflop import record
from isoflop.curve.fit import Method, fit_table
from isoflop.curve.result import Band
from isoflop.table import csv_text
from simulated_sweeps import X_MAX, Case, Truth, simulate

Array = npt.NDArray[np.float64]
Predicted = Mapping[str, Any]
"""low, middle, high of y at AT and CPU seconds; or the reason there is none."""

RATIOS = (4.0, 10.0)
AT = [ratio * X_MAX for ratio in RATIOS]
RESAMPLES = 200
RIVAL_LAWS = ("separable-power",)
"""Its default law, a power and a floor. Its broken-power takes over a minute a fit: on request."""
TRUTHS = {
    "power and floor": Truth(floor=0.05),
    "broken power": Truth(floor=0.0, b=0.15, later=0.35, bend=100.0),
}


def of_band(band: Band, seconds: float) -> Predicted:
    """Return a band at AT."""
    at, x = np.log(AT), np.log(band.x)
    ends = {"low": band.low, "middle": band.y, "high": band.high}
    return {name: np.exp(np.interp(at, x, np.log(y))) for name, y in ends.items()} | {"seconds": seconds}


def ours(table: pd.DataFrame, law: str | None) -> Predicted:
    """Return the prediction of a law of isoflop, or of its default forecast for None."""
    method = Method(laws=(law or "power_law_ols",), resamples=RESAMPLES, forecast=law is None)
    began = time.process_time()
    report = fit_table(table, x="x", method=method)
    seconds = time.process_time() - began
    if law is not None:
        return of_band(report.fits[0].band, seconds)
    assert report.forecast is not None, report.forecast_reason
    return of_band(report.forecast.band, seconds)


def log_law(x: Array, e: float, log_a: float, b: float) -> Array:
    """ln of the power law with a floor."""
    return np.asarray(np.log(e + np.exp(log_a) * x**-b))


def with_scipy(table: pd.DataFrame) -> Predicted:
    """curve_fit on all runs from one start, and the interval of its covariance by the delta method."""
    x, y = table["x"].to_numpy(), table["test_error"].to_numpy()
    began = time.process_time()
    bounds = ([0.0, -10.0, 1e-3], [1.0, 10.0, 5.0])
    start = [0.5 * y.min(), float(np.log(y.max())), 0.3]
    best, covariance = optimize.curve_fit(log_law, x, np.log(y), start, bounds=bounds)
    at = np.array(AT)
    middle = log_law(at, *best)
    steps = 1e-6 * np.maximum(np.abs(best), 1e-3)
    slopes = np.stack(
        [(log_law(at, *(best + step)) - middle) / step.sum() for step in np.diag(steps)], axis=-1
    )
    deviation = np.sqrt(np.einsum("ai,ij,aj->a", slopes, covariance, slopes))
    reach = stats.t.ppf(0.975, len(x) - len(best)) * deviation
    ends = {"low": middle - reach, "middle": middle, "high": middle + reach}
    seconds = time.process_time() - began
    return {name: np.exp(value) for name, value in ends.items()} | {"seconds": seconds}


def rival(python: str, tables: list[pd.DataFrame], laws: list[str]) -> dict[str, list[Predicted]]:
    """Return the predictions of simple-scaling-laws by law."""
    sweeps = [{"x": t["x"].tolist(), "y": t["test_error"].tolist()} for t in tables]
    request = {"sweeps": sweeps, "at": AT, "laws": laws, "draws": RESAMPLES}
    script = Path(__file__).with_name("rival_simple_scaling_laws.py")
    made = subprocess.run(
        [python, str(script)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
        env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
    )
    answer: dict[str, list[Predicted]] = json.loads(made.stdout)
    return answer


def row(truth_name: str, tool: str, predicted: list[Predicted]) -> dict[str, object]:
    """Return one line of rivals.csv."""
    truth = TRUTHS[truth_name](AT)
    made = [p for p in predicted if "reason" not in p]
    line: dict[str, object] = {
        "truth": truth_name,
        "tool": tool,
        "sweeps": len(predicted),
        "fitted": len(made),
    }
    if not made:
        return line
    low, middle, high = (np.array([p[name] for p in made], dtype=float) for name in ("low", "middle", "high"))
    positive = middle > 0
    missed = np.log10(np.where(positive, middle, np.nan) / truth)
    for i, ratio in enumerate(RATIOS):
        line[f"rms_log10_at_{ratio:g}x"] = round(float(np.sqrt(np.nanmean(missed[:, i] ** 2))), 4)
    held = (low[:, 1] <= truth[1]) & (truth[1] <= high[:, 1])
    share = float(held.mean())
    return line | {
        "not_positive_at_10x": int((~positive[:, 1]).sum()),
        "coverage_at_10x": round(share, 4),
        "standard_error": round(float(np.sqrt(share * (1 - share) / len(made))), 4),
        "median_width_ratio_at_10x": round(float(np.median(high[:, 1] / np.maximum(low[:, 1], 1e-9))), 3),
        "median_cpu_seconds": round(float(np.median([p["seconds"] for p in made])), 3),
    }


def main() -> None:
    """Simulate, let every tool predict, write and print the table."""
    parser = argparse.ArgumentParser(description="Beside simple-scaling-laws and scipy on simulated sweeps.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rival", required=True, help="Python that has simple-scaling-laws")
    parser.add_argument("--rival-laws", nargs="+", default=RIVAL_LAWS, help="also broken-power")
    parser.add_argument("--sweeps", type=int, default=100)
    options = parser.parse_args()
    tools: dict[str, Callable[[pd.DataFrame], Predicted]] = {
        "isoflop, power_law_floor": lambda table: ours(table, "power_law_floor"),
        "isoflop, forecast (default)": lambda table: ours(table, None),
        "scipy curve_fit, power and floor": with_scipy,
    }
    lines = []
    for number, (name, truth) in enumerate(TRUTHS.items()):
        case = Case(truth, configs=15, seeds=3, config_noise=0.03, seed_noise=0.05)
        tables = [simulate(case, np.random.default_rng([number, i])) for i in range(options.sweeps)]
        lines += [row(name, tool, [predict(t) for t in tables]) for tool, predict in tools.items()]
        lines += [
            row(name, f"simple-scaling-laws, {law}", predictions)
            for law, predictions in rival(options.rival, tables, options.rival_laws).items()
        ]
        print(pd.DataFrame(lines).to_string(), flush=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    record.write_bytes(options.folder / "rivals.csv", csv_text.to_csv(pd.DataFrame(lines)).encode())


if __name__ == "__main__":
    main()
