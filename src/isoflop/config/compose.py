"""The only importer of Hydra: overrides composed into one frozen Config, and Hydra's own multirun."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from isoflop.config import catalog, lever_option
from isoflop.config.convert import from_dict, to_dict
from isoflop.config.errors import did_you_mean
from isoflop.config.identity import LEVER
from isoflop.config.keys import (
    ARGUMENTS,
    PRESETS,
    check_names,
    current_name,
    flatten,
    groups,
    with_current_names,
)
from isoflop.config.schema import Config, ConfigError

_NO_AXIS = (
    "a sweep's axis is a value, not a group: give one {key}",
    "several data sets would be fitted as one curve: give the command once for each, with one {key}",
)
ADDED = ("sweep.", *(f"{key}." for key in ARGUMENTS))
"""Beginnings of keys that no file of the defaults has, which Hydra adds only when asked."""


def compose_config(overrides: Sequence[str], config_dir: str | None) -> Config:
    """Compose the overrides into one frozen Config.

    Raises:
        ConfigError: an override that names nothing, or gives a value that cannot be.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    parsed = tuple(parse_overrides(overrides))
    register_resolvers()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            composed = compose("config", overrides=[*_searchpath(config_dir), *_translate(parsed)])
            raw = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_unknown_option(parsed, config_dir) or _brief(error)) from error
    assert isinstance(raw, dict)
    if raw["out"] is None:
        raise ConfigError("out is null: give the folder of the records, out=. for the present one")
    # A name may look like a number: out=2026.
    raw["out"], raw["sweep"]["name"] = _as_text(raw["out"]), _as_text(raw["sweep"]["name"])
    # A file of the user's own may hold an old name beside the new one of the defaults.
    plain = {str(key): value for key, value in raw.items()}
    plain = with_current_names(plain, explicit={each.key_or_group for _, each in parsed})
    try:
        return from_dict(plain)
    except ConfigError:
        if not (from_axes := _set_by_axes(plain)):
            raise
    return from_dict(plain | from_axes)


def _unknown_option(overrides: Iterable[tuple[str, Any]], config_dir: str | None) -> str | None:
    """Return the line for the first override with an option that its group does not have, if there is one."""
    for text, parsed in overrides:
        group = parsed.key_or_group
        if group not in catalog.group_texts() or not isinstance(value := parsed.value(), str):
            continue
        known = catalog.option_names(group, config_dir)
        if not any((folder / group / f"{value}.yaml").is_file() for folder in catalog.folders(config_dir)):
            return f"{text}: {group} has no such option{did_you_mean(value, known)}: {', '.join(known)}"
    return None


def _as_text(value: Any) -> Any:
    """Return a number as text; null stays, for from_dict to refuse."""
    return str(value) if isinstance(value, (int, float)) else value


