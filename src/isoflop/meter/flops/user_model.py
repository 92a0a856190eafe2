"""Models that a function of the user's builds, to be counted: on the meta device where that is possible."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import nn

from isoflop.config import ConfigError
from isoflop.config.user_code import load as user_code
from isoflop.config.user_code.load import Loaded
from isoflop.meter.flops.twin import build_on_meta


@dataclasses.dataclass(frozen=True)
class UserModel:
    """A model, on the meta device if it can be built there, and what its reader should know of its file."""

    model: nn.Module
    notes: tuple[str, ...]


def is_users(name: str) -> bool:
    """Return whether NAME refers to a function of the user's, not to our families or torchvision's."""
    head, colon, _ = name.partition(":")
    return head.endswith(".py") or (bool(colon) and head != "torchvision")


def load(name: str, offered: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> UserModel:
    """Import the file or module and return what its function builds.

    Args:
        name: path/to/file.py:function or package.module:function.
        offered: what the function may ask for, by the names of its parameters.
        given: further arguments.

    Raises:
        ConfigError: no such file, module or function, the code fails or ends the process, or it does not
            return a module.
    """
    loaded = user_code.load(name)
    model = _build(loaded, offered, given or {})
    shown = loaded.located.shown
    read = f"{shown} reads the command line: it was given none, so that its defaults count"
    return UserModel(model, (read,) if loaded.reads_arguments else ())


def _build(loaded: Loaded, offered: Mapping[str, Any], given: Mapping[str, Any]) -> nn.Module:
    try:
        model: Any = build_on_meta(lambda: user_code.call(loaded, offered, given))
    except Exception:  # it may need its weights' values; if broken, the second call says so
        model = user_code.call(loaded, offered, given)
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{loaded.name} returned {type(model).__name__}, not a torch.nn.Module")
    return model
