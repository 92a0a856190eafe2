"""The four estimators, fitted to one simulated data set at a time, and to whole examples for the clock.

Shapes: n examples, p features of which the first s are relevant.
"""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np
from scipy import linalg

from isoflop.paper.theory import laws
from isoflop.paper.theory.draws import Array, products_root, triangular_root
from isoflop.paper.theory.laws import LassoWork
from isoflop.paper.theory.penalty_path import Examples, ValidationError, choose_penalty
from isoflop.paper.theory.result import Case, TheorySettings


@dataclasses.dataclass(frozen=True)
class SimulatedFit:
    """Normalised squared error and active features of one simulation; the rest is of the lasso only."""

    mse: float
    active_features: float
    penalty: float | None = None
    converged: bool = True
    work: LassoWork | None = None


def truth(settings: TheorySettings) -> Array:
    """Return the coefficients (s,) of the relevant features."""
    return np.array(laws.true_coefficients(settings.relevant, settings.coefficients))


def split(examples: int, settings: TheorySettings) -> tuple[int, int]:
    """Return the numbers of (training, validation) examples of the lasso at a sample size."""
    if settings.penalty_rule == "holdout":
        held_out = max(1, round(settings.holdout_share * examples))
        return examples - held_out, held_out
    return examples, examples if settings.penalty_rule == "fresh" else 0


def simulate(
    case: Case, examples: int, settings: TheorySettings, generator: np.random.Generator
) -> SimulatedFit:
    """Draw a data set and fit one case to it."""
    if case == "regularised":
        return _simulate_lasso(examples, settings, generator)
    beta, variance, missed = truth(settings), settings.noise_variance, 0.0
    if case == "flexible":
        beta = np.concatenate([beta, np.zeros(settings.features - len(beta))])
    elif case == "expert":
        # the relevant feature that the expert leaves out acts as noise, for an irrelevant one instead
        missed = laws.missed(settings.relevant, settings.coefficients) ** 2
        beta[settings.relevant // 2] = 0.0
        variance += missed
    error = missed + _least_squares_error(examples, beta, variance, generator)
    return SimulatedFit(error / settings.relevant, float(len(beta)))


def _least_squares_error(
    examples: int, beta: Array, variance: float, generator: np.random.Generator
) -> float:
    """Draw a data set; return ||b - beta||^2 of least squares, of the shortest solution for n < p."""
    features = len(beta)
    if examples < features:
        x = generator.standard_normal((examples, features))
        y = x @ beta + math.sqrt(variance) * generator.standard_normal(examples)
        gap = least_squares(x, y) - beta
    else:
        # with X = QR, b = R^-1 Q'y and Q'y = R beta + Q'noise, where Q'noise is p normal numbers
        root = triangular_root(examples, features, generator)
        rotated = root @ beta + math.sqrt(variance) * generator.standard_normal(features)
        gap = linalg.solve_triangular(root, rotated, check_finite=False) - beta
    return float(gap @ gap)


def least_squares(x: Array, y: Array) -> Array:
    """Return the coefficients (p,) by normal equations of x (n, p), y (n,); the shortest ones for n < p."""
    if x.shape[0] < x.shape[1]:
        return np.asarray(x.T @ _solve_positive(x @ x.T, y))
    return _solve_positive(x.T @ x, x.T @ y)


def _solve_positive(matrix: Array, right: Array) -> Array:
    """Solve a positive definite system by Cholesky's factorisation."""
    factor = linalg.cho_factor(matrix, overwrite_a=True, check_finite=False)
    return np.asarray(linalg.cho_solve(factor, right, check_finite=False))


def _simulate_lasso(examples: int, settings: TheorySettings, generator: np.random.Generator) -> SimulatedFit:
    beta, noise = truth(settings), math.sqrt(settings.noise_variance)
    training, held_out = split(examples, settings)
    # the noise is one more column, so that the root holds X'y as well
    root = products_root(training, settings.features + 1, generator)
    target = root[:, : settings.relevant] @ beta + noise * root[:, -1]
    data = Examples(root[:, :-1], target, training)
    chosen = choose_penalty(data, settings, _validation_error(held_out, settings, generator))
    gap = _gap(chosen.coefficients, beta)
    return SimulatedFit(
        mse=float(gap @ gap) / settings.relevant,
        active_features=float(np.count_nonzero(chosen.coefficients)),
        penalty=chosen.penalty,
        converged=chosen.converged,
        work=chosen.work,
    )


def _gap(coefficients: Array, beta: Array) -> Array:
    """Return true coefficients less estimated ones, (p,)."""
    gap = -coefficients
    gap[: len(beta)] += beta
    return gap


def _validation_error(
    held_out: int, settings: TheorySettings, generator: np.random.Generator
) -> ValidationError:
    """Return the mean squared error on `held_out` fresh examples, or without any the true excess error."""
    beta, noise = truth(settings), math.sqrt(settings.noise_variance)
    if not held_out:
        return lambda coefficients: float(np.square(_gap(coefficients, beta)).sum())
    root = products_root(held_out, settings.features + 1, generator)

    def error(coefficients: Array) -> float:
        gap = _gap(coefficients, beta)
        used = np.flatnonzero(gap)
        residual = root[:, used] @ gap[used] + noise * root[:, -1]
        return float(residual @ residual) / held_out

    return error


def draw_examples(
    examples: int, settings: TheorySettings, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Return a whole data set: x (n, p) and y (n,)."""
    beta = truth(settings)
    x = generator.standard_normal((examples, settings.features))
    noise = math.sqrt(settings.noise_variance) * generator.standard_normal(examples)
    return x, x[:, : len(beta)] @ beta + noise


def fit_seconds(
    case: Case, x: Array, y: Array, settings: TheorySettings, held_out: tuple[Array, Array] | None
) -> float:
    """Return the median seconds of fitting one case to a data set from its examples.

    The features that a least-squares case uses are taken out before the clock starts.

    Args:
        case: the estimator.
        x: features, (n, p).
        y: targets, (n,).
        settings: how often to repeat, and how the lasso's penalty is chosen.
        held_out: further examples for the rule `fresh`; None for the others.
    """
    of_all = case in ("flexible", "regularised")
    part = x if of_all else np.ascontiguousarray(x[:, : settings.relevant])
    durations = []
    for _ in range(settings.timing_repeats):
        start = time.perf_counter()
        if case == "regularised":
            _fit_lasso(x, y, settings, held_out)
        else:
            least_squares(part, y)
        durations.append(time.perf_counter() - start)
    return float(np.median(durations))


def _fit_lasso(x: Array, y: Array, settings: TheorySettings, held_out: tuple[Array, Array] | None) -> None:
    training, _ = split(len(y), settings)
    x_held, y_held = held_out or (x[training:], y[training:])

    def error(coefficients: Array) -> float:
        used = np.flatnonzero(coefficients)
        return float(np.square(y_held - x_held[:, used] @ coefficients[used]).mean())

    choose_penalty(Examples(x[:training], y[:training], training), settings, error)
