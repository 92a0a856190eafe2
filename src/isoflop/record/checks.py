"""What a record may hold, and short forms for known and unknown fields."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from typing import Any


@functools.cache
def _fields(kind: type) -> tuple[tuple[str, bool], ...]:
    """Return (name, whether a reason stands beside it) of each field that is not itself a reason."""
    hints = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    return tuple((n, f"{n}_reason" in hints) for n in names if not n.endswith("_reason"))


def problem(value: Any, where: str = "record") -> str | None:
    """Return the first thing in `value` that a record may not hold, as a message, or None.

    Checks that numbers are finite and that each nullable field has either a value or a reason.
    """
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{where} is {value}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for name, nullable in _fields(type(value)):
            inner = getattr(value, name)
            if nullable and (inner is None) == (getattr(value, f"{name}_reason") is None):
                return f"{where}.{name} and {where}.{name}_reason must be exactly one of them None"
            if message := problem(inner, f"{where}.{name}"):
                return message
        return None
    if isinstance(value, dict):
        items = [(f"{where}.{k}", v) for k, v in value.items()]
    elif isinstance(value, (tuple, list)):
        items = [(f"{where}[{i}]", v) for i, v in enumerate(value)]
    else:
        return None
    return next((message for at, v in items if (message := problem(v, at))), None)


def unknown(reason: str, *names: str) -> types.MappingProxyType[str, Any]:
    """Return keyword arguments that leave each of `names` unknown: Compute(..., **unknown(reason, ...))."""
    pairs = dict.fromkeys(names) | {f"{name}_reason": reason for name in names}
    return types.MappingProxyType(pairs)


def known(**values: Any) -> types.MappingProxyType[str, Any]:
    """Return keyword arguments for nullable fields that are known: value set, reason None."""
    return types.MappingProxyType(values | {f"{name}_reason": None for name in values})
