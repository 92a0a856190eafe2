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
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.slots import Slots
from isoflop.sweep.slurm import submission

MakeConfig = Callable[..., Config]


@pytest.fixture
def runs(make_config: MakeConfig) -> tuple[PlannedRun, ...]:
    """Three runs, with their manifest in the sweep's folder."""
    made = grid.expand(make_config("seed=0,1,2"))
    grid.write_manifest(made, made[0].config.directory)
    return made


def test_a_line_and_a_range_give_the_records_of_the_sweep(
    runs: tuple[PlannedRun, ...], tmp_path: Path
) -> None:
    path = runs[0].config.directory / "manifest.jsonl"
    assert main.main(["run", "--manifest", str(path), "--line", "2"]) == 0
    single = records.read(records.path_of(path.parent, runs[1].run_id))
    records.path_of(path.parent, runs[1].run_id).unlink()
    assert main.main(["run", "--manifest", str(path), "--runs", "2-3"]) == 0
    ranged = records.read(records.path_of(path.parent, runs[1].run_id))
    assert (single.error, single.loss, single.provenance.threads) == (ranged.error, ranged.loss, 1)
    assert len(list((path.parent / "records").iterdir())) == 2


def test_the_old_name_of_the_option_is_accepted_and_the_new_one_offered(
    runs: tuple[PlannedRun, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Copies of array.sbatch that users made for a sweep still have it."""
    path = runs[0].config.directory / "manifest.jsonl"
    assert main.main(["run", "--manifest", str(path), "--cells", "2-3"]) == 0
    assert capsys.readouterr().err.startswith("isoflop: --cells is now called --runs: use the new name\n")
    assert {each.stem for each in (path.parent / "records").iterdir()} == {each.run_id for each in runs[1:]}


def test_records_go_beside_a_manifest_that_was_moved(runs: tuple[PlannedRun, ...], tmp_path: Path) -> None:
    moved = tmp_path / "a new place"
    runs[0].config.directory.rename(moved)
    assert main.main(["run", "--manifest", str(moved / "manifest.jsonl"), "--line", "1"]) == 0
    assert records.is_done(records.path_of(moved, runs[0].run_id))
    assert not runs[0].config.directory.exists()


def test_the_copy_of_a_submission_belongs_to_the_folder_above(runs: tuple[PlannedRun, ...]) -> None:
    directory = runs[0].config.directory
    name = submission.create_manifest(runs[1:], directory)
    (first, second) = manifest.read_runs(submission.runs_path(directory, name))
    assert (first.run_id, second.run_id) == (runs[1].run_id, runs[2].run_id)
    assert first.config.directory == directory
    assert submission.create_manifest(runs, directory) == str(int(name) + 1)
    named = directory.parent / "slurm" / "manifest.jsonl"
    assert manifest.directory_of(named) == named.parent, "a sweep may be called slurm"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--line", "4"], "no line 4: it ends with line 3"),
        (["--runs", "2-4"], "no lines 2-4: it ends with line 3"),
        (["--line", "-1"], "counted from 1"),
        (["--runs", "3-2"], "counted from 1"),
        (["--runs", "a"], "such as 1-10"),
        ([], "--line N or --runs A-B"),
        (["--line", "1", "--runs", "1"], "--line N or --runs A-B"),
        (["--line", "1", "seed=3"], "no overrides"),
    ],
)
def test_bad_lines_are_refused(
    options: list[str], message: str, runs: tuple[PlannedRun, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    path = runs[0].config.directory / "manifest.jsonl"
    assert main.main(["run", "--manifest", str(path), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (path.parent / "records").exists()


def test_a_manifest_of_another_version_is_refused(runs: tuple[PlannedRun, ...]) -> None:
    path = runs[0].config.directory / "manifest.jsonl"
    path.write_text(path.read_text().replace('"seed":1', '"grain":1'))
    assert len(manifest.read_runs(path, 1, 1)) == 1
    with pytest.raises(ConfigError, match="line 2 is damaged or was written by another version"):
        manifest.read_runs(path)
    with pytest.raises(ConfigError, match="no such manifest"):
        manifest.read_runs(path.with_name("none.jsonl"))


def test_the_worst_state_is_the_exit_code(runs: tuple[PlannedRun, ...], done_record: Record) -> None:
    def ended(*states: str) -> list[tuple[PlannedRun, tuple[Record, ...]]]:
        return [(runs[0], (dataclasses.replace(done_record, state=state),)) for state in states]  # type: ignore[arg-type]

    assert manifest.worst_state(ended("done", "done")) == "done"
    assert manifest.worst_state(ended("done", "oom", "failed")) == "failed"
    assert manifest.worst_state(ended("failed", "interrupted")) == "interrupted"
    assert manifest.worst_state([(runs[0], ())]) == "failed", "another process executes it"
    assert manifest.worst_state([]) == "done"


def test_a_requeued_task_executes_the_runs_that_it_left_open(
    runs: tuple[PlannedRun, ...], done_record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three runs one failed in this task and one was interrupted; the third failed before it was
    submitted."""
    directory = runs[0].config.directory
    path = submission.runs_path(directory, submission.create_manifest(runs, directory))
    written = path.stat().st_mtime
    for run, state, age in zip(runs, ("failed", "interrupted", "failed"), (1, 1, -1), strict=True):
        record = dataclasses.replace(done_record, run_id=run.run_id, state=state, reason="for the test")  # type: ignore[arg-type]
        record_path = records.write(record, directory)
        os.utime(record_path, (written + age, written + age))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    ended = manifest.run_range(path, 1, 3)
    assert {run.run_id for run, _ in ended} == {runs[1].run_id, runs[2].run_id}
    assert {written[-1].state for _, written in ended} == {"done"}


def test_a_task_uses_the_cpus_and_gpus_that_slurm_allocated(runs: tuple[PlannedRun, ...]) -> None:
    launch = runs[0].config.launch
    free = dataclasses.replace(launch, threads=None)
    assert manifest.task_slots(free, {}) == Slots(1, 1, 0)
    assert manifest.task_slots(free, {"SLURM_JOB_ID": "1", "SLURM_CPUS_PER_TASK": "8"}) == Slots(1, 8, 0)
    gpus = {"SLURM_JOB_ID": "1", "SLURM_CPUS_PER_TASK": "8", "CUDA_VISIBLE_DEVICES": "0,3"}
    assert manifest.task_slots(free, gpus) == Slots(2, 4, 2)
    assert manifest.task_slots(dataclasses.replace(free, per_gpu=2), gpus) == Slots(4, 2, 2)
    assert manifest.task_slots(launch, gpus | {"SLURM_GPUS_ON_NODE": "1"}) == Slots(1, 1, 1)
