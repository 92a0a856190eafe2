"""The settings of an option lever=NAME on top of a configuration, for sweeps of several levers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from isoflop.config import catalog
from isoflop.config.errors import ConfigError, did_you_mean
from isoflop.config.keys import unflatten
from isoflop.config.lever import LEVER_MAY_TAKE, LEVER_TAKES, LeverConfig

GROUP = "lever"


def with_lever(raw: Mapping[str, Any], name: Any) -> dict[str, Any]:
    """Return nested settings with those of an option, as Hydra would compose them.

    Options of other groups that it chooses come first, then its own keys. `${...}` in its file names a key of
    `raw`. What `raw` says of a lever is kept where this one takes it and its file leaves it open
    (lever.path); `none` takes nothing.

    Raises:
        ConfigError: there is no such option.
    """
    known = catalog.option_names(GROUP)
    if name not in known:
        raise ConfigError(f"lever={name}: lever has no such option{did_you_mean(str(name), known)}")
    settings = catalog.option(GROUP, name).settings
    chosen = {key: value for key, value in settings.items() if "." not in key}
    options = [catalog.option(group, option).settings for group, option in chosen.items()]
    own = {key: value for key, value in settings.items() if "." in key}
    merged = unflatten({key: value for each in (*options, own) for key, value in each.items()})
    open_keys = _left_open(raw.get(GROUP, {}), merged[GROUP])
    changed = dict(raw) | {GROUP: _NOTHING}
    for section, values in _resolved(changed, merged).items():
        changed[section] = {**changed.get(section, {}), **values}
    changed[GROUP] |= open_keys
    return changed


_NOTHING: dict[str, Any] = dataclasses.asdict(LeverConfig())


def _left_open(given: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given for a lever, as far as its kind takes it and its file is silent."""
    kind = own.get("kind", "settings")
    taken = (*LEVER_TAKES[kind], *LEVER_MAY_TAKE.get(kind, ()))
    return {key: given[key] for key in taken if given.get(key) is not None and own.get(key) is None}


def _resolved(raw: Mapping[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with every `${...}` replaced by what it stands for in `raw` with these settings."""
    if "${" not in str(settings):
        return settings
    from isoflop.config.compose import resolved

    plain = resolved({key: value for key, value in raw.items() if isinstance(value, Mapping)}, settings)
    return {section: {name: plain[section][name] for name in values} for section, values in settings.items()}
