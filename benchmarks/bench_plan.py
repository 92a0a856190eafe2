#!/usr/bin/env python3
"""What planned runs are worth on simulated sweeps, beside a uniform grid and the largest runs of that cost.

usage: python benchmarks/bench_plan.py [--sweeps 200] [--workers 2] [--save results/plan-simulated]

A sweep has 10 configurations over three decades (x from 1 to 1,000) with 2 seeds each; ln y scatters by 4%
between configurations and by 4% between seeds. A run takes x / (1 / 1 + 3 / size) seconds with size =
sqrt(x): small models do not fill the device. The budget of the next runs is three times what the sweep took;
they may be seeds of its configurations, sizes between them, and larger ones up to 30 times the largest x.

Truths: floor, 0.05 + 0.55 x^-0.3, which the law with a floor can fit ("fitted law"); break, 0.6 x^-0.15
bending to an exponent of 0.35 beyond x = 30 ("wrong law"), which neither law of the design can. Goals: b of
the power law with a floor; E; the x at which the forecast (average of the laws) comes to half the y of the
largest x under the break, and to y = 0.085 under the floor. b and E are judged under the floor alone: a
break has neither.

For each sweep and goal designs are made from the first fit, their runs drawn with one seed, and all runs
fitted: the plan; a uniform grid, 8 sizes evenly spaced in ln x from the smallest run as far up as the budget
reaches, further seeds if it reaches the end; the sweep's own grid again, in further seeds; the largest runs
that fit. Widths are of 95% intervals: of b and E in their units, of the reach in decades of x. Open
intervals count as missing, and how many there were is said.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve import reach
from isoflop.curve.check import floor
from isoflop.curve.fit import Method, fit_table
from isoflop.curve.result import FitReport
from isoflop.plan.design import fitted, search
from isoflop.plan.design.information import Choice, Problem
from isoflop.plan.design.laws import Goal, local_laws, mean_log_y

Array = npt.NDArray[np.float64]

CONFIGS, SEEDS = 10, 2
X_MAX = 1e3
CONFIG_NOISE = SEED_NOISE = 0.04
BUDGET = 3.0
"""Times what the first sweep took."""
BEYOND = 30.0
PER_DECADE = 8
DESIGNS = ("planned", "grid", "again", "largest")
RESAMPLES = 100


def floor_law(x: Array) -> Array:
    """The law with a floor: y (n,) at x (n,)."""
    return np.asarray(0.05 + 0.55 * x**-0.3)


def break_law(x: Array) -> Array:
    """A power law that steepens: no law of the design can fit it."""
    soft = np.logaddexp(0.0, np.log(x / 30.0) / 0.5)
    return np.asarray(0.6 * x**-0.15 * np.exp(-0.2 * 0.5 * soft))


TRUTHS: dict[str, Callable[[Array], Array]] = {"floor": floor_law, "break": break_law}
GOALS = {
    "floor": (Goal("exponent"), Goal("irreducible_error"), Goal("reach", 0.085)),
    "break": (Goal("reach", 0.5 * float(break_law(np.array([X_MAX]))[0])),),
}
TRUE = {("floor", "exponent"): 0.3, ("floor", "irreducible_error"): 0.05}


def true_value(truth: str, goal: Goal) -> float:
    """Return what an interval should hold."""
    if goal.kind != "reach":
        return TRUE[truth, goal.kind]
    assert goal.target is not None
    grid = np.linspace(0.0, 9.0, 90_001)
    return float(np.interp(-goal.target, -TRUTHS[truth](10.0**grid), grid))


def seconds(x: Array) -> Array:
    """Return what runs take: of a rate that saturates with the size of the model."""
    return np.asarray(x * (1.0 + 3.0 / np.sqrt(x)))


def drawn(truth: str, x: Array, config: npt.NDArray[np.intp], deviation: Array, random: Any) -> pd.DataFrame:
    """Return runs at x (n,), of numbered configurations (n,) that have a deviation each."""
    y = TRUTHS[truth](x) * np.exp(deviation[config] + SEED_NOISE * random.standard_normal(len(x)))
    names = {"config_id": [f"c{i}" for i in config], "x": x, "test_error": y}
    return pd.DataFrame(names)


def fitted_to(table: pd.DataFrame, *, averaged: bool) -> FitReport:
    """Return the fit of all runs."""
    runs = table.assign(run_id=[f"r{i}" for i in range(len(table))])
    method = Method(
        laws=("power_law", "power_law_floor") if averaged else ("power_law_floor",),
        resamples=RESAMPLES,
        forecast=averaged,
        tested=False,
        beyond=1e9,
    )
    return fit_table(runs, x="x", y="test_error", method=method)


def interval(report: FitReport, goal: Goal) -> tuple[float | None, float | None, float | None]:
    """Return the estimate and its interval, as the plan's own `before` and `after` have them."""
    if goal.kind == "reach":
        assert goal.target is not None
        assert report.forecast is not None
        found = reach.of_band("forecast", report.forecast.band, goal.target)
        ends = (found.interval.low, found.interval.high) if found.interval is not None else (None, None)
        return found.log10_x, *ends
    each = floor.parameter(report, "power_law_floor", "b" if goal.kind == "exponent" else "E")
    assert each is not None
    return each.value, each.interval.low, each.interval.high


