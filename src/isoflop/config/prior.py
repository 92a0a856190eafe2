"""Runs that have to be trained before a run with a lever: a teacher, or the network that is pruned.

They are runs like any other, with ids of their own. Their records and weights lie in OUT/prior, so that none
counts as a point of a curve by accident.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from isoflop.config.lever import LeverConfig
from isoflop.config.schema import Config

FOLDER = "prior"


def folder(config: Config) -> Path:
    """Return the folder of the runs that `config` needs before it."""
    return Path(config.launch.prior) if config.launch.prior is not None else config.directory / FOLDER


def of(config: Config) -> Config | None:
    """Return the run whose weights `config` begins from or learns from; None where it needs none.

    That run may need another one before it.
    """
    before = _before(config)
    if before is None:
        return None
    place = str(folder(config))
    launch = dataclasses.replace(before.launch, keep_weights=True, prior=place)
    return dataclasses.replace(before, launch=launch, out=place)


def _before(config: Config) -> Config | None:
    lever = config.lever
    if lever.kind == "distillation":
        assert lever.teacher_lr is not None
        shape = dataclasses.replace(config.model, width=lever.teacher_width, depth=lever.teacher_depth)
        optim = dataclasses.replace(config.optim, lr=lever.teacher_lr)
        return dataclasses.replace(config, lever=LeverConfig(), model=shape, optim=optim)
    if lever.kind == "magnitude_pruning" and lever.rounds is not None and lever.rounds > 1:
        return dataclasses.replace(config, lever=dataclasses.replace(lever, rounds=lever.rounds - 1))
    if lever.kind in ("magnitude_pruning", "structured_pruning"):
        return dataclasses.replace(config, lever=LeverConfig())
    return None


def chain(config: Config) -> tuple[Config, ...]:
    """Return all runs that have to be trained before `config`, in that order."""
    before = of(config)
    return () if before is None else (*chain(before), before)


def weights_path(config: Config) -> Path:
    """Return where a run keeps the weights of its last point (launch.keep_weights)."""
    return config.directory / "weights" / f"{list(config.point_ids.values())[-1]}.pt"
