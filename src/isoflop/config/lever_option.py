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
    `raw`. What is given for a lever beside its name (lever.path, lever.rounds) is kept where this one takes
    it; `none` takes nothing.

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
    changed = dict(raw) | {GROUP: _NOTHING}
    for section, values in _resolved(changed, merged).items():
        changed[section] = {**changed.get(section, {}), **values}
    changed[GROUP] |= _given(raw.get(GROUP, {}), merged[GROUP].get("kind", "settings"))
    return changed


_NOTHING: dict[str, Any] = dataclasses.asdict(LeverConfig())


def _given(lever: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return what `lever` says beyond the file of its own option, as far as a lever of `kind` takes it."""
    name = lever.get("name")
    known = name in catalog.option_names(GROUP)
    own = catalog.option(GROUP, str(name)).settings if known else {}
    taken = (*LEVER_TAKES[kind], *LEVER_MAY_TAKE.get(kind, ()))
    values = {key: lever.get(key) for key in taken}
    return {k: v for k, v in values.items() if v is not None and v != own.get(f"{GROUP}.{k}")}


def _resolved(raw: Mapping[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with every `${...}` replaced by what it stands for in `raw` with these settings."""
    if "${" not in str(settings):
        return settings
    from isoflop.config.compose import resolved

    plain = resolved({key: value for key, value in raw.items() if isinstance(value, Mapping)}, settings)
    return {section: {name: plain[section][name] for name in values} for section, values in settings.items()}
