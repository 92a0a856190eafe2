"""The four estimators, fitted to many simulated data sets at once, and to one real one for the clock.

Shapes: B simulations, n examples, p features of which the first s are relevant.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from isoflop.paper.theory import laws
from isoflop.paper.theory.draws import Holdout, Unfolding, normal, triangular_root
from isoflop.paper.theory.lasso import Given, LassoPath, Problems
from isoflop.paper.theory.laws import LassoWork
from isoflop.paper.theory.result import Case, TheorySettings

Judge = Callable[[Tensor, Tensor], Tensor]
"""(pool (B, M), values (B, M)) -> the error (B,) by which a penalty is chosen."""


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A path's chosen coefficients (B, p) and penalties (B,), the penalties tried, those paths that ended
    early because their active features were as many as their examples, and the work of a mean problem."""

    coefficients: Tensor
    penalties: Tensor
    tried: int
    unfinished: int
    work: LassoWork


@dataclasses.dataclass(frozen=True)
class Fits:
    """Normalised squared errors (B,) of B simulations; the rest is the lasso's, and None or 0 for others."""

    mse: Tensor
    active_features: float
    penalty: float | None = None
    unfinished: int = 0
    tried: int = 0
    work: LassoWork | None = None


def truth(settings: TheorySettings, device: torch.device) -> Tensor:
    """The coefficients (s,) of the relevant features."""
    values = laws.true_coefficients(settings.relevant, settings.coefficients)
    return torch.tensor(values, dtype=torch.float64, device=device)


def split(examples: int, settings: TheorySettings) -> tuple[int, int]:
    """(training, validation) examples of the lasso at a sample size."""
    if settings.penalty_rule == "holdout":
        held = max(1, round(settings.holdout_share * examples))
        return examples - held, held
    return examples, examples if settings.penalty_rule == "fresh" else 0


def simulate(
    case: Case, examples: int, batch: int, settings: TheorySettings, generator: torch.Generator
) -> Fits:
    """Draw `batch` data sets of one size and fit one case to each."""
    if case == "regularised":
        return _simulate_lasso(examples, batch, settings, generator)
    beta = truth(settings, generator.device)
    noise = settings.noise_variance
    if case == "flexible":
        full = torch.cat([beta, beta.new_zeros(settings.features - len(beta))])
        error = _least_squares_error(examples, full, noise, batch, generator)
        return Fits(error / settings.relevant, settings.features)
    if case == "expert":
        lost = laws.missed(settings.relevant, settings.coefficients) ** 2
        keep = torch.arange(len(beta), device=beta.device) != settings.relevant // 2
        beta = torch.cat([beta[keep], beta.new_zeros(1)])
        error = lost + _least_squares_error(examples, beta, noise + lost, batch, generator)
        return Fits(error / settings.relevant, settings.relevant)
    return Fits(_least_squares_error(examples, beta, noise, batch, generator) / settings.relevant, len(beta))


def _least_squares_error(
    examples: int, beta: Tensor, variance: float, batch: int, generator: torch.Generator
) -> Tensor:
    """||b - beta||^2 (B,) of least squares for residuals of that variance; minimum-norm for n < p."""
    features = len(beta)
    if examples < features:
        x = normal((batch, examples, features), generator)
        y = x @ beta + math.sqrt(variance) * normal((batch, examples), generator)
        return (least_squares(x, y) - beta).square().sum(1)
    root = triangular_root(batch, examples, features, generator)
    target = root @ beta + math.sqrt(variance) * normal((batch, features), generator)
    found: Tensor = torch.linalg.solve_triangular(root, target.unsqueeze(-1), upper=True).squeeze(-1)
    return (found - beta).square().sum(1)


def least_squares(x: Tensor, y: Tensor) -> Tensor:
    """Coefficients (B, p) by normal equations of x (B, n, p), y (B, n); those of least norm for n < p."""
    wide = x.shape[1] < x.shape[2]
    gram = x @ x.mT if wide else x.mT @ x
    right = (y.unsqueeze(-1)) if wide else x.mT @ y.unsqueeze(-1)
    found: Tensor = torch.cholesky_solve(right, torch.linalg.cholesky(gram))
    if wide:
        found = x.mT @ found
    return found.squeeze(-1)


def _simulate_lasso(examples: int, batch: int, settings: TheorySettings, generator: torch.Generator) -> Fits:
    beta, noise = truth(settings, generator.device), math.sqrt(settings.noise_variance)
    training, held = split(examples, settings)
    problems = Unfolding(batch, training, settings.features, beta, noise, generator)

    def error(coefficients: Tensor) -> Tensor:
        gap = coefficients.clone()
        gap[:, : settings.relevant] -= beta
        return gap.square().sum(1)

    def true_error(pool: Tensor, values: Tensor) -> Tensor:
        blank = values.new_zeros(batch, settings.features)
        return error(blank.scatter_add_(1, pool.clamp(min=0), values))

    judge = Holdout(batch, held, beta, noise, generator).error if held else true_error
    chosen = select(problems, settings, judge)
    active = (chosen.coefficients != 0).sum(1).double().mean()
    return Fits(
        error(chosen.coefficients) / settings.relevant,
        float(active),
        float(chosen.penalties.mean()),
        chosen.unfinished,
        chosen.tried,
        chosen.work,
    )


