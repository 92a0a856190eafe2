"""The interval of a new run: residuals of single runs, in units of the noise that y has where they lie.

Where y is a share of n counted images, ln y is the noisier the fewer the errors, so that residuals at small x
understate the noise of a new run at large x. They are divided by the deviation expected there (misfit, and
the part of the binomial variance that they call for, `observations.components`) and multiplied by that of
the curve.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from isoflop.curve import bootstrap, observations

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class ResidualScatter:
    """Standardised residuals of single runs, and the noise of ln y that they were divided by.

    `standard` (k,) are residuals of ln y over their expected deviation, the root of misfit + share x binomial
    variance for a y counted on `trials` images. Without counts that deviation is taken as 1 everywhere.
    """

    standard: Array
    misfit: float
    share: float
    trials: float | None

    def deviation(self, log_y: Array) -> Array:
        """Return the standard deviation of ln y of a new run about exp(log_y), of log_y's shape."""
        if self.trials is None:
            return np.ones_like(log_y)
        return np.sqrt(self.misfit + self.share * _counting(log_y, self.trials))


def _counting(log_y: Array, trials: Array | float) -> Array:
    """Return the binomial variance of ln y. Below half an error it is held at its value there."""
    return observations.binomial(np.maximum(np.exp(log_y), 0.5 / trials), trials)


def about(log_y: Array, fitted: Array, trials: Array | None, free: int) -> ResidualScatter:
    """Return the scatter of runs with ln y (k,) about a curve `fitted` (k,) of `free` parameters.

    `trials` (k,) are the images behind each y, None where y was not counted.
    """
    residual = log_y - fitted
    if trials is None:
        return ResidualScatter(residual, 1.0, 0.0, None)
    counting = _counting(fitted, trials)
    misfit, share = observations.components(residual, free, np.zeros_like(residual), counting)
    standard = residual / np.sqrt(misfit + share * counting)
    return ResidualScatter(standard, misfit, share, float(np.median(trials)))


def new_run(
    curves: Array,
    scatter: ResidualScatter,
    configs: int,
    free: int,
    seed: int,
    level: float = bootstrap.CONFIDENCE,
) -> tuple[Array, Array]:
    """Return the ends (m,) of the interval of ln y of a new run.

    Args:
        curves: ln y (r, m) of the resampled curves, not yet stretched.
        scatter: residuals of single runs about the curve.
        configs: number of configurations.
        free: number of parameters of the curve.
        seed: seed of the residuals that are drawn.
        level: of the interval.
    """
    factor = bootstrap.stretch(configs, free, level)
    middle = np.median(curves, axis=0)
    # Residuals have (n - p) / n of the noise's variance. `factor` corrects by (n + 1) / (n - p), which holds
    # the part (n + 1) / n of exponential weights too: it is taken out again, as residuals are not weighted.
    widened = (scatter.standard - scatter.standard.mean()) * factor * np.sqrt(configs / (configs + 1))
    # One residual a curve, the same along it: a new run lies above or below the curve as a whole.
    noise = np.random.default_rng(seed + 1).choice(widened, (len(curves), 1)) * scatter.deviation(middle)
    return bootstrap.stretched(middle + factor * (curves - middle) + noise, 1.0, level)
