"""Architecture search over width and depth: which shape errs least within the inference FLOPs of a baseline.

NSGA-II (Deb et al. 2002; Optuna's) proposes shapes that trade validation error against the counted FLOPs of a
forward pass. A shape is judged by an ordinary run of a share of the length (a proxy), with a record in
OUT/prior, so that a search that was stopped goes on where it was: it is seeded, its proposals follow from
the results alone, and a shape that has a record is not trained again. One search serves every budget.
Torch-free: `train` is passed in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from isoflop import extras
from isoflop import record as records
from isoflop.config import Config, ConfigError, prior
from isoflop.config.lever import LeverConfig
from isoflop.record.search import Candidate, Search

SEED = 0
"""Of the proposals and of the candidates' training, whatever the seeds of the runs: one search serves all."""
POPULATION = 8
"""Shapes of a generation, which can be trained side by side."""
PROPOSALS = 3
"""Proposals a candidate, at most: NSGA-II proposes again what it tried, which costs and says nothing."""
Train = Callable[[Sequence[Config]], None]
"""Trains runs and leaves a record of each in its folder, whatever becomes of it."""


def best(search: Search, inference_flops: float) -> Candidate:
    """Return the candidate of least validation error with at most so many FLOPs, the cheaper of equals.

    Raises:
        ConfigError: no candidate is that small.
    """
    scored = [
        (each.val_error, each.inference_flops, each)
        for each in search.candidates
        if each.val_error is not None
        and each.inference_flops is not None
        and each.inference_flops <= inference_flops
    ]
    if not scored:
        raise ConfigError(
            f"lever=search: no candidate has at most {inference_flops:.4g} FLOPs of inference: let "
            "lever.search_widths or lever.search_depths begin lower"
        )
    return min(scored, key=lambda item: item[:2])[2]


def proxy(base: Config, width: int, depth: int) -> Config:
    """Return the run that tries a shape, for a run with lever=search.

    It has that run's settings without the lever, a share of its length, the search's seed, and its record in
    OUT/prior.

    Raises:
        ConfigError: the model cannot have that shape.
    """
    share, schedule = base.lever.proxy_share, base.schedule
    assert share is not None
    shorter = dataclasses.replace(
        schedule,
        steps=None if schedule.steps is None else max(1, round(share * schedule.steps)),
        epochs=None if schedule.epochs is None else share * schedule.epochs,
        train_gflops=None if schedule.train_gflops is None else share * schedule.train_gflops,
        cooldowns=(),
    )
    try:
        shape = dataclasses.replace(base.model, width=width, depth=depth)
    except ValueError as error:
        raise ConfigError(
            f"lever=search: width {width}, depth {depth}: {error} (lever.search_widths, lever.search_depths)"
        ) from error
    return dataclasses.replace(
        base, lever=LeverConfig(), model=shape, schedule=shorter, seed=SEED, out=str(prior.folder(base))
    )


def smallest(base: Config) -> Config:
    """Return the candidate of least width and depth. Raises ConfigError as `proxy`."""
    assert base.lever.search_widths is not None
    assert base.lever.search_depths is not None
    return proxy(base, base.lever.search_widths[0], base.lever.search_depths[0])


def make(base: Config, train: Train) -> Search:
    """Propose shapes, train them and return all of them. The smallest is the first.

    Args:
        base: a run with lever=search; its own width, depth and seed do not matter.
        train: called with the runs of a generation that have no finished record yet.

    Raises:
        ConfigError: a shape of the ranges is impossible for this model.
        MissingExtraError: optuna is not installed.
    """
    extras.check("lever=search", "optuna")
    import optuna

    candidates = base.lever.candidates
    assert candidates is not None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=SEED)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    least = smallest(base).model
    study.enqueue_trial({"times": 1, "depth": least.depth})
    tried: dict[str, Candidate] = {}
    while len(tried) < candidates and len(study.trials) < PROPOSALS * candidates:
        trials = [study.ask() for _ in range(min(POPULATION, candidates - len(tried)))]
        runs = [_run_of(trial, base) for trial in trials]
        missing = {run.run_id: run for run in runs if run.run_id not in tried and not _is_done(run)}
        if missing:
            train(tuple(missing.values()))
        for trial, run in zip(trials, runs, strict=True):
            candidate = tried.setdefault(run.run_id, _candidate(run))
            if candidate.val_error is None or candidate.inference_flops is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, [candidate.val_error, candidate.inference_flops])
    return Search(tuple(tried.values()))


def _run_of(trial: Any, base: Config) -> Config:
    lever = base.lever
    assert lever.search_widths is not None
    assert lever.search_depths is not None
    narrow, wide = lever.search_widths
    # On a logarithmic scale, as the budgets of a curve are: a uniform one would try few small shapes.
    times = trial.suggest_int("times", 1, wide // narrow, log=True)
    return proxy(base, times * narrow, trial.suggest_int("depth", *lever.search_depths))


def _is_done(run: Config) -> bool:
    return records.is_done(records.path_of(run.directory, run.run_id))


def _candidate(run: Config) -> Candidate:
    """Return what the record of a run says; one that is missing or failed gave no result."""
    assert run.model.width is not None
    assert run.model.depth is not None
    record = records.find(records.path_of(run.directory, run.run_id))
    done = record is not None and record.state == "done"
    return Candidate(
        width=run.model.width,
        depth=run.model.depth,
        run_id=run.run_id,
        val_error=record.error.val if done and record and record.error else None,
        inference_flops=record.compute.inference_flops_per_example
        if done and record and record.compute
        else None,
    )