def universal_penalty(settings: TheorySettings, examples: int) -> float:
    """sigma sqrt(2 ln p / n) (Donoho and Johnstone 1994), for a known noise."""
    return math.sqrt(2 * settings.noise_variance * math.log(settings.features) / examples)


def select(problems: Problems, settings: TheorySettings, judge: Judge) -> Chosen:
    """Follow the paths of all problems and keep the coefficients of least error by `judge`, or, by the
    universal rule, those of its penalty."""
    path = LassoPath(problems)
    batch = len(path.cross)
    largest = path.largest_penalties()
    best = path.coefficients()
    penalties = largest
    tried, validated = 0, 0.0
    if settings.penalty_rule == "universal":
        penalties = torch.full_like(largest, universal_penalty(settings, problems.examples))
        path.advance(penalties)
        best, tried = path.coefficients(), 1
    else:
        least = judge(path.pool, path.values)
        stale = torch.zeros(batch, dtype=torch.long, device=largest.device)
        for step in range(1, round(settings.decades * settings.penalties_a_decade) + 1):
            going = (stale < settings.patience) & ~path.saturated
            if not bool(going.any()):
                break
            penalty = largest * 10 ** (-step / settings.penalties_a_decade)
            path.advance(penalty, going)
            going &= ~path.saturated
            error = judge(path.pool, path.values)
            validated += float((path.values[going] != 0).sum())
            better = going & (error < least)
            least = torch.where(better, error, least)
            stale = torch.where(better, 0, stale + going.long())
            best = torch.where(better[:, None], path.coefficients(), best)
            penalties = torch.where(better, penalty, penalties)
            tried = step
    done = path.work
    work = LassoWork(
        products=done.products / batch,
        checks=done.checks / batch,
        check_features=done.check_features / batch,
        solve_flops=done.solve_flops / batch,
        validated_features=validated / batch,
    )
    return Chosen(best, penalties, tried, int(path.saturated.sum()), work)


def examples_of(examples: int, settings: TheorySettings, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One data set: x (1, n, p) and y (1, n)."""
    beta = truth(settings, generator.device)
    x = normal((1, examples, settings.features), generator)
    noise = math.sqrt(settings.noise_variance) * normal((1, examples), generator)
    return x, x[:, :, : len(beta)] @ beta + noise


def fit_seconds(
    case: Case, x: Tensor, y: Tensor, settings: TheorySettings, held: tuple[Tensor, Tensor] | None
) -> float:
    """Median seconds of fitting one case to one data set from its examples. `held` are further examples, for
    the `fresh` rule. The features that a least-squares case uses are taken out before the clock starts."""
    used = settings.features if case in ("flexible", "regularised") else settings.relevant
    part = x if used == settings.features else x[:, :, :used].contiguous()
    clocks = []
    for _ in range(settings.timing_repeats):
        _wait(x.device)
        clock = time.perf_counter()
        if case == "regularised":
            _fit_lasso(x, y, settings, held)
        else:
            least_squares(part, y)
        _wait(x.device)
        clocks.append(time.perf_counter() - clock)
    return float(np.median(clocks))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _fit_lasso(x: Tensor, y: Tensor, settings: TheorySettings, held: tuple[Tensor, Tensor] | None) -> None:
    training, _ = split(x.shape[1], settings)
    x_held, y_held = held or (x[:, training:], y[:, training:])

    def judge(pool: Tensor, values: Tensor) -> Tensor:
        slots = values[0].nonzero().squeeze(1)
        left = y_held[0] - x_held[0][:, pool[0, slots]] @ values[0, slots]
        return left.square().mean().unsqueeze(0)

    select(Given(x[:, :training], y[:, :training], training), settings, judge)


def descent_sweeps(examples: int, tried: int, settings: TheorySettings, generator: torch.Generator) -> float:
    """Sweeps over all features that scikit-learn's coordinate descent takes for a path of `tried` penalties
    at its default tolerance, averaged over a few draws."""
    from sklearn.linear_model import lasso_path

    counts = []
    training, _ = split(examples, settings)
    for _ in range(settings.sweep_simulations):
        beta = truth(settings, generator.device)
        if training < settings.features:
            x, y = examples_of(training, settings, generator)
        else:
            x = triangular_root(1, training, settings.features, generator)
            noise = normal((1, settings.features), generator)
            y = x[:, :, : len(beta)] @ beta + math.sqrt(settings.noise_variance) * noise
        design, target = np.asfortranarray(x[0].cpu().numpy()), y[0].cpu().numpy()
        largest = np.abs(design.T @ target).max() / len(target)
        if settings.penalty_rule == "universal":
            alphas = np.array([universal_penalty(settings, training) * training / len(target)])
        else:
            alphas = largest * 10.0 ** (-np.arange(1, max(tried, 1) + 1) / settings.penalties_a_decade)
        *_, sweeps = lasso_path(design, target, alphas=alphas, return_n_iter=True, max_iter=10_000)
        counts.append(float(np.sum(sweeps)))
    return float(np.mean(counts))
