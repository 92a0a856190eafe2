"""The runs of a sweep around a search: which search they share, and the shapes that they get from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from isoflop import extras
from isoflop.config import Config, ConfigError, compose, prior
from isoflop.record import RecordError
from isoflop.record import search as searches
from isoflop.record.search import Candidate, Search
from isoflop.sweep import grid, left_out, search, searched, tune
from isoflop.sweep.grid import PlannedRun

FOUND = Search(
    (
        Candidate(8, 1, "a", 0.5, 1e3),
        Candidate(24, 1, "b", 0.3, 4e3),
        Candidate(64, 1, "c", 0.1, 9e3),
        Candidate(64, 4, "d", None, None),
    )
)


def expand(out: Path, *overrides: str) -> tuple[PlannedRun, ...]:
    steps = ("schedule=steps", "schedule.steps=40", "schedule.epochs=null")
    return grid.expand(compose.compose_config(["data=digits", *steps, f"out={out}", *overrides], None))


@pytest.fixture
def runs(tmp_path: Path) -> tuple[PlannedRun, ...]:
    return expand(tmp_path, "lever=none,search", "model.width=16,32", "seed=0,1")


def searching(runs: Sequence[PlannedRun]) -> list[Config]:
    return [each.config for each in runs if searched.is_open(each.config)]


def test_all_sizes_and_seeds_share_one_search(runs: tuple[PlannedRun, ...], tmp_path: Path) -> None:
    assert len(searching(runs)) == 4
    assert len({searched.id_of(each) for each in searching(runs)}) == 1
    assert len(searched.needed(runs)) == 1
    base = searching(runs)[0]
    changes: tuple[dict[str, Any], ...] = (
        {"candidates": 20},
        {"proxy_share": 0.5},
        {"search_depths": (1, 3)},
    )
    others = [
        dataclasses.replace(base, lever=dataclasses.replace(base.lever, **change)) for change in changes
    ]
    others.append(dataclasses.replace(base, optim=dataclasses.replace(base.optim, lr=0.5)))
    assert len({searched.id_of(each) for each in (base, *others)}) == 5


def test_runs_get_the_best_shape_within_their_baselines_work(runs: tuple[PlannedRun, ...]) -> None:
    base = searching(runs)[0]
    searches.write(FOUND, prior.folder(base), searched.id_of(base))
    assert searched.needed(runs) == {}
    budgets = {each.config_id: {16: 5e3, 32: 1e4}[each.model.width or 0] for each in searching(runs)}
    shaped = searched.with_shapes(runs, budgets)
    assert [each for each in shaped if each.config.lever.is_none] == [
        each for each in runs if each.config.lever.is_none
    ]
    found = [each.config for each in shaped if not each.config.lever.is_none]
    shapes = {
        (each.lever.baseline_width, each.lever.baseline_depth): (each.model.width, each.model.depth)
        for each in found
    }
    assert shapes == {(16, 2): (24, 1), (32, 2): (64, 1)}
    assert {each.identity["lever"]["search_id"] for each in found} == {searched.id_of(base)}
    assert len({each.run_id for each in shaped}) == len(runs)
    assert all(each.run_id == each.config.run_id for each in shaped)
    assert not any(searched.is_open(each) for each in found)
    assert "16 x 2 -> 24 x 1, 32 x 2 -> 64 x 1" in searched.shape_line(shaped)
    trials = tune.trials(shaped, (0.5, 1))
    assert {prior.folder(each.config) for each in trials} == {prior.folder(base)}, "trials find the search"


def test_two_baselines_with_one_shape_are_two_configurations(runs: tuple[PlannedRun, ...]) -> None:
    base = searching(runs)[0]
    searches.write(FOUND, prior.folder(base), searched.id_of(base))
    shaped = searched.with_shapes(runs, {each.config_id: 5e3 for each in searching(runs)})
    assert len({each.config.config_id for each in shaped if not each.config.lever.is_none}) == 2


def test_a_damaged_search_is_named(runs: tuple[PlannedRun, ...]) -> None:
    base = searching(runs)[0]
    path = searches.write(FOUND, prior.folder(base), searched.id_of(base))
    path.write_text("{")
    with pytest.raises(RecordError, match=f"{path.name} is damaged"):
        searched.needed(runs)


@pytest.mark.slow
@pytest.mark.torch
def test_the_budget_is_the_counted_forward_pass_of_the_baseline(
    runs: tuple[PlannedRun, ...], tmp_path: Path
) -> None:
    budgets = searched.budgets(runs)
    assert set(budgets) == {each.config_id for each in searching(runs)}
    assert sorted(budgets.values()) == [2 * (64 * w + w * w + 10 * w) for w in (16, 32)]
    below = expand(tmp_path, "lever=search", "model.width=4", "lever.search_depths=[2,4]")
    with pytest.raises(ConfigError, match=r"smallest shape .* and model.width=4 model.depth=2 has"):
        searched.budgets(below)


def test_what_cannot_be_ordered_is_refused(runs: tuple[PlannedRun, ...], tmp_path: Path) -> None:
    base = runs[0].config
    slurm = dataclasses.replace(base, launch=dataclasses.replace(base.launch, name="slurm"))
    with pytest.raises(ConfigError, match=r"lever=search: .* jobs of SLURM .* launch=local"):
        searched.check_sweep(slurm, runs)
    searched.check_sweep(slurm, [each for each in runs if each.config.lever.is_none])
    with pytest.raises(ConfigError, match=r"sweep.held_out: .* lever=search is not known"):
        searched.check_sweep(base, [dataclasses.replace(each, held_out=True) for each in runs])
    searched.check_sweep(base, runs)


@pytest.mark.torch
def test_a_search_that_cannot_be_made_here_leaves_the_lever_out(
    runs: tuple[PlannedRun, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "installed", lambda module: module != "optuna")
    assert left_out.refusals(searching(runs)[:1]) == {
        "search": "lever=search needs optuna, which is not installed: pip install 'isoflop[optuna]'"
    }


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=torchvision", "data=cifar10"), "searches over width and depth, and torchvision"),
        (("model=vit", "data=cifar10", "lever.search_widths=[6,64]"), "width 6, depth 1: .*head_width"),
    ],
)
def test_a_model_without_these_shapes_is_refused(
    tmp_path: Path, overrides: tuple[str, ...], message: str
) -> None:
    pytest.importorskip("optuna", reason="a search needs isoflop[optuna]")
    (planned,) = expand(tmp_path, "lever=search", *overrides)
    with pytest.raises(ConfigError, match=message):
        searched.check(planned.config)


def test_a_dry_run_says_that_shapes_are_chosen_by_a_search(runs: tuple[PlannedRun, ...]) -> None:
    (line,) = searched.dry_run_lines(runs)
    assert "search of at most 40 candidates" in line
    base = searching(runs)[0]
    assert searched.with_known_shapes(runs) == runs
    assert search.smallest(base).model.width == 8
