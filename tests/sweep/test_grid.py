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
    cells = grid.expand(base("sweep.grid={model: {width: [4, 8, 8], depth: 2}, seed: [0, 1]}"))
    shapes = {(c.config.model.width, c.config.model.depth, c.config.seed) for c in cells}
    assert shapes == {(w, 2, s) for w in (4, 8) for s in (0, 1)}
    assert len(cells) == 4


def test_points_change_keys_together() -> None:
    cells = grid.expand(
        base(
            "sweep.grid={seed: [0, 1]}",
            "sweep.points=[{model: {width: 4}, data: {fraction: 0.1}}, {model.width: 8, data.fraction: 0.2}]",
        )
    )
    pairs = [(c.config.model.width, c.config.data.fraction) for c in cells]
    assert sorted(pairs) == [(4, 0.1), (4, 0.1), (8, 0.2), (8, 0.2)]


def test_comma_lists_on_the_command_line_are_axes() -> None:
    cells = grid.expand(base("model.width=8,16", "seed=range(0,3)"))
    assert len(cells) == 6
    assert len(grid.expand(base("sweep=digits", "sweep.grid.model.width=[4]", "seed=0,1"))) == 3 * 2


def test_one_value_on_the_command_line_takes_the_place_of_an_axis() -> None:
    composed = base("sweep=digits", "model.width=3", "seed=7")
    fixed = dataclasses.replace(composed, sweep=grid.without(composed.sweep, ["model.width", "seed"]))
    cells = grid.expand(fixed)
    assert {(c.config.model.width, c.config.seed) for c in cells} == {(3, 7)}
    assert {c.config.model.depth for c in cells} == {1, 2, 3}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], "no cells"),
        (["sweep.grid={model: {widht: [4]}}"], "did you mean model.width"),
        (["sweep.grid={model: {width: []}}"], "sweep.grid.model.width: the list is empty"),
        (["sweep.grid={model: {width: [4, -1]}}"], "model.width=-1"),
        (["sweep.grid={launch: {workers: [1, 2]}}"], "not a setting of a single cell"),
        (["sweep.grid={seed: [0]}", "sweep.points=[{seed: 1}]"], "sweep.points: seed is in sweep.grid too"),
    ],
)
def test_bad_grids_are_refused(overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        grid.expand(base(*overrides))


@pytest.mark.parametrize(
    ("state", "again"),
    [("done", False), ("diverged", False), ("oom", False), ("failed", True), ("interrupted", True)],
)
def test_only_missing_and_failed_cells_run_again(
    state: Any, again: bool, done_record: Record, tmp_path: Path
) -> None:
    cells = grid.expand(base("seed=0,1"))
    reason = None if state == "done" else "for the test"
    records.write(
        dataclasses.replace(done_record, run_id=cells[0].run_id, state=state, reason=reason), tmp_path
    )
    todo = retry.select(cells, tmp_path)
    assert (cells[0] in todo) == again
    assert cells[1] in todo
    records.path_of(tmp_path, cells[0].run_id).write_text("{")
    assert cells[0] in retry.select(cells, tmp_path), "a damaged record is a missing one"


def test_the_manifest_has_a_line_a_cell(tmp_path: Path) -> None:
    cells = grid.expand(base("model.width=8,16", "seed=0,1"))
    lines = grid.write_manifest(cells, tmp_path).read_text().splitlines()
    assert [json.loads(line)["run_id"] for line in lines] == [c.run_id for c in cells]
    assert json.loads(lines[0])["settings"] == {"model.width": 8, "seed": 0}
    more = grid.expand(base("model.width=16,32", "seed=0"))
    merged = grid.write_manifest(more, tmp_path).read_text().splitlines()
    assert len(merged) == 5, "cells of an earlier sweep in the folder stay"
