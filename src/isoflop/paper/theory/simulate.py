"""Figure 2 of Thompson et al. (2020): what oracle, expert, flexible and regularised models get from data and
computation. What is asked and what comes out: theory_result.py.
"""

from __future__ import annotations

import dataclasses
import functools
import platform
import time
from collections.abc import Callable, Mapping
from importlib import metadata

import numpy as np
import numpy.typing as npt
import torch

from isoflop.paper.theory import checks, estimators, laws
from isoflop.paper.theory.estimators import Fits
from isoflop.paper.theory.laws import LassoWork
from isoflop.paper.theory.reach import reach, variation
from isoflop.paper.theory.result import CASES, Case, Measured, Row, TheoryResult, TheorySettings, Variation

Array = npt.NDArray[np.float64]
Say = Callable[[str], None]
_PACKAGES = ("torch", "numpy", "scikit-learn")
VARIATIONS: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("noise_variance", (0.1, 1.0, 10.0)),
    ("coefficients", ("equal", "linear")),
    ("penalty_rule", ("holdout", "fresh", "universal", "best")),
    ("counting", ("as_run", "full_gram", "textbook")),
)


def run(
    settings: TheorySettings,
    *,
    hardware: str | None = None,
    versions: Mapping[str, str] | None = None,
    command: str = "",
    say: Say | None = None,
) -> TheoryResult:
    """Simulate every case at every sample size, check what is known, vary what is not.

    `hardware`, `versions` and `command` are kept as provenance; without them, what torch and Python say.
    `say` is told each size that is done.

    Raises:
        ValueError: the device does not exist.
    """
    device = _device(settings.device)
    say = say or (lambda _: None)
    started = time.perf_counter()
    rows, unfinished = _rows(settings, settings.sizes, settings.simulations, say, clock=True)
    reaches = tuple(
        reach(case, [r for r in rows if r.case == case], t) for case in CASES for t in settings.targets
    )
    variations = _variations(settings, say) if settings.sensitivity_simulations else ()
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
        threads=torch.get_num_threads(),
        hardware=_hardware(device, hardware),
        versions=dict(versions) if versions else _versions(),
        command=command,
    )


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name} cannot be used ({reason}): take device=cpu") from None
    return device


def _hardware(device: torch.device, given: str | None) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return given or platform.processor() or platform.machine() or "unknown processor"


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in _PACKAGES}


def _generator(settings: TheorySettings, *place: int) -> torch.Generator:
    """A generator of its own for each use, so that no case's draws depend on another's."""
    seed = int(np.random.SeedSequence([settings.seed, *place]).generate_state(1, np.uint64)[0] >> 1)
    return torch.Generator(device=settings.device).manual_seed(seed)


def simulate(
    settings: TheorySettings, case: Case, examples: int, simulations: int
) -> tuple[Array, Fits, float]:
    """Normalised errors of `simulations` data sets of one size, the fits with the lasso's work averaged, and
    the seconds of one simulation."""
    generator = _generator(settings, CASES.index(case), examples)
    clock = time.perf_counter()
    parts = []
    for start in range(0, simulations, settings.batch):
        size = min(settings.batch, simulations - start)
        parts.append((size, estimators.simulate(case, examples, size, settings, generator)))
    errors = torch.cat([part.mse for _, part in parts]).cpu().numpy()
    seconds = (time.perf_counter() - clock) / simulations
    return errors, _mean(parts), seconds


def _mean(parts: list[tuple[int, Fits]]) -> Fits:
    weights = np.array([size for size, _ in parts], dtype=float)

    def mean(value: Callable[[Fits], float]) -> float:
        return float(np.average([value(part) for _, part in parts], weights=weights))

    first = parts[0][1]
    work = penalty = None
    if first.work is not None:
        names = ("products", "checks", "check_features", "solve_flops", "validated_features")
        work = LassoWork(**{n: mean(lambda part, n=n: getattr(part.work, n)) for n in names})  # type: ignore[misc]
        penalty = mean(lambda part: part.penalty or 0.0)
    return Fits(
        mse=first.mse,
        active_features=mean(lambda part: part.active_features),
        penalty=penalty,
        unfinished=sum(part.unfinished for _, part in parts),
        tried=max(part.tried for _, part in parts),
        work=work,
    )


