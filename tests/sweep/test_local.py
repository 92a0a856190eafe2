from __future__ import annotations

import dataclasses
import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop import aggregate
from isoflop import record as records
from isoflop.config import Config, ConfigError
from isoflop.record import Record
from isoflop.sweep import grid, local
from isoflop.sweep.grid import Cell
from isoflop.sweep.local import Slots

MakeConfig = Callable[..., Config]

DEADLY = '''
"""Cells that die in each way a process can, by seed."""
import os, signal, sys
from isoflop.sweep import local
real_cell, real_work = local._run_cell, local._work

def work(*arguments):
    local._run_cell = run_cell
    real_work(*arguments)

def run_cell(config, *rest):
    if config.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if config.seed == 2:
        sys.exit(3)
    if config.seed == 3:
        raise RuntimeError("outside of run")
    return real_cell(config, *rest)
'''


def cells_of(config: Config) -> tuple[Cell, ...]:
    return grid.expand(config)


def collect(cells: tuple[Cell, ...], workers: int = 2) -> dict[str, Record | None]:
    seen: dict[str, Record | None] = {}
    local.run_cells(
        cells,
        Slots(workers, 1, 0),
        lambda cell, found: seen.update({cell.run_id: found[-1] if found else None}),
    )
    return seen


def test_a_cell_that_dies_costs_only_itself(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(str(tmp_path))
    import deadly  # type: ignore[import-not-found]

    cells = cells_of(make_config("seed=0,1,2,3"))
    monkeypatch.setattr(local, "_work", deadly.work)
    seen = collect(cells)
    states = {cell.config.seed: seen[cell.run_id] for cell in cells}
    assert {seed: record.state for seed, record in states.items() if record} == {
        0: "done",
        1: "failed",
        2: "failed",
        3: "failed",
    }
    assert "killed by signal 9" in str(states[1] and states[1].reason)
    assert "exit code 3" in str(states[2] and states[2].reason)
    directory = cells[0].config.directory
    table = aggregate.aggregate(directory)
    assert (len(table.rows), len(table.dropped)) == (1, 3)

    monkeypatch.undo()
    todo = grid.missing(cells, directory)
    assert {cell.config.seed for cell in todo} == {1, 2, 3}
    again = collect(todo)
    assert {record.attempt for record in again.values() if record} == {2}
    assert grid.missing(cells, directory) == ()
    del sys.modules["deadly"]


def test_a_sweep_gives_the_same_results_as_single_runs(make_config: MakeConfig, tmp_path: Path) -> None:
    from isoflop import run

    cells = cells_of(make_config("seed=0,1"))
    swept = collect(cells)
    for cell in cells:
        alone = run.run(dataclasses.replace(cell.config, out=str(tmp_path / "alone")))[0]
        other = swept[cell.run_id]
        assert other is not None
        assert (alone.error, alone.loss) == (other.error, other.loss)


def test_cells_of_one_shape_share_a_process_on_a_gpu(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one GPU in the slots and the CPU as the device: three seeds of two shapes take two processes, a
    process that dies costs its cell only, and the results are those of single runs."""
    from isoflop import run

    started = []
    start = local._Crew.start
    monkeypatch.setattr(local._Crew, "start", lambda crew, slot: started.append(slot) or start(crew, slot))
    cells = cells_of(make_config("model.width=8,4", "seed=0,1,2", "launch.device=cpu"))
    seen: dict[str, Record] = {}
    local.run_cells(cells, Slots(1, 1, 1), lambda cell, found: seen.update({cell.run_id: found[-1]}))
    assert len(started) == 3, "one a shape, and one that finds the queue empty"
    for cell in cells:
        (alone,) = run.run(dataclasses.replace(cell.config, out=str(tmp_path / "alone")))
        assert (alone.error, alone.loss) == (seen[cell.run_id].error, seen[cell.run_id].loss)


def test_planning_sorts_the_largest_first_and_finds_bad_input(make_config: MakeConfig) -> None:
    planned, gpus = local.plan(cells_of(make_config("model.width=4,16,8")))
    assert gpus == 0
    assert [cell.config.model.width for cell in planned] == [16, 8, 4]
    steps = 898 // 32
    forward = 64 * 16 + 16 * 10
    assert planned[0].planned_train_flops == 2 * (3 * forward - 64 * 16) * steps * 32
    with pytest.raises(ConfigError, match="larger than the 898"):
        local.plan(cells_of(make_config("seed=0,1", "optim.batch_size=900")))
    assert not planned[0].config.directory.exists()


def _hold(directory: Path, run_id: str, held: object, release: object) -> None:
    with records.claim(directory, run_id):
        held.set()  # type: ignore[attr-defined]
        release.wait(60)  # type: ignore[attr-defined]


def test_a_cell_that_another_process_runs_is_left_to_it(make_config: MakeConfig) -> None:
    (cell, other) = cells_of(make_config("seed=0,1"))
    context = multiprocessing.get_context("forkserver")
    held, release = context.Event(), context.Event()
    holder = multiprocessing.get_context("fork").Process(
        target=_hold, args=(cell.config.directory, cell.run_id, held, release)
    )
    holder.start()
    assert held.wait(60)
    seen = collect((cell, other))
    release.set()
    holder.join()
    assert seen[cell.run_id] is None
    assert not records.path_of(cell.config.directory, cell.run_id).exists()
    assert seen[other.run_id] is not None


def test_slots_fill_the_machine() -> None:
    cores = len(os.sched_getaffinity(0))
    launch = grid.expand(base_config())[0].config.launch
    assert local.slots(launch, 0) == Slots(cores, 1, 0)
    assert local.slots(launch, 1) == Slots(1, cores, 1)
    assert local.slots(dataclasses.replace(launch, workers=3, threads=5), 0) == Slots(3, 5, 0)
    assert local.slots(dataclasses.replace(launch, threads=cores), 0).workers == 1


def base_config() -> Config:
    from isoflop import cli

    return cli.compose_config(["seed=0,1"], None)
