"""From a sample and its resamples to curves with two intervals: of the mean, and of a new run."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from isoflop.curve import bootstrap, frontier, leverage, new_run
from isoflop.curve.forecast import average
from isoflop.curve.laws import Ends, FitOptions, Law
from isoflop.curve.new_run import ResidualScatter
from isoflop.curve.observations import Observations
from isoflop.curve.points import Points
from isoflop.curve.result import Band, Forecast

Array = npt.NDArray[np.float64]

BAND_POINTS = 100
BAND_BEYOND = 10.0
"""The band runs from x_min to this many times x_max."""
FORECAST_RESAMPLES = 400
"""Resamples of the forecast, divided among its laws."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """The points of a fit with the weights of its r resamples; row 0 is the sample itself.

    Attributes:
        runs: the single runs, to which the laws by least squares are fitted.
        observations: the n points to which the robust laws are fitted: configuration means, or runs on the
            frontier.
        weights: of `observations`, (1 + r, n).
        run_weights: of `runs`, (1 + r, runs).
        used: whether the sample's fit uses a run, for the runs with y above 0.
        of_frontier: whether only the frontier is fitted.
        signs: signs (1 + r, configurations) of the residuals in a wild bootstrap, else None.
        unit: label (n,) of the independent unit that each of `observations` belongs to: a configuration, or a
            configuration mean on the frontier.
        units: number of units that the sample's fit uses.
        seed: of the resamples.
        beyond: bands end at this many times x_max.
        level: of the intervals.
    """

    runs: Observations
    observations: Observations
    weights: Array
    run_weights: Array
    used: npt.NDArray[np.bool_]
    of_frontier: bool
    signs: Array | None
    unit: npt.NDArray[np.intp]
    units: int
    seed: int
    beyond: float
    level: float

    def grid(self, x: Array) -> Array:
        """Return the x of bands, from x_min to `beyond` times x_max."""
        return np.geomspace(x.min(), self.beyond * x.max(), BAND_POINTS)

    def stretch(self, law: Law, at: Array) -> Array:
        """Return the factor (m,) on the spread of resampled curves at x = `at` (m,): leverage.stretch."""
        used = self.weights[0] > 0
        z = np.log(at / self.observations.x.max())
        return leverage.stretch(
            self.observations.v[used], self.unit[used], z, law.free_parameters, self.level
        )

    def ends(self, parameters: int) -> Ends:
        """Return what gives the interval of draws (resamples,) of a law with so many parameters."""
        return functools.partial(
            bootstrap.interval, configs=self.units, parameters=parameters, level=self.level
        )

    def fit(self, law: Law, options: FitOptions) -> Array:
        """Return the parameters (1 + r, p) of `law` for the sample and its resamples."""
        observed, weights = (
            (self.runs, self.run_weights) if law.over_runs else (self.observations, self.weights)
        )
        if law.over_runs:
            weights, observed = weights[:, observed.y > 0], observed.positive
        if self.signs is None:
            return law.fit(observed, weights, options, None)
        # Wild bootstrap: the sample's curve plus residuals whose signs are flipped by configuration.
        parameters = law.fit(observed, weights[:1], options, None)
        fitted = law.log_predict(parameters, -observed.v)[0]
        flipped = fitted + self.signs[:, observed.config] * (observed.log_y - fitted)
        return law.fit(observed, weights, options, flipped)


def resample(
    chosen: Points,
    resamples: int,
    seed: int,
    *,
    of_frontier: bool = False,
    wild: bool = False,
    beyond: float = BAND_BEYOND,
    level: float = bootstrap.CONFIDENCE,
) -> Sample:
    """Return the sample with resampled configurations, or with flipped signs of their residuals.

    On the frontier, runs are resampled within their configuration means too, and the frontier is chosen anew
    in each resample.

    Args:
        chosen: the points of the fit.
        resamples: how many.
        seed: of the random numbers.
        of_frontier: fit the efficient frontier only.
        wild: flip signs (Cameron, Gelbach and Miller 2008) instead of resampling.
        beyond: bands end at this many times x_max.
        level: of the intervals.

    Raises:
        ValueError: the frontier holds too few configuration means for a curve.
    """
    generator = np.random.default_rng(seed)
    runs, means = chosen.runs, chosen.means
    positive = runs.y > 0
    made = functools.partial(Sample, runs=runs, seed=seed, beyond=beyond, level=level)
    of_configs = functools.partial(
        made,
        observations=means,
        used=np.ones(int(positive.sum()), dtype=bool),
        of_frontier=False,
        unit=means.config,
        units=chosen.configs,
    )
    if wild:
        signs = np.where(generator.random((1 + resamples, chosen.configs)) < 0.5, -1.0, 1.0)
        signs[0] = 1.0
        of_means, of_runs = (np.ones((1 + resamples, len(each.x))) for each in (means, runs))
        return of_configs(weights=of_means, run_weights=of_runs, signs=signs)
    counts = bootstrap.resample(chosen.configs, resamples, generator)
    if not of_frontier:
        return of_configs(weights=counts[:, means.config], run_weights=counts[:, runs.config], signs=None)
    # These weights resample the runs and decide which are on the frontier; `counts` resample the
    # configurations for the fit.
    seeds = bootstrap.resample(len(runs.x), resamples, generator)
    efficient = frontier.select(chosen.mean_of, means.x, runs.y, seeds)
    weights = counts[:, runs.config] * efficient
    units = len(np.unique(chosen.mean_of[efficient[0]]))
    if units < frontier.LEAST_MEANS:
        raise ValueError(
            f"the frontier holds {units} configuration means, fewer than {frontier.LEAST_MEANS}: fit all "
            "runs, or run configurations of other sizes"
        )
    return made(
        observations=runs,
        weights=weights,
        run_weights=weights,
        used=efficient[0, positive],
        of_frontier=True,
        signs=None,
        unit=chosen.mean_of,
        units=units,
    )


def band(law: Law, parameters: Array, x: Array, scatter: ResidualScatter, sample: Sample) -> Band:
    """Return the curve of a law with its pointwise intervals of the mean and of a new run.

    Args:
        law: the law.
        parameters: its parameters (1 + r, p) for the sample and its resamples.
        x: x of the points that are fitted; the band starts at the least.
        scatter: residuals of single runs about the curve.
        sample: the sample and its resamples.
    """
    at = sample.grid(x)
    curves = law.log_predict(parameters, np.log(at / x.max()))
    low, high = bootstrap.stretched(curves[1:], sample.stretch(law, at), sample.level)
    new_low, new_high = new_run.new_run(
        curves[1:], scatter, sample.units, law.free_parameters, sample.seed, sample.level
    )
    # The interval about the median of the resamples is widened, where need be, to hold the sample's curve.
    ends = (np.minimum(low, curves[0]), np.maximum(high, curves[0]))
    return _band(at, curves[0], *ends, np.minimum(new_low, ends[0]), np.maximum(new_high, ends[1]))


def _band(at: Array, *logs: Array) -> Band:
    return Band(tuple(at.tolist()), *(tuple(np.exp(values).tolist()) for values in logs))


def forecast_of(chosen: Points, sample: Sample, options: FitOptions) -> tuple[Forecast | None, str | None]:
    """Return the average of the laws with its band, or None with the reason why there is none.

    The interval comes from resamples, each fitted by one member in proportion to the weights. Beyond x_max it
    is at least as wide as the errors of rolling extrapolation grow with ln(x / x_max).
    """
    if sample.of_frontier:
        return (
            None,
            "the frontier's runs are chosen by their error: rolling extrapolation would judge the choice",
        )
    if options.quantile is not None:
        return None, "a quantile is fitted, not the mean"
    mixture = average.average(chosen.means, options)
    if mixture is None:
        return None, f"{chosen.scales} compute scales carry no law with a floor"
    means = chosen.means
    at = sample.grid(means.x)
    z = np.log(at / means.x.max())
    weights = (
        np.ones((1, len(means.x))) if sample.signs is not None else sample.weights[: 1 + FORECAST_RESAMPLES]
    )
    # A wild bootstrap resamples no weights: the forecast then has no draws.
    middle, drawn = average.curves(mixture, means, z, weights, options)
    free = round(float(mixture.weights @ [law.free_parameters for law in (*mixture.laws, *mixture.laws)]))
    drawn = drawn if len(drawn) else middle[None]
    low, high = bootstrap.interval(drawn, chosen.configs, free)
    fitted = np.interp(np.log(chosen.runs.x / means.x.max()), z, middle)
    noise = new_run.about(chosen.runs.log_y, fitted, chosen.runs.trials, free)
    new_low, new_high = new_run.new_run(drawn, noise, chosen.configs, free, sample.seed)
    # Half widths of 95% from the error model of rolling extrapolation: of the mean, and with the scatter of
    # single runs, of a new run.
    growing = mixture.reach * (mixture.growth or 0.0) * np.maximum(z, 0.0)
    wider = np.hypot(growing, mixture.reach * float(noise.standard.std()) * noise.deviation(middle))
    ends = (np.minimum(low, middle - growing), np.maximum(high, middle + growing))
    forecast = Forecast(
        members=mixture.members,
        band=_band(
            *(at, middle, *ends),
            np.minimum.reduce([new_low, middle - wider, ends[0]]),
            np.maximum.reduce([new_high, middle + wider, ends[1]]),
        ),
        horizons=mixture.horizons,
        extrapolation_log_rmse=mixture.score,
        tested_ratio=mixture.tested_ratio,
        error_growth=mixture.growth,
        calibration=mixture.calibration,
        warnings=_forecast_warnings(mixture, len(means.x)),
    )
    return forecast, None


def _forecast_warnings(mixture: average.LawAverage, means: int) -> tuple[str, ...]:
    if mixture.tested_ratio is None:
        return (
            "too few compute scales for rolling extrapolation: laws weigh the same, no horizon is tested",
        )
    warnings = [
        f"tested up to {mixture.tested_ratio:.3g} times the largest x of a fit; beyond that, untested"
    ]
    if mixture.tests < 3:
        warnings.append(f"only {mixture.tests} rolling tests: the weights are rough")
    return tuple(warnings)
