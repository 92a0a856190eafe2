"""The error of a configuration that cannot be used, and how its message names files."""

from __future__ import annotations

from pathlib import Path


class ConfigError(ValueError):
    """The configuration cannot be used; the message says which key to change."""


def shown(path: Path) -> str:
    """Return a path as a message names it: from the current folder if it lies in there."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
