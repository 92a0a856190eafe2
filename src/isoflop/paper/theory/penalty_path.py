"""The lasso by scikit-learn along falling penalties, until the validation error no longer falls.

A fit minimises ||y - X b||^2 / (2 n) + penalty ||b||_1 without an intercept, by coordinate descent on X'X
(covariance updates: Friedman, Hastie, Tibshirani 2010, section 2.2), each penalty starting from the solution
of the one before. benchmarks/bench_theory.py compares other solvers of scikit-learn on these problems.

Shapes: n examples, p features, m rows of a root of X'X.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

from isoflop.paper.theory.draws import Array
from isoflop.paper.theory.laws import LassoWork
from isoflop.paper.theory.result import TheorySettings

TOLERANCE = 1e-4
"""Duality gap, as a share of ||y||^2, at which a fit ends: scikit-learn's default, so that the
operations counted are those of a user's fit. benchmarks/bench_theory.py shows what a tighter one changes."""
MOST_SWEEPS = 100_000
"""Sweeps over all features for one penalty; a whole path takes 60 to 400 on average."""

ValidationError = Callable[[Array], float]
"""Coefficients (p,) -> the error by which a penalty is chosen."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """A data set of `count` examples, seen through a root of its products.

    root (m, p) and target (m,) have root'root = X'X, root'target = X'y and target'target = y'y; the examples
    themselves are such a root, with m = count.
    """

    root: Array
    target: Array
    count: int


@dataclasses.dataclass(frozen=True)
class LassoFit:
    """The chosen coefficients (p,) and penalty, whether every fit of the path converged, and its work."""

    coefficients: Array
    penalty: float
    converged: bool
    work: LassoWork


def universal_penalty(settings: TheorySettings, examples: int) -> float:
    """Return sigma sqrt(2 ln p / n) (Donoho and Johnstone 1994), for a known noise."""
    return math.sqrt(2 * settings.noise_variance * math.log(settings.features) / examples)


class _Path:
    """Warm-started fits to one data set, with the sweeps that they took."""

    def __init__(self, examples: Examples) -> None:
        # the layouts that scikit-learn's loops need, since its checks are skipped below
        self.root, self.target = np.asfortranarray(examples.root), np.ascontiguousarray(examples.target)
        self.gram = np.ascontiguousarray(self.root.T @ self.root)
        self.cross = self.root.T @ self.target
        self.count = examples.count
        self.coefficients = np.zeros(len(self.cross))
        self.sweeps, self.active_sweeps, self.converged = 0, 0, True

    @property
    def largest_penalty(self) -> float:
        """The least penalty at which every coefficient is zero."""
        return float(np.abs(self.cross).max()) / self.count

    def fit(self, penalty: float) -> Array:
        """Return the coefficients (p,) at `penalty`, from those of the fit before."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is counted, in `converged`
            _, fitted, _, sweeps = lasso_path(
                self.root,
                self.target,
                # scikit-learn divides the squares by the m rows that it sees, not by the n examples
                alphas=[penalty * self.count / len(self.target)],
                precompute=self.gram,
                Xy=self.cross,
                coef_init=self.coefficients.copy(),  # it writes into its argument
                tol=TOLERANCE,
                max_iter=MOST_SWEEPS,
                return_n_iter=True,
                check_input=False,
            )
        self.coefficients = fitted[:, 0]
        self.sweeps += sweeps[0]
        self.active_sweeps += sweeps[0] * np.count_nonzero(self.coefficients)
        self.converged &= sweeps[0] < MOST_SWEEPS
        return self.coefficients


def choose_penalty(examples: Examples, settings: TheorySettings, error: ValidationError) -> LassoFit:
    """Return the fit of least validation error, or by the universal rule the fit at its penalty.

    The path goes down from the largest penalty and ends when `settings.patience` penalties in a row were no
    better than the best before them.
    """
    path = _Path(examples)
    if settings.penalty_rule == "universal":
        penalty = universal_penalty(settings, examples.count)
        return _chosen(path, path.fit(penalty), penalty, validated=0)
    best, best_penalty = path.coefficients, path.largest_penalty
    least = error(best)
    worse_in_a_row = validated = 0
    for step in range(1, round(settings.decades * settings.penalties_a_decade) + 1):
        penalty = path.largest_penalty * 10 ** (-step / settings.penalties_a_decade)
        coefficients = path.fit(penalty)
        validated += int(np.count_nonzero(coefficients))
        new = error(coefficients)
        worse_in_a_row = 0 if new < least else worse_in_a_row + 1
        if new < least:
            best, best_penalty, least = coefficients, penalty, new
        if worse_in_a_row == settings.patience:
            break
    return _chosen(path, best, best_penalty, validated)


def _chosen(path: _Path, coefficients: Array, penalty: float, validated: int) -> LassoFit:
    work = LassoWork(float(path.sweeps), float(path.active_sweeps), float(validated))
    return LassoFit(coefficients, penalty, bool(path.converged), work)
