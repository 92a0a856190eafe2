#!/usr/bin/env python3
"""Solvers of scikit-learn for the lasso of figure 2, on the same data sets and penalties.

    python benchmarks/bench_theory.py [--sizes 60,250,1000,5000] [--problems 8] [--simulations 1000]

Expected time: about a minute with the defaults. Each data set is drawn as the simulation draws it, and each
solver follows the penalties that the validation rule tries. Printed for each size are CPU seconds of this
process a data set (a shared machine's clocks say little), the largest difference of any coefficient from
those of LARS, which are exact to rounding, and the sweeps of coordinate descent. Then: how far the simulated
mean error at scikit-learn's default tolerance is from that at 1e-9, on the same draws, and the CPU minutes
that `--simulations` of each size would take.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from collections.abc import Callable, Sequence

import numpy as np
import threadpoolctl
from sklearn.linear_model import lars_path, lars_path_gram, lasso_path

from isoflop.meter.device.hardware import describe_cpu
from isoflop.paper.theory import estimators, penalty_path
from isoflop.paper.theory.draws import Array, products_root
from isoflop.paper.theory.penalty_path import Examples
from isoflop.paper.theory.result import TheorySettings
from isoflop.runner.provenance import versions

DEFAULT, TIGHT = 1e-4, 1e-9
MOST_SWEEPS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Path:
    """Coefficients (penalties, p) of one data set, and the sweeps that they took; None for LARS."""

    coefficients: Array
    sweeps: int | None = None


Solver = Callable[[Examples, Array], Path]
"""(data set, penalties (k,), falling) -> its path."""


def descend(examples: Examples, penalties: Array, *, tolerance: float, precompute: bool) -> Path:
    """Follow the penalties by coordinate descent, on X'X or on the root itself."""
    root = np.asfortranarray(examples.root)
    _, fitted, _, sweeps = lasso_path(
        root,
        examples.target,
        alphas=penalties * examples.count / len(root),
        precompute=root.T @ root if precompute else False,
        tol=tolerance,
        max_iter=MOST_SWEEPS,
        return_n_iter=True,
    )
    return Path(fitted.T, int(np.sum(sweeps)))


def follow_lars(examples: Examples, penalties: Array, *, precompute: bool) -> Path:
    """Interpolate the piecewise linear path of LARS (Efron et al. 2004) at the penalties."""
    root, rows = examples.root, len(examples.target)
    least = penalties[-1] * examples.count / rows
    if precompute:
        knots, _, corners = lars_path_gram(
            root.T @ examples.target, root.T @ root, n_samples=rows, alpha_min=least, method="lasso"
        )
    else:
        knots, _, corners = lars_path(root, examples.target, alpha_min=least, method="lasso", max_iter=5000)
    at = penalties * examples.count / rows
    return Path(np.stack([np.interp(at, knots[::-1], corner[::-1]) for corner in corners], 1))


SOLVERS: dict[str, Solver] = {
    "descent on X'X, 1e-9": lambda e, p: descend(e, p, tolerance=TIGHT, precompute=True),
    "descent on X'X, 1e-4": lambda e, p: descend(e, p, tolerance=DEFAULT, precompute=True),
    "descent on X, 1e-9": lambda e, p: descend(e, p, tolerance=TIGHT, precompute=False),
    "LARS on X'X": lambda e, p: follow_lars(e, p, precompute=True),
    "LARS on X": lambda e, p: follow_lars(e, p, precompute=False),
}


def draw(size: int, settings: TheorySettings, generator: np.random.Generator) -> tuple[Examples, Array]:
    """Return the training examples of one simulation, and the penalties that the validation rule tries."""
    training, held_out = estimators.split(size, settings)
    root = products_root(training, settings.features + 1, generator)
    target = root[:, : settings.relevant] @ estimators.truth(settings) + root[:, -1]
    examples = Examples(np.ascontiguousarray(root[:, :-1]), target, training)
    error = estimators._validation_error(held_out, settings, generator)
    chosen = penalty_path.choose_penalty(examples, settings, error)
    largest = float(np.abs(examples.root.T @ target).max()) / training
    best = round(-settings.penalties_a_decade * np.log10(chosen.penalty / largest))
    steps = np.arange(1, best + settings.patience + 1)
    return examples, largest * 10.0 ** (-steps / settings.penalties_a_decade)


def compare_solvers(size: int, problems: int, settings: TheorySettings) -> None:
    """Print CPU milliseconds, accuracy and sweeps of each solver at one sample size."""
    generator = np.random.default_rng(size)
    drawn = [draw(size, settings, generator) for _ in range(problems)]
    exact = [follow_lars(examples, penalties, precompute=False) for examples, penalties in drawn]
    print(f"n = {size:,}: {np.mean([len(penalties) for _, penalties in drawn]):.1f} penalties a data set")
    for name, solve in SOLVERS.items():
        start = time.process_time()
        paths = [solve(examples, penalties) for examples, penalties in drawn]
        milliseconds = 1e3 * (time.process_time() - start) / problems
        off = max(np.abs(p.coefficients - e.coefficients).max() for p, e in zip(paths, exact, strict=True))
        sweeps = [path.sweeps for path in paths if path.sweeps is not None]
        counted = f", {np.mean(sweeps):.0f} sweeps" if sweeps else ""
        print(f"  {name:21} {milliseconds:7.1f} ms, coefficients within {off:.0e}{counted}")


def simulated_errors(size: int, problems: int, settings: TheorySettings, tolerance: float) -> Array:
    """Return normalised errors (problems,) of the simulation's lasso at a tolerance, on the same draws."""
    penalty_path.TOLERANCE = tolerance
    generators = (np.random.default_rng([size, i]) for i in range(problems))
    return np.array([estimators.simulate("regularised", size, settings, g).mse for g in generators])


def main(sizes: Sequence[int], problems: int, simulations: int) -> None:
    """Measure and print."""
    settings = TheorySettings()
    print(f"{describe_cpu()}, load {os.getloadavg()[0]:.1f}, {versions()}")
    total = 0.0
    for size in sizes:
        compare_solvers(size, problems, settings)
        tight = simulated_errors(size, problems, settings, TIGHT)
        start = time.process_time()
        default = simulated_errors(size, problems, settings, DEFAULT)
        seconds = (time.process_time() - start) / problems
        total += seconds
        change = default.mean() / tight.mean() - 1
        error = tight.std(ddof=1) / np.sqrt(simulations) / tight.mean()
        print(
            f"  a simulated case {1e3 * seconds:.1f} ms; mean error at 1e-4 over that at 1e-9: {change:+.1e} "
            f"(standard error of {simulations:,} simulations: {error:.1e})"
        )
    minutes = simulations * total / 60
    print(f"the lasso of {simulations:,} simulations at these sizes: {minutes:.1f} CPU minutes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="60,250,1000,5000", help="numbers of examples")
    parser.add_argument("--problems", type=int, default=8, help="data sets a size (default 8)")
    parser.add_argument("--simulations", type=int, default=1000, help="to extrapolate to (default 1000)")
    options = parser.parse_args()
    with threadpoolctl.threadpool_limits(1):
        main([int(size) for size in options.sizes.split(",")], options.problems, options.simulations)
