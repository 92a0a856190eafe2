"""Expansion of a sweep's grid into planned runs, and the manifest that lists them."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from isoflop import record as records
from isoflop.config import Config, ConfigError, SweepConfig, check_names, flatten, from_dict, to_dict

NOT_AXES = ("sweep", "launch", "tracker", "out")
"""Sections that hold for the whole sweep, so that no single run can set them."""


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """One line of the manifest.

    Attributes:
        run_id: id of the run, which is also that of its record.
        settings: what the grid sets for this run, as dotted keys.
        config: the whole configuration of the run.
        planned_train_flops: training FLOPs, once they have been planned.
        lr_interior: whether the learning rate was the best of sweep.lr_grid and not at its edge; None
            without such a grid.
    """

    run_id: str
    settings: dict[str, Any]
    config: Config
    planned_train_flops: float | None = None
    lr_interior: bool | None = None


def iter_settings(grid: Mapping[str, Any], points: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield every combination of the grid's lists, each with every one of `points` if there are any.

    `grid` may be nested or have dotted keys; a value that is not a list counts as a list of one.

    Raises:
        ConfigError: an axis is empty, or one of `points` sets a key of the grid.
    """
    axes = {key: value if isinstance(value, list) else [value] for key, value in flatten(grid)}
    if empty := [key for key, values in axes.items() if not values]:
        raise ConfigError(f"sweep.grid.{empty[0]}: the list is empty")
    extras = [dict(flatten(point)) for point in points] or [{}]
    if repeated := [key for extra in extras for key in extra if key in axes]:
        raise ConfigError(f"sweep.points: {repeated[0]} is in sweep.grid too: set it in one place")
    for extra in extras:
        for values in itertools.product(*axes.values()):
            yield dict(zip(axes, values, strict=True)) | extra


def without_axes(sweep: SweepConfig, keys: Iterable[str]) -> SweepConfig:
    """Return the sweep without the axes in `keys`: the command line sets those to one value for all runs."""
    fixed = set(keys)

    def drop_fixed(tree: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in flatten(tree) if key not in fixed}

    points = [drop_fixed(point) for point in sweep.points]
    unique = [point for i, point in enumerate(points) if point and point not in points[:i]]
    return dataclasses.replace(sweep, grid=drop_fixed(sweep.grid), points=unique)


def _with_settings(raw: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of nested `raw` with dotted keys set. Only the sections that change are copied, which
    matters for grids of 10,000 runs."""
    changed = dict(raw)
    for key, value in settings.items():
        section, _, name = key.rpartition(".")
        if section:
            changed[section] = {**changed[section], name: value}
        else:
            changed[name] = value
    return changed


def _to_config(raw: dict[str, Any], settings: Mapping[str, Any]) -> Config:
    """Return the configuration of one run.

    A valid run takes a short cut past from_dict: its key names have been checked and of its numbers only
    `settings` are new. An invalid one goes through from_dict, whose message names key and value.

    Raises:
        ConfigError: as from_dict.
    """
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError:
        return from_dict(raw)
    return from_dict(raw) if records.problem(dict(settings)) else config


def expand(base: Config) -> tuple[PlannedRun, ...]:
    """Return the runs of a sweep in the order of the grid, without duplicates.

    Raises:
        ConfigError: the sweep has no runs, or the configuration of one is not valid; names key and value.
    """
    raw = to_dict(base)
    sweep = copy.deepcopy(raw["sweep"])
    if not sweep["grid"] and not sweep["points"]:
        raise ConfigError(
            "the sweep has no runs: choose one with sweep=NAME, or give lists: model.width=8,16"
        )
    runs: dict[str, PlannedRun] = {}
    checked: set[str] = set()
    for settings in iter_settings(sweep["grid"], sweep["points"]):
        if new := settings.keys() - checked:
            _check_axes(sorted(new))
            checked |= new
        config = _to_config(_with_settings(raw, settings), settings)
        run_id = config.run_id  # computed at each access: a hash of the whole configuration
        runs.setdefault(run_id, PlannedRun(run_id, settings, config))
    return tuple(runs.values())


def _check_axes(keys: list[str]) -> None:
    """Refuse keys that are unknown or belong to the whole sweep. Raises ConfigError."""
    check_names(keys)
    if outside := [key for key in keys if key.split(".")[0] in NOT_AXES]:
        raise ConfigError(f"sweep.grid.{outside[0]}: not a setting of a single run")


def encode_line(planned: PlannedRun) -> bytes:
    """Return a run as a line of the manifest, without the grid, which no single run needs."""
    config = dataclasses.replace(planned.config, sweep=SweepConfig(planned.config.sweep.name))
    return msgspec.json.encode(dataclasses.replace(planned, config=config))


def write_manifest(runs: tuple[PlannedRun, ...], directory: Path) -> Path:
    """Write DIR/manifest.jsonl atomically, one run a line; runs of earlier sweeps in DIR stay, at the end.

    Raises:
        OSError: the file cannot be written; the old one stays.
    """
    path = directory / "manifest.jsonl"
    new = {planned.run_id: encode_line(planned) for planned in runs}
    old = path.read_bytes().splitlines() if path.is_file() else []
    kept = [line for line in old if _run_id_of(line) not in {None, *new}]
    records.write_bytes(path, b"\n".join([*new.values(), *kept]) + b"\n")
    return path


def _run_id_of(line: bytes) -> str | None:
    try:
        return msgspec.json.decode(line, type=_Line).run_id
    except msgspec.DecodeError:
        return None


class _Line(msgspec.Struct):
    run_id: str
