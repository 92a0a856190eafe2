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
from isoflop.config import (
    Config,
    ConfigError,
    SweepConfig,
    check_names,
    flatten,
    from_dict,
    lever_option,
    to_dict,
)
from isoflop.config.user_code import locate
from isoflop.config.user_code import settings as user_settings

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
        held_out: whether the run is one of sweep.held_out, which no fit uses.
    """

    run_id: str
    settings: dict[str, Any]
    config: Config
    planned_train_flops: float | None = None
    lr_interior: bool | None = None
    held_out: bool = False


OWN_GRID = "grid."
"""Beginning of the dotted keys of a point that are axes of its own."""


def iter_settings(grid: Mapping[str, Any], points: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield every combination of the grid's lists, each with every one of `points` if there are any.

    A point that has a `grid` of its own stands for all combinations of that. A grid may be nested or have
    dotted keys; a value in it that is not a list counts as a list of one.

    Raises:
        ConfigError: an axis is empty, or one of `points` sets a key of the grid.
    """
    axes = _axes(grid, "sweep.grid")
    for point in points or [{}]:
        flat = dict(flatten(point))
        extra = {key: value for key, value in flat.items() if not key.startswith(OWN_GRID)}
        own = {key.removeprefix(OWN_GRID): value for key, value in flat.items() if key.startswith(OWN_GRID)}
        if repeated := [key for key in (*extra, *own) if key in axes]:
            raise ConfigError(f"sweep.points: {repeated[0]} is in sweep.grid too: set it in one place")
        if repeated := [key for key in own if key in extra]:
            raise ConfigError(f"sweep.points: {repeated[0]} stands in a point and in its grid: set it once")
        every = axes | _axes(own, "sweep.points.grid")
        for values in itertools.product(*every.values()):
            yield dict(zip(every, values, strict=True)) | extra


def _axes(grid: Mapping[str, Any], name: str) -> dict[str, list[Any]]:
    """Return dotted key -> list of values of a grid called `name`. ConfigError for an empty list."""
    axes = {key: value if isinstance(value, list) else [value] for key, value in flatten(grid)}
    if empty := [key for key, values in axes.items() if not values]:
        raise ConfigError(f"{name}.{empty[0]}: the list is empty")
    return axes


