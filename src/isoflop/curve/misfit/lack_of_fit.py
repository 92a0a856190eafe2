"""Does a law fit? A test of the bend about it against the scatter between configurations, and its size.

Configurations of similar compute differ because of their shape. Compared with the spread between seeds (the
pure error of textbooks) that scatter is large, and an F test against it would reject every width x depth
grid. Here the bend is compared with the scatter of whole configurations: by Student's t where they are few,
where many by flipping the signs of configurations' residuals under the law (the wild cluster bootstrap of
Cameron, Gelbach and Miller 2008 with the null imposed, on the linearised law as in Kline and Santos 2012),
which holds where scatter grows or shrinks with x too.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from isoflop.curve.laws import FitOptions, Law
from isoflop.curve.misfit import runs
from isoflop.curve.misfit.bend import Bend, bend
from isoflop.curve.observations import Observations
from isoflop.curve.result import Band, LackOfFit

Array = npt.NDArray[np.float64]

LEVEL = 0.05
AHEAD = 10.0
"""The size of a misfit is what it changes at this many times the largest x."""
LEAST_CHANGE = 1e-3
"""... of ln y, at least: points that lie on a law to all digits scatter by rounding."""
LEAST_CONFIGS = 5
"""With fewer configurations than this their scatter is not known."""
SIGNS_FROM = 16
"""From so many configurations on signs are flipped: of fewer, flips are too few for a tail of 5%, and reject
too often (simulated: results/lack-of-fit-simulated)."""
FLIPS = 999
_ELEMENTS = 1 << 21
"""Elements (flips x points) that are held in memory together."""


def lack_of_fit(
    law: Law,
    parameters: Array,
    means: Observations,
    options: FitOptions,
    within: tuple[float, float],
    seed: int,
) -> tuple[LackOfFit | None, str | None]:
    """Return the lack of fit of a law, or None with the reason why it cannot be tested.

    Args:
        law: the law.
        parameters: its parameters of the sample in row 0, (r, p).
        means: the configuration means that it was fitted to, or that hold the runs it was fitted to.
        options: how it was fitted.
        within: ends of the interval of ln y of the law's mean at AHEAD times the largest x, less the law's.
        seed: of the sign flips.
    """
    if options.quantile is not None:
        return None, "a quantile is fitted, not the mean"
    tested = bend(law, parameters[:1], means, options)
    if tested is None:
        return None, f"{len(means.x)} points leave no bend that the law itself could not make"
    order = np.argsort(-means.v, kind="stable")
    left = tested.residual - tested.basis @ (tested.basis.T @ tested.residual)
    few_runs = runs.runs_p(left[order])
    # The recursive residuals of ln y are those of its residuals about a curve of the law's span.
    rolling = runs.rolling_p(tested.residual[order], tested.basis[order])
    method, p_value = _test(tested, means, few_runs, rolling, seed)
    if p_value is None:
        return None, "too few configurations for a test"
    low, high = tested.local_exponents()
    ratio = tested.ahead(AHEAD)
    return (
        LackOfFit(
            method=method,
            p_value=p_value,
            runs_p=few_runs,
            rolling_p=rolling,
            exponent_low=low,
            exponent_high=high,
            factor_at_10x=float(np.exp(ratio)),
            rejected=p_value <= LEVEL and abs(ratio) > LEAST_CHANGE and not within[0] <= ratio <= within[1],
        ),
        None,
    )


Method = Literal[
    "scatter between configurations", "wild bootstrap", "runs of signs and rolling extrapolation"
]


def _test(
    tested: Bend, means: Observations, few_runs: float | None, rolling: float | None, seed: int
) -> tuple[Method, float | None]:
    """Return the method and its p value, None where none can be given.

    Args:
        tested: the bend.
        means: the points.
        few_runs, rolling: p values of the runs of signs and of rolling extrapolation.
        seed: of the sign flips.
    """
    cluster = np.unique(means.config, return_inverse=True)[1]
    configs = int(cluster.max()) + 1
    alone = configs == len(cluster)
    if configs >= LEAST_CONFIGS and alone and configs < SIGNS_FROM:
        statistic = float(tested.statistic(tested.residual[None], None)[0])
        return "scatter between configurations", float(
            2 * special.stdtr(configs - tested.rank - 1, -abs(statistic))
        )
    if configs > tested.rank + LEAST_CONFIGS:
        return "wild bootstrap", _wild(tested, cluster, alone, seed)
    known = [p for p in (few_runs, rolling) if p is not None]
    return "runs of signs and rolling extrapolation", min(1.0, len(known) * min(known)) if known else None


def _wild(tested: Bend, cluster: npt.NDArray[np.intp], alone: bool, seed: int) -> float:
    """Return the share of sign flips, by configuration, whose statistic is as far from 0 as the sample's.

    Args:
        tested: the bend.
        cluster: index (n,) of the configuration of each point.
        alone: whether each configuration has one point.
        seed: of the flips.
    """
    of_clusters = None if alone else cluster
    observed = abs(float(tested.statistic(tested.residual[None], of_clusters)[0]))
    left = tested.residual - tested.basis @ (tested.basis.T @ tested.residual)
    # A point of high leverage draws the law towards it and has a small residual: HC2's correction.
    leverage = np.clip(np.einsum("nk,nk->n", tested.basis, tested.basis), 0.0, 0.95)
    left = left / np.sqrt(1 - leverage)
    generator = np.random.default_rng(seed)
    farther, rows = 0, max(1, _ELEMENTS // len(left))
    for first in range(0, FLIPS, rows):
        shape = (min(rows, FLIPS - first), int(cluster.max()) + 1)
        signs = np.where(generator.random(shape) < 0.5, -1.0, 1.0)
        flipped = np.abs(tested.statistic(left * signs[:, cluster], of_clusters))
        farther += int((flipped >= observed * (1 - 1e-9)).sum())
    return (1 + farther) / (1 + FLIPS)


def within(band: Band, x_max: float) -> tuple[float, float]:
    """Return the ends of the interval of ln y of a law's mean at AHEAD times `x_max`, less the law's ln y."""
    at, x = np.log(AHEAD * x_max), np.log(band.x)
    middle, low, high = (float(np.interp(at, x, np.log(side))) for side in (band.y, band.low, band.high))
    return low - middle, high - middle
