from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop import record as records
from isoflop.cli import main
from isoflop.config import Config, ConfigError
from isoflop.record import Record
from isoflop.sweep import grid, manifest
from isoflop.sweep.grid import Cell
from isoflop.sweep.planning import Slots
from isoflop.sweep.slurm import submission

MakeConfig = Callable[..., Config]


@pytest.fixture
def cells(make_config: MakeConfig) -> tuple[Cell, ...]:
    """Three cells, with their manifest in the sweep's folder."""
    made = grid.expand(make_config("seed=0,1,2"))
    grid.write_manifest(made, made[0].config.directory)
    return made


def test_a_line_and_a_range_give_the_records_of_the_sweep(cells: tuple[Cell, ...], tmp_path: Path) -> None:
    path = cells[0].config.directory / "manifest.jsonl"
    assert main.main(["run", "--manifest", str(path), "--line", "2"]) == 0
    alone = records.read(records.path_of(path.parent, cells[1].run_id))
    records.path_of(path.parent, cells[1].run_id).unlink()
    assert main.main(["run", "--manifest", str(path), "--cells", "2-3"]) == 0
    ranged = records.read(records.path_of(path.parent, cells[1].run_id))
    assert (alone.error, alone.loss, alone.provenance.threads) == (ranged.error, ranged.loss, 1)
    assert len(list((path.parent / "records").iterdir())) == 2


def test_records_go_beside_a_manifest_that_was_moved(cells: tuple[Cell, ...], tmp_path: Path) -> None:
    moved = tmp_path / "a new place"
    cells[0].config.directory.rename(moved)
    assert main.main(["run", "--manifest", str(moved / "manifest.jsonl"), "--line", "1"]) == 0
    assert records.is_done(records.path_of(moved, cells[0].run_id))
    assert not cells[0].config.directory.exists()


def test_the_copy_of_a_submission_belongs_to_the_folder_above(cells: tuple[Cell, ...]) -> None:
    directory = cells[0].config.directory
    name = submission.open_new(cells[1:], directory)
    (first, second) = manifest.read(submission.cells_path(directory, name))
    assert (first.run_id, second.run_id) == (cells[1].run_id, cells[2].run_id)
    assert first.config.directory == directory
    assert submission.open_new(cells, directory) == str(int(name) + 1)
    named = directory.parent / "slurm" / "manifest.jsonl"
    assert manifest.directory_of(named) == named.parent, "a sweep may be called slurm"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--line", "4"], "no line 4: it ends with line 3"),
        (["--cells", "2-4"], "no lines 2-4: it ends with line 3"),
        (["--line", "-1"], "counted from 1"),
        (["--cells", "3-2"], "counted from 1"),
        (["--cells", "a"], "such as 1-10"),
        ([], "--line N or --cells A-B"),
        (["--line", "1", "--cells", "1"], "--line N or --cells A-B"),
        (["--line", "1", "seed=3"], "no overrides"),
    ],
)
def test_bad_lines_are_refused(
    words: list[str], said: str, cells: tuple[Cell, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    path = cells[0].config.directory / "manifest.jsonl"
    assert main.main(["run", "--manifest", str(path), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (path.parent / "records").exists()


def test_a_manifest_of_another_version_is_refused(cells: tuple[Cell, ...]) -> None:
    path = cells[0].config.directory / "manifest.jsonl"
    path.write_text(path.read_text().replace('"seed":1', '"grain":1'))
    assert len(manifest.read(path, 1, 1)) == 1
    with pytest.raises(ConfigError, match="line 2 is damaged or of another version"):
        manifest.read(path)
    with pytest.raises(ConfigError, match="no such manifest"):
        manifest.read(path.with_name("none.jsonl"))


def test_the_worst_state_is_the_exit_code(cells: tuple[Cell, ...], done_record: Record) -> None:
    def ended(*states: str) -> list[tuple[Cell, tuple[Record, ...]]]:
        return [(cells[0], (dataclasses.replace(done_record, state=state),)) for state in states]  # type: ignore[arg-type]

    assert manifest.worst(ended("done", "done")) == "done"
    assert manifest.worst(ended("done", "oom", "failed")) == "failed"
    assert manifest.worst(ended("failed", "interrupted")) == "interrupted"
    assert manifest.worst([(cells[0], ())]) == "failed", "another process runs it"
    assert manifest.worst([]) == "done"


def test_a_task_that_starts_again_takes_up_what_it_left_open(
    cells: tuple[Cell, ...], done_record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three cells one failed in this task and one was interrupted; the third failed before it was
    submitted."""
    directory = cells[0].config.directory
    path = submission.cells_path(directory, submission.open_new(cells, directory))
    written = path.stat().st_mtime
    for cell, state, age in zip(cells, ("failed", "interrupted", "failed"), (1, 1, -1), strict=True):
        record = dataclasses.replace(done_record, run_id=cell.run_id, state=state, reason="for the test")  # type: ignore[arg-type]
        found = records.write(record, directory)
        os.utime(found, (written + age, written + age))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    ended = manifest.run_range(path, 1, 3)
    assert {cell.run_id for cell, _ in ended} == {cells[1].run_id, cells[2].run_id}
    assert {found[-1].state for _, found in ended} == {"done"}


def test_a_task_uses_what_slurm_gave_it(cells: tuple[Cell, ...]) -> None:
    launch = cells[0].config.launch
    free = dataclasses.replace(launch, threads=None)
    assert manifest._slots(free, {}) == Slots(1, 1, 0)
    assert manifest._slots(free, {"SLURM_JOB_ID": "1", "SLURM_CPUS_PER_TASK": "8"}) == Slots(1, 8, 0)
    gpus = {"SLURM_JOB_ID": "1", "SLURM_CPUS_PER_TASK": "8", "CUDA_VISIBLE_DEVICES": "0,3"}
    assert manifest._slots(free, gpus) == Slots(2, 4, 2)
    assert manifest._slots(dataclasses.replace(free, per_gpu=2), gpus) == Slots(4, 2, 2)
    assert manifest._slots(launch, gpus | {"SLURM_GPUS_ON_NODE": "1"}) == Slots(1, 1, 1)
