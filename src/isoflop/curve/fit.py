"""The estimator: a table of runs in, fitted laws with intervals over configurations out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop import __version__, tasks
from isoflop.beside import beside
from isoflop.curve import (
    bootstrap,
    condensed,
    coverage,
    fixed,
    frontier,
    new_run,
    points,
    predict,
    profile_likelihood,
    result,
)
from isoflop.curve.forecast import rolling
from isoflop.curve.law_names import OF_SEVERAL_RESOURCES, OLD_LAW_NAMES
from isoflop.curve.laws import LAWS, Axes, FitOptions, Law, ReportedParameter
from isoflop.curve.misfit import lack_of_fit, unexplained
from isoflop.curve.observations import Observations
from isoflop.curve.points import Points
from isoflop.curve.predict import Sample
from isoflop.curve.result import Estimate, Excluded, FitFile, FitReport, HorizonError, Interval, LawFit
from isoflop.table import columns, target

Array = npt.NDArray[np.float64]

FEW_CONFIGS = 10
OUTLIER = 4.0
"""Robust standard deviations of ln y from which on a run is named as an outlier."""

DEFAULT_AXES = target.IMAGES.axes
"""(x, y) of the reports of fit_all for runs on images; the first is the one that must succeed."""

FURTHER_LAWS = ("power_law_ols", "exponential", "power_law_floor")
"""Laws of the further reports of fit_all."""

X_UNITS = {
    "train_gflops": "GFLOP",
    "train_gflops_with_optimizer": "GFLOP",
    "total_train_gflops": "GFLOP",
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
class FittedLaw:
    """A law fitted to the runs of one pair of axes.

    Attributes:
        x, y: names of the axes.
        law: name of the law.
        parameters: as they are reported, each with its draws (1 + r,), the sample's first.
        run_ids: of the runs with y above 0 that the law is fitted to.
        x_of_runs, y_of_runs: their values (n,).
        fitted: y of the law there (n,).
    """

    x: str
    y: str
    law: str
    parameters: tuple[ReportedParameter, ...]
    run_ids: tuple[str, ...]
    x_of_runs: Array
    y_of_runs: Array
    fitted: Array


@dataclasses.dataclass(frozen=True)
class Method:
    """How a table is fitted.

    Attributes:
        laws: names of the laws.
        resamples: of the bootstrap.
        seed: of the resamples.
        least_energy_grade: on an axis of joules, runs of a lower grade are left out.
        of_frontier: fit the efficient frontier instead of all runs.
        quantile: fit the robust laws to this quantile of y given x instead of its middle.
        wild: flip the signs of configurations' residuals (Cameron, Gelbach and Miller 2008) instead of
            resampling configurations.
        level: share of truths that an interval should hold, above 0.5 and below 1.
        fix: (name, value) of the parameters that are held instead of fitted (fixed.fixed).
        chance: the error of guessing, if the table does not hold it.
        independent: the rows are known to be configurations, each trained by itself (FitOptions).
        mixed: fit runs of several code versions or machines together.
        forecast: make the forecast too.
        tested: test the forecast by rolling extrapolation (make.forecast).
        judged: test each law (extrapolation, lack of fit, profile of the exponent) and say what of the rows
            no law explains; without, a report has parameters and bands alone.
        beyond: bands end at this many times the largest x.
        left_out: runs that are not fitted, each with its reason, such as those of undertrained shapes.
        units: of x and of y, in which parameters are said; None for those that the columns' names tell.
        keep: is given every law that is fitted, with its resamples (draws.Draws), None to keep nothing.
    """

    laws: tuple[str, ...] = tuple(LAWS)
    resamples: int = 1000
    seed: int = 0
    least_energy_grade: str = points.LEAST_ENERGY_GRADE
    of_frontier: bool = False
    quantile: float | None = None
    wild: bool = False
    level: float = bootstrap.CONFIDENCE
    fix: tuple[tuple[str, float], ...] = ()
    chance: float | None = None
    independent: bool = True
    mixed: bool = False
    forecast: bool = True
    tested: bool = True
    judged: bool = True
    beyond: float = predict.BAND_BEYOND
    left_out: tuple[Excluded, ...] = ()
    units: tuple[str, str] | None = None
    keep: Callable[[FittedLaw], None] | None = None

    def check(self) -> None:
        """Raise ValueError, saying what to change, where a setting makes no sense."""
        if not self.laws:
            raise ValueError(f"no law to fit: name one of {', '.join(LAWS)}")
        for name in self.laws:
            if name in OLD_LAW_NAMES:
                raise ValueError(f"unknown law {name}: it is now called {OLD_LAW_NAMES[name]}")
            if name in OF_SEVERAL_RESOURCES:
                raise ValueError(f"{name} is a law in several resources, not one of --laws: say --law {name}")
            if name not in LAWS:
                raise ValueError(f"unknown law {name}: {columns.nearest(name, LAWS)}")
        if not 0.5 < self.level < 1:
            raise ValueError(f"level is {self.level:g}: give the share that an interval holds, such as 0.9")
        bootstrap.check_resamples(self.resamples, self.level)
        if self.quantile is not None and not 0 < self.quantile < 1:
            raise ValueError(f"quantile is {self.quantile:g}: give a number between 0 and 1")
        if self.chance is not None and not 0 < self.chance <= 1:
            raise ValueError(f"chance is {self.chance:g}: give the error of guessing, above 0 and at most 1")
        if self.wild and self.of_frontier:
            raise ValueError("a wild bootstrap keeps the runs and cannot choose the frontier anew: drop one")


def estimate(
    reported: ReportedParameter, configs: int, free: int, level: float = bootstrap.CONFIDENCE
) -> Estimate:
    """Return the sample's value with its interval over resamples.

    The interval is taken on a log scale if all draws are above 0. It is unbounded on both sides without
    enough configurations (bootstrap.enough_configs).
    """
    value = float(reported.draws[0])
    above = reported.least < 0 and bool((reported.draws > 0).all())
    ends = bootstrap.interval(reported.draws[1:], configs, free, logarithm=above, level=level)
    low, high = (max(float(end), reported.least) for end in ends)
    known = bootstrap.enough_configs(configs, free) and math.isfinite(low) and math.isfinite(high)
    if not reported.reciprocal:
        bounds = Interval(min(low, value), max(high, value)) if known else Interval(None, None)
        return Estimate(reported.name, value, bounds, reported.unit)
    bounds = Interval(1 / high if known and high > 0 else None, 1 / low if known and low > 0 else None)
    return Estimate(reported.name, 1 / value, bounds, reported.unit)


def _alpha(
    law: Law, reported: tuple[ReportedParameter, ...], configs: int, level: float
) -> tuple[Estimate | None, str | None]:
    """Return paper_alpha = 1/b, or None with the reason why there is none."""
    if law.slope is None:
        return None, law.no_alpha_reason
    slopes = next(r.draws for r in reported if r.name == law.slope)
    if slopes[0] <= 0:
        return None, f"{law.slope} is {slopes[0]:.3g}, not above 0: y does not fall with x"
    unit = "decades of x per decade of 1/y"
    inverse = ReportedParameter("paper_alpha", slopes, unit, reciprocal=True)
    return estimate(inverse, configs, law.free_parameters, level), None


def _extrapolation(
    law: Law, means: Observations, options: FitOptions
) -> tuple[tuple[HorizonError, ...], float | None]:
    """Return horizons and score of a robust law's own rolling extrapolation over the means."""
    where = rolling.usual_cuts(means)
    if law.form is None or not len(where.at):
        return (), None
    errors = rolling.errors(law, means, where, options)
    return rolling.horizons(where.ahead, errors), rolling.score(where.ahead, errors)


