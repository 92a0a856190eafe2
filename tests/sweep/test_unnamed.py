"""An unnamed sweep has a folder of its own, the same for the same runs; what older releases left is used."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from isoflop.api import sweeping
from isoflop.api.progress import silent
from isoflop.config import ConfigError
from isoflop.record import path_of
from isoflop.sweep import grid, one_data, tune, unnamed

SMALL = ("data=digits", "model.depth=1", "schedule.epochs=1")


def placed(*overrides: str) -> tuple[str, list[str]]:
    """The folder of a sweep, and what was said."""
    said: list[str] = []
    placed = sweeping.place(sweeping.compose_sweep(overrides, None), overrides)
    sweeping.tell_place(placed, dataclasses.replace(silent(said.append), line=said.append))
    base, runs = placed.base, placed.runs
    assert {run.config.out for run in runs} == {base.out}
    assert {run.config.sweep.name for run in runs} == {base.sweep.name}
    return base.out, said


def begin(*overrides: str) -> None:
    """Write a manifest as an earlier release did, into results/runs."""
    base = sweeping.compose_sweep(overrides, None)
    runs = grid.expand(base)
    if base.sweep.lr_grid:
        grid.write_manifest(tune.trials(runs, base.sweep.lr_grid), base.directory / tune.FOLDER)
    else:
        grid.write_manifest(runs, base.directory)


@pytest.mark.usefixtures("here")
def test_the_same_runs_have_the_same_folder_whatever_their_order() -> None:
    first, said = placed(*SMALL, "model.width=8,16")
    assert first.startswith("results/digits-mlp-")
    assert len(first.rpartition("-")[2]) == unnamed.DIGITS
    assert said == [f"no sweep.name: the folder is {first}, and other values would make another"]
    assert placed("model.width=16,8", *SMALL, "launch.workers=1")[0] == first
    assert placed("sweep.grid.model.width=[8,16]", *SMALL)[0] == first


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "other",
    [("model.width=8,32",), ("model.width=8,16", "seed=1"), ("model.width=8,16", "sweep.lr_grid=[1,2]")],
)
def test_other_runs_have_another_folder(other: tuple[str, ...]) -> None:
    assert placed(*SMALL, *other)[0] != placed(*SMALL, "model.width=8,16")[0]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ("sweep.name=mine", "results/mine"),
        ("sweep.name=runs", "results/runs"),
        ("out=results/runs", "results/runs"),
        ("out=here", "here"),
        ("sweep=digits", "results/digits"),
    ],
)
def test_a_name_or_a_folder_that_is_given_stays(given: str, folder: str) -> None:
    assert placed(*SMALL, "model.width=8,16", given) == (folder, [])


@pytest.mark.usefixtures("here")
def test_a_sweep_of_one_run() -> None:
    base = sweeping.compose_sweep(SMALL, None)
    (run,) = grid.expand(base)
    assert run.run_id == base.run_id
    assert placed(*SMALL)[0].startswith("results/digits-mlp-")
    (of_axes,) = grid.expand(
        sweeping.compose_sweep(["sweep=digits", "model.width=4", "model.depth=1", "seed=0"], None)
    )
    assert of_axes.config.model.width == 4


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("more", [(), ("sweep.lr_grid=[0.5,1]",)])
def test_a_sweep_that_an_earlier_release_began_goes_on_in_results_runs(more: tuple[str, ...]) -> None:
    begin(*SMALL, "model.width=8,16", *more)
    folder, (said,) = placed(*SMALL, "model.width=8,16", *more)
    assert folder == "results/runs"
    assert "goes on" in said or "go on" in said
    assert placed(*SMALL, "model.width=8,16,32", *more)[0] != "results/runs"


@pytest.mark.usefixtures("here")
def test_a_folder_of_its_own_that_is_there_comes_first() -> None:
    own, _ = placed(*SMALL, "model.width=8,16")
    Path(own).mkdir(parents=True)
    begin(*SMALL, "model.width=8,16")
    assert placed(*SMALL, "model.width=8,16")[0] == own


@pytest.mark.usefixtures("here")
def test_single_runs_that_are_done_are_named_and_not_trained_again_without_a_word() -> None:
    base = sweeping.compose_sweep((*SMALL, "model.width=8"), None)
    path = path_of(Path("results/runs"), base.run_id)
    path.parent.mkdir(parents=True)
    path.touch()
    folder, (said,) = placed(*SMALL, "model.width=8,16")
    assert folder != "results/runs"
    assert said.endswith("1 of its runs are done in results/runs: out=results/runs goes on with them")


@pytest.mark.usefixtures("here")
def test_a_name_is_one_that_a_folder_can_have() -> None:
    base = sweeping.compose_sweep(["model=torchvision", "data=cifar10", "seed=0,1"], None)
    runs = grid.expand(base)
    name = unnamed.name_of(base, runs)
    assert name.startswith("cifar10-torchvision-resnet18-")
    dataclasses.replace(base.sweep, name=name)
    many = sweeping.compose_sweep([*SMALL, "sweep.points=[{model:{width:8}},{model:{width:9}}]"], None)
    assert unnamed.name_of(many, grid.expand(many)).startswith("digits-mlp-")


@pytest.mark.usefixtures("here")
def test_several_data_sets_are_no_sweep() -> None:
    with pytest.raises(ConfigError, match="digits and mnist would be fitted as one curve"):
        placed("data.name=digits,mnist")


@pytest.mark.usefixtures("here")
def test_a_folder_has_the_data_set_of_its_sweep() -> None:
    begin(*SMALL, "model.width=8,16", "sweep.name=mine")
    other = sweeping.compose_sweep(["data=mnist", "model.width=8,16", "sweep.name=mine"], None)
    with pytest.raises(ConfigError, match="results/mine holds a sweep on digits, with which mnist would"):
        one_data.check(grid.expand(other), other.directory)
    # More of the same set, and runs that are listed there already, may go on.
    same = sweeping.compose_sweep([*SMALL, "model.width=32", "sweep.name=mine"], None)
    one_data.check(grid.expand(same), same.directory)
    grid.write_manifest(grid.expand(other), other.directory)
    one_data.check(grid.expand(other), other.directory)
    one_data.check(grid.expand(same), same.directory)


def test_a_line_of_another_version_names_no_data(here: Path) -> None:
    (here / "manifest.jsonl").write_text(
        '{"run_id": "a"}\nnot json\n{"run_id": "b", "config": {"data": 3}}\n'
    )
    assert grid.listed_data(here) == {"a": None, "b": None}
    assert grid.listed_ids(here) == {"a", "b"}
    assert grid.listed_ids(here / "nowhere") == set()
