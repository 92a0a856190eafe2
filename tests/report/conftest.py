"""Synthetic sweeps with a known law: tables and fits built by hand, no training and no estimator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from isoflop.curve.result import (
    SCHEMA,
    Band,
    Calibration,
    Estimate,
    Excluded,
    FitFile,
    FitReport,
    Forecast,
    HorizonError,
    Interval,
    LawFit,
    Member,
)
from isoflop.table import aggregate

TEXT = set(aggregate.TEXT)


def synthetic_table(
    widths: tuple[int, ...] = (8, 16, 32, 64, 128),
    depths: tuple[int, ...] = (1, 2, 3),
    seeds: int = 4,
    exponent: float = 0.15,
    floor: float = 0.0,
    noise: float = 0.03,
    joules: bool = False,
    label: str = "mlp w{w} d{d}",
) -> aggregate.RunTable:
    """A table whose error is floor + 0.5 (GFLOPs / 0.01)^-exponent, times log-normal noise."""
    rng = np.random.default_rng(0)
    rows = []
    for d in depths:
        for w in widths:
            gflops = 2e-3 * w**1.6 * (d + 1)
            for seed in range(seeds):
                error = min(0.9, (floor + 0.5 * (gflops / 0.01) ** -exponent) * np.exp(noise * rng.normal()))
                row: dict[str, object] = dict.fromkeys(aggregate.COLUMNS)
                row |= {
                    "run_id": f"{w:04x}{d:04x}{seed:04x}",
                    "config_id": f"{w:04x}{d:04x}",
                    "place_id": f"{w:04x}{d:04x}",
                    "trunk_id": f"{w:04x}{d:04x}",
                    "label": label.format(w=w, d=d),
                    "seed": seed,
                    "family": "mlp",
                    "architecture": "mlp",
                    "width": w,
                    "depth": d,
                    "parameters": 64 * w + (d - 1) * w * w,
                    "data": "synthetic",
                    "data_fraction": 1.0,
                    "train_n": 4000,
                    "test_n": 1000,
                    "chance_error": 0.9,
                    "test_error": error,
                    "test_error_low": error * 0.9,
                    "test_error_high": error * 1.1,
                    "val_error": error,
                    "test_loss": 3 * error,
                    "val_loss": 3 * error,
                    "train_loss": 2 * error,
                    "train_gflops": gflops,
                    "energy_joules": 30 + 40 * gflops if joules else None,
                    "energy_grade": "A" if joules else None,
                    "energy_reason": None
                    if joules
                    else "no GPU and no readable RAPL counter on this machine",
                    "train_seconds": 0.5 + gflops / 20,
                    "lr": 0.01,
                    "batch_size": 64,
                    "device": "cpu",
                    "precision": "fp32",
                    "isoflop_version": "0.1.0",
                    "git_commit": "0123456789abcdef0123456789abcdef01234567",
                    "started_at": f"2026-01-0{1 + seed % 9}T00:00:00+00:00",
                }
                rows.append(row)
    columns = {
        name: pd.Series([r[name] for r in rows], dtype=object if name in TEXT else float)
        for name in aggregate.COLUMNS
    }
    frame = pd.DataFrame(columns).sort_values(["train_gflops", "seed", "run_id"], ignore_index=True)
    dropped = (aggregate.Dropped("feedbeef0000", "diverged", "loss became infinite at step 12"),)
    return aggregate.RunTable(frame, dropped)


def _power(log_x, y, floor):
    """The power law with a given floor that least squares of the logarithms give."""
    slope, start = np.polyfit(log_x, np.log(y - floor), 1)
    return lambda x: floor + np.exp(start + slope * np.log(x))


def _exponential(log_x, y):
    slope, start = np.polyfit(log_x, 1 / y, 1)
    return lambda x: 1 / np.maximum(start + slope * np.log(x), 0.5)


def _estimate(name: str, value: float, spread: float, unit: str = "1") -> Estimate:
    return Estimate(name, value, Interval(value - spread, value + spread), unit)


def _band(x, y) -> Band:
    sides = (x, y, 0.96 * y, 1.04 * y, 0.9 * y, 1.1 * y)
    return Band(*(tuple(float(v) for v in side) for side in sides))


HORIZONS = (HorizonError(2.0, 12, 0.1), HorizonError(4.0, 8, 0.2), HorizonError(10.0, 0, None))


def _law(law, formula, parameters, curve, x, rmse, *, alpha=None, ahead=True) -> LawFit:
    return LawFit(
        law=law,
        formula=formula,
        source="a synthetic source",
        parameters=parameters,
        paper_alpha=alpha,
        paper_alpha_reason=None if alpha else f"{law} has no single exponent",
        exponent_profile=Interval(0.1, None) if ahead else None,
        r_squared=0.97,
        r_squared_of="log10(1/y)",
        log10_rmse=rmse,
        band=_band(x, curve(x)),
        horizons=HORIZONS if ahead else (),
        extrapolation_log_rmse=0.15 if ahead else None,
        warnings=(),
    )


def _laws(log_x, y, x, exponent, spread, floor):
    """The seven laws; those beyond the paper's have the curve of a power law with the floor e0."""
    e0 = floor or 0.3 * float(y.min())
    b, low, high = _estimate("b", exponent, spread), exponent - spread, exponent + spread
    alpha = Estimate(
        "paper_alpha",
        1 / exponent,
        Interval(1 / high if high > 0 else None, 1 / low if low > 0 else None),
        "1",
    )
    bent, plain = _power(log_x, y, e0), _power(log_x, y, 0.0)
    reach = Interval(0.8 * e0, 1.2 * e0) if floor else Interval(0.0, 2 * e0)
    ground = Estimate("E", e0, reach, "fraction")
    steep = _estimate("b", 2 * exponent, spread)
    floored = (ground, _estimate("A", 0.4, 0.02), steep)
    line = (_estimate("a", 3, 0.2), _estimate("b", 1.5, 0.1))
    close = 0.02 if floor else 0.05
    broken = (ground, _estimate("b0", 0.1, 0.02), _estimate("b1", 2 * exponent, spread))
    return (
        _law(
            *("power_law_ols", "log10(1/y) = a + b log10(x)", (_estimate("a", 0.4, 0.02), b), plain, x, 0.05),
            alpha=alpha,
            ahead=False,
        ),
        _law("exponential", "1/y = a + b log10(x)", line, _exponential(log_x, y), x, 0.06, ahead=False),
        _law("power_law", "y = A x^-b", (_estimate("A", 0.4, 0.02), b), plain, x, 0.05, alpha=alpha),
        _law("power_law_floor", "y = E + A x^-b", floored, bent, x, close),
        _law("m3", "y = A (1/x + 1/x_0)^b", (steep, ground), bent, x, close),
        _law("m4", "(y - E) / (e0 - y)^k = A x^-b", floored, bent, x, close),
        _law("broken_power_law", "y = E + A x^-b0 (...)", broken, bent, x, close),
    )


