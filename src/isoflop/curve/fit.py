"""The estimator: a table of runs in, fitted laws with intervals over configurations out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop import __version__
from isoflop.curve import bootstrap, coverage, frontier, new_run, points, predict, profile_likelihood, result
from isoflop.curve.forecast import average, rolling
from isoflop.curve.law_names import OLD_LAW_NAMES
from isoflop.curve.laws import LAWS, Axes, Law, Options, Reported
from isoflop.curve.observations import View
from isoflop.curve.points import Points
from isoflop.curve.predict import Sample
from isoflop.curve.result import Estimate, Excluded, FitFile, FitReport, Horizon, Interval, LawFit
from isoflop.table import columns

Array = npt.NDArray[np.float64]

LEAST_RESAMPLES = 40
FEW_CONFIGS = 10
OUTLIER = 4.0
"""Robust standard deviations of ln y from which on a run is named as an outlier."""

DEFAULT_AXES: tuple[tuple[str, str], ...] = (
    ("train_gflops", "test_error"),
    ("train_gflops", "test_loss"),
    ("energy_joules", "test_error"),
    ("train_seconds", "test_error"),
    ("dollars", "test_error"),
)
"""(x, y) of the reports of fit_all; the first is the one that must succeed."""

FURTHER_LAWS = ("power_law_ols", "exponential", "power_law_floor")
"""Laws of the further reports of fit_all."""

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


@dataclasses.dataclass(frozen=True)
class Method:
    """How a table is fitted. `laws` by name; `of` all runs or the efficient frontier; `quantile` of y given x
    for the robust laws; `wild`: resample the signs of configurations' residuals (Cameron, Gelbach and Miller
    2008) instead of configurations; `chance`: the error of guessing, where the table does not say;
    `mixed`: fit runs of several code versions or machines together; `forecast`: average the laws too; bands
    run to `beyond` times the largest x."""

    laws: tuple[str, ...] = tuple(LAWS)
    resamples: int = 1000
    seed: int = 0
    least_energy_grade: str = points.LEAST_ENERGY_GRADE
    of_frontier: bool = False
    quantile: float | None = None
    wild: bool = False
    chance: float | None = None
    mixed: bool = False
    forecast: bool = True
    beyond: float = predict.BAND_BEYOND

    def check(self) -> None:
        """Raise ValueError, saying what to change, where a setting makes no sense."""
        if not self.laws:
            raise ValueError(f"no law to fit: name one of {', '.join(LAWS)}")
        for name in self.laws:
            if name in OLD_LAW_NAMES:
                raise ValueError(f"unknown law {name}: it is now called {OLD_LAW_NAMES[name]}")
            if name not in LAWS:
                raise ValueError(f"unknown law {name}: {columns.nearest(name, LAWS)}")
        if self.resamples < LEAST_RESAMPLES:
            raise ValueError(
                f"resamples is {self.resamples}: a 95% interval needs at least {LEAST_RESAMPLES}"
            )
        if self.quantile is not None and not 0 < self.quantile < 1:
            raise ValueError(f"quantile is {self.quantile:g}: give a number between 0 and 1")
        if self.chance is not None and not 0 < self.chance <= 1:
            raise ValueError(f"chance is {self.chance:g}: give the error of guessing, above 0 and at most 1")
        if self.wild and self.of_frontier:
            raise ValueError("a wild bootstrap keeps the runs and cannot choose the frontier anew: drop one")


def _y_unit(name: str) -> str:
    if name.endswith("_error"):
        return "fraction"
    return "nats" if name.endswith("_loss") else name


def estimate(reported: Reported, configs: int, free: int) -> Estimate:
    """The sample's value and the 95% interval over resamples, on a log scale if all are above 0.

    Where the resamples tell nothing (bootstrap.tells), unbounded on both sides.
    """
    value = float(reported.draws[0])
    above = reported.least < 0 and bool((reported.draws > 0).all())
    ends = (float(end) for end in bootstrap.interval(reported.draws[1:], configs, free, logarithm=above))
    low, high = (max(end, reported.least) for end in ends)
    known = bootstrap.tells(configs, free) and math.isfinite(low) and math.isfinite(high)
    if not reported.reciprocal:
        bounds = Interval(min(low, value), max(high, value)) if known else Interval(None, None)
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
    return estimate(inverse, configs, law.free_parameters), None


def _extrapolation(law: Law, places: View, options: Options) -> tuple[tuple[Horizon, ...], float | None]:
    """A robust law's own rolling extrapolation over the places."""
    where = average.cuts(places)
    if law.form is None or not len(where.at):
        return (), None
    missed = average.errors(law, places, where, options)[0]
    return rolling.horizons(where.ahead, missed), rolling.score(where.ahead, missed)


