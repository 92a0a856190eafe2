"""The shipped designs hold what their first lines say: points, decades, seconds, data, held-out points."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import pytest

from isoflop.config import ConfigError, compose
from isoflop.sweep import dry_run, grid, held_out
from isoflop.sweep.dry_run import SweepPlan
from isoflop.sweep.grid import PlannedRun

DESIGNS = ("ladder", "data_grid", "one_pass")
FRACTIONS = {5625, 11250, 22500, 45000}


def runs_of(*overrides: str) -> tuple[PlannedRun, ...]:
    return grid.expand(compose.compose_config(overrides, None))


@functools.cache
def plan_of(*overrides: str) -> SweepPlan:
    """The dry run of a sweep, as if nothing were done, on an H200 unless it is one for the CPU."""
    runs = runs_of(*overrides)
    config = runs[0].config
    left = [each.run_id for each in runs]
    device = "H200" if config.data.name == "cifar10" else None
    return dry_run.plan_sweep(runs, config.directory, left=left, device=device)


def shapes(runs: Sequence[PlannedRun]) -> set[tuple[int | None, int | None]]:
    return {(run.config.model.width, run.config.model.depth) for run in runs}


@pytest.mark.slow
def test_the_ladder_is_as_large_and_as_short_as_it_says() -> None:
    plan = plan_of("sweep=ladder")
    assert plan.fitted.points == 133
    assert plan.fitted.decades == pytest.approx(4.1, abs=0.05)
    assert plan.fitted.timed == plan.fitted.runs, "every shape was measured on an H200"
    assert plan.fitted.seconds == pytest.approx(181, abs=2)
    assert plan.held_out.seconds == pytest.approx(86, abs=1)
    assert plan.total.seconds < 300
    assert plan.total.left_seconds == pytest.approx(plan.total.seconds)
    largest = max(flops for line in plan.lines if not line.held_out for flops in line.point_flops if flops)
    held = [flops for line in plan.lines if line.held_out for flops in line.point_flops if flops]
    assert [each / largest for each in held] == pytest.approx([4, 10], rel=0.01)


def test_the_ladder_s_shapes_seeds_and_lengths() -> None:
    fitted, held = held_out.split(runs_of("sweep=ladder"))
    assert shapes(fitted) == {(w, d) for w in (8, 16, 32, 64, 128) for d in (1, 2, 3)} | {(4, 1)}
    for run in fitted:
        epochs = [share * (run.config.schedule.epochs or 0) for share in run.config.schedule.cooldowns]
        assert epochs == [2.0**i for i in range(len(epochs))], "horizons double, from one epoch"
        assert epochs[-1] == {128: 4, 64: 8}.get(run.config.model.width or 0, 16)
    seeds = dict.fromkeys(shapes(fitted), 0)
    for run in fitted:
        seeds[run.config.model.width, run.config.model.depth] += 1
    assert {seeds[w, d] for w, d in seeds if w == 128} == {1}
    assert {seeds[w, d] for w, d in seeds if w != 128} == {2}
    assert shapes(held) == {(128, 3)}


@pytest.mark.slow
def test_the_data_grid_is_as_long_as_it_says_and_crosses_sizes_and_data() -> None:
    plan = plan_of("sweep=data_grid")
    assert plan.total.points == 20
    assert plan.total.seconds == pytest.approx(50, abs=1)
    runs = runs_of("sweep=data_grid")
    pairs = {(run.config.model.width, round(45000 * run.config.data.fraction)) for run in runs}
    assert pairs == {(w, n) for w in (8, 16, 32, 64, 128) for n in FRACTIONS}
    assert {run.config.schedule.epochs for run in runs} == {16}


@pytest.mark.slow
def test_one_pass_sees_no_example_twice() -> None:
    plan = plan_of("sweep=one_pass")
    assert max(epochs for line in plan.lines for epochs in line.epochs) == 1
    assert plan.fitted.points == 100
    assert plan.fitted.decades == pytest.approx(3.4, abs=0.05)
    largest = max(flops for line in plan.lines if not line.held_out for flops in line.point_flops if flops)
    held = [flops for line in plan.lines if line.held_out for flops in line.point_flops if flops]
    assert [each / largest for each in held] == pytest.approx([4, 10], rel=0.02)


@pytest.mark.parametrize("design", DESIGNS[:2])
@pytest.mark.parametrize("data", ["cifar10", "cifar100", "fashion_mnist", "digits", "mnist", "svhn"])
def test_a_design_takes_other_data_without_a_further_override(design: str, data: str) -> None:
    runs = runs_of(f"sweep={design}", f"data={data}")
    assert {run.config.data.name for run in runs} == {data}
    photographs = data in ("cifar10", "cifar100", "fashion_mnist")
    assert {run.config.data.augment for run in runs} == {"crop_flip" if photographs else "none"}
    assert runs[0].config.sweep.name == f"{design}-{data}", "no two data sets share a folder"
    assert runs[0].config.out == f"results/{design}-{data}"


@pytest.mark.parametrize("data", ["cifar10", "fashion_mnist"])
def test_the_sweeps_named_after_data_sets_are_ladders(data: str) -> None:
    named, ladder = runs_of(f"sweep={data}"), runs_of("sweep=ladder", f"data={data}")
    assert [run.run_id for run in named] == [run.run_id for run in ladder]
    assert named[0].config.out == ladder[0].config.out


def test_both_designs_train_by_the_one_recipe() -> None:
    recipes = set()
    for design in DESIGNS[:2]:
        config = runs_of(f"sweep={design}")[0].config
        recipes.add((config.optim, config.model.parametrization, config.schedule.decay_fraction))
    assert len(recipes) == 1
    changed = runs_of("sweep=ladder", "optim.lr=0.3", "data.augment=none")[0].config
    assert changed.optim.lr == 0.3
    assert changed.data.augment == "none"
    alone = compose.compose_config(["recipe=scaling", "data=cifar10"], None)
    assert alone.optim == runs_of("sweep=ladder")[0].config.optim


def test_a_point_s_own_grid_is_every_combination_of_that_point_only() -> None:
    points = (
        "sweep.points=[{grid: {model.width: [4, 8], seed: [0, 1]}, schedule.epochs: 2},"
        "{model: {width: 16}, grid: {seed: 7}}]"
    )
    runs = runs_of("sweep.grid={model.depth: [1, 2]}", points)
    found = {
        (r.config.model.width, r.config.model.depth, r.config.seed, r.config.schedule.epochs) for r in runs
    }
    small = {(w, d, s, 2.0) for w in (4, 8) for d in (1, 2) for s in (0, 1)}
    assert found == small | {(16, d, 7, 20.0) for d in (1, 2)}


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("[{grid: {seed: []}}]", "sweep.points.grid.seed: the list is empty"),
        ("[{seed: 1, grid: {seed: [0]}}]", "seed stands in a point and in its grid"),
        ("[{grid: {model.depth: [1]}}]", "model.depth is in sweep.grid too"),
    ],
)
def test_a_bad_grid_of_a_point_is_refused(points: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        runs_of("sweep.grid={model.depth: [1, 2]}", f"sweep.points={points}")


def test_the_command_line_replaces_axes_in_the_points_too() -> None:
    config = compose.compose_config(["sweep=ladder", "model.width=8,16", "model.depth=1"], None)
    sweep = grid.without_axes(config.sweep, ["model.depth"], ["model.width"])
    runs = [each for each in grid.expand(dataclasses.replace(config, sweep=sweep)) if not each.held_out]
    assert shapes(runs) == {(8, 1), (16, 1)}


def test_a_run_cannot_be_fitted_and_held_out() -> None:
    with pytest.raises(ConfigError, match=r"model\.width=8 is fitted too"):
        runs_of("model.width=8,16", "sweep.held_out=[{model.width: 8}]")
    with pytest.raises(ConfigError, match="held_out and lr_grid do not go together"):
        runs_of("model.width=8,16", "sweep.held_out=[{model.width: 32}]", "sweep.lr_grid=[0.5,1,2]")
