"""Figure 2 of Thompson et al. (2020): what oracle, expert, flexible and regularised models get from data and
computation. Its settings and results are in result.py.
"""

from __future__ import annotations

import dataclasses
import functools
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata

import numpy as np
import threadpoolctl

from isoflop import tasks
from isoflop.paper.theory import checks, estimators, laws
from isoflop.paper.theory.draws import Array
from isoflop.paper.theory.laws import LassoWork
from isoflop.paper.theory.reach import reach, variation
from isoflop.paper.theory.result import (
    CASES,
    Case,
    Row,
    SimulatedMean,
    TheoryResult,
    TheorySettings,
    Variation,
)

Progress = Callable[[str], None]
_PACKAGES = ("numpy", "scipy", "scikit-learn")
VARIATIONS: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("noise_variance", (0.1, 1.0, 10.0)),
    ("coefficients", ("equal", "linear")),
    ("penalty_rule", ("holdout", "fresh", "universal", "best")),
    ("counting", ("as_run", "textbook")),
)


@dataclasses.dataclass(frozen=True)
class Simulated:
    """Simulations of one case at one sample size.

    `mse` (simulations,) are normalised squared errors. `active_features`, `penalty` and `work` are means;
    `unfinished` counts paths that did not converge, `seconds` is the time of one simulation.
    """

    mse: Array
    active_features: float
    penalty: float | None
    work: LassoWork | None
    unfinished: int
    seconds: float


def run(
    settings: TheorySettings,
    *,
    hardware: str | None = None,
    versions: Mapping[str, str] | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> TheoryResult:
    """Simulate every case at every sample size, check known facts, and vary our choices.

    Args:
        settings: what to simulate.
        hardware: the processor's name, for the provenance; by default what Python says.
        versions: of packages, for the provenance; by default those installed.
        command: the command given, for the provenance.
        progress: called with a line of text after each sample size.
    """
    progress = progress or (lambda _: None)
    started = time.perf_counter()
    rows, unfinished = _rows(settings, progress)
    reaches = tuple(
        reach(case, [r for r in rows if r.case == case], t) for case in CASES for t in settings.targets
    )
    variations = _variations(settings, progress) if settings.sensitivity_simulations else ()
    ceiling = -float(np.log10(laws.missed(settings.relevant, settings.coefficients) ** 2 / settings.relevant))
    return TheoryResult(
        settings=settings,
        rows=rows,
        reaches=reaches,
        checks=checks.check(settings, rows, ceiling),
        variations=variations,
        expert_ceiling=ceiling,
        unfinished_paths=unfinished,
        seconds=time.perf_counter() - started,
        threads=max((pool["num_threads"] for pool in threadpoolctl.threadpool_info()), default=1),
        hardware=hardware or platform.processor() or platform.machine() or "unknown processor",
        versions=dict(versions) if versions else _versions(),
        command=command,
    )


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in _PACKAGES}


def _generator(settings: TheorySettings, *key: int) -> np.random.Generator:
    """Return a generator of its own for each key, so that no case's draws depend on another's."""
    return np.random.default_rng([settings.seed, *key])


def simulate(settings: TheorySettings, case: Case, examples: int, simulations: int) -> Simulated:
    """Fit one case to so many simulated data sets of one size."""
    generator = _generator(settings, CASES.index(case), examples)
    start = time.perf_counter()
    fits = [estimators.simulate(case, examples, settings, generator) for _ in range(simulations)]
    penalties = [fit.penalty for fit in fits if fit.penalty is not None]
    return Simulated(
        mse=np.array([fit.mse for fit in fits]),
        active_features=float(np.mean([fit.active_features for fit in fits])),
        penalty=float(np.mean(penalties)) if penalties else None,
        work=_mean_work([fit.work for fit in fits if fit.work is not None]),
        unfinished=sum(not fit.converged for fit in fits),
        seconds=(time.perf_counter() - start) / simulations,
    )


def _mean_work(works: Sequence[LassoWork]) -> LassoWork | None:
    if not works:
        return None
    return LassoWork(*np.mean([dataclasses.astuple(work) for work in works], axis=0).tolist())


