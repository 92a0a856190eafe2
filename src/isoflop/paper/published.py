"""Error against compute across published models: the paper's section 3 on data that can be had today.

Performance is 1/error. Polynomial: log10(1/e) = a + b log10 C, alpha = 1/b. Exponential: 1/e = a + b log10 C
(Thompson et al. 2020, section 3). C is what the source gives a model, most often the compute of one pass,
which is not training compute; alpha does not depend on its unit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from isoflop.curve.result import Estimate, Excluded, LackOfFit
from isoflop.paper import forms, regression
from isoflop.paper.bending import bending
from isoflop.paper.models import Models

Array = npt.NDArray[np.float64]

LN10 = math.log(10.0)

LEAST_MODELS = 8
BEST_SHARE = 0.1
QUANTILE_RESAMPLES = 300
"""A quantile's line is a linear program: fewer resamples are drawn for it than for the mean's."""


@dataclasses.dataclass(frozen=True)
class Exponent:
    """One line through log10(1/error) against log10 compute.

    `alpha` = 1/slope: error falls with the alpha-th root of compute. `inverse_alpha` is what regressing
    compute on error gives, R^2 / slope, always the smaller; it and `lack_of_fit` are None for a quantile.
    """

    line: str
    intercept: float
    slope: Estimate
    alpha: Estimate
    inverse_alpha: Estimate | None
    r_squared: float | None
    lack_of_fit: LackOfFit | None = None


@dataclasses.dataclass(frozen=True)
class Trend:
    """log10(1/error) = a + b log10 C + c year. `alpha_at_fixed_year` = 1/b. `error_ratio_a_year` = 10^-c, the
    error at equal compute against a year before. `compute_ratio_a_year` = 10^(-c/b), the compute for an equal
    error against a year before."""

    models: int
    first_year: float
    last_year: float
    alpha_at_fixed_year: Estimate
    error_ratio_a_year: Estimate
    compute_ratio_a_year: Estimate


@dataclasses.dataclass(frozen=True)
class PublishedResult:
    """Lines, forms and trend of published models; `models` holds every point that was used."""

    source: str
    compute_name: str
    count: int
    families: int
    family_rule: str
    error_least: float
    error_most: float
    compute_least: float
    compute_most: float
    exponents: tuple[Exponent, ...]
    forms: forms.Forms
    trend: Trend | None
    trend_reason: str | None
    resamples: int
    seed: int
    excluded: tuple[Excluded, ...]
    models: Models


def analyse(models: Models, *, resamples: int = 1000, seed: int = 0) -> PublishedResult:
    """Fit lines, forms and trend to `models`; intervals resample whole families.

    Raises:
        ValueError: fewer than LEAST_MODELS models, or all have one compute.
    """
    count = len(models.names)
    if count < LEAST_MODELS:
        reasons = f", {len(models.excluded)} left out: {models.excluded[0].reason}" if models.excluded else ""
        raise ValueError(f"{models.source}: {count} usable models{reasons}: a line needs {LEAST_MODELS}")
    x, error = np.log10(np.array(models.compute)), np.array(models.error)
    if np.ptp(x) == 0:
        raise ValueError(f"{models.source}: all models have the same {models.compute_name}: nothing to fit")
    generator = np.random.default_rng(seed)
    weights = regression.cluster_weights(models.families, resamples, generator)
    families = len(set(models.families))
    trend, reason = _trend(models, x, error, weights)
    return PublishedResult(
        source=models.source,
        compute_name=models.compute_name,
        count=count,
        families=families,
        family_rule=models.family_rule,
        error_least=float(error.min()),
        error_most=float(error.max()),
        compute_least=min(models.compute),
        compute_most=max(models.compute),
        exponents=_exponents(x, np.log10(1 / error), weights, models.families),
        forms=forms.compare(x, error, weights, families),
        trend=trend,
        trend_reason=reason,
        resamples=resamples,
        seed=seed,
        excluded=models.excluded,
        models=models,
    )


def _exponents(x: Array, performance: Array, weights: Array, groups: Sequence[str]) -> tuple[Exponent, ...]:
    families = len(set(groups))
    line = regression.least_squares(x, performance, weights)
    natural = regression.Lines(-LN10 * line.intercept, -line.slope, line.r_squared)
    bends = bending(LN10 * x, -LN10 * performance, groups, natural, per_group=False)
    mean = dataclasses.replace(_exponent("mean", line, families), lack_of_fit=bends)
    few = weights[: 1 + QUANTILE_RESAMPLES]
    median = regression.quantile(x, performance, 0.5, few)
    best = regression.quantile(x, performance, 1 - BEST_SHARE, few)
    return (
        mean,
        _exponent("median", median, families),
        _exponent(f"best {BEST_SHARE:.0%}", best, families),
    )


def _exponent(line: str, lines: regression.Lines, families: int) -> Exponent:
    squared = float(lines.r_squared[0])
    alphas = regression.inverse(lines.slope)
    backward = None
    if np.isfinite(squared):
        backward = estimate("inverse_alpha", lines.r_squared * alphas, families)
    return Exponent(
        line=line,
        intercept=float(lines.intercept[0]),
        slope=estimate("b", lines.slope, families),
        alpha=estimate("alpha", alphas, families),
        inverse_alpha=backward,
        r_squared=squared if np.isfinite(squared) else None,
    )


def estimate(name: str, draws: Array, clusters: int, parameters: int = 2, unit: str = "") -> Estimate:
    """Return the sample's own value (row 0) with the interval of the resamples (the rows after it).

    Args:
        name: of the estimate.
        draws: (1 + resamples,).
        clusters: families that were resampled.
        parameters: of the fitted model, for the widening of the interval.
        unit: of the value.

    Raises:
        ValueError: the value itself is not a number: the data do not determine it.
    """
    if not np.isfinite(draws[0]):
        raise ValueError(f"{name} is not determined: the error does not fall with compute in these models")
    return Estimate(name, float(draws[0]), regression.interval(draws[1:], clusters, parameters), unit)


def _trend(models: Models, x: Array, error: Array, weights: Array) -> tuple[Trend | None, str | None]:
    """Return the trend of the models whose year is known, or None and the reason."""
    year = np.array([np.nan if y is None else y for y in models.year])
    known = np.isfinite(year)
    if known.sum() < LEAST_MODELS:
        return None, f"years are known for {known.sum()} models: a trend needs {LEAST_MODELS}"
    if np.ptp(year[known]) < 1:
        return None, "all models are of one year"
    design = np.stack([np.ones(known.sum()), x[known] - x[known].mean(), year[known] - year[known].mean()], 1)
    fitted = regression.coefficients(design, np.log10(1 / error[known]), weights[:, known])
    if not fitted[0, 1] > 0:
        return None, "at a fixed year the error does not fall with compute"
    families = len({f for f, k in zip(models.families, known, strict=True) if k})
    with np.errstate(over="ignore"):
        ratio = 10.0 ** np.where(fitted[:, 1] > 0, -fitted[:, 2] / fitted[:, 1], np.nan)
    return (
        Trend(
            models=int(known.sum()),
            first_year=float(year[known].min()),
            last_year=float(year[known].max()),
            alpha_at_fixed_year=estimate("alpha", regression.inverse(fitted[:, 1]), families, 3),
            error_ratio_a_year=estimate("error_ratio_a_year", 10.0 ** -fitted[:, 2], families, 3),
            compute_ratio_a_year=estimate("compute_ratio_a_year", ratio, families, 3),
        ),
        None,
    )
