"""Polynomial or exponential: which of the paper's two forms predicts the larger models from the smaller.

R^2 is taken on two different scales (log10(1/e) and 1/e) and cannot choose between them; the root mean square
of ln(predicted error / true error) on models with more compute than any that were fitted can.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import numpy.typing as npt

from isoflop.curve.result import Estimate
from isoflop.paper import regression

Array = npt.NDArray[np.float64]

FORMS = ("polynomial", "exponential")
LAW_OF_FORM = {"polynomial": "power_law_ols", "exponential": "exponential"}
"""The paper's word for a form -> the name of the law in fit.json."""
CUTS = (0.5, 0.6, 0.7, 0.8)
"""The share of models, least compute first, that is fitted; the others are predicted."""
MOST_PERFORMANCE = 1e6
"""A predicted 1/error is held between 1 (an error of 100%) and this."""


@dataclasses.dataclass(frozen=True)
class FormScore:
    """How one form does. `r_squared` is on the form's own scale; `log10_rmse` on all models and
    `extrapolation_rmse` (natural logarithm of error, mean over CUTS) on larger models are common to both."""

    form: str
    r_squared: float
    r_squared_of: str
    log10_rmse: float
    extrapolation_rmse: Estimate


@dataclasses.dataclass(frozen=True)
class Forms:
    """Both forms, and which predicts better: `difference` is the exponential's extrapolation score less the
    polynomial's, above 0 where the polynomial is closer; "neither" where its interval holds 0.

    `horizon` is the largest compute over the largest that was fitted, at the first of CUTS.
    """

    scores: tuple[FormScore, ...]
    difference: Estimate
    better: Literal["polynomial", "exponential", "neither"]
    horizon: float


def scale(form: str, error: Array) -> Array:
    """Return error on the scale on which the form is a straight line over log10 compute."""
    return np.log10(1 / error) if form == "polynomial" else 1 / error


def error_at(form: str, height: Array) -> Array:
    """Return the error at a height on the form's scale, held within the bounds of MOST_PERFORMANCE."""
    performance = 10.0 ** np.clip(height, 0, 6) if form == "polynomial" else height
    return np.asarray(1 / np.clip(performance, 1, MOST_PERFORMANCE))


def log10_compute(form: str, intercept: Array, slope: Array, error: float) -> Array:
    """Return log10 of the compute at which the line reaches `error`; infinite where it does not rise."""
    height = float(scale(form, np.array([error]))[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(slope > 0, (height - intercept) / slope, np.inf)


def compare(x: Array, error: Array, weights: Array, clusters: int) -> Forms:
    """Score both forms on x = log10 compute (n,) and error (n,); `weights` (1 + resamples, n)."""
    scores, extrapolated = [], {}
    for form in FORMS:
        lines = regression.least_squares(x, scale(form, error), weights[:1])
        fitted = error_at(form, lines.intercept + lines.slope * x)
        extrapolated[form] = np.mean([_extrapolated(form, x, error, weights, cut) for cut in CUTS], axis=0)
        scores.append(
            FormScore(
                form=form,
                r_squared=float(lines.r_squared[0]),
                r_squared_of="log10(1/error)" if form == "polynomial" else "1/error",
                log10_rmse=float(np.sqrt(np.mean(np.log10(fitted / error) ** 2))),
                extrapolation_rmse=_estimate("extrapolation_rmse", extrapolated[form], clusters),
            )
        )
    difference = _estimate("difference", extrapolated["exponential"] - extrapolated["polynomial"], clusters)
    low, high = difference.interval.low, difference.interval.high
    better: Literal["polynomial", "exponential", "neither"] = "neither"
    if low is not None and low > 0:
        better = "polynomial"
    elif high is not None and high < 0:
        better = "exponential"
    horizon = float(10 ** (x.max() - np.sort(x)[int(CUTS[0] * len(x)) - 1]))
    return Forms(tuple(scores), difference, better, horizon)


def _extrapolated(form: str, x: Array, error: Array, weights: Array, cut: float) -> Array:
    """Return the score on the models above `cut`, (r,).

    It is nan where a resample has no model there, or too few below.

    Args:
        form: one of FORMS.
        x: log10 compute, (n,).
        error: a fraction, (n,).
        weights: how often each model was drawn, (r, n).
        cut: the share of models, least compute first, that is fitted.
    """
    order = np.argsort(x, kind="stable")
    small = np.zeros(len(x), dtype=bool)
    small[order[: int(cut * len(x))]] = True
    lines = regression.least_squares(x[small], scale(form, error[small]), weights[:, small])
    held = weights[:, ~small]
    with np.errstate(invalid="ignore", divide="ignore"):  # a resample may draw no small model, or no large
        predicted = error_at(form, lines.intercept[:, None] + lines.slope[:, None] * x[~small])
        squares = np.log(predicted / error[~small]) ** 2
        return np.asarray(np.sqrt((held * squares).sum(1) / held.sum(1)))


def _estimate(name: str, draws: Array, clusters: int) -> Estimate:
    kept = draws[1:][np.isfinite(draws[1:])]
    return Estimate(name, float(draws[0]), regression.interval(kept, clusters), "ln error")