def _rows(settings: TheorySettings, progress: Progress) -> tuple[tuple[Row, ...], int]:
    """Return a row for each case and size, and how many of the lasso's paths did not converge."""
    rows, unfinished = [], 0
    for examples in tasks.steps("sample sizes", settings.sizes):
        start = time.perf_counter()
        generator = _generator(settings, len(CASES), examples)
        x, y = estimators.draw_examples(examples, settings, generator)
        fresh = settings.penalty_rule == "fresh"
        held_out = estimators.draw_examples(examples, settings, generator) if fresh else None
        for case in CASES:
            simulated = simulate(settings, case, examples, settings.simulations)
            unfinished += simulated.unfinished
            fit_seconds = estimators.fit_seconds(case, x, y, settings, held_out)
            rows.append(row(settings, case, examples, simulated, fit_seconds))
        elapsed = time.perf_counter() - start
        progress(f"{examples:,} examples: {settings.simulations:,} simulations a case in {elapsed:.1f} s")
    return tuple(rows), unfinished


def row(
    settings: TheorySettings, case: Case, examples: int, simulated: Simulated, fit_seconds: float = 0.0
) -> Row:
    """Return the row of one case at one sample size.

    Args:
        settings: what was simulated.
        case: the estimator.
        examples: the sample size.
        simulated: its simulations.
        fit_seconds: the time of one fit from whole examples; 0 if it was not measured.
    """
    mse = mean_interval(simulated.mse, settings)
    # the least error is the best performance, so that the ends change places
    low, high = (-float(np.log10(end)) for end in (mse.high, mse.low))
    expected = laws.expected_mse(
        case,
        examples,
        features=settings.features,
        relevant=settings.relevant,
        kind=settings.coefficients,
        noise_variance=settings.noise_variance,
    )
    reason = None
    if expected is None:
        reason = "no formula" if case == "regularised" else "infinite: as many examples as fitted features"
    count = len(simulated.mse)
    return Row(
        case=case,
        examples=examples,
        simulations=count,
        performance=SimulatedMean(-float(np.log10(mse.value)), low, high),
        normalised_mse=mse,
        median_mse=float(np.median(simulated.mse)),
        standard_error=float(simulated.mse.std(ddof=1) / np.sqrt(count)),
        expected_mse=expected,
        expected_reason=reason,
        flops=counted_flops(settings, case, examples, simulated.work),
        fit_seconds=fit_seconds,
        simulation_seconds=simulated.seconds,
        active_features=simulated.active_features,
        penalty=simulated.penalty,
    )


def counted_flops(settings: TheorySettings, case: Case, examples: int, work: LassoWork | None) -> float:
    """Return the counted operations of fitting one data set; `work` is the lasso's."""
    if case == "regularised":
        assert work is not None
        training, held_out = estimators.split(examples, settings)
        return laws.lasso_flops(training, held_out, settings.features, work, settings.counting)
    fitted = settings.features if case == "flexible" else settings.relevant
    return laws.least_squares_flops(examples, fitted, settings.counting)


def mean_interval(errors: Array, settings: TheorySettings) -> SimulatedMean:
    """Return the mean with its 95% interval: percentiles of the bootstrap over simulations."""
    generator = np.random.default_rng([settings.seed, len(errors)])
    weights = generator.multinomial(len(errors), np.full(len(errors), 1 / len(errors)), settings.resamples)
    low, high = np.quantile(weights @ errors / len(errors), [0.025, 0.975])
    return SimulatedMean(float(errors.mean()), float(low), float(high))


def _variations(settings: TheorySettings, progress: Progress) -> tuple[Variation, ...]:
    """Change one choice at a time.

    The choice made is repeated with as few simulations as the others, so that like is compared with like.
    """

    @functools.cache
    def simulated(varied: TheorySettings, examples: int) -> Simulated:
        return simulate(varied, "regularised", examples, settings.sensitivity_simulations)

    variations = []
    for name, values in tasks.steps("variations", VARIATIONS):
        for value in dict.fromkeys((getattr(settings, name), *values)):
            varied = dataclasses.replace(settings, **{name: value})
            # counting does not change a simulation: one key of the cache serves every way to count
            uncounted = dataclasses.replace(varied, counting="as_run")
            rows: list[Row] = []
            for examples in settings.sizes:
                rows.append(row(varied, "regularised", examples, simulated(uncounted, examples)))
                # larger sizes add nothing once the target is passed
                if rows[-1].performance.value > settings.target:
                    break
            variations.append(variation(varied, name, str(value), value == getattr(settings, name), rows))
            progress(f"sensitivity: {name} = {value}")
    return tuple(variations)
