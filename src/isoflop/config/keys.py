"""The dotted keys of the configuration, such as `model.width`, and the names they had before."""

from __future__ import annotations

import dataclasses
import functools
import sys
import typing
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeGuard

from isoflop.config.errors import ConfigError, did_you_mean
from isoflop.config.schema import Config

FREE = ("sweep.grid", "sweep.points", "sweep.held_out")
"""Keys whose content is the user's own."""
ARGUMENTS = ("model.arguments", "data.arguments", "lever.arguments")
"""Keys whose content is passed on to code of the user's own."""
PRESETS = {"recipe": "Settings of several groups that belong together."}
"""Hydra groups that set keys of several sections and have none of their own, with their explanations."""
RENAMED_KEYS: Mapping[str, str] = {
    "launch.slurm.cells_per_task": "launch.slurm.runs_per_task",
    "meter.replay_seconds": "meter.window_seconds",
}
"""Old key -> new key. An old key is read, with a warning, for one release after it was renamed."""


def _section(hint: Any) -> type | None:
    return hint if isinstance(hint, type) and dataclasses.is_dataclass(hint) else None


def names(kind: type = Config, prefix: str = "") -> Iterator[str]:
    """Yield every dotted key of the configuration, such as `model.width`."""
    for name, hint in typing.get_type_hints(kind).items():
        section = _section(hint)
        if section is None:
            yield prefix + name
        else:
            yield from names(section, f"{prefix}{name}.")


def groups() -> tuple[str, ...]:
    """Return the Hydra groups: the sections of Config."""
    return tuple(name for name, hint in typing.get_type_hints(Config).items() if _section(hint))


def check_names(keys: Iterable[str], also: Iterable[str] = ()) -> None:
    """Refuse a dotted key that is not in the configuration.

    Raises:
        ConfigError: names the key and the nearest valid one.
    """
    valid = [*names(), *also]
    for key in keys:
        if key not in valid and not key.startswith(tuple(f"{free}." for free in (*FREE, *ARGUMENTS))):
            raise ConfigError(f"unknown key {key}{did_you_mean(key, valid)}")


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of a nested mapping; the content of FREE keys is left whole."""
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name not in FREE:
            yield from flatten(value, f"{name}.")
        else:
            yield name, value


def unflatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested mapping whose dotted keys are those of `values`; the inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        section = tree
        for each in sections:
            section = section.setdefault(each, {})
        section[name] = value
    return tree


def current_name(key: str) -> str:
    """Return the name that a dotted key has now; warn on standard error if `key` is an old one."""
    if key in RENAMED_KEYS:
        _warn_renamed(key)
    return RENAMED_KEYS.get(key, key)


@functools.cache  # once a process: a manifest repeats its keys on every line
def _warn_renamed(old: str) -> None:
    sys.stderr.write(
        f"isoflop: {old} is now called {RENAMED_KEYS[old]}: use the new name, "
        "the old one stops working in the next release\n"
    )


def with_current_names(tree: Mapping[str, Any], explicit: Collection[str] = ()) -> dict[str, Any]:
    """Return nested settings with each renamed key under its new name, those of a sweep's axes included.

    Args:
        tree: nested settings, such as those of a whole configuration.
        explicit: new names that were set on the command line. Where both names are present the value of the
            old one counts, since the new one then comes from the defaults, unless it is in `explicit`.
    """
    values = dict(flatten(tree))
    renamed = {current_name(key): value for key, value in values.items() if key in RENAMED_KEYS}
    axes = _axes_with_current_names(values)
    if not renamed and not axes:
        return dict(tree)
    kept = {key: value for key, value in values.items() if key not in RENAMED_KEYS}
    return unflatten(kept | axes | {key: value for key, value in renamed.items() if key not in explicit})


def _axes_with_current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `sweep.grid` and `sweep.points` with new names, as far as they hold an old one."""
    grid, points = values.get("sweep.grid"), values.get("sweep.points")
    changed: dict[str, Any] = {}
    if _holds_old_names(grid):
        changed["sweep.grid"] = _axes(grid)
    if isinstance(points, list) and any(map(_holds_old_names, points)):
        changed["sweep.points"] = [_axes(each) if _holds_old_names(each) else each for each in points]
    return changed


def _holds_old_names(axes: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(axes, Mapping) and any(key in RENAMED_KEYS for key, _ in flatten(axes))


def _axes(axes: Mapping[str, Any]) -> dict[str, Any]:
    return {current_name(key): value for key, value in flatten(axes)}


def has_old_name(line: bytes) -> bool:
    """Return whether a configuration in JSON may hold a renamed key: a quick test, without decoding it."""
    return any(f'"{old.rpartition(".")[2]}"'.encode() in line for old in RENAMED_KEYS)
