"""The user's cache folder: what isoflop keeps between sweeps and may lose."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """Return the cache folder: $ISOFLOP_CACHE, else $XDG_CACHE_HOME/isoflop, else ~/.cache/isoflop.

    Raises:
        RuntimeError: none of them is set and there is no home folder.
    """
    if named := os.environ.get("ISOFLOP_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "isoflop"
