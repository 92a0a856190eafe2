"""The public benchmark of extrapolation: learning curves cut in two, the smaller x predicting the larger.

The benchmark and its score are those of Alabdulmohsin et al. (2022, "Revisiting Neural Scaling Laws in
Language and Vision"): for each curve the root mean square of ln(predicted / observed) over the held-out part,
averaged over the curves of a domain. All choices for a curve are made on its training part.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop import tasks
from isoflop.curve import solver
from isoflop.curve.forecast import make
from isoflop.curve.forecast.predictive import predictive
from isoflop.curve.laws import LAWS, FitOptions
from isoflop.curve.observations import Observations
from isoflop.curve.solver import Problem
from isoflop.table.columns import nearest, no_number, number

Array = npt.NDArray[np.float64]

COLUMNS = ("Domain", "Task", "Model", "Seen Examples", "Loss", "Training")
RIVALS = ("power_law", "power_law_floor", "m3", "m4")
"""M1 to M4 as we fit them: least squares of ln y over the whole training part."""
ALONE = (*RIVALS, "broken_power_law")
LEAST_POINTS = 4
ROWS = FitOptions(independent=False)
FITTED = solver.Effort(tolerance=1e-6, gain=1e-9, steps=60)


@dataclasses.dataclass(frozen=True)
class CurveScore:
    """BenchmarkScore of one curve.

    `rmsle` is by law, the forecast first. `inside` of `held_out` points lay in the forecast's 95% interval
    for a new point. `seconds` is the time of the forecast, while other
    threads make those of other curves.
    """

    domain: str
    task: str
    model: str
    training: int
    held_out: int
    rmsle: dict[str, float]
    inside: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class DomainScore:
    """Means over a domain's curves.

    `won` is the share of curves on which the forecast beats each of RIVALS; `coverage` is the share of
    held-out points inside the 95% interval, with equal weight for every curve.
    """

    domain: str
    curves: int
    mean_rmsle: dict[str, float]
    won: float
    coverage: float
    seconds_per_curve: float


@dataclasses.dataclass(frozen=True)
class BenchmarkScore:
    """All domains of a benchmark and the curves behind them."""

    source: str
    domains: tuple[DomainScore, ...]
    curves: tuple[CurveScore, ...]
    duplicates: int


def read_benchmark(path: Path) -> tuple[pd.DataFrame, int]:
    """Read one benchmark file, or a folder's benchmark.*.csv.

    Return the rows, and how many duplicates were dropped.

    Raises:
        ValueError: no such file, or its columns or values are not the benchmark's.
    """
    files = sorted(path.glob("benchmark.*.csv")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise ValueError(f"{path}: give the benchmark's csv, or a folder that holds benchmark.*.csv")
    parts = []
    for file in files:
        try:
            part = pd.read_csv(file)
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise ValueError(f"{file}: not a csv file: {error}") from None
        for name in COLUMNS:
            if name not in part:
                raise ValueError(f"{file}: no column {name}: {nearest(name, map(str, part.columns))}")
        parts.append(part[list(COLUMNS)])
    rows = pd.concat(parts, ignore_index=True)
    for name in ("Seen Examples", "Loss", "Training"):
        numbers = pd.to_numeric(rows[name], errors="coerce")
        if name != "Training" and not (np.isfinite(numbers) & (numbers > 0)).all():
            bad = int(np.flatnonzero(~(np.isfinite(numbers) & (numbers > 0)))[0])
            value = rows[name][bad]
            if number(value) is None:
                raise ValueError(f"{path}: row {bad + 1}: {name} is {no_number(value)}")
            raise ValueError(
                f"{path}: {name} is {value} in row {bad + 1}: it must be a finite number above 0"
            )
        if name == "Training" and not numbers.isin([0, 1]).all():
            raise ValueError(f"{path}: Training must be 1 (fit) or 0 (extrapolate) in every row")
        rows[name] = numbers
    once = rows.drop_duplicates()
    return once, len(rows) - len(once)


def predict_curve(x: Array, y: Array, at: Array) -> tuple[Array, Array, Array]:
    """Return ln of the forecast of one curve at `at` (m,), and the ends of its 95% interval for a new point.

    It is the forecast of `isoflop fit` (forecast.make) on a table that names no configurations.

    Args:
        x, y: the training part (n,).
        at: x (m,) of the predictions.

    Raises:
        ValueError: too few points for a forecast.
    """
    made = make.band(predictive(_observed(x, y), ROWS), at, float(x.max()))
    middle, low, high = (np.log(side) for side in (made.y, made.new_low, made.new_high))
    return middle, low, high


def _observed(x: Array, y: Array) -> Observations:
    return Observations(x, y, np.arange(len(x)), np.ones(len(x)), None, None)


def _curves(observed: Observations, law: str, z: Array) -> Array:
    """Return ln y (m,) of one law at z (m,) by least squares."""
    form = LAWS[law].form
    assert form is not None
    log_y = observed.log_y[None]
    problem = Problem(form, observed.v, log_y, solver.log_error(log_y))
    parameters = solver.solve(problem, np.ones((1, len(observed.x))), FITTED)[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nan_to_num(solver.log_curve(form, parameters, -z), nan=-20.0)[0])


def score_curve(key: tuple[str, str, str], rows: pd.DataFrame) -> CurveScore:
    """Fit the training part of one curve and judge the rest."""
    rows = rows.sort_values("Seen Examples", kind="stable")
    fitted = rows["Training"].to_numpy() == 1
    x, y = (rows[name].to_numpy(float) for name in ("Seen Examples", "Loss"))
    if fitted.sum() < LEAST_POINTS or fitted.all():
        raise ValueError(
            f"{', '.join(key)}: {int(fitted.sum())} points to fit and {int((~fitted).sum())} to predict: "
            f"at least {LEAST_POINTS} and 1 are needed"
        )
    began = time.perf_counter()
    middle, low, high = predict_curve(x[fitted], y[fitted], x[~fitted])
    seconds = time.perf_counter() - began
    held_out = np.log(y[~fitted])
    observed = _observed(x[fitted], y[fitted])
    z = np.log(x[~fitted] / x[fitted].max())
    curves = {"forecast": middle} | {law: _curves(observed, law, z) for law in ALONE}
    return CurveScore(
        *key,
        training=int(fitted.sum()),
        held_out=len(held_out),
        rmsle={name: float(np.sqrt(np.mean((curve - held_out) ** 2))) for name, curve in curves.items()},
        inside=int(((low <= held_out) & (held_out <= high)).sum()),
        seconds=seconds,
    )


def _domain(name: str, curves: list[CurveScore]) -> DomainScore:
    best = [min(curve.rmsle[law] for law in RIVALS) for curve in curves]
    return DomainScore(
        domain=name,
        curves=len(curves),
        mean_rmsle={law: float(np.mean([curve.rmsle[law] for curve in curves])) for law in curves[0].rmsle},
        won=float(np.mean([c.rmsle["forecast"] < b for c, b in zip(curves, best, strict=True)])),
        coverage=float(np.mean([curve.inside / curve.held_out for curve in curves])),
        seconds_per_curve=float(np.mean([curve.seconds for curve in curves])),
    )


def score(path: Path) -> BenchmarkScore:
    """BenchmarkScore a benchmark file or a folder of them.

    Raises:
        ValueError: it is not the benchmark (read_benchmark), or a curve has too few points.
    """
    rows, duplicates = read_benchmark(path)
    parts = list(rows.groupby(["Domain", "Task", "Model"], sort=False))
    curves = tasks.each(
        "curves", lambda one: score_curve((str(one[0][0]), str(one[0][1]), str(one[0][2])), one[1]), parts
    )
    names = list(dict.fromkeys(curve.domain for curve in curves))
    domains = tuple(_domain(name, [c for c in curves if c.domain == name]) for name in names)
    return BenchmarkScore(str(path), domains, tuple(curves), duplicates)
