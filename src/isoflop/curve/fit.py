"""The estimator: a table of runs in, fitted laws with intervals over configurations out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop import __version__
from isoflop.curve import bootstrap, points, result
from isoflop.curve.frontier import frontier
from isoflop.curve.laws import LAWS, Axes, Law, Reported
from isoflop.curve.points import Points
from isoflop.curve.result import Band, Estimate, Excluded, FitFile, FitReport, Interval, LawFit

Array = npt.NDArray[np.float64]

LEAST_RESAMPLES = 40
FEW_CONFIGS = 10
BAND_POINTS = 100
BAND_BEYOND = 10.0
"""The band runs from x_min to this many times x_max."""

DEFAULT_AXES: tuple[tuple[str, str], ...] = (
    ("train_gflops", "test_error"),
    ("train_gflops", "test_loss"),
    ("energy_joules", "test_error"),
    ("train_seconds", "test_error"),
    ("dollars", "test_error"),
)
"""(x, y) of the reports of fit_all; the first is the one that must succeed."""

X_UNITS = {
    "train_gflops": "GFLOP",
    "train_gflops_with_optimizer": "GFLOP",
    "inference_gflops_per_example": "GFLOP",
    "energy_joules": "J",
    "net_joules": "J",
    "train_seconds": "s",
    "dollars": "USD",
    "grams_co2": "g",
    "parameters": "parameter",
    "examples_seen": "example",
}


def _y_unit(name: str) -> str:
    if name.endswith("_error"):
        return "fraction"
    return "nats" if name.endswith("_loss") else name


def _estimate(reported: Reported, configs: int, free: int) -> Estimate:
    """The sample's value and the 95% interval over resamples.

    Where the resamples tell nothing (bootstrap.tells), unbounded on both sides.
    """
    value = float(reported.draws[0])
    low, high = (float(end) for end in bootstrap.interval(reported.draws[1:], configs, free))
    known = bootstrap.tells(configs, free)
    if not reported.reciprocal:
        bounds = Interval(low, high) if known else Interval(None, None)
        return Estimate(reported.name, value, bounds, reported.unit)
    bounds = Interval(1 / high if known and high > 0 else None, 1 / low if known and low > 0 else None)
    return Estimate(reported.name, 1 / value, bounds, reported.unit)


def _alpha(law: Law, reported: tuple[Reported, ...], configs: int) -> tuple[Estimate | None, str | None]:
    """paper_alpha = 1/b, or None with the reason there is none."""
    if law.slope is None:
        return None, law.no_alpha_reason
    slopes = next(r.draws for r in reported if r.name == law.slope)
    if slopes[0] <= 0:
        return None, f"{law.slope} is {slopes[0]:.3g}, not above 0: y does not fall with x"
    unit = "decades of x per decade of 1/y"
    inverse = Reported("paper_alpha", slopes, unit, reciprocal=True)
    return _estimate(inverse, configs, law.free_parameters), None


def _fit_law(law: Law, chosen: Points, weights: Array, axes: Axes) -> LawFit:
    """Fit one law; weights (1 + resamples, n), the first row being the sample itself."""
    configs, free = chosen.configs, law.free_parameters
    z = np.log(chosen.x / chosen.x.max())
    parameters = law.fit(z, chosen.y, weights)
    fitted = law.predict(parameters[:1], z)[0]
    observed, explained = law.scale(chosen.y), law.scale(fitted)
    missed = float(np.sum((observed - explained) ** 2))
    grid = np.geomspace(chosen.x.min(), BAND_BEYOND * chosen.x.max(), BAND_POINTS)
    curves = law.predict(parameters, np.log(grid / chosen.x.max()))
    low, high = bootstrap.interval(curves[1:], configs, free)
    reported = law.describe(parameters, axes)
    alpha, no_alpha = _alpha(law, reported, configs)
    tells = bootstrap.tells(configs, free)
    words = list(law.warn(parameters, z, chosen.y, bootstrap.tail(configs, free)))
    if alpha is not None and tells and alpha.interval.high is None:
        words.append("the interval of b includes 0: alpha is unbounded above")
    if not tells:
        words.append(
            f"{configs} configurations for {free} parameters: no interval can be told, the band is only the "
            "range of the resamples"
        )
    return LawFit(
        law=law.name,
        formula=law.formula,
        parameters=tuple(_estimate(r, configs, free) for r in reported),
        paper_alpha=alpha,
        paper_alpha_reason=no_alpha,
        r_squared=1.0 - missed / float(np.sum((observed - observed.mean()) ** 2)),
        r_squared_of=law.scale_name,
        log10_rmse=float(np.sqrt(np.mean(np.log10(chosen.y / fitted) ** 2))),
        band=Band(*(tuple(float(v) for v in values) for values in (grid, curves[0], low, high))),
        warnings=tuple(words),
    )


def fit_table(
    table: pd.DataFrame,
    *,
    x: str = "train_gflops",
    y: str = "test_error",
    laws: Sequence[str] = tuple(LAWS),
    resamples: int = 1000,
    seed: int = 0,
    least_energy_grade: str = points.LEAST_ENERGY_GRADE,
) -> FitReport:
    """Fit `laws` to y against x of a table of runs (aggregate.tabulate), every run weighing the same.

    Intervals are 95% percentile intervals over `resamples` resamples of whole configurations (all runs of
    a config_id together), each refitted from new starts; with few configurations they are widened
    (bootstrap.tail). The band is that of the fitted curve, not of a new run.

    Raises:
        ValueError: an unknown law or column, too few resamples, or fewer than three distinct compute scales.
    """
    if not laws:
        raise ValueError(f"no law to fit: name one of {', '.join(LAWS)}")
    for name in laws:
        if name not in LAWS:
            raise ValueError(f"unknown law {name}: {points.nearest(name, LAWS)}")
    if resamples < LEAST_RESAMPLES:
        raise ValueError(f"resamples is {resamples}: a 95% interval needs at least {LEAST_RESAMPLES}")
    chosen = points.select(table, x, y, least_energy_grade=least_energy_grade)
    generator = np.random.default_rng(seed)
    counts, redrawn = bootstrap.resample(chosen.has_scale, resamples, generator)
    weights = np.vstack([np.ones(len(chosen.x)), counts[:, chosen.config]])
    axes = Axes(float(np.log(chosen.x.max())), X_UNITS.get(x, f"unit of {x}"), _y_unit(y))
    configs = chosen.configs
    words = list(chosen.warnings)
    if configs < FEW_CONFIGS:
        words.append(f"{configs} configurations, under {FEW_CONFIGS}: the intervals are rough")
    if redrawn > 0.05 * resamples:
        words.append(f"{redrawn} resamples had fewer than three compute scales and were drawn again")
    efficient = set(frontier(chosen.place_x, chosen.place_y).tolist())
    return FitReport(
        x=x,
        y=y,
        points=len(chosen.x),
        configs=configs,
        scales=chosen.scales,
        x_min=float(chosen.x.min()),
        x_max=float(chosen.x.max()),
        frontier_run_ids=tuple(
            r for r, c in zip(chosen.run_ids, chosen.place, strict=True) if int(c) in efficient
        ),
        fits=tuple(_fit_law(LAWS[name], chosen, weights, axes) for name in laws),
        excluded=chosen.excluded,
        warnings=tuple(words),
        resamples=resamples,
        bootstrap_seed=seed,
    )


def fit_all(
    table: pd.DataFrame,
    *,
    source: str,
    resamples: int = 1000,
    seed: int = 0,
    axes: Sequence[tuple[str, str]] = DEFAULT_AXES,
    least_energy_grade: str = points.LEAST_ENERGY_GRADE,
) -> FitFile:
    """Fit every law on each (x, y) of `axes`; axes that cannot be fitted are named in `unfitted`.

    Raises:
        ValueError: the first pair of axes cannot be fitted, for the reason fit_table gives.
    """
    if not axes:
        raise ValueError("no axes to fit: give at least one pair such as train_gflops and test_error")
    reports: list[FitReport] = []
    unfitted: list[Excluded] = []
    for x, y in axes:
        try:
            made = fit_table(
                table, x=x, y=y, resamples=resamples, seed=seed, least_energy_grade=least_energy_grade
            )
            reports.append(made)
        except ValueError as error:
            if not reports:
                raise
            unfitted.append(Excluded(f"{y} against {x}", str(error)))
    return FitFile(result.SCHEMA, source, __version__, tuple(reports), tuple(unfitted))
