"""The shipped levers of kind settings, and the sweep that compares levers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop.config import Config, ConfigError, compose
from isoflop.runner import run
from isoflop.sweep import grid, left_out, prior_runs, tune

MakeConfig = Callable[..., Config]
LEVERS = (
    *("none", "recipe", "bf16", "tf32", "fp8", "augmentation", "repetition", "muon"),
    *("distillation", "pruning"),
)


@pytest.fixture
def runs() -> tuple[grid.PlannedRun, ...]:
    return grid.expand(compose.compose_config(["sweep=levers", "data=digits"], None))


def test_every_arm_has_the_same_sizes_seeds_and_steps(runs: tuple[grid.PlannedRun, ...]) -> None:
    arms: dict[str, list[tuple[int | None, int | None, int, int | None, int]]] = {}
    for each in runs:
        config = each.config
        shape = config.model.width, config.model.depth, config.seed
        length = config.schedule.steps, config.optim.batch_size
        arms.setdefault(config.lever.name, []).append((*shape, *length))
    assert set(arms) == set(LEVERS)
    assert all(arm == arms["none"] for arm in arms.values())
    assert len(arms["none"]) == 12


def test_every_configuration_is_tuned_over_the_same_number_of_rates(
    runs: tuple[grid.PlannedRun, ...],
) -> None:
    factors = runs[0].config.sweep.lr_grid
    trials = tune.trials(runs, factors)
    assert len(trials) == len(factors) * len({each.config.config_id for each in runs})


def test_a_lever_of_settings_changes_nothing_else_than_it_says(runs: tuple[grid.PlannedRun, ...]) -> None:
    first = {each.config.lever.name: each.config for each in reversed(runs)}
    baseline, changed = first["none"], {}
    for name in ("recipe", "bf16", "tf32", "fp8", "augmentation", "repetition", "muon"):
        of_lever = first[name]
        changed[name] = {
            f"{group}.{field.name}"
            for group in ("model", "data", "optim", "schedule", "precision")
            for field in dataclasses.fields(getattr(baseline, group))
            if getattr(getattr(baseline, group), field.name) != getattr(getattr(of_lever, group), field.name)
        }
    of_rates = {"model.parametrization", "model.base_width", "model.base_depth"}
    assert changed == {
        "recipe": of_rates | {"optim.lr", "optim.label_smoothing"},
        "bf16": {"precision.compute"},
        "tf32": {"precision.compute"},
        "fp8": {"precision.compute"},
        "augmentation": {"data.augment"},
        "repetition": {"data.fraction"},
        "muon": {"optim.name", "optim.momentum"},
    }


def test_the_teacher_is_the_largest_size(runs: tuple[grid.PlannedRun, ...]) -> None:
    widths = {each.config.model.width or 0 for each in runs}
    taught = {each.config.lever.teacher_width for each in runs if each.config.lever.name == "distillation"}
    assert taught == {max(widths)}


@pytest.mark.torch
def test_a_processor_leaves_out_what_it_has_not_with_one_line_each(runs: tuple[grid.PlannedRun, ...]) -> None:
    on_cpu = [
        dataclasses.replace(each.config, launch=dataclasses.replace(each.config.launch, device="cpu"))
        for each in runs
    ]
    refused = left_out.refusals(list({each.lever.name: each for each in on_cpu}.values()))
    assert set(refused) == {"tf32", "fp8"}
    assert all(
        line.startswith(f"precision={name} needs") and "\n" not in line for name, line in refused.items()
    )


def test_what_was_left_out_is_listed_until_it_is_trained(
    runs: tuple[grid.PlannedRun, ...], tmp_path: Path
) -> None:
    muon = tuple(each for each in runs if each.config.lever.name == "muon")
    path = tmp_path / left_out.FILE
    left_out.write({}, muon, tmp_path)
    assert not path.exists()
    left_out.write({"fp8": "no", "tf32": "never"}, muon, tmp_path)
    left_out.write({}, tuple(each for each in runs if each.config.lever.name == "fp8"), tmp_path)
    assert json.loads(path.read_text()) == [{"lever": "tf32", "why": "never"}]
    path.write_text("{}")
    with pytest.raises(ConfigError, match=r"is not what isoflop writes .*: delete it"):
        left_out.write({}, muon, tmp_path)


def test_a_dry_run_counts_each_run_that_comes_before_once(runs: tuple[grid.PlannedRun, ...]) -> None:
    """3 teachers, and for each of 12 pruned runs the dense one and two rounds."""
    (line,) = prior_runs.dry_run_lines(runs)
    assert line.startswith("up to 39 runs")
    assert prior_runs.dry_run_lines(each for each in runs if each.config.lever.is_none) == ()


def test_repetition_refuses_a_length_in_epochs() -> None:
    """A quarter of the data would be a quarter of the steps."""
    with pytest.raises(ConfigError, match="give exactly one of epochs, steps and train_gflops"):
        compose.compose_config(["lever=repetition", "schedule=epochs"], None)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["recipe", "bf16", "augmentation", "repetition", "muon"])
def test_a_lever_of_settings_trains_on_a_processor(make_config: MakeConfig, name: str) -> None:
    length = ("schedule=steps", "schedule.epochs=null", "schedule.steps=20")
    config = make_config(f"lever={name}", "model=mlp", "model.depth=2", *length)
    (record,) = run.run(config)
    assert record.state == "done"
    assert record.cell["lever"] == {"name": name, "kind": "settings"}