def _fit_law(law: Law, chosen: Points, sample: Sample, axes: Axes, options: Options) -> LawFit:
    """Fit one law to the sample and its resamples."""
    configs, free = sample.units, law.free_parameters
    view = sample.runs.positive if law.over_runs else sample.view
    parameters = sample.fit(law, options)
    runs = sample.runs.positive
    fitted = law.predict(parameters[:1], np.log(runs.x / view.x.max()))[0]
    used = sample.used
    observed, explained = law.scale(runs.y[used]), law.scale(fitted[used])
    missed = float(np.sum((observed - explained) ** 2))
    reported = law.describe(parameters, axes)
    alpha, no_alpha = _alpha(law, reported, configs)
    tells = bootstrap.tells(configs, free)
    words = list(law.warn(parameters, view, bootstrap.stretch(configs, free)))
    if alpha is not None and tells and alpha.interval.high is None:
        words.append("the interval of b includes 0: alpha is unbounded above")
    if not tells:
        words.append(
            f"{configs} {'places' if sample.of_frontier else 'configurations'} for {free} parameters: no "
            "interval can be told, the band is only the middle of the resamples"
        )
    held = (coverage.words(law.name, q, chosen.configs, sample.of_frontier) for q in coverage.QUANTITIES)
    words.extend(told for told in held if told is not None)
    horizons, score = _extrapolation(law, chosen.places, options)
    residual = np.log(runs.y[used] / fitted[used])
    trials = None if runs.trials is None else runs.trials[used]
    noise = new_run.about(runs.log_y[used], np.log(fitted[used]), trials, free)
    return LawFit(
        law=law.name,
        formula=law.formula,
        source=law.source,
        parameters=tuple(estimate(r, configs, free) for r in reported),
        paper_alpha=alpha,
        paper_alpha_reason=no_alpha,
        exponent_profile=profile_likelihood.exponent_interval(law, view, configs, parameters, options)
        if not sample.of_frontier
        else None,
        r_squared=1.0 - missed / float(np.sum((observed - observed.mean()) ** 2)),
        r_squared_of=law.scale_name,
        log10_rmse=float(np.sqrt(np.mean((residual / math.log(10)) ** 2))),
        band=predict.band(law, parameters, view.x, noise, sample),
        horizons=horizons,
        extrapolation_log_rmse=score,
        warnings=tuple(words),
    )


def _outliers(chosen: Points) -> list[str]:
    """Runs far from what their own places and neighbours say, by the robust floored power law."""
    view, law = chosen.runs, LAWS["power_law_floor"]
    fitted = law.log_predict(law.fit(view, np.ones((1, len(view.x))), Options(), None), -view.v)[0]
    residual = view.log_y - fitted
    unit = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
    far = np.flatnonzero(np.abs(residual) > max(OUTLIER * unit, 0.05))
    if not len(far) or len(far) > 0.1 * len(residual):
        return []
    shown = ", ".join(chosen.run_ids[i] for i in far[:3]) + (
        f" and {len(far) - 3} more" if len(far) > 3 else ""
    )
    lie = "run lies" if len(far) == 1 else "runs lie"
    return [f"{len(far)} {lie} over {OUTLIER:g} robust standard deviations from the rest: {shown}"]


def _chance(chosen: Points, y: str, method: Method) -> tuple[float | None, tuple[str, ...]]:
    """The level that M4 starts from, and a warning where the one that was given is no level of y."""
    if method.chance is None or y.endswith("_error"):
        return chosen.chance, ()
    if y.endswith("_loss") or float(chosen.runs.y.max()) >= method.chance:
        return None, (f"chance {method.chance:g} is not used: it is no level that {y} starts from",)
    return method.chance, ()


