"""The forecast of a fit: the predictive distribution as curves with intervals, and what its test said."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from isoflop.curve.bootstrap import CONFIDENCE
from isoflop.curve.forecast import backtest, predictive, rolling
from isoflop.curve.forecast.backtest import Backtest
from isoflop.curve.forecast.predictive import Predictive
from isoflop.curve.laws import FitOptions
from isoflop.curve.observations import Observations
from isoflop.curve.result import Band, Estimate, Forecast, Interval, Member

Array = npt.NDArray[np.float64]


def forecast(
    observed: Observations,
    at: Array,
    options: FitOptions,
    level: float = CONFIDENCE,
    *,
    tested: bool = True,
) -> Forecast:
    """Return the forecast of y at x = `at` (m,) from configuration means.

    Args:
        observed: the means (n).
        at: x of the band.
        options: `chance` is the error of guessing, where it is known.
        level: of the intervals.
        tested: judge it by rolling extrapolation too, which takes longer than making it; without, it is said
            how far that test reaches, and its errors and calibration are missing.

    Raises:
        ValueError: too few compute scales (predictive.predictive).
    """
    where = rolling.usual_cuts(observed)
    below_cuts = backtest.asked(observed, where, options) if tested else []
    made, *below = predictive.predictives([predictive.ask(observed, options), *below_cuts], options)
    judged = backtest.judge(observed, where, below) if tested else backtest.untested(where)
    return Forecast(
        members=tuple(
            Member(each.member.prior.law, float(weight), each.member.drifting)
            for each, weight in zip(made.posteriors, made.weights, strict=True)
        ),
        band=band(made, at, float(observed.x.max()), level),
        local_exponent=_local_exponent(made, level),
        horizons=judged.horizons,
        extrapolation_log_rmse=judged.score,
        tested_ratio=judged.tested_ratio,
        calibration=judged.calibration,
        warnings=_warnings(judged),
    )


def band(made: Predictive, at: Array, x_max: float, level: float = CONFIDENCE) -> Band:
    """Return the median curve at x = `at` (m,) with the intervals of the mean and of a new run.

    Args:
        made: the predictive distribution.
        at: x.
        x_max: the largest x of the points.
        level: of the intervals.
    """
    drawn = made.draws(np.log(at / x_max))
    tails = (0.5 - level / 2, 0.5 + level / 2)
    middle, low, high = np.quantile(drawn.mean, (0.5, *tails), axis=0)
    new_low, new_high = np.quantile(drawn.run, tails, axis=0)
    # A new run adds noise to the mean: where that is nothing, the ends differ by the draws' error alone.
    ends = (low, high, np.minimum(new_low, low), np.maximum(new_high, high))
    return Band(tuple(at.tolist()), *(tuple(np.exp(each).tolist()) for each in (middle, *ends)))


def _local_exponent(made: Predictive, level: float) -> Estimate:
    draws = made.local_exponents()
    middle, low, high = np.quantile(draws, (0.5, 0.5 - level / 2, 0.5 + level / 2))
    interval = Interval(float(low), float(high))
    return Estimate("local_exponent", float(middle), interval, "decades of y per decade of x, at x_max")


def _warnings(tested: Backtest) -> tuple[str, ...]:
    if tested.tested_ratio is None:
        return ("too few compute scales for rolling extrapolation: no horizon is tested, the priors decide",)
    return (f"tested up to {tested.tested_ratio:.3g} times the largest x of a fit; beyond that, untested",)
