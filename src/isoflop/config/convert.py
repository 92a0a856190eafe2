"""Config from plain nested values and back."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from isoflop import record
from isoflop.config.keys import check_names, flatten, with_current_names
from isoflop.config.schema import Config, ConfigError


def from_dict(raw: Mapping[str, Any]) -> Config:
    """Return plain nested values as a Config.

    Raises:
        ConfigError: an unknown or missing key, a wrong type or a value out of range; one line, naming it.
    """
    raw = with_current_names(raw)
    check_names(key for key, _ in flatten(raw))
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(readable(str(error), raw)) from error
    if message := record.problem(config, "config"):
        raise ConfigError(message.removeprefix("config."))
    return config


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