def problem(table: pd.DataFrame, report: FitReport, goal: Goal, sizes: Array) -> Problem:
    """Return what is designed: sizes (k,), of which the first CONFIGS are those of the sweep."""
    power, with_floor, weight = fitted.curves(report)
    log_x = np.log(table["x"].to_numpy(float))
    laws = local_laws(power, with_floor, weight, goal, float(np.ptp(log_x)))
    config = table["config_id"].str[1:].to_numpy(int)
    log_y = np.log(table["test_error"].to_numpy(float))
    noise, _ = fitted.noise(log_x, log_y, config, config, mean_log_y(laws, log_x), None)
    choices = tuple(
        Choice(np.array([math.log(x)]), i, float(seconds(np.array([x]))[0])) for i, x in enumerate(sizes)
    )
    return Problem(laws, noise, choices, len(sizes), tuple(zip(log_x, map(int, config), strict=True)))


def judged(truth: str, seed: int) -> list[dict[str, Any]]:
    """Return one row a goal and design of one simulated sweep."""
    random = np.random.default_rng([seed, list(TRUTHS).index(truth)])
    grid = np.geomspace(1.0, X_MAX, CONFIGS)
    further = np.geomspace(1.0, BEYOND * X_MAX, round(PER_DECADE * math.log10(BEYOND * X_MAX)) + 1)
    sizes = np.r_[grid, further[np.min(np.abs(np.log(further[:, None] / grid)), axis=1) > 0.05]]
    deviation = CONFIG_NOISE * random.standard_normal(len(sizes))
    config = np.repeat(np.arange(CONFIGS), SEEDS)
    first = drawn(truth, sizes[config], config, deviation, random)
    budget = BUDGET * float(seconds(sizes[config]).sum())
    report = fitted_to(first, averaged=True)
    rows = []
    for goal in GOALS[truth]:
        whole = problem(first, report, goal, sizes)
        if not whole.laws:
            continue
        designs = {
            "planned": search.best(whole, budget),
            "grid": search.uniform(whole, budget),
            "again": search.again(whole, budget, range(CONFIGS)),
            "largest": search.largest(whole, budget),
        }
        if goal.kind == "reach":  # an average takes most of the time, and this rival is never the best
            designs.pop("again")
        before = interval(report, goal)
        rows.append(_row(truth, seed, goal, "before", before, 0.0, 1.0))
        for name, design in designs.items():
            chosen = np.array([i for i, seeds in design.items() for _ in range(seeds)], dtype=int)
            more = drawn(truth, sizes[chosen], chosen, deviation, np.random.default_rng([seed, 7]))
            after = fitted_to(pd.concat([first, more]), averaged=goal.kind == "reach")
            spent = search.cost(whole, design) / budget
            rows.append(
                _row(truth, seed, goal, name, interval(after, goal), spent, search.ratio(whole, design))
            )
    return rows


