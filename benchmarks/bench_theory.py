#!/usr/bin/env python3
"""The simulation of figure 2 against scikit-learn: the lasso's paths on the same data, and simulated cases
whole.

usage: python benchmarks/bench_theory.py [--sizes 60,250,1000,1401] [--problems 16] [--threads 1] [--fista]

The same data sets and the same penalties (10 a decade, down to the one that validation chooses) go to our
batched active-set solver, to `Lasso` with X'X precomputed and to `Lasso` on X, warm-started along the path,
both with tol=1e-12. X'X is formed and the examples are put in each solver's order inside every clock. Printed
are CPU seconds of the process, since a shared machine's other clocks say little, the ratios, and the largest
difference of any coefficient from scikit-learn's. `whole` is a simulated case from drawing to the chosen
penalty, ours through the products alone; `their whole` draws the examples and follows the path by the same
rule. With --fista, batched FISTA (Beck and Teboulle 2009) with restarts, stopped at a duality gap of 1e-12 of
||y||^2 / 2, shows why an active set was chosen; it gets two problems at the last penalty only, and at most
2,000 steps (its largest difference from ours is printed).
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import Lasso
from torch import Tensor

from isoflop.meter.device.hardware import describe_cpu
from isoflop.paper.theory import estimators
from isoflop.paper.theory.lasso import Given, LassoPath
from isoflop.paper.theory.result import TheorySettings
from isoflop.runner.provenance import versions

TOLERANCE = 1e-12
MOST_STEPS = 2_000


def ours(x: Tensor, y: Tensor, steps: Tensor) -> Tensor:
    """Coefficients (B, S, p) at shares `steps` (S,) of each problem's largest penalty."""
    path = LassoPath(Given(x.mT.contiguous().mT, y, x.shape[1]))
    largest = path.largest_penalties()
    found = []
    for step in steps:
        path.advance(largest * step)
        found.append(path.coefficients())
    return torch.stack(found, 1)


def theirs(x: Tensor, y: Tensor, steps: Tensor, *, precompute: bool) -> Tensor:
    """The same by a loop over scikit-learn's Lasso."""
    found = []
    for design, target in zip(x.numpy(), y.numpy(), strict=True):
        columns = np.asfortranarray(design)
        gram: Any = design.T @ design if precompute else False
        largest = np.abs(design.T @ target).max() / len(target)
        model = Lasso(
            fit_intercept=False,
            tol=TOLERANCE,
            max_iter=1_000_000,
            warm_start=True,
            precompute=gram,
            copy_X=False,
        )
        path = []
        for step in steps:
            model.set_params(alpha=float(largest * step)).fit(columns, target)
            path.append(model.coef_.copy())
        found.append(np.stack(path))
    return torch.from_numpy(np.stack(found))


def whole_case(size: int, settings: TheorySettings, draw: np.random.Generator) -> float:
    """One simulated case by scikit-learn: examples drawn, a fifth held out, the path followed by the same
    rule. The squared error of the chosen coefficients."""
    training, held = estimators.split(size, settings)
    beta = np.zeros(settings.features)
    beta[: settings.relevant] = 1.0
    x = draw.standard_normal((size, settings.features))
    y = x @ beta + draw.standard_normal(size)
    columns, target = np.asfortranarray(x[:training]), y[:training]
    gram = columns.T @ columns
    largest = np.abs(columns.T @ target).max() / training
    model = Lasso(
        fit_intercept=False, tol=TOLERANCE, max_iter=1_000_000, warm_start=True, precompute=gram, copy_X=False
    )
    best, least, stale, step = np.zeros_like(beta), float(np.square(y[training:]).mean()), 0, 0
    while stale < settings.patience and step < settings.decades * settings.penalties_a_decade:
        step += 1
        model.set_params(alpha=float(largest * 10 ** (-step / settings.penalties_a_decade)))
        model.fit(columns, target)
        error = float(np.square(y[training:] - x[training:] @ model.coef_).mean())
        stale = 0 if error < least else stale + 1
        if error < least:
            best, least = model.coef_.copy(), error
    assert held == size - training
    return float(np.square(best - beta).sum())


def fista(x: Tensor, y: Tensor, step: float) -> Tensor:
    """Coefficients (B, p) at one share of the largest penalty, by accelerated proximal gradients on X'X."""
    gram, cross = x.mT @ x, (x.mT @ y.unsqueeze(-1)).squeeze(-1)
    bound = step * cross.abs().amax(1, keepdim=True)
    rate = 1 / torch.linalg.matrix_norm(gram, 2)[:, None]
    scale = y.square().sum(1) / 2
    now = look = torch.zeros_like(cross)
    moment = torch.ones(len(x), 1, dtype=x.dtype)
    for count in range(MOST_STEPS):
        slope = (gram @ look.unsqueeze(-1)).squeeze(-1) - cross
        point = look - rate * slope
        new = point.sign() * (point.abs() - rate * bound).clamp(min=0)
        again = ((look - new) * (new - now)).sum(1, keepdim=True) > 0
        moment = torch.where(again, 1.0, moment)
        following = (1 + (1 + 4 * moment**2).sqrt()) / 2
        look = torch.where(again, new, new + (moment - 1) / following * (new - now))
        now, moment = new, following
        if count % 50 == 49 and bool((_gap(gram, cross, scale, now, bound) < TOLERANCE * scale).all()):
            break
    return now


