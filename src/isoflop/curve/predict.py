"""From a sample and its resamples to curves with two intervals: of the mean, and of a new run."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from isoflop.curve import bootstrap, frontier, leverage, new_run
from isoflop.curve.forecast import average
from isoflop.curve.laws import Law, Options
from isoflop.curve.new_run import Scatter
from isoflop.curve.observations import View
from isoflop.curve.points import Points
from isoflop.curve.result import Band, Forecast

Array = npt.NDArray[np.float64]

BAND_POINTS = 100
BAND_BEYOND = 10.0
"""The band runs from x_min to this many times x_max."""
FORECAST_RESAMPLES = 400
"""Resamples of the forecast, shared out among its laws."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """The points of a fit with the weights of its resamples, the sample itself in row 0.

    `view` is what the robust laws are fitted to (places, or runs on the frontier), `weights` (1 + r, n) its
    weights; `run_weights` those of `runs`. `used` (positive runs,) marks the runs that the sample's fit uses.
    `signs` (1 + r, configs) are those of a wild bootstrap, else None. `unit` (n,) says to which of what is
    independent a point of `view` belongs, `units` how many of those the sample's fit uses: configurations, or
    places on the frontier.
    """

    runs: View
    view: View
    weights: Array
    run_weights: Array
    used: npt.NDArray[np.bool_]
    of_frontier: bool
    signs: Array | None
    unit: npt.NDArray[np.intp]
    units: int
    seed: int
    beyond: float

    def grid(self, x: Array) -> Array:
        """Where bands are given: from x_min to `beyond` times x_max."""
        return np.geomspace(x.min(), self.beyond * x.max(), BAND_POINTS)

    def stretch(self, law: Law, at: Array) -> Array:
        """By what the spread of resampled curves at x = `at` (m,) is multiplied, (m,)."""
        used = self.weights[0] > 0
        z = np.log(at / self.view.x.max())
        return leverage.stretch(self.view.v[used], self.unit[used], z, law.free_parameters)

    def fit(self, law: Law, options: Options) -> Array:
        """Parameters (1 + r, p)."""
        view, weights = (self.runs, self.run_weights) if law.over_runs else (self.view, self.weights)
        if law.over_runs:
            weights, view = weights[:, view.y > 0], view.positive
        if self.signs is None:
            return law.fit(view, weights, options, None)
        parameters = law.fit(view, weights[:1], options, None)
        fitted = law.log_predict(parameters, -view.v)[0]
        flipped = fitted + self.signs[:, view.config] * (view.log_y - fitted)
        return law.fit(view, weights, options, flipped)


def resampled(
    chosen: Points,
    resamples: int,
    seed: int,
    *,
    of_frontier: bool = False,
    wild: bool = False,
    beyond: float = BAND_BEYOND,
) -> Sample:
    """Resample configurations, or flip residuals' signs.

    On the frontier it is chosen anew in each resample, from runs that are resampled within their places.

    Raises:
        ValueError: the frontier holds too few places for a curve.
    """
    generator = np.random.default_rng(seed)
    runs, places = chosen.runs, chosen.places
    positive = runs.y > 0
    made = functools.partial(Sample, runs=runs, seed=seed, beyond=beyond)
    of_configs = functools.partial(
        made,
        view=places,
        used=np.ones(int(positive.sum()), dtype=bool),
        of_frontier=False,
        unit=places.config,
        units=chosen.configs,
    )
    if wild:
        signs = np.where(generator.random((1 + resamples, chosen.configs)) < 0.5, -1.0, 1.0)
        signs[0] = 1.0
        of_places, of_runs = (np.ones((1 + resamples, len(view.x))) for view in (places, runs))
        return of_configs(weights=of_places, run_weights=of_runs, signs=signs)
    counts = bootstrap.resample(chosen.configs, resamples, generator)
    if not of_frontier:
        return of_configs(weights=counts[:, places.config], run_weights=counts[:, runs.config], signs=None)
    seeds = bootstrap.resample(len(runs.x), resamples, generator)
    efficient = frontier.select(chosen.place, places.x, runs.y, seeds)
    weights = counts[:, runs.config] * efficient
    units = len(np.unique(chosen.place[efficient[0]]))
    if units < frontier.LEAST_PLACES:
        raise ValueError(
            f"the frontier holds {units} places, fewer than {frontier.LEAST_PLACES}: fit all runs, or run "
            "configurations of other sizes"
        )
    return made(
        view=runs,
        weights=weights,
        run_weights=weights,
        used=efficient[0, positive],
        of_frontier=True,
        signs=None,
        unit=chosen.place,
        units=units,
    )


def band(law: Law, parameters: Array, x: Array, found: Scatter, sample: Sample) -> Band:
    """The curve of `parameters` (1 + r, p) with its intervals; `found`: what single runs scatter about it."""
    at = sample.grid(x)
    curves = law.log_predict(parameters, np.log(at / x.max()))
    low, high = bootstrap.stretched(curves[1:], sample.stretch(law, at))
    new_low, new_high = new_run.new_run(curves[1:], found, sample.units, law.free_parameters, sample.seed)
    ends = (np.minimum(low, curves[0]), np.maximum(high, curves[0]))
    return _band(at, curves[0], *ends, np.minimum(new_low, ends[0]), np.maximum(new_high, ends[1]))


def _band(at: Array, *logs: Array) -> Band:
    return Band(tuple(at.tolist()), *(tuple(np.exp(values).tolist()) for values in logs))


def forecast_of(chosen: Points, sample: Sample, options: Options) -> tuple[Forecast | None, str | None]:
    """The average of the laws with its band, or None with the reason.

    Intervals: over resamples, members taking turns by weight; beyond x_max at least as wide as the errors
    that rolling extrapolation made grow with ln(x / x_max).
    """
    if sample.of_frontier:
        return (
            None,
            "the frontier's runs are chosen by their error: rolling extrapolation would judge the choice",
        )
    if options.quantile is not None:
        return None, "a quantile is fitted, not the mean"
    found = average.average(chosen.places, options)
    if found is None:
        return None, f"{chosen.scales} compute scales carry no law with a floor"
    places = chosen.places
    at = sample.grid(places.x)
    z = np.log(at / places.x.max())
    weights = (
        np.ones((1, len(places.x))) if sample.signs is not None else sample.weights[: 1 + FORECAST_RESAMPLES]
    )
    middle, drawn = average.curves(found, places, z, weights, options)
    free = round(float(found.weights @ [law.free_parameters for law in (*found.laws, *found.laws)]))
    drawn = drawn if len(drawn) else middle[None]
    low, high = bootstrap.interval(drawn, chosen.configs, free)
    fitted = np.interp(np.log(chosen.runs.x / places.x.max()), z, middle)
    noise = new_run.about(chosen.runs.log_y, fitted, chosen.runs.trials, free)
    new_low, new_high = new_run.new_run(drawn, noise, chosen.configs, free, sample.seed)
    growing = found.reach * (found.growth or 0.0) * np.maximum(z, 0.0)
    wider = np.hypot(growing, found.reach * float(noise.standard.std()) * noise.deviation(middle))
    ends = (np.minimum(low, middle - growing), np.maximum(high, middle + growing))
    made = Forecast(
        members=found.members,
        band=_band(
            *(at, middle, *ends),
            np.minimum.reduce([new_low, middle - wider, ends[0]]),
            np.maximum.reduce([new_high, middle + wider, ends[1]]),
        ),
        horizons=found.horizons,
        extrapolation_log_rmse=found.score,
        tested_ratio=found.tested_ratio,
        error_growth=found.growth,
        calibration=found.calibration,
        warnings=_forecast_words(found, len(places.x)),
    )
    return made, None


def _forecast_words(found: average.Averaged, places: int) -> tuple[str, ...]:
    if found.tested_ratio is None:
        return (
            "too few compute scales for rolling extrapolation: laws weigh the same, no horizon is tested",
        )
    words = [f"tested up to {found.tested_ratio:.3g} times the largest x of a fit; beyond that, untested"]
    if found.tests < 3:
        words.append(f"only {found.tests} rolling tests: the weights are rough")
    return tuple(words)
