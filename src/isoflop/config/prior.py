"""Runs that have to be trained before a run with a lever: a teacher, or the network that is pruned.

They are runs like any other, with ids of their own. Their records and weights lie in OUT/prior, so that none
counts as a point of a curve by accident.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any

from isoflop.config import catalog
from isoflop.config.convert import to_dict
from isoflop.config.errors import shown
from isoflop.config.identity import GROUPS, LEVER
from isoflop.config.keys import flatten
from isoflop.config.lever import LeverConfig
from isoflop.config.model import ModelConfig
from isoflop.config.schema import Config, ConfigError

FOLDER = "prior"
DATA_ROOT = ".data"
"""data.root where the environment names no other folder."""


def folder(config: Config) -> Path:
    """Return the folder of the runs that `config` needs before it."""
    return Path(config.launch.prior) if config.launch.prior is not None else config.directory / FOLDER


def of(config: Config) -> Config | None:
    """Return the run whose weights `config` begins from or learns from; None where it needs none.

    That run may need another one before it.

    Raises:
        ConfigError: the model cannot have the size of the teacher.
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
        shape = _teacher(config)
        optim = dataclasses.replace(config.optim, lr=lever.teacher_lr)
        return dataclasses.replace(config, lever=LeverConfig(), model=shape, optim=optim)
    if lever.kind == "magnitude_pruning" and lever.rounds is not None and lever.rounds > 1:
        return dataclasses.replace(config, lever=dataclasses.replace(lever, rounds=lever.rounds - 1))
    if lever.kind in ("magnitude_pruning", "structured_pruning"):
        return dataclasses.replace(config, lever=LeverConfig())
    return None


def _teacher(config: Config) -> ModelConfig:
    """Return the model of the teacher. Raises ConfigError."""
    model, lever = config.model, config.lever
    if model.width is None or model.depth is None:
        raise ConfigError(
            f"lever={lever.name}: the teacher is the model at another width and depth, and {model.name} has "
            "not both: set model to one that has, or lever=none"
        )
    try:
        return dataclasses.replace(model, width=lever.teacher_width, depth=lever.teacher_depth)
    except ValueError as error:
        size = f"lever.teacher_width={lever.teacher_width} lever.teacher_depth={lever.teacher_depth}"
        raise ConfigError(f"{size}: {error}") from error


def chain(config: Config) -> tuple[Config, ...]:
    """Return all runs that have to be trained before `config`, in that order."""
    before = of(config)
    return () if before is None else (*chain(before), before)


def weights_path(config: Config) -> Path:
    """Return where a run keeps the weights of its last point (launch.keep_weights)."""
    return config.directory / "weights" / f"{list(config.point_ids.values())[-1]}.pt"


def command(config: Config) -> str:
    """Return the command that trains a run and keeps its weights where the runs that need them look.

    It chooses the options that are named as the model, data, optimizer and lever are, and sets what differs
    from them. Devices, meters and prices are left to the defaults.
    """
    chosen = {
        "model": config.model.family,
        "data": config.data.name,
        "optim": config.optim.name,
        LEVER: config.lever.name,
    }
    values = catalog.defaults()
    words = ["isoflop", "run"]
    for group, name in chosen.items():
        if name in catalog.option_names(group):
            values = values | catalog.option(group, name).settings
            words += [f"{group}={name}"] if name != catalog.default_options()[group] else []
    words += [_override(key, value) for key, value in _hashed(config) if not _same(value, values.get(key))]
    place = shown(config.directory)
    words += [_override("launch.keep_weights", True), _override("out", place)]
    if not config.lever.is_none:
        words.append(_override("launch.prior", place))
    return shlex.join(words)


def _hashed(config: Config) -> list[tuple[str, Any]]:
    """Return (key, value) of the settings that change a result and that an override can set."""
    plain = dict(flatten(to_dict(config)))
    if plain["data.root"] == DATA_ROOT:
        del plain["data.root"]
    sections = tuple(f"{group}." for group in (*GROUPS, LEVER))
    return [
        (key, value)
        for key, value in plain.items()
        if (key.startswith(sections) or key == "seed") and not key.endswith(".sha256")
    ]


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are the same setting: 20 and 20.0, or a tuple and a list of equal values."""
    return bool(one == other) or catalog.written(one) == catalog.written(other)


def _override(key: str, value: Any) -> str:
    """Return `key=value` as Hydra reads it: what is no plain word, number or list is quoted."""
    if isinstance(value, str) and not re.fullmatch(r"[\w./:+@%~-]+", value):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"{key}='{escaped}'"
    return f"{key}={catalog.written(value)}"
