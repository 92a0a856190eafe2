"""The interval of a new run: residuals of single runs, in units of the noise that y has where they lie.

Where y is a share of n counted images, ln y is the noisier the fewer the errors, so that residuals at small x
say too little of a new run at large x. They are divided by the deviation expected there (misfit, and the part
of the binomial variance that they call for, `view.components`) and multiplied by that of the curve.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from isoflop.curve import bootstrap, observations

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Scatter:
    """`standard` (k,): residuals of ln y over the deviation that was expected of each.

    That of a y counted on `trials` images is the root of misfit + share x binomial variance; without counts
    it is 1 everywhere, and the residuals are as they were.
    """

    standard: Array
    misfit: float
    share: float
    trials: float | None

    def deviation(self, log_y: Array) -> Array:
        """The standard deviation of ln y of a new run about exp(log_y), of log_y's shape."""
        if self.trials is None:
            return np.ones_like(log_y)
        return np.sqrt(self.misfit + self.share * _counting(log_y, self.trials))


def _counting(log_y: Array, trials: Array | float) -> Array:
    """The binomial variance of ln y; below half an error, where no count is seen, what it is there."""
    return observations.binomial(np.maximum(np.exp(log_y), 0.5 / trials), trials)


def about(log_y: Array, fitted: Array, trials: Array | None, free: int) -> Scatter:
    """The scatter of runs with ln y (k,) about a curve `fitted` (k,) of `free` parameters.

    `trials` (k,) images each, None where y was not counted.
    """
    residual = log_y - fitted
    if trials is None:
        return Scatter(residual, 1.0, 0.0, None)
    counting = _counting(fitted, trials)
    misfit, share = observations.components(residual, free, np.zeros_like(residual), counting)
    return Scatter(residual / np.sqrt(misfit + share * counting), misfit, share, float(np.median(trials)))


def new_run(curves: Array, found: Scatter, configs: int, free: int, seed: int) -> tuple[Array, Array]:
    """Ends (m,) of the 95% interval of ln y of a new run about curves (r, m), which are stretched.

    To each curve a residual is added, the same one along it, widened for the fit's freedom and the t
    distribution's longer tails.
    """
    factor = bootstrap.stretch(configs, free)
    middle = np.median(curves, axis=0)
    widened = (found.standard - found.standard.mean()) * factor * np.sqrt(configs / (configs + 1))
    noise = np.random.default_rng(seed + 1).choice(widened, (len(curves), 1)) * found.deviation(middle)
    return bootstrap.stretched(middle + factor * (curves - middle) + noise, 1.0)
