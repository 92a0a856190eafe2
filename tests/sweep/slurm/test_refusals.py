"""What a submission refuses, and what its last job leaves alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from isoflop import record as records
from isoflop.cli import main
from isoflop.config import Config, ConfigError
from isoflop.record import SCHEMA, Record
from isoflop.sweep import grid, manifest
from isoflop.sweep.slurm import finish, queue, reconcile, submission
from isoflop.sweep.slurm.queue import EndedTask
from isoflop.sweep.slurm.submission import Chunk, Submission

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
SbatchCalls = Callable[[], list[list[str]]]


def sweep(*overrides: str) -> list[str]:
    tiny = ["sweep", "data=digits", "model.depth=1", "schedule.epochs=1", "launch=slurm", "sweep.name=mine"]
    return [*tiny, *overrides]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["launch.per_gpu=auto"], "launch.per_gpu=auto: each task would probe its GPU anew: give a number"),
        (["--metering-pass"], "--metering-pass meters on this machine, and launch=slurm trains in jobs"),
        (["--metering-pass", "--dry-run"], "--metering-pass meters on this machine"),
    ],
)
def test_what_jobs_cannot_do_is_refused_before_anything_is_submitted(
    given: list[str],
    message: str,
    sbatch_calls: SbatchCalls,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.main(sweep("seed=0,1", f"out={tmp_path / 'd'}", *given)) == 2
    assert f"isoflop: {message}" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()
    assert main.main(sweep("seed=0,1", f"out={tmp_path / 'd'}", "launch.per_gpu=2")) == 0


def test_a_task_with_gpus_does_not_take_auto_for_one(make_config: MakeConfig) -> None:
    auto = make_config("launch.per_gpu=auto").launch
    inside = {"SLURM_JOB_ID": "7", "SLURM_GPUS_ON_NODE": "2"}
    with pytest.raises(ConfigError, match=r"launch\.per_gpu=auto: .*give a number"):
        manifest.task_slots(auto, inside)
    assert manifest.task_slots(make_config("launch.per_gpu=3").launch, inside).workers == 6
    assert manifest.task_slots(auto, {"SLURM_JOB_ID": "7"}).workers == 1, "on a CPU per_gpu has no effect"


def test_too_few_points_for_a_fit_do_not_fail_the_last_job(
    make_config: MakeConfig, done_record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records.write(done_record, tmp_path)
    command = finish.report_command(tmp_path)[4:]
    assert command[0] == "report"
    assert main.main(command) == 0
    assert "no fit yet: test_error against train_gflops: 1 distinct compute scales" in capsys.readouterr().out
    assert main.main(["report", str(tmp_path)]) == 2, "a user who asks for a report has asked for a fit"
    (tmp_path / "held_out.json").write_text("{")
    assert main.main(command) == 2, "what is wrong is a failure"


def test_a_damaged_file_of_a_submission_does_not_submit_its_runs_again(
    sbatch_calls: SbatchCalls, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = sweep("seed=0,1", f"out={tmp_path / 'd'}")
    assert main.main(command) == 0
    path = tmp_path / "d/slurm/1.json"
    path.write_bytes(path.read_bytes()[:50])
    assert main.main(command) == 2
    assert f"isoflop: {path}: damaged" in capsys.readouterr().err
    assert submission.next_name(tmp_path / "d") == "2"


def test_the_last_job_leaves_the_record_of_a_newer_isoflop(
    make_config: MakeConfig, done_record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = grid.expand(make_config("seed=range(0,1)"))
    directory = run.config.directory
    name = submission.create_manifest((run,), directory)
    made = Submission(name, 0, "now", 1, 1, "source", (Chunk("7", 1, 1),))
    monkeypatch.setattr(queue, "ended_tasks", lambda jobs: {("7", 0): EndedTask("FAILED", "1:0", "n1")})
    path = records.path_of(directory, run.run_id)
    text = msgspec.json.encode(dataclasses.replace(done_record, run_id=run.run_id)).decode()
    records.write_bytes(path, text.replace(f'"schema":{SCHEMA}', f'"schema":{SCHEMA + 1}').encode())
    before = path.read_bytes()
    assert reconcile.write_missing_records(directory, made) == ()
    assert path.read_bytes() == before