def _row(
    truth: str,
    seed: int,
    goal: Goal,
    design: str,
    ends: tuple[float | None, float | None, float | None],
    spent: float,
    expected: float,
) -> dict[str, Any]:
    value, low, high = ends
    true = true_value(truth, goal)
    held = (low is None or low <= true) and (high is None or true <= high)
    return {
        "truth": truth,
        "sweep": seed,
        "goal": goal.kind,
        "design": design,
        "true": true,
        "value": value,
        "low": low,
        "high": high,
        "held": int(held),
        "share_of_budget": round(spent, 4),
        "expected_ratio": round(expected, 4),
    }


def _log_ratio(width: pd.DataFrame, of: str, over: str) -> Array:
    """Return ln of the ratio of two designs' widths, of the sweeps in which both are known."""
    if of not in width:
        return np.array([])
    both = width[[of, over]].to_numpy(float) if of != over else np.repeat(width[[of]].to_numpy(float), 2, 1)
    kept = both[np.all(np.isfinite(both) & (both > 0), axis=1)]
    return np.asarray(np.log(kept[:, 0] / kept[:, 1]))


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a truth, goal and design: widths, errors, coverage, and the width over the grid's.

    The ratio of widths is the geometric mean over the sweeps in which both intervals are closed, with the 95%
    interval of that mean by 2,000 resamples of sweeps.
    """
    made = []
    for (truth, goal), each in rows.groupby(["truth", "goal"], sort=False):
        width = each.assign(width=each["high"] - each["low"]).pivot_table(
            "width", "sweep", "design", dropna=False
        )
        for design in ("before", *DESIGNS):
            of = each[each["design"] == design]
            if of.empty:
                continue
            error = (of["value"] - of["true"]).dropna()
            ratio = _log_ratio(width, design, "grid")
            of_before = _log_ratio(width, design, "before")
            random = np.random.default_rng(0)
            means = random.choice(ratio, (2000, len(ratio))).mean(axis=1) if len(ratio) else [np.nan]
            made.append(
                {
                    "truth": truth,
                    "goal": goal,
                    "design": design,
                    "sweeps": len(of),
                    "median_width": float((of["high"] - of["low"]).median()),
                    "open": int((of["high"].isna() | of["low"].isna()).sum()),
                    "over_grid": float(np.exp(ratio.mean())),
                    "over_grid_low": float(np.exp(np.quantile(means, 0.025))),
                    "over_grid_high": float(np.exp(np.quantile(means, 0.975))),
                    "over_before": float(np.exp(of_before.mean())),
                    "expected_over_before": float(np.exp(np.log(of["expected_ratio"]).mean())),
                    "rms_error": float(np.sqrt(np.mean(error**2))),
                    "median_error": float(error.abs().median()),
                    "held": float(of["held"].mean()),
                    "share_of_budget": float(of["share_of_budget"].mean()),
                }
            )
    return pd.DataFrame(made).round(4)


def main() -> None:
    """Write sweeps.csv and summary.csv, and print the latter."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sweeps", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--save", type=Path, default=None, metavar="DIR")
    given = parser.parse_args()
    began = time.monotonic()
    path = None if given.save is None else given.save / "sweeps.csv"
    done = pd.read_csv(path) if path is not None and path.is_file() else pd.DataFrame()
    known = set(zip(done["truth"], done["sweep"], strict=True)) if len(done) else set()
    tasks = [(t, s) for s in range(given.sweeps) for t in TRUTHS if (t, s) not in known]
    kept = [done]
    with concurrent.futures.ProcessPoolExecutor(given.workers) as pool:
        for part in pool.map(judged, *zip(*tasks, strict=True)) if tasks else ():
            kept.append(pd.DataFrame(part))
            if path is not None:  # after each sweep: what is cut off goes on
                path.parent.mkdir(parents=True, exist_ok=True)
                pd.concat(kept).to_csv(path, index=False)
    rows = pd.concat(kept)
    rows = rows[rows["sweep"] < given.sweeps]
    made = summary(rows)
    print(made.to_string(index=False))
    print(f"{len(tasks)} simulated sweeps in {time.monotonic() - began:.0f} s")
    if given.save is not None:
        made.to_csv(given.save / "summary.csv", index=False)


if __name__ == "__main__":
    main()