def _gap(gram: Tensor, cross: Tensor, scale: Tensor, b: Tensor, bound: Tensor) -> Tensor:
    product = (gram @ b.unsqueeze(-1)).squeeze(-1)
    residual = 2 * scale - 2 * (b * cross).sum(1) + (b * product).sum(1)
    shrink = (bound[:, 0] / (cross - product).abs().amax(1)).clamp(max=1)
    primal = residual / 2 + bound[:, 0] * b.abs().sum(1)
    with_target = 2 * scale - (b * cross).sum(1)
    return primal - (shrink * with_target - shrink**2 * residual / 2)


def clock(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """(CPU seconds, what it returned)."""
    begun = time.process_time()
    found = work()
    return time.process_time() - begun, found


def tell(times: dict[str, list[float]], found: dict[str, Tensor]) -> None:
    """Print what the solvers took, and how far their coefficients are apart."""
    off = (found["ours"] - found["Lasso, X'X"]).abs().max()
    print(f"  largest difference from scikit-learn's coefficients {off:.1e}")
    if "FISTA, last" in found:
        fast = (found["FISTA, last"] - found["ours, last"][:, -1]).abs().max()
        print(f"  largest difference from FISTA's {fast:.1e}")
    for name, each in times.items():
        base = times["ours, last" if name.endswith("last") else "ours"]
        ratio = statistics.median(a / b for a, b in zip(each, base, strict=True))
        print(f"  {name:12} {statistics.median(each):9.4f} s a problem, {ratio:7.2f} times ours")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="60,250,1000,1401")
    parser.add_argument("--problems", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fista", action="store_true", help="batched FISTA too")
    parser.add_argument("--only-whole", action="store_true", help="simulated cases only")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = TheorySettings()
    print(f"{describe_cpu()}, {options.threads} threads, load {os.getloadavg()[0]:.1f}, {versions()}")
    for size in map(int, options.sizes.split(",")):
        g = torch.Generator().manual_seed(size)
        data = [estimators.examples_of(size, settings, g) for _ in range(options.problems)]
        x, y = (torch.cat(parts) for parts in zip(*data, strict=True))
        tried = estimators.simulate("regularised", size, options.problems, settings, g).tried
        steps = 10 ** (-torch.arange(1, tried - settings.patience + 1) / settings.penalties_a_decade)
        solvers: dict[str, Callable[[], Tensor]] = {
            "ours": partial(ours, x, y, steps),
            "Lasso, X'X": partial(theirs, x, y, steps, precompute=True),
            "Lasso, X": partial(theirs, x, y, steps, precompute=False),
        }
        if options.fista:
            solvers["ours, last"] = partial(ours, x[:2], y[:2], steps[-1:])
            solvers["FISTA, last"] = partial(fista, x[:2], y[:2], float(steps[-1]))
        if options.only_whole:
            solvers = {}
        times: dict[str, list[float]] = {name: [] for name in solvers}
        found: dict[str, Tensor] = {}
        for _ in range(options.rounds):
            for name, solver in solvers.items():
                seconds, found[name] = clock(solver)
                times[name].append(seconds / len(found[name]))
        whole, loop = [], []
        for _ in range(options.rounds):
            g = torch.Generator().manual_seed(size)
            begun = time.process_time()
            mine = estimators.simulate("regularised", size, options.problems, settings, g).mse.mean()
            whole.append((time.process_time() - begun) / options.problems)
            draw = np.random.default_rng(size)
            begun = time.process_time()
            other = [whole_case(size, settings, draw) for _ in range(options.problems)]
            loop.append((time.process_time() - begun) / options.problems)
        if solvers:
            print(
                f"n = {size:,}: {len(steps)} penalties, {options.problems} problems, {options.rounds} rounds"
            )
            tell(times, found)
        else:
            print(f"n = {size:,}: {options.problems} problems, {options.rounds} rounds")
        ratio = statistics.median(a / b for a, b in zip(loop, whole, strict=True))
        print(f"  {'whole':12} {statistics.median(whole):9.4f} s a simulated case, drawn and validated")
        print(
            f"  {'their whole':12} {statistics.median(loop):9.4f} s a simulated case, {ratio:7.2f} times ours"
        )
        other_mean = float(np.mean(other)) / settings.relevant
        print(f"  mean normalised errors {float(mine):.4g} and {other_mean:.4g}, of different draws")


if __name__ == "__main__":
    main()
