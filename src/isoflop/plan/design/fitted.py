"""From a fit to what a design needs: the two curves with their weights, and the scatter of the runs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from isoflop.curve.result import FitReport, LawFit
from isoflop.plan.design.information import Noise
from isoflop.plan.design.laws import POWER_LAW, WITH_FLOOR, Curve

Array = npt.NDArray[np.float64]

ASSUMED_SHARE = 0.2
"""Of y at the largest x that is taken to be irreducible where no law with a floor was fitted."""
MOST_SHARE = 0.98
LEAST_EXPONENT = 0.02
LEAST_VARIANCE = 1e-4
"""Of ln y, of all noise together: 1%; runs that agree better by luck are not taken to be exact."""


def curves(report: FitReport) -> tuple[Curve, Curve, float]:
    """Return the power law, the law with a floor, and the weight of floors and bends by the evidence.

    Curves that do not fall are taken to fall a little. Without a fitted floor a fifth of y at the largest x
    is assumed irreducible.
    """
    log_x0 = math.log(report.x_max)
    fits = {fit.law: fit for fit in report.fits}
    power = _power(fits.get(POWER_LAW) or fits.get("power_law_ols") or report.fits[0], log_x0)
    with_floor = fits.get(WITH_FLOOR)
    if with_floor is None:
        y_0 = power.falling
        floor = Curve(ASSUMED_SHARE * y_0, (1 - ASSUMED_SHARE) * y_0, power.b / (1 - ASSUMED_SHARE), log_x0)
    else:
        y_0 = _at_end(with_floor, log_x0)
        e = min(max(_parameter(with_floor, "E"), 0.0), MOST_SHARE * y_0)
        floor = Curve(e, y_0 - e, max(_parameter(with_floor, "b"), LEAST_EXPONENT), log_x0)
    weight = 0.5
    if report.forecast is not None:
        weight = sum(member.weight for member in report.forecast.members if member.law != POWER_LAW)
    return power, floor, weight


def _power(fit: LawFit, log_x0: float) -> Curve:
    named = [each.value for each in fit.parameters if each.name == "b"]
    b = named[0] if named and fit.law != "exponential" else LEAST_EXPONENT
    return Curve(0.0, _at_end(fit, log_x0), max(b, LEAST_EXPONENT), log_x0)


def _parameter(fit: LawFit, name: str) -> float:
    return next(each.value for each in fit.parameters if each.name == name)


def _at_end(fit: LawFit, log_x0: float) -> float:
    return float(np.exp(np.interp(log_x0, np.log(fit.band.x), np.log(fit.band.y))))


def noise(
    log_x: Array,
    log_y: Array,
    place: npt.NDArray[np.intp],
    config: npt.NDArray[np.intp],
    mean: Array,
    counted: float | None,
) -> tuple[Noise, bool]:
    """Return the scatter of runs about the curve, and whether runs were replicated.

    Variances are those of a one-way layout: within places (runs that differ in the seed alone), and of the
    places' means beyond what their seeds explain. Without replicates half of the scatter is taken to be of
    seeds: which half it is, no run says.

    Args:
        log_x, log_y: of n runs.
        place: number (n,) of the configuration and horizon of each.
        config: number (n,) of what shares a deviation.
        mean: ln y of the curve (n,) at them.
        counted: examples of which y is the share of wrong ones; None where it is no such share.
    """
    residual = log_y - mean
    places, index, count = np.unique(place, return_inverse=True, return_counts=True)
    means = np.bincount(index, residual) / count
    freedom = len(log_y) - len(places)
    configs = len(np.unique(config))
    about = float(np.sum(means**2) / max(1, len(places) - 2)) if configs > 2 else float(np.mean(means**2))
    if freedom > 0:
        seed = float(np.sum((residual - means[index]) ** 2) / freedom)
        of_config = max(0.0, about - seed * float(np.mean(1.0 / count)))
    else:
        seed = of_config = about / 2
    if counted is not None:
        # Counting is a part of the seeds' scatter that grows as errors fall: it is added back at each y.
        y = np.clip(np.exp(log_y), 1e-9, 1 - 1e-9)
        seed = max(0.0, seed - float(np.median((1 - y) / (y * counted))))
    if seed + of_config < LEAST_VARIANCE:
        seed = max(seed, LEAST_VARIANCE / 2)
        of_config = max(of_config, LEAST_VARIANCE / 2)
    return Noise(seed, of_config, counted), freedom > 0
