"""The catalog of settings agrees with what composition gives, and explains every key."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from isoflop import config
from isoflop.config import catalog, compose, value_types
from isoflop.config.attribute_texts import attribute_texts
from isoflop.config.errors import ConfigError


def composed(*overrides: str) -> dict[str, Any]:
    """Key -> value as Hydra composes it, interpolations as they are written."""
    compose.register_resolvers()
    with initialize_config_dir(str(compose.conf_dir()), version_base="1.3"):
        made = hydra_compose("config", overrides=list(overrides))
    raw: Any = OmegaConf.to_container(made, resolve=False)
    return dict(config.flatten(raw))


def test_every_setting_is_explained_in_a_sentence() -> None:
    bare = [key.key for key in catalog.all_keys() if not key.text.endswith(".")]
    assert not bare, f"give these a string below the attribute: {bare}"
    assert all(text.endswith(".") for text in catalog.group_texts().values())


def test_every_option_says_what_it_is_and_how_it_is_used() -> None:
    options = [catalog.option(group, name) for group in catalog.group_texts() for name in named(group)]
    assert all(each.command.startswith("isoflop ") for each in options)
    # Two of them are their names.
    assert {f"{each.group}/{each.name}" for each in options if not each.text} == {"precision/fp32"}


def named(group: str) -> tuple[str, ...]:
    return catalog.option_names(group)


def test_the_keys_are_all_but_those_that_isoflop_sets_itself() -> None:
    keys = {key.key for key in catalog.all_keys()}
    assert set(config.names()) - keys == {
        *("model.sha256", "data.sha256", "lever.sha256"),
        *("lever.search_id", "lever.baseline_width", "lever.baseline_depth"),
    }
    assert keys < set(config.names())


def test_the_defaults_are_those_that_hydra_composes() -> None:
    made = composed()
    assert catalog.defaults() == {key.key: made[key.key] for key in catalog.all_keys()}


@pytest.mark.parametrize(
    "option", ["launch/slurm", "model/vit", "data/text", "tracker/wandb", "cost/us_2023"]
)
def test_an_option_sets_what_hydra_composes(option: str) -> None:
    group, _, name = option.partition("/")
    made, settings = composed(f"{group}={name}"), catalog.option(group, name).settings
    assert settings
    assert {key: made[key] for key in settings} == settings


def test_the_options_of_a_group_begin_with_its_default() -> None:
    chosen = catalog.default_options()
    assert set(chosen) == set(catalog.group_texts())
    for group, default in chosen.items():
        files = {path.stem for path in (compose.conf_dir() / group).glob("*.yaml")}
        assert catalog.option_names(group)[0] == default
        assert set(catalog.option_names(group)) == files


def test_a_recipe_shows_the_groups_that_it_chooses() -> None:
    settings = catalog.option("recipe", "language").settings
    assert settings["model"] == "gpt"
    assert settings["optim.lr"] == 0.04


def test_values_of_other_options_are_those_of_kinds_that_take_the_key() -> None:
    found = {key.key: catalog.by_option(key) for key in catalog.all_keys() if key.group in ("model", "optim")}
    assert found["model.patch"] == {"convmixer": 2, "vit": 4}
    assert found["model.depth"] == {"convmixer": 4, "custom": None, "resnet": 1, "vit": 4}
    assert found["optim.betas"] == {}  # sgd has none
    assert found["model.family"] == {}


def test_a_folder_of_the_users_own_adds_options(tmp_path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.yaml").write_text("# My model.\nfamily: mlp\nwidth: 7\n")
    assert "mine" in catalog.option_names("model", str(tmp_path))
    mine = catalog.matching("model/mine", str(tmp_path))
    assert isinstance(mine, catalog.Option)
    assert (mine.command, mine.text, mine.settings["model.width"]) == ("", "My model.", 7)
    with pytest.raises(ConfigError, match="model/mine"):
        catalog.matching("model/mine")


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        (Annotated[int, msgspec.Meta(ge=1)] | None, "integer >= 1, or null", ("null",)),
        (Annotated[float, msgspec.Meta(gt=0, le=1)], "number > 0, <= 1", ()),
        (Literal["b", "a"] | None, "a | b, or null", ("a", "b", "null")),
        (int | Literal["auto"], "integer, or auto", ("auto",)),
        (bool, "true or false", ("true", "false")),
        (str, "text", ()),
        (tuple[Annotated[float, msgspec.Meta(lt=1)], ...], "list of number < 1", ()),
        (tuple[int, int], "list of 2: integer", ()),
        (list[dict[str, Any]], "list", ()),
        (dict[str, Any], "mapping", ()),
    ],
    ids=str,
)
def test_types_in_words_and_values(kind: Any, text: str, values: tuple[str, ...]) -> None:
    schema = value_types.json_schema(kind)
    assert value_types.described(schema) == text
    assert value_types.listed_values(schema) == values


def test_only_files_are_paths() -> None:
    paths = {key.key for key in catalog.all_keys() if value_types.is_path(key.schema)}
    assert {"out", "data.root", "data.path", "model.path"} < paths
    assert not {"tracker.path", "sweep.name", "model.width"} & paths


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), ([0.9, 0.99], "[0.9,0.99]"), ({"a": [1]}, "{a: [1]}"), (1.5, "1.5")],
)
def test_values_are_written_as_in_an_override(value: object, text: str) -> None:
    assert catalog.written(value) == text


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("ConvMixer (Trockman and Kolter 2022). Width.", "ConvMixer (Trockman and Kolter 2022)."),
        ("A file such as .gz or .xz.", "A file such as .gz or .xz."),
        ("", ""),
    ],
)
def test_first_sentences(text: str, first: str) -> None:
    assert catalog.first_sentence(text) == first


class _Documented:
    """A class."""

    first: int = 1
    """What the first
    is."""
    second: int = 2
    third: str


def test_strings_below_attributes() -> None:
    assert attribute_texts(_Documented) == {"first": "What the first is."}
