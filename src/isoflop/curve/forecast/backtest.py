"""The forecast's own test: at each cut it is made from the smaller runs alone and judged on the larger."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from isoflop.curve.forecast import rolling
from isoflop.curve.forecast.predictive import Asked, Predictive, ask
from isoflop.curve.forecast.rolling import Cuts
from isoflop.curve.laws import FitOptions
from isoflop.curve.observations import Observations
from isoflop.curve.result import Calibration, HorizonError

Array = npt.NDArray[np.float64]

PARTICLES = 128
DRAWS = 1024
NOMINAL = (0.5, 0.8, 0.95)


@dataclasses.dataclass(frozen=True)
class Backtest:
    """What the forecasts from below c cuts were worth.

    `tested_ratio` is the largest ratio of x over which a point was predicted, None without a cut; `score` the
    root mean square error of ln y, with equal weight for every cut.
    """

    horizons: tuple[HorizonError, ...]
    score: float | None
    tested_ratio: float | None
    tests: int
    calibration: tuple[Calibration, ...]


def untested(where: Cuts) -> Backtest:
    """Return how far a test at these cuts would reach, without making it."""
    return Backtest((), None, where.tested_ratio, 0, ())


def asked(observed: Observations, where: Cuts, options: FitOptions) -> list[Asked]:
    """Return what the forecast from below each of `where` is made from."""
    return [ask(observed.take(observed.v >= cut - rolling.FINER), options, PARTICLES) for cut in where.at]


def judge(observed: Observations, where: Cuts, forecasts: Sequence[Predictive]) -> Backtest:
    """Return how forecasts from below each cut (of `asked`) do on what lies above it."""
    if not len(where.at):
        return Backtest((), None, None, 0, ())
    missed = np.full_like(where.ahead, np.nan)
    inside: list[Array] = []
    for i, made in enumerate(forecasts):
        judged = np.isfinite(where.ahead[i])
        run = made.draws(where.ahead[i, judged], DRAWS).run
        log_y = observed.log_y[judged]
        missed[i, judged] = np.median(run, axis=0) - log_y
        tails = 0.5 + np.outer((-1, 1), NOMINAL) / 2
        low, high = np.quantile(run, tails, axis=0)
        inside.append(((low <= log_y) & (log_y <= high)).T)
    hits = np.concatenate(inside)
    return Backtest(
        horizons=rolling.horizons(where.ahead, missed),
        score=rolling.score(where.ahead, missed),
        tested_ratio=where.tested_ratio,
        tests=len(where.at),
        calibration=tuple(
            Calibration(n, float(h.mean()), len(hits)) for n, h in zip(NOMINAL, hits.T, strict=True)
        ),
    )
