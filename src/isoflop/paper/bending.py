"""Do the points of a straight line on logarithmic axes bend? So that no rejected exponent stands alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve.laws import LAWS, PLAIN
from isoflop.curve.misfit import lack_of_fit
from isoflop.curve.observations import Observations
from isoflop.curve.result import LackOfFit
from isoflop.paper import regression
from isoflop.report.text import misfit

Array = npt.NDArray[np.float64]

LEAST_POINTS = 6
LAW = LAWS["power_law_ols"]


def bending(
    log_x: Array, log_y: Array, groups: Sequence[str], lines: regression.Lines, *, per_group: bool
) -> LackOfFit | None:
    """Return the lack of fit of the line ln y on ln x; None where there are too few points for a test.

    Args:
        log_x, log_y: of the points (n,).
        groups: what is independent of one another: a shape with its seeds, a family of models.
        lines: the line in row 0 and its resamples, in natural logarithms.
        per_group: the points of a group repeat one measurement, and are averaged.
    """
    index, names = pd.factorize(np.asarray(groups, dtype=object))
    repeats = np.ones(len(log_x))
    at, values = log_x, log_y
    if per_group:
        repeats = np.bincount(index).astype(float)
        at, values = (np.bincount(index, each) / repeats for each in (log_x, log_y))
        index = np.arange(len(names))
    if len(np.unique(np.round(at, 3))) < LEAST_POINTS:
        return None
    observed = Observations(np.exp(at), np.exp(values), np.asarray(index, dtype=np.intp), repeats, None, None)
    draws = lines.at(float(at.max()) + float(np.log(lack_of_fit.AHEAD)))
    ends = regression.interval(draws[1:], len(names))
    within = (
        -np.inf if ends.low is None else ends.low - float(draws[0]),
        np.inf if ends.high is None else ends.high - float(draws[0]),
    )
    parameters = LAW.fit(observed, np.ones((1, len(at))), PLAIN, None)
    return lack_of_fit.lack_of_fit(LAW, parameters, observed, PLAIN, within, seed=0)[0]


def said(seen: LackOfFit | None) -> str:
    """Return what stands beside a rejected exponent, semicolon first; empty where it is not rejected."""
    return f"; that line is rejected: {misfit.change(seen)}" if seen is not None and seen.rejected else ""
