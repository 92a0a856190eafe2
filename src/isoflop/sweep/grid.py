"""A sweep file's grid -> the manifest: every cell's configuration, once."""

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


@dataclasses.dataclass(frozen=True)
class Cell:
    """One line of the manifest. `settings` is what the grid sets, as dotted keys; `lr_interior` says whether
    its learning rate was the best of a grid and not at its edge, None without a grid."""

    run_id: str
    settings: dict[str, Any]
    config: Config
    planned_train_flops: float | None = None
    lr_interior: bool | None = None


def settings_of(grid: Mapping[str, Any], points: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of the grid's lists, with each of `points` where there are any.

    `grid` may be nested or have dotted keys; a value that is not a list counts as a list of one.

    Raises:
        ConfigError: an axis is empty, or one of `points` sets what the grid sets.
    """
    axes = {key: value if isinstance(value, list) else [value] for key, value in flatten(grid)}
    if empty := [key for key, values in axes.items() if not values]:
        raise ConfigError(f"sweep.grid.{empty[0]}: the list is empty")
    extras = [dict(flatten(point)) for point in points] or [{}]
    if twice := [key for extra in extras for key in extra if key in axes]:
        raise ConfigError(f"sweep.points: {twice[0]} is in sweep.grid too: set it in one place")
    for extra in extras:
        for values in itertools.product(*axes.values()):
            yield dict(zip(axes, values, strict=True)) | extra


def without(sweep: SweepConfig, keys: Iterable[str]) -> SweepConfig:
    """The sweep without the axes that the command line sets to one value, which then holds everywhere."""
    fixed = set(keys)

    def kept(tree: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in flatten(tree) if key not in fixed}

    points = [kept(point) for point in sweep.points]
    unique = [point for i, point in enumerate(points) if point and point not in points[:i]]
    return dataclasses.replace(sweep, grid=kept(sweep.grid), points=unique)


def _with(raw: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested `raw` with dotted keys set; only the touched sections are copied."""
    made = dict(raw)
    for key, value in settings.items():
        section, _, name = key.rpartition(".")
        if section:
            made[section] = {**made[section], name: value}
        else:
            made[name] = value
    return made


def _configured(raw: dict[str, Any], settings: Mapping[str, Any]) -> Config:
    """The configuration of one cell. What is good takes the short way: its names are checked already, and of
    its numbers only `settings` are new; from_dict says what is wrong with the rest.

    Raises:
        ConfigError: as from_dict.
    """
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError:
        return from_dict(raw)
    return from_dict(raw) if records.problem(dict(settings)) else config


def expand(base: Config) -> tuple[Cell, ...]:
    """The cells of a sweep, each once, in the order of the grid.

    Raises:
        ConfigError: the sweep has no cells, or a cell's configuration is not valid; names key and value.
    """
    raw = to_dict(base)
    sweep = copy.deepcopy(raw["sweep"])
    if not sweep["grid"] and not sweep["points"]:
        raise ConfigError(
            "the sweep has no cells: choose one with sweep=NAME, or give lists: model.width=8,16"
        )
    cells: dict[str, Cell] = {}
    checked: set[str] = set()
    for settings in settings_of(sweep["grid"], sweep["points"]):
        if new := settings.keys() - checked:
            check_names(sorted(new))
            if outside := sorted(k for k in new if k.split(".")[0] in ("sweep", "launch", "tracker", "out")):
                raise ConfigError(f"sweep.grid.{outside[0]}: not a setting of a single cell")
            checked |= new
        config = _configured(_with(raw, settings), settings)
        cells.setdefault(config.run_id, Cell(config.run_id, settings, config))
    return tuple(cells.values())


def line(cell: Cell) -> bytes:
    """A cell as a line of a manifest: its own configuration, without the grid that it comes from."""
    config = dataclasses.replace(cell.config, sweep=SweepConfig(cell.config.sweep.name))
    return msgspec.json.encode(dataclasses.replace(cell, config=config))


def write_manifest(cells: tuple[Cell, ...], directory: Path) -> Path:
    """Write DIR/manifest.jsonl atomically, one cell a line; cells of earlier sweeps in DIR stay, at the end.

    Raises:
        OSError: it cannot be written; the old one stays.
    """
    path = directory / "manifest.jsonl"
    new = {cell.run_id: line(cell) for cell in cells}
    old = path.read_bytes().splitlines() if path.is_file() else []
    kept = [each for each in old if _run_id_of(each) not in {None, *new}]
    records.write_bytes(path, b"\n".join([*new.values(), *kept]) + b"\n")
    return path


def _run_id_of(line: bytes) -> str | None:
    try:
        return msgspec.json.decode(line, type=_Line).run_id
    except msgspec.DecodeError:
        return None


class _Line(msgspec.Struct):
    run_id: str