def fit_table(
    table: pd.DataFrame, *, x: str = "train_gflops", y: str = "test_error", method: Method | None = None
) -> FitReport:
    """Fit laws to y against x of a table of runs (aggregate.tabulate).

    Intervals are 95% percentile intervals over resamples of whole configurations (all runs of a config_id
    together), each refitted from new starts, on the frontier after choosing it anew; with few
    configurations they are widened (bootstrap.stretch). Laws with more parameters than the configurations
    carry are left out by name.

    Raises:
        ValueError: an unknown law or column, a setting out of range, fewer than three distinct compute
            scales, or runs that are not to be mixed (points.select).
    """
    method = method or Method()
    method.check()
    if method.chance is not None and y.endswith("_error"):
        table = table.assign(chance_error=method.chance)
    chosen = points.select(table, x, y, least_energy_grade=method.least_energy_grade, mixed=method.mixed)
    chance, unused = _chance(chosen, y, method)
    options = Options(chance=chance, quantile=method.quantile)
    sample = predict.resampled(
        chosen,
        method.resamples,
        method.seed,
        of_frontier=method.of_frontier,
        wild=method.wild,
        beyond=method.beyond,
    )
    axes = Axes(float(np.log(chosen.runs.x.max())), X_UNITS.get(x, f"unit of {x}"), _y_unit(y))
    configs = chosen.configs
    words = [*chosen.warnings, *unused, *_outliers(chosen)]
    if configs < FEW_CONFIGS:
        words.append(f"{configs} configurations, under {FEW_CONFIGS}: the intervals are rough")
    carried = [LAWS[n] for n in method.laws if chosen.scales >= min(LAWS[n].free_parameters, 3)]
    left = [
        law.name for law in carried if law.free_parameters > 3 and chosen.scales < law.free_parameters + 2
    ]
    if left:
        words.append(
            f"{', '.join(left)}: more parameters than {chosen.scales} compute scales carry, not fitted"
        )
    efficient = set(frontier.frontier(chosen.places.x, chosen.places.y).tolist())
    made, no_forecast = (
        predict.forecast_of(chosen, sample, options)
        if method.forecast
        else (None, "made for the first pair of axes, or for the pair that --x and --y name")
    )
    return FitReport(
        x=x,
        y=y,
        of="frontier" if method.of_frontier else "all",
        quantile=method.quantile,
        points=len(chosen.runs.x),
        configs=configs,
        scales=chosen.scales,
        x_min=float(chosen.runs.x.min()),
        x_max=float(chosen.runs.x.max()),
        frontier_run_ids=tuple(
            r for r, c in zip(chosen.run_ids, chosen.place, strict=True) if int(c) in efficient
        ),
        fits=tuple(_fit_law(law, chosen, sample, axes, options) for law in carried if law.name not in left),
        forecast=made,
        forecast_reason=no_forecast,
        held_out=None,
        excluded=chosen.excluded,
        warnings=tuple(words),
        resamples=method.resamples,
        resampling="wild" if method.wild else "configurations",
        bootstrap_seed=method.seed,
    )


def fit_all(
    table: pd.DataFrame,
    *,
    source: str,
    method: Method | None = None,
    axes: Sequence[tuple[str, str]] = DEFAULT_AXES,
) -> FitFile:
    """Fit the laws to the first (x, y) of `axes`, and FURTHER_LAWS to the others.

    Axes that cannot be fitted are named in `unfitted`.

    Raises:
        ValueError: the first pair of axes cannot be fitted, for the reason fit_table gives.
    """
    if not axes:
        raise ValueError("no axes to fit: give at least one pair such as train_gflops and test_error")
    method = method or Method()
    further = tuple(name for name in method.laws if name in FURTHER_LAWS) or method.laws
    reports: list[FitReport] = []
    unfitted: list[Excluded] = []
    for x, y in axes:
        try:
            chosen = method if not reports else dataclasses.replace(method, laws=further, forecast=False)
            reports.append(fit_table(table, x=x, y=y, method=chosen))
        except ValueError as error:
            if not reports:
                raise
            unfitted.append(Excluded(f"{y} against {x}", str(error)))
    return file_of(tuple(reports), source=source, unfitted=tuple(unfitted))


def file_of(reports: tuple[FitReport, ...], *, source: str, unfitted: tuple[Excluded, ...] = ()) -> FitFile:
    """The content of fit.json for these reports."""
    return FitFile(result.SCHEMA, source, __version__, reports, unfitted)
