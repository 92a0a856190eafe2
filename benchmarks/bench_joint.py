"""The joint laws' evidence: the bias of IsoFLOP parabolas, and which term for repeated data predicts best.

    python benchmarks/bench_joint.py results/joint-laws            # about 10 minutes on one core

bias.csv (simulated): ln(N* / true N*) of parabolas as they are and less their bias, on designs whose sizes
reach to both sides of the optimum by different amounts, under Chinchilla's law and under another.
repeats.csv: ln(predicted / observed) of laws with different terms for repeats on the committed CIFAR-10
sweeps, leaving out each amount of data and length in turn. repeats-simulated.csv: the same laws on sweeps
simulated under each, the most passes held out.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize

from isoflop.curve.isoflop.profiles import fit_profiles

ROOT = Path(__file__).parents[1]
SWEEPS = ("cifar10-h200-ladder", "cifar10-h200-data-grid")
BUDGETS = np.geomspace(1e18, 1e21, 4)
NOISE, SIZES, BIAS_SWEEPS, REPEAT_SWEEPS = 0.003, 9, 40, 20
DESIGNS = (
    (0.35, 0.37, -1.0, 1.0, 0.0),
    (0.35, 0.37, -0.7, 2.3, 0.0),
    (0.25, 0.5, -2.3, 2.3, 0.0),
    (0.25, 0.5, -3.0, 3.0, 0.0),
    (0.25, 0.5, -2.0, 2.0, 0.8),
)
"""Exponents of size and data, reach of ln size about the optimum, and its shift from budget to budget."""
TOGETHER: dict[str, Callable[..., Any]] = {"sum": lambda n, d: n + d, "root of squares": np.hypot}
"""How the two terms are put together: Chinchilla's law, and one that no law here knows."""


def bias(sweeps: int) -> list[dict[str, Any]]:
    """Return a row for each design and truth."""
    return [
        {"truth": truth, "alpha": a, "beta": b, "low": low, "high": high, "shift": shift}
        | _bias(a, b, low, high, shift, together, sweeps)
        for truth, together in TOGETHER.items()
        for a, b, low, high, shift in DESIGNS
    ]


def _bias(
    alpha: float,
    beta: float,
    low: float,
    high: float,
    shift: float,
    together: Callable[..., Any],
    sweeps: int,
) -> dict[str, Any]:
    """Return root mean squares over budgets and sweeps.

    Args:
        alpha, beta: exponents of size and data.
        low, high: reach of ln size about the optimum.
        shift: of that reach from budget to budget.
        together: puts the two terms together.
        sweeps: number of them.
    """
    a, b = 480 * 5e8 ** (alpha - 0.35), 2100 * 1e10 ** (beta - 0.37)

    def terms(log_n: Any, compute: Any) -> Any:
        return together(a * np.exp(-alpha * log_n), b * (compute / 6 / np.exp(log_n)) ** -beta)

    best = np.array([_least(terms, compute, math.log(5e8)) for compute in BUDGETS])
    slope = np.polyfit(np.log(BUDGETS), best, 1)[0]
    missed: dict[str, list[float]] = {"n": [], "n_less_bias": [], "exponent": [], "exponent_less_bias": []}
    for seed in range(sweeps):
        generator = np.random.default_rng(seed)
        compute = np.repeat(BUDGETS, SIZES)
        reach = np.concatenate(
            [
                np.linspace(low, high, SIZES) + shift * (i - (len(BUDGETS) - 1) / 2)
                for i in range(len(BUDGETS))
            ]
        )
        log_n = np.repeat(best, SIZES) + reach
        y = (1.8 + terms(log_n, compute)) * np.exp(NOISE * generator.standard_normal(len(log_n)))
        n = np.exp(log_n)
        table = pd.DataFrame({"C": compute, "N": n, "D": compute / 6 / n, "loss": y})
        profiles = fit_profiles(table, "C", ("N",), "loss", ("D",), data="D", resamples=0)
        for budget, truth in zip(profiles.budgets, best, strict=True):
            if budget.optimum is not None and budget.bias is not None:
                missed["n"].append(math.log(budget.optimum[0].value) - truth)
                missed["n_less_bias"].append(missed["n"][-1] - math.log(budget.bias[0]))
        grows = None if profiles.growth is None else profiles.growth[0]
        if grows is not None and grows.bias is not None:
            missed["exponent"].append(grows.exponent.value - slope)
            off = grows.bias.by_parabolas - grows.bias.by_law
            missed["exponent_less_bias"].append(missed["exponent"][-1] - off)
    return {f"rms_{name}": f"{_rms(each):.4f}" for name, each in missed.items()} | {
        "optima": len(missed["n"])
    }


def _least(terms: Callable[..., Any], compute: float, near: float) -> float:
    found = optimize.minimize_scalar(
        terms, bounds=(near - 9, near + 9), args=(compute,), method="bounded", options={"xatol": 1e-9}
    )
    return float(found.x)


def _rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values else math.nan


TERMS = {
    "new": 0,
    "effective": 1,
    "effective_and_excess": 2,
    "penalty": 1,
    "penalty_of_passes": 2,
    "penalty_of_size": 3,
}
"""Law -> number of its parameters for repeats."""
STARTS_ALL, STARTS_PART = 20, 8


