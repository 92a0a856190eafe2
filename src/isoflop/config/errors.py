"""The error of a configuration that cannot be used, and how its message names files."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from pathlib import Path


class ConfigError(ValueError):
    """The configuration cannot be used; the message says which key to change."""


def did_you_mean(name: str, known: Collection[str], *, parts: bool = True) -> str:
    """Return `: did you mean NEAREST?` of a name that is not known, or nothing where none is near.

    With `parts` it may be the last part of a dotted one, or near to it, as `lr` is to `optim.lr`; without, it
    has to be nearer.
    """
    if parts and (exact := [each for each in known if each.rpartition(".")[2] == name]):
        return f": did you mean {exact[0]}?"
    near = difflib.get_close_matches(name, known, 1, 0.5 if parts else 0.6)
    if parts and not near:
        last = name.rpartition(".")[2]
        by_part = {each.rpartition(".")[2].rpartition("/")[2]: each for each in reversed(list(known))}
        near = [by_part[each] for each in difflib.get_close_matches(last, by_part, 1, 0.6)]
        near = near or difflib.get_close_matches(last, known, 1, 0.3)
    return f": did you mean {near[0]}?" if near else ""


def shown(path: Path) -> str:
    """Return a path as a message names it: from the current folder if it lies in there."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
