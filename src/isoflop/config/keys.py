"""The dotted keys of the configuration, such as `model.width`."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from isoflop.config.schema import Config, ConfigError

FREE = ("sweep.grid", "sweep.points")
"""Keys whose content is the user's own."""


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
        if key not in valid and not key.startswith(tuple(f"{free}." for free in FREE)):
            near = difflib.get_close_matches(key, valid, 1, 0.5) or difflib.get_close_matches(
                key.rpartition(".")[2], valid, 1, 0.3
            )
            hint = f": did you mean {near[0]}?" if near else ""
            raise ConfigError(f"unknown key {key}{hint}")


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of a nested mapping; the content of free keys is left whole."""
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name not in FREE:
            yield from flatten(value, f"{name}.")
        else:
            yield name, value
