"""isoflop config, --cfg job, and the help that lists the groups."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from isoflop import config
from isoflop.cli import main, output
from isoflop.config import catalog, compose

Printed = Callable[..., str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """printed(*arguments) -> what a command prints."""

    def run(*arguments: str) -> str:
        assert main.main(list(arguments)) == output.DONE
        return capsys.readouterr().out

    return run


def test_every_key_is_listed_with_default_type_and_explanation(printed: Printed) -> None:
    lines = printed("config").splitlines()
    for key in catalog.all_keys():
        assignment = f"{key.key}={catalog.written(catalog.defaults()[key.key])}"
        (at,) = [i for i, line in enumerate(lines) if line.split("  ")[0] == assignment]
        assert lines[at + 1].startswith(f"    {key.text.split()[0]}"), key.key
    assert any(line.split() == ["model.width=32", "integer", ">=", "1,", "or", "null"] for line in lines)
    assert "  optim=OPTION: adamw (default), muon, sgd" in lines


def test_a_group_lists_its_options_and_only_its_keys(printed: Printed) -> None:
    text = printed("config", "schedule")
    assert "  schedule=epochs (default)  Warm-up, stable, decay" in text
    assert "schedule.cooldowns=[]" in text
    assert "optim.lr" not in text


def test_a_key_shows_its_value_in_every_option(printed: Printed) -> None:
    text = printed("config", "model.patch")
    assert text.splitlines()[0] == "model.patch=null"
    assert "    model=vit: 4" in text
    assert "[convmixer, vit]" in text


def test_an_option_shows_its_command_and_what_it_sets(printed: Printed) -> None:
    text = printed("config", "recipe/language")
    assert "$ isoflop run recipe=language" in text
    assert "optim.lr=0.04" in text.splitlines()
    assert "model=gpt" in text.splitlines()


def test_a_section_of_a_group(printed: Printed) -> None:
    text = printed("config", "launch.slurm")
    assert "launch.slurm.gres=null" in text
    assert "launch.workers" not in text


def test_json_has_groups_with_options_and_keys_with_schema(printed: Printed) -> None:
    whole = json.loads(printed("config", "--json", "-"))
    assert {each["group"] for each in whole["groups"]} == set(catalog.group_texts())
    keys = {each["key"]: each for each in whole["keys"]}
    assert len(keys) == len(catalog.all_keys())
    rate = keys["optim.lr"]
    assert (rate["default"], rate["by_option"], rate["type"]) == (0.003, {"sgd": 0.1}, "number > 0")
    assert rate["schema"] == {"type": "number", "exclusiveMinimum": 0}
    one = json.loads(printed("config", "model/vit", "--json", "-"))
    assert one["settings"]["model.patch"] == 4


@pytest.mark.parametrize("verb", ["run", "sweep"])
def test_cfg_prints_what_the_overrides_compose_and_trains_nothing(
    verb: str, here: Path, printed: Printed
) -> None:
    overrides = ["model=vit", "data=cifar10", "optim.lr=0.5", "sweep.name=mine"]
    shown = yaml.safe_load(printed(verb, *overrides, "--cfg", "job"))
    assert config.from_dict(shown) == compose.compose_config(overrides, None)
    assert not list(here.iterdir())


def test_cfg_of_a_sweep_has_its_axes_and_of_a_multirun_too(printed: Printed, here: Path) -> None:
    of_sweep = yaml.safe_load(printed("sweep", "sweep=digits", "model.width=4,8", "-c", "job"))
    assert of_sweep["sweep"]["grid"]["model.width"] == [4, 8]
    of_multirun = yaml.safe_load(printed("run", "-m", "model.width=4,8", "--cfg", "job"))
    assert of_multirun["sweep"]["grid"]["model"]["width"] == [4, 8]


def test_cfg_of_a_line_of_a_manifest(printed: Printed, here: Path, error_line: Callable[[], str]) -> None:
    from isoflop.sweep import grid

    base = compose.compose_config(["model.width=4,8", "out=swept"], None)
    path = grid.write_manifest(grid.expand(base), Path("swept"))
    shown = yaml.safe_load(printed("run", "--manifest", str(path), "--line", "2", "--cfg", "job"))
    assert (shown["model"]["width"], shown["out"]) == (8, "swept")
    assert main.main(["run", "--manifest", str(path), "--runs", "1-2", "--cfg", "job"]) == output.INPUT
    assert "give --line N" in error_line()


@pytest.mark.parametrize("verb", ["run", "sweep", "flops"])
def test_help_lists_the_groups_with_their_options(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main([verb, "--help"])
    words = capsys.readouterr().out.split()
    for group, default in catalog.default_options().items():
        at = words.index(f"{group}=")
        assert words[at + 1] == default
        assert set(words[at + 1 :]) >= set(catalog.option_names(group))
