"""Types of single settings, and which of them a kind of model, data or optimizer takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
Index = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Momentum = Annotated[float, msgspec.Meta(ge=0, lt=1)]
FilePath = Annotated[str, msgspec.Meta(extra_json_schema={"format": "path"})]
"""A file or a folder, which the shell can complete."""
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$", extra_json_schema={"readOnly": True})]
"""Set by isoflop, so no override."""
Arguments = dict[Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_]\w*$")], Any]
"""Keyword arguments of a function of the user's own."""


def takes(config: Any, kind: str, needed: Iterable[str], optional: Iterable[str]) -> None:
    """Refuse a setting of `optional` that this kind does not take, or one of `needed` that is not given.

    Raises:
        ValueError: names the first such setting.
    """
    needed = set(needed)
    for name in sorted(needed | set(optional)):
        given = getattr(config, name) is not None
        if name in needed and not given:
            raise ValueError(f"{kind} needs {name}")
        if given and name not in needed:
            raise ValueError(f"{kind} takes no {name}: set it to null")


def check_named(kind: str, section: str, path: str | None) -> None:
    """Refuse code of the user's own that is not named. Raises ValueError."""
    if kind == "custom" and path is None:
        example = {"model": "net.py:build", "data": "data.py:load", "lever": "mine.py:apply"}[section]
        raise ValueError(f"path is missing: name a function of yours, such as {section}.path={example}")