def _set_by_axes(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the sections in which an axis of the grid sets what is null, with the first value of the axis.

    The configuration of a sweep need be no run: in `data=text data.path=a,b` only its runs have a path.
    """
    changed: dict[str, Any] = {}
    for key, values in flatten(raw["sweep"].get("grid") or {}):
        if key == LEVER and isinstance(values, list) and values:
            # What the command line says of a lever (lever.path) is of one of the axis, not of the baseline.
            changed = _with_any_lever(raw, values)
            continue
        section, _, name = key.partition(".")
        settings = changed.get(section, raw.get(section))
        if (
            isinstance(settings, dict)
            and settings.get(name, ...) is None
            and isinstance(values, list)
            and values
        ):
            changed[section] = settings | {name: values[0]}
    return changed


def _with_any_lever(raw: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return what the first lever sets that takes all that is given for one; nothing where none does."""
    given = {key for key, value in raw[LEVER].items() if value is not None and key not in ("name", "kind")}
    for name in names:
        changed = lever_option.with_lever(raw, name)
        if all(changed[LEVER][key] is not None for key in given):
            return changed
    return {}


def register_resolvers() -> None:
    """Let configuration files say `${by:KEY,{A: x, B: y},z}`: x where KEY is A, y where it is B, else z."""
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("by", lambda key, table, other: table.get(key, other), replace=True)


def resolved(base: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `settings` on top, every `${...}` replaced by what it stands for.

    Raises:
        ConfigError: an interpolation names nothing.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    register_resolvers()
    try:
        whole = OmegaConf.merge(OmegaConf.create(dict(base)), OmegaConf.create(dict(settings)))
        plain: Any = OmegaConf.to_container(whole, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_brief(error)) from error
    return {str(key): value for key, value in plain.items()}


def _brief(error: Exception) -> str:
    """Return Hydra's message on one line, without its search path."""
    return " ".join(str(error).partition("Config search path")[0].split())


def _searchpath(config_dir: str | None) -> list[str]:
    if config_dir is None:
        return []
    catalog.check_folder(config_dir)
    return [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"]


def parse_overrides(overrides: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield (text, Hydra's parse of it) of each override, after checking its name; old names are replaced.

    Raises:
        ConfigError: a name that is not in the configuration, or something that is no override.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for text in map(_with_current_name, overrides):
        try:
            parsed = parser.parse_override(text)
        except HydraException as error:
            raise ConfigError(f"{text}: not an override: write key=value") from error
        key = parsed.key_or_group
        if key.split(".")[0] != "hydra" and not key.startswith("hydra/"):
            check_names([key], also=(*groups(), *PRESETS))
        yield text, parsed


def _with_current_name(text: str) -> str:
    """Return an override under the key's new name: `a.old=1` as `a.new=1`, `++` and `~` before it kept."""
    key, equals, value = text.partition("=")
    name = key.lstrip("+~")
    return f"{key.removesuffix(name)}{current_name(name)}{equals}{value}" if name else text


def _translate(overrides: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """Yield parsed overrides as Hydra takes them; `model.width=8,16` becomes an axis of the grid."""
    for text, parsed in overrides:
        key = parsed.key_or_group
        if parsed.is_sweep_override():
            if key in (*groups(), *PRESETS) and key != LEVER:
                raise ConfigError(f"{text}: {_NO_AXIS[key == 'data'].format(key=key)}")
            values = ",".join(str(value) for value in parsed.sweep_string_iterator())
            yield f"++sweep.grid.{key}=[{values}]"
        elif key.startswith(ADDED) and not text.startswith(("+", "~")):
            yield f"++{text}"
        else:
            yield text


def read_yaml(path: Path, named: str, *, resolve: bool = True) -> dict[str, Any]:
    """Return the top level of a YAML file as Hydra would read it: `1e-8` is a number, a key may stand once.

    Args:
        path: of the file.
        named: what a message calls it.
        resolve: resolve interpolations; else they stay as they are written.

    Raises:
        ConfigError: the file is no YAML, or holds no keys with values.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        raw = OmegaConf.to_container(OmegaConf.load(path), resolve=resolve, throw_on_missing=resolve)
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{named}: {path} is no YAML that can be read: {_brief(error)}") from error
    except OSError as error:
        # OmegaConf refuses a file of one number or word so; what the system refuses has a number.
        if error.errno is not None:
            raise
        raw = None
    if not isinstance(raw, dict):
        raise ConfigError(f"{named}: {path} holds no keys: write KEY: VALUE, one a line")
    return {str(key): value for key, value in raw.items()}


def to_yaml(config: Config) -> str:
    """Return a configuration as YAML."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(to_dict(config)))


def from_hydra(composed: Any) -> Config:
    """Return what Hydra hands to a job as a Config. Raises ConfigError."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    raw: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    # A launcher may run the job elsewhere: paths are relative to where the command was typed.
    return from_dict(raw, Path(HydraConfig.get().runtime.cwd) if HydraConfig.initialized() else None)


def multirun(arguments: Sequence[str], config_dir: str | None, task: Callable[[Any], None]) -> None:
    """Run `task` on every composed configuration under the launcher and sweeper the user configures.

    Raises:
        ConfigError: a value cannot be used, or Hydra refuses the arguments; no job has run.
    """
    import hydra

    register_resolvers()
    arguments = [
        f"++{text}" if parsed.key_or_group.startswith(ADDED[1:]) and text[0] not in "+~" else text
        for text, parsed in parse_overrides(arguments)
    ]
    _try_each_value(arguments, config_dir)
    os.environ["HYDRA_FULL_ERROR"] = "1"
    before, sys.argv = sys.argv, ["isoflop", "--multirun", *_searchpath(config_dir), *arguments]
    try:
        hydra.main(config_path=str(conf_dir()), config_name="config", version_base="1.3")(task)()
    except hydra.errors.HydraException as error:
        raise ConfigError(_brief(error)) from error
    finally:
        sys.argv = before


def _try_each_value(arguments: Sequence[str], config_dir: str | None) -> None:
    """Compose each value of each sweep override once, so that a bad one is found before any job runs."""
    parsed = dict(parse_overrides(arguments))
    fixed = [text for text, override in parsed.items() if not override.is_sweep_override()]
    for override in (each for each in parsed.values() if each.is_sweep_override()):
        for value in override.sweep_string_iterator():
            compose_config([*fixed, f"{override.get_key_element()}={value}"], config_dir)


def conf_dir() -> Path:
    """The folder of Hydra groups: inside the package in a wheel, at the top of the project otherwise."""
    packed = Path(__file__).parents[1] / "conf"
    return packed if packed.is_dir() else Path(__file__).parents[3] / "conf"