def _rows(
    settings: TheorySettings, sizes: tuple[int, ...], simulations: int, say: Say, *, clock: bool
) -> tuple[tuple[Row, ...], int]:
    rows, unfinished = [], 0
    for examples in sizes:
        begun = time.perf_counter()
        generator = _generator(settings, len(CASES), examples)
        data = estimators.examples_of(examples, settings, generator) if clock else None
        fresh = clock and settings.penalty_rule == "fresh"
        held = estimators.examples_of(examples, settings, generator) if fresh else None
        for case in CASES:
            errors, fits, seconds = simulate(settings, case, examples, simulations)
            unfinished += fits.unfinished
            fit_seconds = estimators.fit_seconds(case, *data, settings, held) if data else 0.0
            rows.append(row(settings, case, examples, errors, fits, seconds, fit_seconds))
        say(f"{examples:,} examples: {simulations:,} each in {time.perf_counter() - begun:.1f} s")
    return tuple(rows), unfinished


def row(
    settings: TheorySettings,
    case: Case,
    examples: int,
    errors: Array,
    fits: Fits,
    seconds: float,
    fit_seconds: float = 0.0,
) -> Row:
    """One case at one size from the normalised errors of its simulations and what `simulate` said of them."""
    mse = mean_interval(errors, settings)
    low, high = (-float(np.log10(side)) for side in (mse.high, mse.low))
    expected = laws.expected_mse(
        case,
        examples,
        features=settings.features,
        relevant=settings.relevant,
        kind=settings.coefficients,
        noise_variance=settings.noise_variance,
    )
    why = None
    if expected is None:
        why = "no formula" if case == "regularised" else "infinite: as many examples as fitted features"
    return Row(
        case=case,
        examples=examples,
        simulations=len(errors),
        performance=Measured(-float(np.log10(mse.value)), low, high),
        normalised_mse=mse,
        median_mse=float(np.median(errors)),
        standard_error=float(errors.std(ddof=1) / np.sqrt(len(errors))),
        expected_mse=expected,
        expected_reason=why,
        flops=count(settings, case, examples, fits),
        fit_seconds=fit_seconds,
        simulation_seconds=seconds,
        active_features=fits.active_features,
        penalty=fits.penalty,
    )


def count(settings: TheorySettings, case: Case, examples: int, fits: Fits) -> float:
    """Counted operations of fitting one data set."""
    if case != "regularised":
        fitted = settings.features if case == "flexible" else settings.relevant
        return laws.least_squares_flops(examples, fitted, settings.counting)
    assert fits.work is not None
    work = fits.work
    if settings.counting == "textbook":
        generator = torch.Generator().manual_seed(settings.seed)
        cpu = dataclasses.replace(settings, device="cpu")
        work = dataclasses.replace(
            work, sweeps=estimators.descent_sweeps(examples, fits.tried, cpu, generator)
        )
    training, held = estimators.split(examples, settings)
    return laws.lasso_flops(training, held, settings.features, work, settings.counting)


def mean_interval(errors: Array, settings: TheorySettings) -> Measured:
    """The mean with its 95% interval: percentiles of the bootstrap over simulations."""
    draw = np.random.default_rng([settings.seed, len(errors)])
    weights = draw.multinomial(len(errors), np.full(len(errors), 1 / len(errors)), settings.resamples)
    low, high = np.quantile(weights @ errors / len(errors), [0.025, 0.975])
    return Measured(float(errors.mean()), float(low), float(high))


def _variations(settings: TheorySettings, say: Say) -> tuple[Variation, ...]:
    """One choice changed at a time; what was chosen is repeated with as few simulations, to compare like with
    like."""
    found = []

    @functools.cache
    def simulated(varied: TheorySettings, examples: int) -> tuple[Array, Fits, float]:
        return simulate(varied, "regularised", examples, settings.sensitivity_simulations)

    for name, values in VARIATIONS:
        for value in dict.fromkeys((getattr(settings, name), *values)):
            varied = dataclasses.replace(settings, **{name: value})
            rows: list[Row] = []
            for examples in settings.sizes:
                uncounted = dataclasses.replace(varied, counting="as_run")
                errors, fits, seconds = simulated(uncounted, examples)
                rows.append(row(varied, "regularised", examples, errors, fits, seconds))
                if rows[-1].performance.value > settings.target:
                    break
            found.append(variation(varied, name, str(value), value == getattr(settings, name), rows))
            say(f"sensitivity: {name} = {value}")
    return tuple(found)
