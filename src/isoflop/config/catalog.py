"""All settings with type, default and explanation, from the sources that composition itself uses.

Keys, types and ranges are those of the dataclasses (schema.py), an explanation is the string below its
attribute, and defaults, options and what they set are read from the files of the Hydra groups. From this are
made `isoflop config`, docs/settings.md and the completion of the shell. Hydra itself is not needed.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from isoflop.config import value_types
from isoflop.config.attribute_texts import attribute_texts
from isoflop.config.data import DATA_MAY_TAKE, DATA_TAKES
from isoflop.config.errors import ConfigError, did_you_mean
from isoflop.config.keys import PRESETS, flatten
from isoflop.config.lever import LEVER_MAY_TAKE, LEVER_TAKES
from isoflop.config.model import MODEL_MAY_TAKE, MODEL_TAKES
from isoflop.config.schema import Config
from isoflop.config.training import OPTIM_TAKES

ROOT = "config.yaml"
GLOBAL = "@package _global_"
"""First line of an option that sets keys of several groups."""
TAKES: Mapping[str, tuple[Mapping[str, tuple[str, ...]], ...]] = {
    "model": (MODEL_TAKES, MODEL_MAY_TAKE),
    "data": (DATA_TAKES, DATA_MAY_TAKE),
    "optim": (OPTIM_TAKES,),
    "lever": (LEVER_TAKES, LEVER_MAY_TAKE),
}
"""Group -> which keys its kinds need or may have."""


@dataclasses.dataclass(frozen=True)
class Key:
    """One setting.

    Attributes:
        key: dotted, as an override writes it.
        schema: JSON Schema of its values.
        text: explanation.
        taken_by: kinds of the group (families, sets, optimizers) that take it; empty where all do.
    """

    key: str
    schema: dict[str, Any]
    text: str
    taken_by: tuple[str, ...]

    @property
    def group(self) -> str:
        """The Hydra group, or `seed` and `out` of themselves."""
        return self.key.partition(".")[0]


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a group, a file in its folder.

    Attributes:
        group: the group.
        name: of the option: GROUP=NAME chooses it.
        command: an example, with its expected time where the file says one; empty where there is none.
        text: what the file says of it.
        settings: dotted key -> value that it sets; a key without a dot is a group, its value an option of it.
    """

    group: str
    name: str
    command: str
    text: str
    settings: dict[str, Any]


@functools.cache
def all_keys() -> tuple[Key, ...]:
    """Return every setting that an override can set, in the order of the configuration."""
    return tuple(_keys(Config, ""))


def _keys(kind: type, prefix: str) -> Iterator[Key]:
    texts = attribute_texts(kind)
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from _keys(hint, f"{prefix}{name}.")
            continue
        schema = value_types.json_schema(hint)
        if not value_types.is_read_only(schema):
            yield Key(f"{prefix}{name}", schema, texts.get(name, ""), _taken_by(prefix.rstrip("."), name))


def _taken_by(group: str, name: str) -> tuple[str, ...]:
    tables = TAKES.get(group, ())
    return tuple(dict.fromkeys(kind for table in tables for kind, names in table.items() if name in names))


@functools.cache
def group_texts() -> dict[str, str]:
    """Return each Hydra group with what it is about, in the order of the configuration."""
    texts = attribute_texts(Config)
    sections = {name: hint for name, hint in typing.get_type_hints(Config).items() if _is_section(hint)}
    return {name: texts.get(name, "") for name in sections} | dict(PRESETS)


def _is_section(hint: Any) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def folders(config_dir: str | None = None) -> tuple[Path, ...]:
    """Return the folders of Hydra groups: the user's own, if there is one, before the shipped one."""
    from isoflop.config.compose import conf_dir

    own = (Path(config_dir),) if config_dir is not None and Path(config_dir).is_dir() else ()
    return (*own, conf_dir())


def check_folder(config_dir: str | None) -> None:
    """Refuse a folder of the user's own groups that is not there. Raises ConfigError."""
    if config_dir is not None and not Path(config_dir).is_dir():
        raise ConfigError(f"--config-dir {config_dir}: there is no such folder")


def default_options() -> dict[str, str]:
    """Return group -> the option that is chosen by default."""
    import yaml

    chosen: dict[str, str] = {}
    for each in yaml.safe_load((folders()[-1] / ROOT).read_text(encoding="utf-8"))["defaults"]:
        if isinstance(each, Mapping):
            chosen |= {key: value for key, value in each.items() if key in group_texts()}
    return chosen


def option_names(group: str, config_dir: str | None = None) -> tuple[str, ...]:
    """Return the options of a group, the default first."""
    found = {path.stem for folder in folders(config_dir) for path in (folder / group).glob("*.yaml")}
    default = default_options().get(group)
    return tuple(sorted(found, key=lambda name: (name != default, name)))


