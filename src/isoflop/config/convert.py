"""Config from plain nested values and back."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from isoflop import record
from isoflop.config.keys import check_names, flatten, with_current_names
from isoflop.config.schema import Config, ConfigError
from isoflop.config.user_code import settings


def from_dict(raw: Mapping[str, Any], base: Path | None = None) -> Config:
    """Return plain nested values as a Config.

    Args:
        raw: the values.
        base: the folder that paths to code of the user's own are relative to; default: the current one.

    Raises:
        ConfigError: an unknown or missing key, a wrong type or a value out of range; one line, naming it; or
            a file of the user's own is missing.
    """
    raw = with_current_names(raw)
    check_names(key for key, _ in flatten(raw))
    raw = _with_absolute_axes(settings.resolved(raw, base), base)
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(readable(str(error), raw)) from error
    if message := record.problem(config, "config"):
        raise ConfigError(message.removeprefix("config."))
    return config


def _with_absolute_axes(raw: dict[str, Any], base: Path | None) -> dict[str, Any]:
    """Return the configuration with absolute paths to code of the user's own in the axes of its sweep."""
    sweep = raw.get("sweep")
    if not isinstance(sweep, Mapping) or not all(
        isinstance(raw.get(each, {}), Mapping) for each in settings.KINDS
    ):
        return raw
    grid, changed = sweep.get("grid"), dict(sweep)
    if isinstance(grid, Mapping) and _names_path(grid):
        changed["grid"] = settings.with_absolute_axes(dict(flatten(grid)), raw, base)
    for name in ("points", "held_out"):
        points = sweep.get(name)
        if isinstance(points, list) and any(isinstance(p, Mapping) and _names_path(p) for p in points):
            changed[name] = [settings.with_absolute_axes(dict(flatten(point)), raw, base) for point in points]
    return raw | {"sweep": changed}


def _names_path(axes: Mapping[str, Any]) -> bool:
    return any(key in settings.PATHS for key, _ in flatten(axes))


def readable(message: str, raw: Mapping[str, Any]) -> str:
    """Return msgspec's message about the nested values `raw` as `model.width=0: expected int >= 1`."""
    text, _, path = message.partition(" - at `$")
    key = path.rstrip("`").lstrip(".")
    text = text.replace("`", "")
    text = re.sub(r"^Object missing required field (\S+)", r"missing key \1", text)
    text = re.sub(r"^Expected", "expected", text)
    if not key:
        return text
    if text.startswith("Invalid enum"):
        text = f"expected one of {', '.join(_choices(key))}"
    values = dict(flatten(raw))
    return f"{key}={values[key]}: {text}" if key in values else f"{key}: {text}"


def _choices(key: str) -> tuple[str, ...]:
    """Return the values that a Literal key allows."""
    kind: Any = Config
    for part in key.split("."):
        kind = typing.get_type_hints(kind)[part]
    return tuple(name for part in (kind, *typing.get_args(kind)) for name in _literals(part))


def _literals(kind: Any) -> tuple[str, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()


def to_dict(config: Config) -> dict[str, Any]:
    """Return a Config as plain nested values; from_dict gives the same Config back."""
    plain: dict[str, Any] = msgspec.to_builtins(config)
    return plain
