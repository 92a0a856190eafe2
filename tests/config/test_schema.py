from __future__ import annotations

import copy
import dataclasses
import functools
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from isoflop import config
from isoflop.config import compose, keys, schema

CONF = compose.conf_dir()
GROUP_FILES = sorted(path.relative_to(CONF) for path in CONF.glob("*/*.yaml"))


@functools.cache
def defaults() -> dict[str, Any]:
    return config.to_dict(compose.compose_config([], None))


def plain() -> dict[str, Any]:
    return copy.deepcopy(defaults())


def changed(key: str, value: Any) -> dict[str, Any]:
    raw = plain()
    section: Any = raw
    *folders, name = key.split(".")
    for folder in folders:
        section = section[folder]
    section[name] = value
    return raw


PARTNERS = {
    "model=gpt": ["recipe=language"],
    "data=python": ["recipe=language"],
    "data=text": ["recipe=language", "data.path=books.txt"],
    "sweep=isoflop_lm": ["data.path=books.txt"],
    "lever=repetition": ["schedule=steps"],
    "model=custom": [f"model.path={CONF.parent}/examples/custom/net.py:build"],
    "lever=custom": [f"lever.path={CONF.parent}/examples/custom/lever.py:apply"],
    "data=custom": [f"data.path={CONF.parent}/examples/custom/data.py:load"],
}
"""Group files that go together with certain others only."""


@pytest.mark.parametrize("path", GROUP_FILES, ids=str)
def test_every_group_file_composes_into_a_config(path: Path) -> None:
    group = f"{path.parent}={path.stem}"
    made = compose.compose_config([*PARTNERS.get(group, ()), group], None)
    assert made.model.family in schema.MODEL_TAKES


@pytest.mark.parametrize("path", GROUP_FILES, ids=str)
def test_every_group_file_begins_with_the_command_that_uses_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CONF.parent)
    lines = (CONF / path).read_text().splitlines()
    first = next(line for line in lines if not line.startswith("# @package"))
    command = re.match(r"# isoflop (run|sweep)\b ?(.*?)(\s{2,}\(.*\))?$", first)
    assert command, first
    compose.compose_config(shlex.split(command[2]), None)


def test_a_config_survives_the_way_to_plain_values_and_back() -> None:
    made = compose.compose_config(["sweep=digits", "optim=sgd"], None)
    assert config.from_dict(config.to_dict(made)) == made


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("model.widht", 3, "unknown key model.widht: did you mean model.width?"),
        ("sede", 3, "did you mean seed?"),
        ("model.width", "wide", "model.width=wide: expected int"),
        ("model.width", -4, "model.width=-4: expected int >= 1"),
        ("model.width", 0, "model.width=0: expected int >= 1"),
        ("model.width", 2.5, "model.width=2.5: expected int"),
        ("model.width", None, "mlp needs width"),
        ("optim.lr", float("nan"), "optim.lr"),
        ("optim.lr", float("inf"), "optim.lr is inf"),
        ("optim.lr", -0.1, "expected float > 0"),
        ("optim.name", "adma", "expected one of sgd, adamw"),
        ("optim.momentum", 0.9, "adamw takes no momentum"),
        ("schedule.steps", 5, "exactly one of epochs, steps and train_gflops"),
        ("schedule.decay_fraction", 0.99, "must not exceed 1"),
        ("data.fraction", 0, "data.fraction=0: expected float > 0"),
        ("data.fraction", 1.5, "expected float <= 1"),
        ("cost.dollars_per_kwh", 0.2, "a cost factor needs its source"),
        ("sweep.name", "a/b", "sweep.name"),
    ],
)
def test_bad_values_are_refused_in_one_line_that_names_the_key(key: str, value: Any, words: str) -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.from_dict(changed(key, value))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", 1), ("model.width", 33), ("optim.lr", 0.1), ("data.fraction", 0.5), ("schedule.epochs", 3)],
)
def test_run_id_changes_with_what_changes_the_result(key: str, value: Any) -> None:
    assert config.from_dict(changed(key, value)).run_id != config.from_dict(plain()).run_id


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("out", "elsewhere"),
        ("data.root", "elsewhere"),
        ("launch.workers", 7),
        ("meter.energy", "none"),
        ("tracker.name", "csv"),
        ("schedule.epochs", 20),  # an integer for the same float
    ],
)
def test_run_id_does_not_change_with_what_does_not(key: str, value: Any) -> None:
    assert config.from_dict(changed(key, value)).run_id == config.from_dict(plain()).run_id


def test_config_id_joins_seeds_and_only_seeds() -> None:
    one, two = config.from_dict(changed("seed", 1)), config.from_dict(changed("seed", 2))
    assert one.config_id == two.config_id
    assert config.from_dict(changed("model.depth", 3)).config_id != one.config_id


def test_names_and_groups_cover_the_yaml_files() -> None:
    assert {path.parent.name for path in GROUP_FILES} == {*config.groups(), *keys.PRESETS}
    assert "model.width" in set(config.names())
    assert {f.name for f in dataclasses.fields(config.Config)} == {n.split(".")[0] for n in config.names()}