def without_axes(sweep: SweepConfig, fixed: Iterable[str], moved: Iterable[str] = ()) -> SweepConfig:
    """Return the sweep without the axes that the command line sets.

    Args:
        sweep: the grid and the points of the sweep file.
        fixed: keys that have one value for all runs, the held-out ones included.
        moved: keys whose values on the command line are an axis of the grid, in place of those in `points`.
    """
    one_value, axes = set(fixed), set(moved)

    def is_set(key: str, keys: set[str]) -> bool:
        # The settings of a lever go with it: lever.teacher_width is of no other one.
        of_lever = key.startswith(f"{lever_option.GROUP}.") and lever_option.GROUP in keys
        return key in keys or of_lever

    def without(tree: Mapping[str, Any], keys: set[str]) -> dict[str, Any]:
        return {key: value for key, value in flatten(tree) if not is_set(key.removeprefix(OWN_GRID), keys)}

    def unique(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [point for i, point in enumerate(points) if point and point not in points[:i]]

    return dataclasses.replace(
        sweep,
        grid=without(sweep.grid, one_value),
        points=unique([without(point, one_value | axes) for point in sweep.points]),
        held_out=unique([without(point, one_value) for point in sweep.held_out]),
    )


def _with_settings(raw: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of nested `raw` with dotted keys set, files of the user's own found and hashed.

    Only the sections that change are copied, which matters for grids of 10,000 runs.
    """
    lever = settings.get(lever_option.GROUP)
    # First, as the other settings of a run are on top of those of its lever.
    changed = dict(raw) if lever is None else lever_option.with_lever(raw, lever)
    for key, value in settings.items():
        if key == lever_option.GROUP:
            continue
        section, _, name = key.partition(".")
        changed[section] = _with_value(changed.get(section), name, value) if name else value
        if key in user_settings.PATHS:
            changed[section]["sha256"] = None  # that of another file
    return user_settings.resolved(changed)


def _with_value(tree: Mapping[str, Any] | None, key: str, value: Any) -> dict[str, Any]:
    """Return a copy of a section with a dotted key of it set."""
    name, _, rest = key.partition(".")
    tree = tree or {}
    return {**tree, name: _with_value(tree.get(name), rest, value) if rest else value}


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
    """Return the runs of a sweep in the order of the grid, without duplicates, then those held out.

    Without a grid and points it is one run, the configuration itself.

    Raises:
        ConfigError: the configuration of a run is not valid (names key and value), or a run is both fitted
            and held out.
    """
    raw = to_dict(base)
    sweep = copy.deepcopy(raw["sweep"])
    runs = _planned(raw, iter_settings(sweep["grid"], sweep["points"]))
    if not sweep["held_out"]:
        return tuple(runs.values())
    held = _planned(raw, iter_settings({}, sweep["held_out"]))
    points = {run_id for each in runs.values() for run_id in each.config.point_ids.values()}
    for each in held.values():
        if points & set(each.config.point_ids.values()):
            raise ConfigError(
                f"sweep.held_out: {_shown(each.settings)} is fitted too: change one of them, or "
                "set sweep.held_out=[]"
            )
    return (*runs.values(), *(dataclasses.replace(each, held_out=True) for each in held.values()))


def _shown(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def _planned(raw: dict[str, Any], every: Iterable[dict[str, Any]]) -> dict[str, PlannedRun]:
    """Return run_id -> run of the settings in `every`, on top of the configuration `raw`."""
    runs: dict[str, PlannedRun] = {}
    checked: set[str] = set()
    for settings in every:
        if new := settings.keys() - checked:
            _check_axes(sorted(new))
            checked |= new
        config = _to_config(_with_settings(raw, settings), settings)
        run_id = config.run_id  # computed at each access: a hash of the whole configuration
        runs.setdefault(run_id, PlannedRun(run_id, settings, config))
    return runs


def _check_axes(keys: list[str]) -> None:
    """Refuse keys that are unknown or belong to the whole sweep. Raises ConfigError."""
    check_names(keys, also=(lever_option.GROUP,))
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
    kept = [line for line in _lines(path) if _run_id_of(line) not in {None, *new}]
    records.write_bytes(path, b"\n".join([*new.values(), *kept]) + b"\n")
    return path


def listed_ids(directory: Path) -> set[str]:
    """Return the ids of the runs that DIR/manifest.jsonl lists; none where there is no manifest."""
    return {run_id for line in _lines(directory / "manifest.jsonl") if (run_id := _run_id_of(line))}


def listed_data(directory: Path) -> dict[str, str | None]:
    """Return run_id -> name of its data set of the runs that DIR/manifest.jsonl lists.

    The name is as DataConfig.label; None where a line of another version does not say it.
    """
    named: dict[str, str | None] = {}
    for line in _lines(directory / "manifest.jsonl"):
        if run_id := _run_id_of(line):
            named[run_id] = _data_of(line)
    return named


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.is_file() else []


def _run_id_of(line: bytes) -> str | None:
    try:
        return msgspec.json.decode(line, type=_Line).run_id
    except msgspec.DecodeError:
        return None


def _data_of(line: bytes) -> str | None:
    try:
        data = msgspec.json.decode(line, type=_LineOfData).config.data
    except msgspec.DecodeError:
        return None
    return locate.label(data.path) if data.name == user_settings.CUSTOM and data.path else data.name


class _Line(msgspec.Struct):
    run_id: str


class _Data(msgspec.Struct):
    name: str
    path: str | None = None


class _ConfigOfData(msgspec.Struct):
    data: _Data


class _LineOfData(msgspec.Struct):
    config: _ConfigOfData
