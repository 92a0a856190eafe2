"""Architecture search: the best width and depth for a budget of inference FLOPs, by short trial trainings.

NSGA-II (Deb et al. 2002) in Optuna's implementation proposes shapes, generation by generation, towards least
validation error and least inference FLOPs. Every proposal is trained as an ordinary run of a share of the
length (a proxy), with a record in OUT/prior, so that a search that was stopped goes on where it was: it is
seeded, its proposals follow from the results alone, and a shape that has a record is not trained again. One
search serves every budget. What the candidates cost is the prior work of each run that takes a shape from it.
Torch-free: `train` is passed in.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from isoflop import extras
from isoflop import record as records
from isoflop.config import Config, ConfigError, prior
from isoflop.config.lever import LeverConfig

MOST_CANDIDATES = 40
POPULATION = 8
"""Shapes of a generation, which can be trained side by side."""
PROPOSALS = 3
"""Proposals a candidate, at most: NSGA-II proposes again what it tried, which costs and says nothing."""
Train = Callable[[Sequence[Config]], None]
"""Trains runs and leaves a record of each in its folder, whatever becomes of it."""


@dataclasses.dataclass(frozen=True)
class Space:
    """What is searched, and how.

    Attributes:
        widths: least and largest width.
        width_step: widths are the least one plus multiples of this.
        depths: least and largest depth.
        candidates: shapes to try, at most MOST_CANDIDATES.
        proxy_share: length of a candidate's training, as a share of the run's.
    """

    widths: tuple[int, int]
    width_step: int
    depths: tuple[int, int]
    candidates: int = MOST_CANDIDATES
    proxy_share: float = 0.25

    def __post_init__(self) -> None:
        """Refuse ranges without two shapes, and lengths that are no share."""
        (narrow, wide), (shallow, deep) = self.widths, self.depths
        if not 0 < narrow <= wide or not 0 < shallow <= deep or self.width_step < 1:
            raise ConfigError(
                f"search: widths {self.widths} by {self.width_step} and depths {self.depths}: give a least "
                "and a largest above 0"
            )
        if wide - narrow < self.width_step and shallow == deep:
            raise ConfigError(
                f"search: widths {self.widths} and depths {self.depths} hold one shape: widen one"
            )
        if not 2 <= self.candidates <= MOST_CANDIDATES:
            raise ConfigError(f"search: candidates={self.candidates}: give 2 to {MOST_CANDIDATES}")
        if not 0 < self.proxy_share <= 1:
            raise ConfigError(f"search: proxy_share={self.proxy_share:g}: give a share above 0, at most 1")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A shape that was trained.

    Attributes:
        width, depth: of the model.
        run_id: of its record in OUT/prior.
        val_error: validation error at the end of the proxy training; None where it gave no result.
        inference_flops: of a forward pass of one example; None as above.
        train_flops: of the proxy training, as far as it went; None where unknown.
    """

    width: int
    depth: int
    run_id: str
    val_error: float | None
    inference_flops: float | None
    train_flops: float | None


@dataclasses.dataclass(frozen=True)
class Found:
    """All candidates of a search, each shape once, in the order in which they were proposed."""

    candidates: tuple[Candidate, ...]

    @property
    def train_flops(self) -> float | None:
        """Training FLOPs of the whole search, which every run that uses it states; None where one's are
        unknown."""
        each = [candidate.train_flops for candidate in self.candidates]
        return None if None in each else math.fsum(flops for flops in each if flops is not None)

    def best(self, inference_flops: float) -> Candidate:
        """Return the candidate of least validation error with at most so many FLOPs, the cheaper of equals.

        Raises:
            ConfigError: no candidate is that small.
        """
        scored = [
            (each.val_error, each.inference_flops, each)
            for each in self.candidates
            if each.val_error is not None
            and each.inference_flops is not None
            and each.inference_flops <= inference_flops
        ]
        if not scored:
            raise ConfigError(
                f"search: no candidate has at most {inference_flops:.4g} FLOPs of inference: let widths or "
                "depths begin lower"
            )
        return min(scored, key=lambda item: item[:2])[2]


def proxy(base: Config, width: int, depth: int, share: float) -> Config:
    """Return the run that tries a shape: the baseline's settings, a share of its length, its record in
    OUT/prior.

    Raises:
        ConfigError: the model cannot have that shape.
    """
    schedule = base.schedule
    steps = None if schedule.steps is None else max(1, round(share * schedule.steps))
    shorter = dataclasses.replace(
        schedule,
        steps=steps,
        epochs=None if schedule.epochs is None else share * schedule.epochs,
        train_gflops=None if schedule.train_gflops is None else share * schedule.train_gflops,
        cooldowns=(),
    )
    try:
        shape = dataclasses.replace(base.model, width=width, depth=depth)
    except ValueError as error:
        raise ConfigError(f"search: width {width}, depth {depth}: {error}") from error
    return dataclasses.replace(
        base, lever=LeverConfig(), model=shape, schedule=shorter, out=str(prior.folder(base))
    )


def search(base: Config, space: Space, train: Train) -> Found:
    """Propose shapes, train them and return all of them; seeded by base.seed.

    Args:
        base: the run whose shape is sought; its own width and depth do not matter.
        space: ranges and numbers.
        train: called with the runs of a generation that have no finished record yet.

    Raises:
        ConfigError: a shape of the ranges is impossible for this model.
        MissingExtraError: optuna is not installed.
    """
    extras.check("lever=search", "optuna")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=base.seed)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    tried: dict[str, Candidate] = {}
    while len(tried) < space.candidates and len(study.trials) < PROPOSALS * space.candidates:
        trials = [study.ask() for _ in range(min(POPULATION, space.candidates - len(tried)))]
        runs = [_run_of(trial, base, space) for trial in trials]
        missing = {run.run_id: run for run in runs if run.run_id not in tried and not _is_done(run)}
        if missing:
            train(tuple(missing.values()))
        for trial, run in zip(trials, runs, strict=True):
            candidate = tried.setdefault(run.run_id, _candidate(run))
            if candidate.val_error is None or candidate.inference_flops is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, [candidate.val_error, candidate.inference_flops])
    return Found(tuple(tried.values()))


def _run_of(trial: Any, base: Config, space: Space) -> Config:
    narrow, wide = space.widths
    # Optuna warns of a largest width that no step reaches.
    width = trial.suggest_int(
        "width", narrow, wide - (wide - narrow) % space.width_step, step=space.width_step
    )
    depth = trial.suggest_int("depth", *space.depths)
    return proxy(base, width, depth, space.proxy_share)


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
        train_flops=record.spent.flops if record and record.spent else None,
    )