def law(name: str, p: Any, n: Any, seen: Any, unique: Any) -> Any:
    """Return y by parameters p = (ln E, ln alpha, ln beta, ln A, ln B, ...), n and data in units of 1e5."""
    floor, alpha, beta, a, b = np.exp(p[:5])
    used = np.minimum(seen, unique)
    repeats, size, data = seen / used - 1, n / 1e5, seen / 1e5
    if name.startswith("effective"):
        data = used / 1e5 * (1 - np.exp(p[5]) * np.expm1(-repeats / np.exp(p[5])))
    if name == "effective_and_excess":
        # Parameters in excess of the best ones for the unique data, discounted like repeats.
        carried = np.minimum(size, (alpha * a / (beta * b) * (used / 1e5) ** beta) ** (1 / alpha))
        size = carried * (1 - np.exp(p[6]) * np.expm1(-(size / carried - 1) / np.exp(p[6])))
    y = floor + a * size**-alpha + b * data**-beta
    if name == "penalty":
        return y + np.exp(p[5]) * repeats * n / unique
    if name == "penalty_of_passes":
        return y + np.exp(p[5]) * repeats ** np.exp(p[6])
    if name == "penalty_of_size":
        return y + np.exp(p[5]) * repeats ** np.exp(p[6]) * size ** p[7]
    return y


def fit(name: str, rows: pd.DataFrame, starts: int) -> Any:
    """Return the parameters of least Huber loss of ln y (threshold 0.03), the best of random starts."""
    generator, best = np.random.default_rng(0), None
    x = tuple(rows[each].to_numpy(float) for each in ("n", "d", "u"))
    log_y = np.log(rows["y"].to_numpy())

    def residual(p: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.nan_to_num(np.log(law(name, p, *x)) - log_y, nan=1e3, posinf=1e3, neginf=-1e3)

    for _ in range(starts):
        start = [generator.uniform(-8, -2), *generator.uniform(-2, 0, 2), *generator.uniform(-4, 0, 2)]
        more = [generator.uniform(-2, 4), generator.uniform(-2, 3), 0.0]
        if name.startswith("penalty"):
            more[0] = generator.uniform(-14, -3)
        start += more[: TERMS[name]]
        found = optimize.least_squares(
            residual, start, loss="huber", f_scale=0.03, max_nfev=400, bounds=(-25, 25)
        )
        best = found if best is None or found.cost < best.cost else best
    assert best is not None
    return best.x


def off(name: str, p: Any, rows: pd.DataFrame) -> Any:
    """Return ln(predicted / observed)."""
    with np.errstate(all="ignore"):
        return np.log(law(name, p, rows["n"], rows["d"], rows["u"]) / rows["y"]).to_numpy()


def measured(y: str) -> pd.DataFrame:
    """Return the geometric mean over seeds of each configuration and length of SWEEPS."""
    tables = [pd.read_csv(ROOT / "results" / name / "table.csv").assign(sweep=name) for name in SWEEPS]
    table = pd.concat(tables).rename(columns={"parameters": "n", "examples_seen": "d", "train_n": "u"})
    table = table[table[y] > 0].assign(y=np.log(table[y]))
    means = table.groupby(["sweep", "config_id", "d"], as_index=False).agg(
        {"n": "first", "u": "first", "y": "mean"}
    )
    return means.assign(y=np.exp(means["y"]))


def repeats() -> list[dict[str, Any]]:
    """Return a row for each law, of test error and of test loss."""
    rows = []
    for y in ("test_error", "test_loss"):
        table = measured(y)
        cell = table.groupby(["sweep", "d"]).ngroup().to_numpy()
        for name in TERMS:
            p = fit(name, table, STARTS_ALL)
            left: list[float] = []
            for each in np.unique(cell):
                part = fit(name, table[cell != each], STARTS_PART)
                left += off(name, part, table[cell == each]).tolist()
            extra = [f"{value:.4g}" for value in np.exp(p[5:7])]
            rows.append(
                {
                    "y": y,
                    "law": name,
                    "points": len(table),
                    "rms_fitted": f"{_rms(off(name, p, table).tolist()):.4f}",
                }
                | {"rms_left_out": f"{_rms(left):.4f}", "exp_of_extra": " ".join(extra)}
            )
            print(rows[-1], flush=True)
    return rows


TRUTHS = {
    "new": [],
    "effective": [math.log(10.0)],
    "penalty": [math.log(2e-4)],
    "penalty_of_passes": [math.log(2e-3), math.log(0.7)],
}
COMPARED = ("new", "effective", "penalty", "penalty_of_passes")


def simulated(sweeps: int) -> list[dict[str, Any]]:
    """Return a row for each truth and law: 1 to 16 passes over 3 data sets by 5 sizes, 64 held out."""
    n, u, passes = (
        each.ravel()
        for each in np.meshgrid(np.geomspace(2e4, 5e6, 5), [5e3, 2e4, 8e4], [1.0, 2, 4, 8, 16, 64])
    )
    base = [math.log(0.02), math.log(0.4), math.log(0.6), math.log(0.06), math.log(0.12)]
    rows = []
    for truth, extra in TRUTHS.items():
        held: dict[str, list[float]] = {name: [] for name in COMPARED}
        for seed in range(sweeps):
            noise = 0.02 * np.random.default_rng(seed).standard_normal(len(n))
            y = law(truth, np.array([*base, *extra]), n, passes * u, u)
            table = pd.DataFrame({"n": n, "d": passes * u, "u": u, "y": y * np.exp(noise)})
            last = passes == passes.max()
            for name in COMPARED:
                p = fit(name, table[~last], STARTS_PART)
                held[name] += off(name, p, table[last].assign(y=y[last])).tolist()
        rows += [
            {"truth": truth, "law": name, "rms_held_out": f"{_rms(held[name]):.4f}"} for name in COMPARED
        ]
        print(rows[-len(COMPARED) :], flush=True)
    return rows


def main() -> None:
    """Write the three tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--sweeps", type=int, default=BIAS_SWEEPS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, made in (
        ("repeats", repeats),
        ("repeats-simulated", lambda: simulated(min(options.sweeps, REPEAT_SWEEPS))),
        ("bias", lambda: bias(options.sweeps)),
    ):
        rows = made()
        with (options.out / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
