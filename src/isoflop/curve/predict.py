"""From a sample and its resamples to curves with two intervals: of the mean, and of a new run."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math

import numpy as np
import numpy.typing as npt

from isoflop import tasks
from isoflop.curve import bootstrap, condensed, frontier, leverage, new_run
from isoflop.curve.condensed import Resamples
from isoflop.curve.forecast import make
from isoflop.curve.laws import Ends, FitOptions, Law
from isoflop.curve.new_run import ResidualScatter
from isoflop.curve.observations import Observations
from isoflop.curve.points import Points
from isoflop.curve.result import Band, Forecast
from isoflop.curve.robust import fit_condensed

Array = npt.NDArray[np.float64]

BAND_POINTS = 100
BAND_BEYOND = 10.0
"""The band runs from x_min to this many times x_max."""
FAR_POINTS = 10
"""Points a decade of bands that are asked to run further."""
_FRONTIER_ELEMENTS = 1 << 21
"""Elements (resamples x runs) whose frontiers are chosen together."""
_ELEMENTS = 1 << 20
"""Elements (resamples x runs) that are fitted together by least squares."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """The points of a fit with the weights of its r resamples; row 0 is the sample itself.

    Attributes:
        runs: the single runs, to which the laws by least squares are fitted.
        observations: the n points to which the robust laws are fitted: configuration means, or runs on the
            frontier.
        draws: weights (1 + r, u) of the u units that are resampled as a whole, or the signs of their
            residuals in a wild bootstrap. On the frontier a unit is a run, and the last, of weight 0, is all
            runs that are never on it.
        drawn: index (n,) of the unit of each of `observations`.
        drawn_runs: the same of `runs`.
        wild: whether `draws` are signs.
        used: whether the sample's fit uses a run, for the runs with y above 0.
        of_frontier: whether only the frontier is fitted.
        unit: label (n,) of the independent unit that each of `observations` belongs to: a configuration, a
            block of them (bootstrap.blocks), or a configuration mean on the frontier.
        units: number of these that the sample's fit uses.
        seed: of the resamples.
        beyond: bands end at this many times x_max.
        level: of the intervals.
    """

    runs: Observations
    observations: Observations
    draws: Array
    drawn: npt.NDArray[np.intp]
    drawn_runs: npt.NDArray[np.intp]
    wild: bool
    used: npt.NDArray[np.bool_]
    of_frontier: bool
    unit: npt.NDArray[np.intp]
    units: int
    seed: int
    beyond: float
    level: float

    @property
    def signs(self) -> Array | None:
        """Signs (1 + r, u) of the units' residuals in a wild bootstrap, else None."""
        return self.draws if self.wild else None

    @functools.cached_property
    def weights(self) -> Array:
        """Weights of `observations`, (1 + r, n)."""
        return self.weights_of(self.drawn, len(self.draws))

    @property
    def run_weights(self) -> Array:
        """Weights of `runs`, (1 + r, runs)."""
        return self.weights_of(self.drawn_runs, len(self.draws))

    def weights_of(self, drawn: npt.NDArray[np.intp], rows: int) -> Array:
        """Return the weights (rows, n) of points in the sample and the first resamples.

        `drawn` (n,) is the unit of each point.
        """
        return np.ones((rows, len(drawn))) if self.wild else self.draws[:rows, drawn]

    def grid(self, x: Array) -> Array:
        """Return the x of bands, from x_min to `beyond` times x_max.

        Up to BAND_BEYOND times x_max they are the same whatever `beyond`, so that a curve that is drawn
        further is the same curve; beyond that there are FAR_POINTS a decade.
        """
        if self.beyond <= BAND_BEYOND:
            return np.geomspace(x.min(), self.beyond * x.max(), BAND_POINTS)
        near = np.geomspace(x.min(), BAND_BEYOND * x.max(), BAND_POINTS)
        further = math.ceil(FAR_POINTS * math.log10(self.beyond / BAND_BEYOND)) + 1
        far = np.geomspace(near[-1], self.beyond * x.max(), further)
        return np.concatenate([near, far[1:]])

    def stretch(self, law: Law, at: Array) -> Array:
        """Return the factor (m,) on the spread of resampled curves at x = `at` (m,): leverage.stretch."""
        used = self.weights_of(self.drawn, 1)[0] > 0
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
        """Return the parameters (1 + r, p) of `law` for the sample and its resamples.

        With more points than nodes (condensed.MOST_NODES), robust laws are resampled on these.
        """
        observed, drawn = (
            (self.runs.positive, self.drawn_runs[self.runs.y > 0])
            if law.over_runs
            else (self.observations, self.drawn)
        )
        many = len(observed.x) > condensed.MOST_NODES
        form = law.form if law.restricted is None else law.restricted(observed, options)
        if form is not None and many and options.quantile is None:
            resamples = Resamples(self.draws, drawn, self.wild)
            return fit_condensed(form, observed, resamples, options)
        # In parts: weights of all resamples of many points together would fill the memory.
        count = max(1, _ELEMENTS // len(drawn)) if law.over_runs else len(self.draws)
        first = range(0, len(self.draws), count)
        return np.concatenate(
            [self._fit_part(law, options, observed, self.draws[i : i + count, drawn]) for i in first]
        )

    def _fit_part(self, law: Law, options: FitOptions, observed: Observations, draws: Array) -> Array:
        """Return the parameters (r, p) of `law` for weights or signs `draws` (r, n) of `observed`."""
        if not self.wild:
            return law.fit(observed, draws, options, None)
        # Wild bootstrap: the sample's curve plus residuals whose signs are flipped by configuration.
        ones = np.ones_like(draws)
        fitted = law.log_predict(law.fit(observed, ones[:1], options, None), -observed.v)[0]
        flipped = fitted + draws * (observed.log_y - fitted)
        return law.fit(observed, ones, options, flipped)


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
    if not of_frontier:
        block, blocks = bootstrap.blocks(chosen.configs, seed)
        return Sample(
            runs=runs,
            observations=means,
            draws=(bootstrap.signs if wild else bootstrap.resample)(blocks, resamples, generator),
            drawn=block[means.config],
            drawn_runs=block[runs.config],
            wild=wild,
            used=np.ones(int(positive.sum()), dtype=bool),
            of_frontier=False,
            unit=block[means.config],
            units=blocks,
            seed=seed,
            beyond=beyond,
            level=level,
        )
    draws, drawn, efficient = _on_frontier(chosen, resamples, generator)
    units = len(np.unique(chosen.mean_of[efficient]))
    if units < frontier.LEAST_MEANS:
        raise ValueError(
            f"the frontier holds {units} configuration means, fewer than {frontier.LEAST_MEANS}: fit all "
            "runs, or run configurations of other sizes"
        )
    return Sample(
        runs=runs,
        observations=runs,
        draws=draws,
        drawn=drawn,
        drawn_runs=drawn,
        wild=False,
        used=efficient[positive],
        of_frontier=True,
        unit=chosen.mean_of,
        units=units,
        seed=seed,
        beyond=beyond,
        level=level,
    )


def _on_frontier(
    chosen: Points, resamples: int, generator: np.random.Generator
) -> tuple[Array, npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return the weights of a fit on the frontier, in parts that do not fill the memory.

    Returns:
        Weights (1 + r, u) of the runs that are efficient in the sample or any resample, the last all 0; the
        one of these (n,) that each run has; and which runs are efficient in the sample (n,).
    """
    runs, n = chosen.runs, len(chosen.runs.x)
    count = max(1, _FRONTIER_ELEMENTS // n)
    sizes = [min(count, resamples - first) for first in range(0, resamples, count)]
    # The random numbers for configurations come before those for runs: another generator draws them again.
    of_configs = copy.deepcopy(generator)
    for size in sizes:
        bootstrap.resample(chosen.configs, size, generator)
    parts: list[tuple[npt.NDArray[np.intp], Array]] = []
    efficient = np.zeros(n, dtype=bool)
    for size in tasks.steps("frontiers", sizes):
        # `seeds` resample the runs and decide which are efficient; `counts` the configurations, for the fit.
        counts = bootstrap.resample(chosen.configs, size, of_configs)
        seeds = bootstrap.resample(n, size, generator)
        on_it = frontier.select(chosen.mean_of, chosen.means.x, runs.y, seeds)
        efficient = on_it[0]
        at = np.flatnonzero(on_it.any(axis=0))
        parts.append((at, (counts[:, runs.config[at]] * on_it[:, at])[0 if not parts else 1 :]))
    ever = np.unique(np.concatenate([at for at, _ in parts]))
    draws = np.zeros((1 + resamples, len(ever) + 1))
    row = 0
    for at, weights in parts:
        draws[row : row + len(weights), np.searchsorted(ever, at)] = weights
        row += len(weights)
    drawn = np.full(n, len(ever))
    drawn[ever] = np.arange(len(ever))
    return draws, drawn, efficient


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


def forecast_of(
    chosen: Points, sample: Sample, options: FitOptions, *, tested: bool = True
) -> tuple[Forecast | None, str | None]:
    """Return the forecast from the configuration means, or None with the reason why there is none.

    `tested`: as in make.forecast.
    """
    if sample.of_frontier:
        return None, "the frontier's runs are chosen by their error: a forecast from them would be too low"
    if options.quantile is not None:
        return None, "a quantile is fitted, not the mean"
    try:
        at = sample.grid(chosen.means.x)
        return make.forecast(chosen.means, at, options, sample.level, tested=tested), None
    except ValueError as error:
        return None, str(error)
