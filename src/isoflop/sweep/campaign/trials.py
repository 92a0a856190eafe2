"""The trials of a recipe search as runs, and their training losses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from isoflop import record as records
from isoflop.config import Config
from isoflop.sweep.campaign.recipe_check import Recipe, RecipeSearch, Shape
from isoflop.sweep.grid import PlannedRun

Trials = Mapping[tuple[Recipe, Shape], PlannedRun]
"""The run of every recipe on every shape."""


def with_shape(config: Config, shape: Shape) -> Config:
    """Return the configuration at another width and depth."""
    return dataclasses.replace(
        config, model=dataclasses.replace(config.model, width=shape[0], depth=shape[1])
    )


def as_run(config: Config) -> PlannedRun:
    """Return the configuration as a line of a manifest."""
    model = config.model
    settings = {
        "model.width": model.width,
        "model.depth": model.depth,
        "model.parametrization": model.parametrization,
        "model.zero_init_residual": model.zero_init_residual,
        "optim.lr": config.optim.lr,
    }
    return PlannedRun(config.run_id, settings, config)


def make(search: RecipeSearch, compose: Callable[[tuple[str, ...]], Config], folder: Path) -> Trials:
    """Return the trials of a search, their records in `folder`. Raises ConfigError as `compose` does."""
    trials = {}
    for candidate in search.candidates:
        base = compose((*search.overrides, *candidate.overrides, "seed=0"))
        base = dataclasses.replace(base, out=str(folder))
        for factor in search.rate_factors:
            optim = dataclasses.replace(base.optim, lr=base.optim.lr * factor)
            at_rate = dataclasses.replace(base, optim=optim)
            for shape in search.shapes:
                trials[Recipe(candidate.name, factor), shape] = as_run(with_shape(at_rate, shape))
    return trials


def rates(trials: Trials) -> dict[str, float]:
    """Return the learning rate of each candidate before its factor."""
    return {recipe.candidate: run.config.optim.lr / recipe.rate_factor for (recipe, _), run in trials.items()}


def losses(trials: Trials, folder: Path) -> dict[tuple[Recipe, Shape], float]:
    """Return the training loss in nats of each trial that has ended; infinity for one without a result.

    Trials without a record, and those that were interrupted, are not in it.
    """
    found = {}
    for key, run in trials.items():
        last = list(run.config.point_ids.values())[-1]
        record = records.find(records.path_of(folder, last))
        if record is None:
            continue
        loss = record.loss.train if record.loss else None
        if record.state == "done" and loss is not None:
            found[key] = loss
        elif record.state != "interrupted":
            found[key] = math.inf
    return found