def _fit_law(
    law: Law,
    chosen: Points,
    sample: Sample,
    axes: Axes,
    options: FitOptions,
    names: tuple[str, str],
    keep: Callable[[FittedLaw], None] | None,
    judged: bool,
) -> tuple[LawFit, Array]:
    """Fit one law to the sample and its resamples; return it with its parameters (1 + r, p).

    Args:
        law: the law.
        chosen: the points of the fit.
        sample: their resamples.
        axes: x_max and units for the reported parameters.
        options: how the robust laws are fitted.
        names: of x and y.
        keep, judged: as in Method.
    """
    configs, free = sample.units, law.free_parameters
    observed = sample.runs.positive if law.over_runs else sample.observations
    parameters = sample.fit(law, options)
    # Goodness of fit is that of single runs, also for laws that are fitted to configuration means.
    runs, used = sample.runs.positive, sample.used
    fitted = law.predict(parameters[:1], np.log(runs.x / observed.x.max()))[0]
    reported = law.describe(parameters, axes)
    if keep is not None:
        ids = np.array(chosen.run_ids, dtype=object)[chosen.runs.y > 0][used]
        keep(FittedLaw(*names, law.name, reported, tuple(ids), runs.x[used], runs.y[used], fitted[used]))
    alpha, no_alpha = _alpha(law, reported, configs, sample.level)
    horizons, score = _extrapolation(law, chosen.means, options) if judged else ((), None)
    residual = np.log(runs.y[used] / fitted[used])
    trials = None if runs.trials is None else runs.trials[used]
    scatter = new_run.about(runs.log_y[used], np.log(fitted[used]), trials, free)
    band = predict.band(law, parameters, observed.x, scatter, sample)
    misfit, untested = (
        lack_of_fit.lack_of_fit(
            *(law, parameters, unexplained.means_of(chosen, sample), options),
            within=lack_of_fit.within(band, float(observed.x.max())),
            seed=sample.seed,
        )
        if judged
        else (None, "not asked for")
    )
    fit = LawFit(
        law=law.name,
        formula=law.formula,
        source=law.source,
        parameters=tuple(estimate(r, configs, free, sample.level) for r in reported),
        paper_alpha=alpha,
        paper_alpha_reason=no_alpha,
        exponent_profile=profile_likelihood.exponent_interval(
            law, observed, configs, parameters, options, sample.level
        )
        if judged and not sample.of_frontier
        else None,
        r_squared=_r_squared(law.scale(runs.y[used]), law.scale(fitted[used])),
        r_squared_of=law.scale_name,
        log10_rmse=float(np.sqrt(np.mean((residual / math.log(10)) ** 2))),
        band=band,
        horizons=horizons,
        extrapolation_log_rmse=score,
        warnings=(
            *law.warn(parameters, observed, sample.ends(free)),
            *_interval_warnings(law, alpha, sample),
            *(
                _coverage_warnings(law, chosen, sample, float(residual.std()))
                if options.quantile is None
                else ()
            ),
        ),
        lack_of_fit=misfit,
        lack_of_fit_reason=untested,
    )
    return fit, parameters


