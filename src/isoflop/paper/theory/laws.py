"""Exact means of the least-squares cases, and counted operations of every estimator; torch-free.

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
    """What one fit by the active-set method did, averaged over simulations: inner products of two features
    made, gradients of all features taken from the residual, active features summed over those, FLOPs of
    solving for active features, and active features summed over the penalties validated. `sweeps` is what
    coordinate descent takes for the same path; None where not asked for."""

    products: float
    checks: float
    check_features: float
    solve_flops: float
    validated_features: float
    sweeps: float | None = None


def true_coefficients(relevant: int, kind: Coefficients) -> tuple[float, ...]:
    """Those of the relevant features; their squares sum to `relevant`."""
    raw = [1.0] * relevant if kind == "equal" else [float(i + 1) for i in range(relevant)]
    scale = (relevant / sum(value**2 for value in raw)) ** 0.5
    return tuple(scale * value for value in raw)


def missed(relevant: int, kind: Coefficients) -> float:
    """The coefficient that the expert leaves out for an irrelevant feature: one of the middle."""
    return true_coefficients(relevant, kind)[relevant // 2]


def least_squares_mse(examples: int, fitted: int, residual_variance: float, squares: float) -> float | None:
    """Mean excess squared error of least squares, minimum-norm for n < p; None where it is infinite.

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
    """Exact mean of the normalised error of a least-squares case; None where infinite, and for the lasso."""
    if case == "regularised":
        return None
    lost = missed(relevant, kind) ** 2 if case == "expert" else 0.0
    fitted = features if case == "flexible" else relevant
    excess = least_squares_mse(examples, fitted, noise_variance + lost, relevant - lost)
    return None if excess is None else (excess + lost) / relevant


def examples_for(
    case: Case, performance: float, *, features: int, relevant: int, kind: Coefficients, noise_variance: float
) -> float | None:
    """Examples (n > p, not rounded) at which a least-squares case has this expected performance; None if
    never."""
    lost = missed(relevant, kind) ** 2 if case == "expert" else 0.0
    fitted = features if case == "flexible" else relevant
    room = relevant * 10.0**-performance - lost
    return None if room <= 0 else fitted + 1 + (noise_variance + lost) * fitted / room


def least_squares_flops(examples: float, fitted: float, counting: Counting) -> float:
    """Counted operations of one least-squares fit; minimum-norm where n < p."""
    long, short = max(examples, fitted), min(examples, fitted)
    products = 2 * examples * fitted
    if counting == "textbook":
        return 2 * short**2 * (long - short / 3) + 2 * products - short**2
    return (long + short / 3) * short**2 + products + 2 * short**2


def lasso_flops(
    training: float, validation: float, features: int, work: LassoWork, counting: Counting
) -> float:
    """Counted operations of one fit by the lasso along its path, validation included.

    Coordinate descent on residuals costs at most 4 n p a sweep (Friedman, Hastie, Tibshirani 2010, section
    2.1).
    """
    validating = 2 * validation * work.validated_features
    if counting == "textbook":
        assert work.sweeps is not None
        return 4 * training * features * work.sweeps + validating
    first = 2 * training * features
    if counting == "full_gram":
        path = training * features**2 + 2 * features * work.check_features
    else:
        path = 2 * training * (work.products + features * work.checks + work.check_features)
    return first + path + work.solve_flops + validating