def _forecast(fits, tested_ratio) -> Forecast:
    """The floored law's curve, as the average of four laws fitted twice."""
    by_law = {fit.law: fit for fit in fits}
    names = ("power_law_floor", "m3", "m4", "broken_power_law")
    return Forecast(
        members=tuple(Member(name, 0.125, drifting) for drifting in (False, True) for name in names),
        band=by_law["power_law_floor"].band,
        horizons=HORIZONS,
        extrapolation_log_rmse=0.15,
        tested_ratio=tested_ratio,
        calibration=(Calibration(0.5, 0.6, 40), Calibration(0.8, 0.85, 40), Calibration(0.95, 0.9, 40)),
        warnings=("a synthetic word on the forecast",),
    )


def synthetic_fits(
    table: aggregate.RunTable,
    exponent: float = 0.15,
    spread: float = 0.01,
    floor: float | None = None,
    tested_ratio: float | None = 4.0,
) -> FitFile:
    """A fit file for each known pair of axes, its parameters set by hand: seven laws and a forecast for the
    first, three laws for the others."""
    reports: list[FitReport] = []
    unfitted: list[Excluded] = []
    for x_name, y_name in (
        *(("train_gflops", "test_error"), ("energy_joules", "test_error")),
        *(("train_seconds", "test_error"), ("train_gflops", "test_loss")),
    ):
        rows = table.rows.dropna(subset=[x_name])
        if rows.empty:
            unfitted.append(Excluded(f"{y_name} against {x_name}", f"{x_name} is unknown in every run"))
            continue
        x_min, x_max = float(rows[x_name].min()), float(rows[x_name].max())
        x = np.geomspace(x_min, 10 * x_max, 60)
        log_x, y = np.log(rows[x_name].to_numpy()), rows[y_name].to_numpy()
        fits = _laws(log_x, y, x, exponent, spread, floor)
        first = not reports
        best = rows[rows[y_name] <= rows[y_name].cummin()]["run_id"]
        further = tuple(fit for fit in fits if fit.law in ("power_law_ols", "exponential", "power_law_floor"))
        reports.append(
            FitReport(
                x=x_name,
                y=y_name,
                of="all",
                quantile=None,
                points=len(rows),
                configs=rows["config_id"].nunique(),
                scales=rows["width"].nunique(),
                x_min=x_min,
                x_max=x_max,
                frontier_run_ids=tuple(best),
                fits=fits if first else further,
                forecast=_forecast(fits, tested_ratio) if first else None,
                forecast_reason=None if first else "made for the first pair of axes",
                held_out=None,
                excluded=(Excluded("cafe00000001", "at chance level"),),
                warnings=("a synthetic warning",),
                resamples=200,
                resampling="configurations",
                bootstrap_seed=0,
            )
        )
    return FitFile(SCHEMA, "synthetic", "0.1.0", tuple(reports), tuple(unfitted))


@pytest.fixture(scope="session")
def make_table() -> Callable[..., aggregate.RunTable]:
    return synthetic_table


@pytest.fixture(scope="session")
def make_fits() -> Callable[..., FitFile]:
    return synthetic_fits


@pytest.fixture
def sweep(tmp_path: Path) -> tuple[Path, aggregate.RunTable, FitFile]:
    """A folder, a table with joules, and its fits."""
    table = synthetic_table(joules=True)
    return tmp_path / "sweep-of-nothing", table, synthetic_fits(table)