def _fit_laws(
    laws: Sequence[Law],
    chosen: Points,
    sample: Sample,
    axes: Axes,
    options: FitOptions,
    names: tuple[str, str],
    keep: Callable[[FittedLaw], None] | None,
    judged: bool,
) -> list[tuple[LawFit, Array]]:
    """Return what _fit_law does for each of `laws`, with its other arguments; laws are independent tasks."""

    def fit(law: Law) -> tuple[LawFit, Array, list[FittedLaw]]:
        kept: list[FittedLaw] = []
        taken = kept.append if keep else None
        return *_fit_law(law, chosen, sample, axes, options, names, taken, judged), kept

    fitted = tasks.each("laws", fit, laws)
    if keep is not None:
        for *_, kept in fitted:
            keep(*kept)
    return [(of_law, parameters) for of_law, parameters, _ in fitted]


def _r_squared(values: Array, fitted: Array) -> float:
    return 1.0 - float(np.sum((values - fitted) ** 2)) / float(np.sum((values - values.mean()) ** 2))


def _interval_warnings(law: Law, alpha: Estimate | None, sample: Sample) -> list[str]:
    """Return the warnings about intervals that are unbounded or unknown."""
    free = law.free_parameters
    if not bootstrap.enough_configs(sample.units, free):
        units = "configuration means" if sample.of_frontier else "configurations"
        return [
            f"{sample.units} {units} for {free} parameters: no interval can be given, the band is only the "
            "middle of the resamples"
        ]
    if alpha is not None and alpha.interval.high is None:
        return ["the interval of b includes 0: alpha is unbounded above"]
    return []


def _coverage_warnings(law: Law, chosen: Points, sample: Sample, noise: float) -> list[str]:
    """Return the warnings about intervals whose coverage in simulations like this fit was not 95%."""
    fitted = coverage.Fitted(
        configs=chosen.configs,
        frontier=sample.of_frontier,
        noise=noise,
        repeats=len(chosen.runs.x) / len(chosen.means.x),
        level=sample.level,
        usual=sample.signs is None and law == LAWS.get(law.name),
    )
    each = (coverage.warning(law.name, quantity, fitted) for quantity in coverage.QUANTITIES)
    return [warning for warning in each if warning is not None]


def _outliers(chosen: Points) -> list[str]:
    """Return a warning that names runs far from the robust power law with a floor."""
    observed, law = chosen.runs, LAWS["power_law_floor"]
    fitted = law.log_predict(
        law.fit(observed, np.ones((1, len(observed.x))), FitOptions(), None), -observed.v
    )[0]
    residual = observed.log_y - fitted
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
    """Return the level that M4 starts from, with a warning if method.chance is not a level of y."""
    if method.chance is None or y.endswith("_error"):
        return chosen.chance, ()
    is_loss = target.quantity(y).noun == "loss"
    if is_loss or float(chosen.runs.y.max()) >= method.chance:
        return None, (f"chance {method.chance:g} is not used: {y} does not start from it",)
    return method.chance, ()