@functools.cache
def option(group: str, name: str, config_dir: str | None = None) -> Option:
    """Return an option as its file describes it.

    Raises:
        ConfigError: the file cannot be read.
    """
    path = next(path for folder in folders(config_dir) if (path := folder / group / f"{name}.yaml").is_file())
    comments = _first_comments(path)
    is_global = GLOBAL in comments
    comments = [each for each in comments if each != GLOBAL]
    command = comments.pop(0) if comments and comments[0].startswith("isoflop ") else ""
    settings = _settings(path, "" if is_global else f"{group}.")
    return Option(group, name, command, " ".join(comments), settings)


def _first_comments(path: Path) -> list[str]:
    comments = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comments.append(line.lstrip("# ").strip())
    return comments


def _settings(path: Path, prefix: str) -> dict[str, Any]:
    """Return dotted key -> value of an option's file, interpolations as they are written.

    `prefix` is GROUP and a dot, or nothing where the file sets keys of several groups.
    Its list of defaults is followed as far as the shipped files use it: a plain name is an option of the same
    group that it begins from, `override /GROUP: NAME` chooses one of another group.
    """
    from isoflop.config.compose import read_yaml

    raw = read_yaml(path, f"option {path.parent.name}/{path.stem}", resolve=False)
    settings: dict[str, Any] = {}
    for each in raw.pop("defaults", None) or ():
        if isinstance(each, Mapping):
            settings |= {key.removeprefix("override").strip(" /"): value for key, value in each.items()}
        elif each != "_self_" and (base := path.with_name(f"{each}.yaml")).is_file():
            settings |= _settings(base, prefix)
    return settings | dict(flatten(raw, prefix))


@functools.cache
def defaults() -> dict[str, Any]:
    """Return key -> value without overrides, interpolations as they are written.

    Raises:
        ConfigError: a file of the groups cannot be read.
    """
    from isoflop.config.compose import read_yaml

    root = read_yaml(folders()[-1] / ROOT, ROOT, resolve=False)
    values = {key: root[key] for key in ("seed", "out")}
    for group, name in default_options().items():
        values |= option(group, name).settings
    return {each.key: values.get(each.key) for each in all_keys()}


def by_option(key: Key, config_dir: str | None = None) -> dict[str, Any]:
    """Return option -> value of a key, for the options of its group that set it to other than the default.

    A sweep's are left out, as they set keys of every group, and so is a key that is the option's name.
    """
    if key.group not in group_texts() or key.group == "sweep":
        return {}
    default = defaults()[key.key]
    named = {name: option(key.group, name, config_dir) for name in option_names(key.group, config_dir)}
    values = {name: each.settings.get(key.key, default) for name, each in named.items()}
    return {
        name: value
        for name, value in values.items()
        # null of a kind that does not take the key says nothing.
        if value not in (default, name) and not (value is None and key.taken_by and name not in key.taken_by)
    }


def written(value: Any) -> str:
    """Return a value as an override or a file writes it: null, true, [0.9,0.99]."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}: {written(each)}' for key, each in value.items())}}}"
    return str(value)


def first_sentence(text: str) -> str:
    """Return a text up to the end of its first sentence; the stop is followed by a capital."""
    return re.split(r"(?<=\.) (?=[A-Z])", text, maxsplit=1)[0]


def plain(found: Sequence[Key], name: str | None, config_dir: str | None) -> dict[str, Any]:
    """Return keys and their groups as JSON has them.

    Args:
        found: the keys.
        name: the group that was asked for, None for all: the groups to tell of, where no key does.
        config_dir: a folder of the user's own groups.
    """
    asked = {each.group for each in found} | ({name} if name else set(PRESETS))
    groups = [
        {
            "group": group,
            "text": text,
            "default": default_options().get(group),
            "options": [option(group, each, config_dir) for each in option_names(group, config_dir)],
        }
        for group, text in group_texts().items()
        if group in asked
    ]
    values = [
        {
            **dataclasses.asdict(each),
            "type": value_types.described(each.schema),
            "default": defaults()[each.key],
            "by_option": by_option(each, config_dir),
        }
        for each in found
    ]
    return {"groups": groups, "keys": values}


def matching(name: str, config_dir: str | None = None) -> tuple[Key, ...] | Option:
    """Return what `isoflop config NAME` is about: the keys of a group or section, one key, or one option.

    Raises:
        ConfigError: there is no such group, option or key; the message names the nearest.
    """
    group, _, choice = name.partition("/")
    if choice and group in group_texts() and choice in option_names(group, config_dir):
        return option(group, choice, config_dir)
    found = tuple(each for each in all_keys() if each.key == name or each.key.startswith(f"{name}."))
    if found or name in group_texts():
        return found
    raise ConfigError(_unknown(name, config_dir))


def _unknown(name: str, config_dir: str | None) -> str:
    if "=" in name:
        return f"{name}: give a group, GROUP/OPTION or a key: isoflop run {name} --cfg job shows what it sets"
    options = [f"{group}/{each}" for group in group_texts() for each in option_names(group, config_dir)]
    known = [*group_texts(), *(each.key for each in all_keys()), *options]
    return f"no group, option or key is called {name}{did_you_mean(name, known)}: see isoflop config"
