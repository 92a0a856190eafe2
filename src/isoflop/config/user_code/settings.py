"""Settings that name code of the user's own, resolved once: an absolute path, and the hash of its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from isoflop.config.errors import ConfigError
from isoflop.config.user_code.locate import absolute, locate, split

CUSTOM = "custom"
KINDS = {"model": "family", "data": "name", "lever": "kind"}
"""Section -> its key that says `custom` where `path` names code of the user's own."""
PATHS = tuple(f"{section}.path" for section in KINDS)


def resolved(raw: Mapping[str, Any], base: Path | None = None) -> dict[str, Any]:
    """Return nested settings in which code of the user's own has an absolute path and its SHA-256.

    Where a hash is given already, that is what the file must have when it is executed.

    Args:
        raw: settings of a whole configuration.
        base: the folder that relative paths are relative to; default: the current one.

    Raises:
        ConfigError: there is no such file or module, or no function is named.
    """
    changed = dict(raw)
    for section, kind in KINDS.items():
        settings = raw.get(section)
        if isinstance(settings, Mapping) and settings.get(kind) == CUSTOM:
            changed[section] = _resolved_section(section, settings, base)
    return changed


def _resolved_section(section: str, settings: Mapping[str, Any], base: Path | None) -> Mapping[str, Any]:
    path, sha256 = settings.get("path"), settings.get("sha256")
    if not isinstance(path, str) or (sha256 is not None and Path(split(path)[0]).is_absolute()):
        return settings
    try:
        located = locate(path, base)
        return {**settings, "path": absolute(located), "sha256": sha256 or located.sha256}
    except ConfigError as error:
        raise ConfigError(f"{section}.path: {error}") from error


def with_absolute_axes(axes: Mapping[str, Any], raw: Mapping[str, Any], base: Path | None) -> dict[str, Any]:
    """Return the axes of a grid, or the settings of a point, with absolute paths to the user's own code.

    Args:
        axes: dotted key -> value or list of values.
        raw: the configuration that they vary.
        base: as of `resolved`.

    Raises:
        ConfigError: as `resolved`.
    """

    def change(section: str, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return absolute(locate(value, base))
        except ConfigError as error:
            raise ConfigError(f"{section}.path: {error}") from error

    return mapped_paths(axes, raw, change)


def mapped_paths(
    axes: Mapping[str, Any], raw: Mapping[str, Any], change: Callable[[str, Any], Any]
) -> dict[str, Any]:
    """Return axes in which `change` (section, path) replaces each path to code of the user's own.

    Args:
        axes: dotted key -> value or list of values.
        raw: the configuration that they vary, which says whether its data are the user's own.
        change: gives the new path.
    """
    changed = dict(axes)
    for section, kind in KINDS.items():
        is_custom = axes.get(f"{section}.{kind}", raw.get(section, {}).get(kind)) == CUSTOM
        if is_custom and (value := axes.get(f"{section}.path")) is not None:
            values = [change(section, each) for each in value] if isinstance(value, list) else None
            changed[f"{section}.path"] = change(section, value) if values is None else values
    return changed