def fit_table(
    table: pd.DataFrame, *, x: str = "train_gflops", y: str | None = None, method: Method | None = None
) -> FitReport:
    """Fit laws to y against x of a table of runs (aggregate.tabulate); y is what its domain is judged on.

    Intervals are percentile intervals over resamples of whole configurations (all runs of a config_id
    together). Each resample is fitted from new starts, on the frontier after choosing it anew. With few
    configurations the intervals are widened (bootstrap.stretch). Laws with more parameters than the compute
    scales support are left out by name.

    Raises:
        ValueError: an unknown law or column, a setting out of range, fewer than three distinct compute
            scales, or runs that are not to be mixed (target.of, points.select).
    """
    judged_on = target.of(table)
    y = y or judged_on.y
    method = method or Method()
    method.check()
    if method.chance is not None and y.endswith("_error"):
        table = table.assign(chance_error=method.chance)
    chosen = points.select(
        *(table, x, y),
        least_energy_grade=method.least_energy_grade,
        mixed=method.mixed,
        left_out={each.run_id: each.reason for each in method.left_out},
    )
    chance, unused = _chance(chosen, y, method)
    options = FitOptions(chance, method.quantile, method.independent)
    sample = predict.resample(
        chosen,
        method.resamples,
        method.seed,
        of_frontier=method.of_frontier,
        wild=method.wild,
        beyond=method.beyond,
        level=method.level,
    )
    units = method.units or (X_UNITS.get(x, f"unit of {x}"), target.unit_of(y))
    axes = Axes(float(np.log(chosen.runs.x.max())), *units)
    configs = chosen.configs
    warnings = [*chosen.warnings, *unused, *_outliers(chosen)]
    if configs < FEW_CONFIGS:
        warnings.append(f"{configs} configurations, under {FEW_CONFIGS}: the intervals are rough")
    if sample.units < configs and not sample.of_frontier:
        warnings.append(
            f"{configs:,} configurations are resampled in {sample.units:,} random blocks, each resample "
            f"fitted to at most {condensed.MOST_NODES} weighted bins of {x}"
        )
    laws = fixed.laws([LAWS[name] for name in method.laws], method.fix, sample.observations, chance)
    carried = [law for law in laws if chosen.scales >= min(law.free_parameters, 3)]
    too_large = [
        law.name for law in carried if law.free_parameters > 3 and chosen.scales < law.free_parameters + 2
    ]
    if too_large:
        warnings.append(
            f"{', '.join(too_large)}: more parameters than {chosen.scales} compute scales carry, not fitted"
        )
    efficient = set(frontier.frontier(chosen.means.x, chosen.means.y).tolist())
    # The two halves of a fit: neither needs the other.
    ahead = (
        beside(lambda: predict.forecast_of(chosen, sample, options, tested=method.tested))
        if method.forecast
        else None
    )
    fitted = _fit_laws(
        *([law for law in carried if law.name not in too_large], chosen, sample, axes, options, (x, y)),
        method.keep,
        method.judged,
    )
    of_rows = unexplained.unexplained(table, chosen, x, y, options) if method.judged else unexplained.NONE
    forecast, no_forecast = (
        ahead()
        if ahead is not None
        else (None, "made for the first pair of axes, or for the pair that --x and --y name")
    )
    if method.fix and forecast is not None:
        warnings.append("--fix holds parameters of the laws: the forecast averages laws that are free of it")
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
            r for r, c in zip(chosen.run_ids, chosen.mean_of, strict=True) if int(c) in efficient
        ),
        fits=tuple(fit for fit, _ in fitted),
        forecast=forecast,
        forecast_reason=no_forecast,
        held_out=None,
        excluded=chosen.excluded,
        warnings=(*warnings, *unexplained.warnings(of_rows, y)),
        resamples=method.resamples,
        resampling="wild" if method.wild else "configurations",
        bootstrap_seed=method.seed,
        level=method.level,
        local_exponent=unexplained.exponent_at_end(fitted, forecast, sample.units, sample.level),
        late=of_rows.late,
        determination=of_rows.determination,
    )


def fit_all(
    table: pd.DataFrame,
    *,
    source: str,
    method: Method | None = None,
    axes: Sequence[tuple[str, str]] | None = None,
) -> FitFile:
    """Fit the laws to the first (x, y) of `axes`, and FURTHER_LAWS to the others.

    Without `axes` they are those of the table's domain. Other axes than the first that cannot be fitted are
    listed in `unfitted`.

    Raises:
        ValueError: the first pair of axes cannot be fitted, for the reason fit_table gives.
    """
    axes = target.axes(table) if axes is None else axes
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
            axes_name = f"{y} against {x}"
            unfitted.append(Excluded(axes_name, str(error).removeprefix(f"{axes_name}: ")))
    return file_of(tuple(reports), source=source, unfitted=tuple(unfitted))


def file_of(reports: tuple[FitReport, ...], *, source: str, unfitted: tuple[Excluded, ...] = ()) -> FitFile:
    """Return the content of fit.json for these reports."""
    return FitFile(result.SCHEMA, source, __version__, reports, unfitted)
