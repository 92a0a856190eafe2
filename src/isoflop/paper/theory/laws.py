"""Exact means of the least-squares cases, and counted operations of every estimator.

Features are independent standard normal numbers. With residual variance v and p fitted features, least
squares has the excess error v p / (n - p - 1) for n >= p + 2 (the mean of an inverse Wishart matrix). For n
<= p - 2 the minimum-norm solution has v n / (p - n - 1), and besides misses (1 - n / p) of the coefficients'
squares, as its row space is a random n-dimensional one (Hastie, Montanari, Rosset, Tibshirani 2022, of which
this is the exact finite form). Between the two the mean is infinite: the peak of double descent.

Operations are FLOPs, 2 a multiply-add. Least squares by normal equations: (n + p/3) p^2, by Householder's QR:
2 p^2 (n - p/3) (Golub and Van Loan, Matrix Computations, sections 5.3.2 and 5.3.3); for n < p the same with
the roles of n and p exchanged. Products with X or X' are 2 n p each.
"""

from __future__ import annotations

import dataclasses

from isoflop.paper.theory.result import Case, Coefficients, Counting


@dataclasses.dataclass(frozen=True)
class LassoWork:
    """What a path of coordinate descent did, of one data set or averaged over several.

    `sweeps` over all features, `active_sweeps` the active features of each penalty's solution times its
    sweeps, `validated_features` the active features of each solution that was validated; all summed over the
    penalties of the path.
    """

    sweeps: float
    active_sweeps: float
    validated_features: float


def true_coefficients(relevant: int, kind: Coefficients) -> tuple[float, ...]:
    """Return the coefficients of the relevant features; their squares sum to `relevant`."""
    raw = [1.0] * relevant if kind == "equal" else [float(i + 1) for i in range(relevant)]
    scale = (relevant / sum(value**2 for value in raw)) ** 0.5
    return tuple(scale * value for value in raw)


def missed(relevant: int, kind: Coefficients) -> float:
    """Return the coefficient that the expert leaves out for an irrelevant feature: the middle one."""
    return true_coefficients(relevant, kind)[relevant // 2]


def least_squares_mse(examples: int, fitted: int, residual_variance: float, squares: float) -> float | None:
    """Return the mean excess squared error of least squares, minimum-norm for n < p; None where infinite.

    `squares` is the sum of squares of the fitted features' coefficients.
    """
    if examples >= fitted + 2:
        return residual_variance * fitted / (examples - fitted - 1)
    if examples <= fitted - 2:
        return squares * (1 - examples / fitted) + residual_variance * examples / (fitted - examples - 1)
    return None


def expected_mse(
    case: Case, examples: int, *, features: int, relevant: int, kind: Coefficients, noise_variance: float
) -> float | None:
    """Return the exact mean of the normalised error of a least-squares case.

    None where it is infinite, and for the lasso, which has no known formula.

    Args:
        case: the estimator.
        examples: n.
        features: all candidates.
        relevant: those on which the target depends.
        kind: how the true coefficients vary.
        noise_variance: of the target around the optimal predictor.
    """
    if case == "regularised":
        return None
    lost = missed(relevant, kind) ** 2 if case == "expert" else 0.0
    fitted = features if case == "flexible" else relevant
    excess = least_squares_mse(examples, fitted, noise_variance + lost, relevant - lost)
    return None if excess is None else (excess + lost) / relevant


def examples_for(
    case: Case, performance: float, *, features: int, relevant: int, kind: Coefficients, noise_variance: float
) -> float | None:
    """Return the examples (n > p, not rounded) at which a least-squares case has this expected performance.

    None if it never has it.

    Args:
        case: the estimator, not the lasso.
        performance: -log10 of the normalised mean squared error.
        features: all candidates.
        relevant: those on which the target depends.
        kind: how the true coefficients vary.
        noise_variance: of the target around the optimal predictor.
    """
    lost = missed(relevant, kind) ** 2 if case == "expert" else 0.0
    fitted = features if case == "flexible" else relevant
    room = relevant * 10.0**-performance - lost
    return None if room <= 0 else fitted + 1 + (noise_variance + lost) * fitted / room


def least_squares_flops(examples: float, fitted: float, counting: Counting) -> float:
    """Return the counted operations of one least-squares fit; minimum-norm where n < p."""
    long, short = max(examples, fitted), min(examples, fitted)
    products = 2 * examples * fitted
    if counting == "textbook":
        return 2 * short**2 * (long - short / 3) + 2 * products - short**2
    return (long + short / 3) * short**2 + products + 2 * short**2


def lasso_flops(
    training: float, validation: float, features: int, work: LassoWork, counting: Counting
) -> float:
    """Return the counted operations of one fit by the lasso along its path, validation included.

    As run, X'X and X'y are formed, and a sweep updates the p gradients once for each active feature
    (covariance updates: Friedman, Hastie, Tibshirani 2010, section 2.2). Textbook: descent on residuals, at
    most 4 n p a sweep (section 2.1 there).

    Args:
        training: examples fitted.
        validation: examples held out.
        features: all candidates, p.
        work: what the path did.
        counting: how to count.
    """
    validating = 2 * validation * work.validated_features
    if counting == "textbook":
        return 4 * training * features * work.sweeps + validating
    # X'X is symmetric, so half of its p^2 products of 2 n each are computed
    products = training * features**2 + 2 * training * features
    return products + 2 * features * work.active_sweeps + validating
