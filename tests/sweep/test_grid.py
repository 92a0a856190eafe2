from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from isoflop import record as records
from isoflop.config import Config, ConfigError, compose
from isoflop.record import Record
from isoflop.sweep import grid, retry


def base(*overrides: str) -> Config:
    return compose.compose_config(overrides, None)


def test_a_grid_is_every_combination_once() -> None:
    runs = grid.expand(base("sweep.grid={model: {width: [4, 8, 8], depth: 2}, seed: [0, 1]}"))
    shapes = {(c.config.model.width, c.config.model.depth, c.config.seed) for c in runs}
    assert shapes == {(w, 2, s) for w in (4, 8) for s in (0, 1)}
    assert len(runs) == 4


def test_points_change_keys_together() -> None:
    runs = grid.expand(
        base(
            "sweep.grid={seed: [0, 1]}",
            "sweep.points=[{model: {width: 4}, data: {fraction: 0.1}}, {model.width: 8, data.fraction: 0.2}]",
        )
    )
    pairs = [(c.config.model.width, c.config.data.fraction) for c in runs]
    assert sorted(pairs) == [(4, 0.1), (4, 0.1), (8, 0.2), (8, 0.2)]


def test_comma_lists_on_the_command_line_are_axes() -> None:
    runs = grid.expand(base("model.width=8,16", "seed=range(0,3)"))
    assert len(runs) == 6
    assert len(grid.expand(base("sweep=digits", "sweep.grid.model.width=[4]", "seed=0,1"))) == 3 * 2


def test_one_value_on_the_command_line_replaces_an_axis() -> None:
    composed = base("sweep=digits", "model.width=3", "seed=7")
    fixed = dataclasses.replace(composed, sweep=grid.without_axes(composed.sweep, ["model.width", "seed"]))
    runs = grid.expand(fixed)
    assert {(c.config.model.width, c.config.seed) for c in runs} == {(3, 7)}
    assert {c.config.model.depth for c in runs} == {1, 2, 3}


@pytest.mark.parametrize("given", [{"moved": ["lever"]}, {"fixed": ["lever"]}])
def test_the_settings_of_a_lever_go_with_its_axis(given: dict[str, list[str]]) -> None:
    """sweep=levers sets the teacher beside lever=distillation, which another lever does not take."""
    composed = base("sweep=levers", "lever=none,search" if "moved" in given else "lever=search")
    sweep = grid.without_axes(composed.sweep, **({"fixed": []} | given))
    assert sweep.points == []
    runs = grid.expand(dataclasses.replace(composed, sweep=sweep))
    names = {"none", "search"} if "moved" in given else {"search"}
    assert {each.config.lever.name for each in runs} == names
    assert len(runs) == 12 * len(names)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sweep.grid={model: {widht: [4]}}"], "did you mean model.width"),
        (["sweep.grid={model: {width: []}}"], "sweep.grid.model.width: the list is empty"),
        (["sweep.grid={model: {width: [4, -1]}}"], "model.width=-1"),
        (["sweep.grid={launch: {workers: [1, 2]}}"], "not a setting of a single run"),
        (["sweep.grid={seed: [0]}", "sweep.points=[{seed: 1}]"], "sweep.points: seed is in sweep.grid too"),
    ],
)
def test_bad_grids_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grid.expand(base(*overrides))


@pytest.mark.parametrize(
    ("state", "again"),
    [("done", False), ("diverged", False), ("oom", False), ("failed", True), ("interrupted", True)],
)
def test_missing_failed_and_interrupted_runs_are_selected(
    state: Any, again: bool, done_record: Record, tmp_path: Path
) -> None:
    runs = grid.expand(base("seed=0,1"))
    reason = None if state == "done" else "for the test"
    records.write(
        dataclasses.replace(done_record, run_id=runs[0].run_id, state=state, reason=reason), tmp_path
    )
    todo = retry.select(runs, tmp_path)
    assert (runs[0] in todo) == again
    assert runs[1] in todo
    records.path_of(tmp_path, runs[0].run_id).write_text("{")
    assert runs[0] in retry.select(runs, tmp_path), "a damaged record is a missing one"


def test_the_manifest_has_one_line_per_run(tmp_path: Path) -> None:
    runs = grid.expand(base("model.width=8,16", "seed=0,1"))
    lines = grid.write_manifest(runs, tmp_path).read_text().splitlines()
    assert [json.loads(line)["run_id"] for line in lines] == [c.run_id for c in runs]
    assert json.loads(lines[0])["settings"] == {"model.width": 8, "seed": 0}
    more = grid.expand(base("model.width=16,32", "seed=0"))
    merged = grid.write_manifest(more, tmp_path).read_text().splitlines()
    assert len(merged) == 5, "runs of an earlier sweep in the folder stay"


def test_what_a_sweeps_runs_need_may_be_an_axis() -> None:
    """data=text without a path is no run, but the base of a sweep whose runs have one."""
    config = compose.compose_config(["recipe=language", "data=text", "data.path=a,b", "seed=0,1"], None)
    assert [run.config.data.path for run in grid.expand(config)] == ["a", "a", "b", "b"]
    with pytest.raises(ConfigError, match="data: text needs path"):
        compose.compose_config(["recipe=language", "data=text", "seed=0,1"], None)
    optional = compose.compose_config(["model.width=4,8", "data.resolution=4,8"], None)
    assert optional.data.resolution is None, "a null that may be is left alone"
