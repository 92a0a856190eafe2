"""Submission and reconciliation against stubs of SLURM's commands."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from isoflop import record as records
from isoflop.cli import main
from isoflop.config import Config
from isoflop.record.heartbeat import Heartbeat, HeartbeatWriter
from isoflop.runner import provenance
from isoflop.sweep import grid, manifest
from isoflop.sweep.slurm import finish, queue, reconcile, source_snapshot, submission, submit
from isoflop.sweep.slurm.queue import ActiveTask, EndedTask, SlurmError

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
SbatchCalls = Callable[[], list[list[str]]]
ROOT = Path(__file__).parents[3]


def sweep(*overrides: str) -> list[str]:
    tiny = ["sweep", "data=digits", "model.depth=1", "schedule.epochs=1", "launch=slurm", "sweep.name=mine"]
    return [*tiny, *overrides]


def test_options_and_runs_are_passed_to_sbatch(sbatch_calls: SbatchCalls, tmp_path: Path) -> None:
    given = ("partition=gpu", "account=me", "qos=long", "gres=gpu:a100:1", "memory=8G", "time=1-2:30:00")
    options = [f"launch.slurm.{each}" for each in given] + ["launch.slurm.constraint=a100"]
    options += ["launch.slurm.cpus_per_task=6", 'launch.slurm.options=["--mail-type=END"]']
    out = tmp_path / "50% my sweep"
    command = sweep(
        "model.width=4,8,16,32,64", *options, "launch.slurm.setup=[module load a,b]", f'out="{out}"'
    )
    assert main.main(command) == 0
    first, second, finish = sbatch_calls()
    asked = {"--array=0-2", "--partition=gpu", "--account=me", "--qos=long", "--gres=gpu:a100:1", "--mem=8G"}
    asked |= {"--time=1-2:30:00", "--constraint=a100", "--cpus-per-task=6", "--mail-type=END"}
    assert asked <= set(first)
    assert f"--output={tmp_path}/50%% my sweep/logs/slurm-%A_%a.out" in first
    assert "--array=0-1" in second
    assert not any("--dependency" in word for word in (*first, *second))
    assert {"--dependency=afterany:1:2", "--partition=gpu"} <= set(finish)
    assert not any(word.startswith(("--gres", "--array", "--mail")) for word in finish)
    assert (first[-6:-4], second[-6:-4]) == (["5", "1"], ["5", "4"])
    assert first[-1] == "module load a\nb"
    (source,) = (out / "source").iterdir()
    assert first[-2] == str(source)
    made = submission.read_submission(out, "1")
    assert (made.jobs, made.runs) == (("1", "2", "3"), 5)
    runs = manifest.read_runs(submission.runs_path(out, "1"))
    planned = [run.planned_train_flops or 0.0 for run in runs]
    assert planned == sorted(planned, reverse=True)
    assert planned[-1] > 0
    assert submission.tasks_of(out, made)[runs[3].run_id] == ("2", 0)


def test_a_sweep_of_text_is_submitted_from_the_folder_that_its_paths_are_relative_to(
    sbatch_calls: SbatchCalls, books: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (
        "recipe=language",
        "data=text",
        f"data.path={books.name}",
        "model.context=8",
        "model.head_width=4",
    )
    tiny = ("optim.batch_size=64", "schedule.epochs=null", "schedule.steps=4", "model.width=4,8", "seed=0,1")
    command = [*sweep()[:1], *text, *tiny, "launch=slurm", "sweep.name=mine", f"out={tmp_path / 'out'}"]
    assert main.main(command) == 0
    runs = manifest.read_runs(submission.runs_path(tmp_path / "out", "1"))
    assert [run.config.data.path for run in runs] == [books.name] * 4
    assert [run.planned_train_flops for run in runs] == sorted(
        (run.planned_train_flops or 0 for run in runs), reverse=True
    )
    array, *_ = sbatch_calls()
    assert f"--chdir={tmp_path}" in array
    folder = submission.runs_path(tmp_path / "out", "1")
    for line in (1, 4):
        (record,) = manifest.run_line(folder, line)
        assert record.state == "done", record.reason
        assert (tmp_path / "out" / "windows" / f"{record.run_id}.npy").is_file()
    assert main.main([*command[:-1], f"out={tmp_path / 'other'}", f"data.path={tmp_path / 'gone'}"]) == 2
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ((), {"--cpus-per-task=4"}),
        (("slurm.gres=gpu",), {"--cpus-per-task=4", "--gres=gpu:2"}),
        (("slurm.gres='lustre:1,gpu:a100'",), {"--cpus-per-task=4", "--gres=lustre:1,gpu:a100:2"}),
        (("slurm.gres=gpu:a100:2",), {"--cpus-per-task=4", "--gres=gpu:a100:2"}),
        (("device=cuda",), {"--cpus-per-task=4", "--gres=gpu:2"}),
        (("nodes=3",), {"--cpus-per-task=4", "--nodes=3", "--ntasks=3", "--ntasks-per-node=1"}),
    ],
)
def test_the_processes_of_a_run_get_their_cores_and_gpus(
    given: tuple[str, ...], asked: set[str], make_config: MakeConfig, tmp_path: Path
) -> None:
    overrides = ["launch=slurm", "launch.devices=2", "launch.slurm.cpus_per_task=2"]
    launch = make_config(*overrides, *(f"launch.{each}" for each in given)).launch
    submit.check(launch)
    job = submit.JobSettings(tmp_path, "1", "mine", tmp_path, launch)
    sizes = ("--cpus", "--gres", "--nodes", "--ntasks")
    assert {w for w in submit.array_command(job, 1, 1, 1, None) if w.startswith(sizes)} == asked
    assert not any(word.startswith(sizes) for word in submit.finish_command(job, ["1"]))


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_a_folder_whose_logs_sbatch_cannot_open_is_refused(
    sbatch_calls: SbatchCalls, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    command = sweep("model.width=4,8", f'out="{tmp_path}/a\\b"', *more)
    assert main.main(command) == 2
    assert "SLURM opens no log in a folder with a backslash" in capsys.readouterr().err
    assert not list(tmp_path.glob("a*"))


def test_a_number_of_gpus_other_than_that_of_the_devices_is_refused(
    sbatch_calls: SbatchCalls, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = sweep("model.width=4,8", "launch.devices=4", "launch.slurm.gres=gpu:h100:2")
    overrides.append(f"out={tmp_path / 'd'}")
    assert main.main([*overrides, "optim.batch_size=64"]) == 2
    assert "asks for 2 GPUs a node and launch.devices is 4" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_a_limit_of_tasks_at_once_holds_over_all_arrays(sbatch_calls: SbatchCalls, tmp_path: Path) -> None:
    options = ["launch.slurm.at_once=2", "launch.slurm.runs_per_task=2", f"out={tmp_path / 'd'}"]
    assert main.main(sweep("seed=range(0,7)", *options)) == 0
    first, second, finish = sbatch_calls()
    assert ("--array=0-2%2" in first, "--array=0-0%2" in second) == (True, True)
    assert "--dependency=afterany:1" in second
    assert "--dependency=afterany:1:2" in finish
    assert (first[-6:-3], second[-6:-3]) == (["7", "1", "2"], ["7", "7", "2"])


def test_a_submission_from_inside_a_job_is_not_part_of_it(
    sbatch_calls: SbatchCalls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "7")
    monkeypatch.setenv("SLURM_CONF", "/somewhere")
    assert main.main(sweep("seed=0,1", f"out={tmp_path / 'd'}")) == 0
    assert sbatch_calls()
    assert (tmp_path / "bin/slurm-variables").read_text() == "1\n"


def test_a_refused_submission_leaves_nothing_behind(
    sbatch_calls: SbatchCalls, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bin/refuse-0").touch()
    command = sweep("seed=range(0,5)", f"out={tmp_path / 'd'}")
    assert main.main(command) == 2
    assert "SLURM refuses the job: sbatch: sbatch: error: Invalid account" in capsys.readouterr().err
    assert list((tmp_path / "d/slurm").iterdir()) == []
    (tmp_path / "bin/refuse-0").rename(tmp_path / "bin/refuse-1")
    assert main.main(command) == 1
    assert "3 of 5 runs were queued before that" in capsys.readouterr().err
    assert [chunk.tasks for chunk in submission.read_submission(tmp_path / "d", "1").chunks] == [3]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (['launch.slurm.time="4"'], "give at least 5 minutes"),
        (["launch.slurm.time=0:04:59"], "give at least 5 minutes"),
        (["optim.batch_size=4000"], "larger than the 898"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    overrides: list[str],
    message: str,
    sbatch_calls: SbatchCalls,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = sweep(f"out={tmp_path / 'd'}", "seed=0,1", *overrides)
    assert main.main(command) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_without_slurm_the_message_names_the_alternatives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main.main(sweep("seed=0,1", f"out={tmp_path / 'd'}")) == 2
    assert "sbatch is not installed here" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_a_dry_run_shows_the_call_and_the_script_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main.main(sweep("seed=0,1", f'out="{tmp_path / "a b"}"', "--dry-run")) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "2 runs, 2 to run" in shown[0]
    arguments = shlex.split(shown[1])
    assert arguments[:3] == ["sbatch", "--parsable", "--array=0-1"]
    assert "--dependency=afterany:JOB1" in shown[2]
    assert "#SBATCH --signal=B:USR1@120" in shown
    assert list(tmp_path.iterdir()) == []


def test_the_users_own_script_is_taken(sbatch_calls: SbatchCalls, tmp_path: Path) -> None:
    own = tmp_path / "d/slurm/array.sbatch"
    own.parent.mkdir(parents=True)
    own.write_text("#!/bin/bash\n")
    assert main.main(sweep("seed=0,1", f"out={tmp_path / 'd'}")) == 0
    assert str(own) in sbatch_calls()[0]


@pytest.mark.parametrize(
    ("time", "expected"),
    [("90", 90), ("1:30", 1.5), ("2:00:00", 120), ("1-0", 1440), ("1-2:30", 1590), ("1-2:30:30", 1590.5)],
)
def test_time_limits_are_read_as_sbatch_reads_them(time: str, expected: float) -> None:
    assert submit.minutes(time) == expected


def test_arrays_hold_no_more_than_the_cluster_takes() -> None:
    assert list(submit.chunks(5, 1, 3)) == [(1, 3), (4, 2)]
    assert list(submit.chunks(7, 2, 3)) == [(1, 3), (7, 1)]
    assert list(submit.chunks(3, 5, 1000)) == [(1, 1)]


def test_output_of_slurm_commands_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "squeue": "17|3|PENDING|Priority|\n17|4|RUNNING|None|n2\n18|N/A|COMPLETING|None|n2\n",
        "sacct": "17_0|CANCELLED by 0|0:0|None assigned\n17_[5-6,8%2]|CANCELLED|0:0|\n17_1|RUNNING|0:0|n1\n",
    }
    for name, text in answers.items():
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{text.strip()}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert queue.active_tasks([0]) == {
        ("17", 3): ActiveTask("PENDING", "Priority"),
        ("17", 4): ActiveTask("RUNNING", "n2"),
        ("18", 0): ActiveTask("COMPLETING", "n2"),
    }
    ended = queue.ended_tasks(["17"])
    assert set(ended) == {("17", 0), ("17", 5), ("17", 6), ("17", 8)}
    (tmp_path / "sacct").write_text("#!/bin/sh\necho 'accounting storage is disabled' >&2; exit 1\n")
    line = "JobId=21 ArrayJobId=17 ArrayTaskId=2 JobState=TIMEOUT Reason=x ExitCode=0:15 NodeList=n1"
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\necho '{line}'\n")
    (tmp_path / "scontrol").chmod(0o755)
    assert queue.ended_tasks(["17"]) == {("17", 2): EndedTask("TIMEOUT", "0:15", "n1")}
    (tmp_path / "scontrol").write_text(
        "#!/bin/sh\necho 'slurm_load_jobs error: Invalid job id' >&2; exit 1\n"
    )
    assert queue.ended_tasks(["17"]) == {}, "a job that SLURM has forgotten"
    with pytest.raises(SlurmError, match="Invalid job id"):
        queue.max_array_size()


@pytest.mark.parametrize(
    ("ended", "log", "state"),
    [
        (EndedTask("OUT_OF_MEMORY", "0:125", "n1"), "", "oom"),
        (EndedTask("FAILED", "0:9", "n1"), "slurmstepd: error: Exceeded job memory limit\n", "oom"),
        (EndedTask("FAILED", "137:0", "n1"), "Detected 1 oom_kill event in StepId=3.batch\n", "oom"),
        (EndedTask("FAILED", "1:0", "n1"), "Exceeded job memory limit\ntask 7_0 on n1, start 2\n", "failed"),
        (EndedTask("NODE_FAIL", "0:0", "n1"), "", "interrupted"),
        (EndedTask("CANCELLED by 1000", "0:0", "n1"), "", "interrupted"),
        (EndedTask("TIMEOUT", "0:15", "n1"), "", "failed"),
        (None, "", "failed"),
    ],
)
def test_the_end_of_a_task_gives_state_and_reason(
    ended: EndedTask | None, log: str, state: str, tmp_path: Path
) -> None:
    path = tmp_path / "slurm-7_0.out"
    path.write_text("task 7_0 on n1, start 1\n" + log)
    end = reconcile.interpret_end(("7", 0), ended, path)
    assert end.state == state
    assert str(path) in end.reason


def test_runs_without_a_record_get_one(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a task of three runs the first is done, the second was training, the third never started."""
    runs = grid.expand(make_config("seed=0,1,2,3"))
    directory = runs[0].config.directory
    name = submission.create_manifest(runs, directory)
    made = submission.Submission(name, 0, "now", 4, 3, "source", (submission.Chunk("7", 1, 2),))
    manifest.run_line(submission.runs_path(directory, name), 1)
    HeartbeatWriter(directory, runs[1].run_id).write(Heartbeat(1, 5, 10, 2.5, "n1", 1, "9"))
    ended = {("7", 0): EndedTask("FAILED", "0:9", "n1"), ("7", 1): EndedTask("CANCELLED by 0", "0:0", "")}
    monkeypatch.setattr(queue, "ended_tasks", lambda jobs: ended)
    written = {record.run_id: record for record in reconcile.write_missing_records(directory, made)}
    assert [written[run.run_id].state for run in runs[1:]] == ["failed", "interrupted", "interrupted"]
    second = written[runs[1].run_id]
    assert (second.attempt, second.spent.wasted_seconds) == (1, 2.5)
    assert second.provenance.slurm is not None
    assert (second.provenance.slurm.job, second.provenance.slurm.array, second.provenance.host) == (
        "7",
        "0",
        "n1",
    )
    assert "before this run started" in str(written[runs[2].run_id].reason)
    assert records.is_done(records.path_of(directory, runs[0].run_id))
    assert reconcile.write_missing_records(directory, made) == (), "the second time nothing is missing"


def test_a_process_that_the_kernel_killed_for_memory_is_no_failure(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = grid.expand(make_config("seed=0,1"))
    directory = runs[0].config.directory
    name = submission.create_manifest(runs, directory)
    made = submission.Submission(name, 0, "now", 2, 1, "source", (submission.Chunk("7", 1, 2),))
    for run in runs:
        origin = reconcile._provenance(run.config, ("7", 0), None)
        reason = "its process was killed by signal 9 before it wrote a record"
        records.write(
            provenance.record_without_point(
                run.config, origin, 1.0, state="failed", reason=reason, attempt=1, seconds=3.0
            ),
            directory,
        )
    ended = {("7", 0): EndedTask("OUT_OF_MEMORY", "0:125", "n1"), ("7", 1): EndedTask("FAILED", "1:0", "n1")}
    monkeypatch.setattr(queue, "ended_tasks", lambda jobs: ended)
    (record,) = reconcile.write_missing_records(directory, made)
    assert (record.run_id, record.state, record.spent.seconds) == (runs[0].run_id, "oom", 3.0)


def test_a_run_that_another_process_trains_again_is_left_alone(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run, _) = grid.expand(make_config("seed=0,1"))
    directory = run.config.directory
    name = submission.create_manifest((run,), directory)
    made = submission.Submission(name, 0, "now", 1, 1, "source", (submission.Chunk("7", 1, 1),))
    monkeypatch.setattr(queue, "ended_tasks", lambda jobs: {("7", 0): EndedTask("FAILED", "0:9", "n1")})
    program = (
        "import sys; from pathlib import Path; from isoflop import record\n"
        "with record.claim(Path(sys.argv[1]), sys.argv[2]): print('held', flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", program, str(directory), run.run_id]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert reconcile.write_missing_records(directory, made) == ()
    assert len(reconcile.write_missing_records(directory, made)) == 1


def test_the_end_of_the_trials_submits_the_runs(sbatch_calls: SbatchCalls, tmp_path: Path) -> None:
    out = tmp_path / "d"
    overrides = ["model.width=8", "seed=0,1", "sweep.lr_grid=[1,3]", "launch.slurm.at_once=4", f"out={out}"]
    assert main.main(sweep(*overrides)) == 0
    tuning = out / "tuning"
    assert submission.read_submission(tuning, "1").runs == 2
    assert not (out / "slurm").exists()
    manifest.run_range(submission.runs_path(tuning, "1"), 1, 2)
    moved = out.rename(tmp_path / "moved")
    assert finish.main([str(moved / "tuning"), "1"]) is None
    second = submission.read_submission(moved, "1")
    assert (second.follows, second.runs, second.chunks[0].job) == ("1", 1, "3")
    manifest.run_range(submission.runs_path(moved, "1"), 1, 1)
    assert finish.main([str(moved), "1"]) == moved
    table = pd.read_csv(moved / "table.csv")
    assert (len(table), set(table["lr_interior"])) == (2, {False})


def test_queued_runs_are_not_submitted_twice(
    sbatch_calls: SbatchCalls, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = sweep("seed=range(0,4)", f"out={tmp_path / 'd'}")
    assert main.main(command) == 0
    (tmp_path / "bin/squeue").write_text(
        "#!/bin/sh\necho '1|0|PENDING|Priority|'; echo '2|0|RUNNING|None|n1'\n"
    )
    assert main.main(command) == 0
    assert "4 runs, 2 to run, 2 queued or running already" in capsys.readouterr().out
    first, again = (manifest.read_runs(submission.runs_path(tmp_path / "d", name)) for name in ("1", "2"))
    assert [run.run_id for run in again] == [run.run_id for run in first[1:3]]
    (tmp_path / "bin/squeue").write_text("#!/bin/sh\necho 'squeue: error: no answer' >&2; exit 1\n")
    assert main.main(command) == 1
    assert "no answer" in capsys.readouterr().err
    assert submission.next_name(tmp_path / "d") == "3"


def test_the_scripts_are_bash_and_come_with_a_wheel() -> None:
    for name in ("array.sbatch", "finish.sbatch"):
        path = source_snapshot.scripts() / name
        subprocess.run(["bash", "-n", str(path)], check=True)
        assert path.read_text().startswith("#!/bin/bash\n")
    included = (ROOT / "pyproject.toml").read_text()
    assert 'slurm = "isoflop/slurm"' in included


def test_a_submission_keeps_the_key_names_of_earlier_releases(tmp_path: Path) -> None:
    text = (
        '{"name": "1", "user_id": 0, "submitted_at": "then", "cells": 5, "cells_per_task": 2, "source": "s",'
        ' "chunks": [{"job": "7", "first_line": 1, "tasks": 3}]}'
    )
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/1.json").write_text(text)
    submitted = submission.read_submission(tmp_path, "1")
    assert (submitted.runs, submitted.runs_per_task, submitted.task(5)) == (5, 2, ("7", 2))
    submission.write_submission(submitted, tmp_path)
    written = json.loads((tmp_path / "slurm/1.json").read_text())
    assert written.items() >= json.loads(text).items()


def test_runs_that_others_need_are_submitted_first_and_alone(
    sbatch_calls: SbatchCalls, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = sweep("lever=none,pruning", "lever.rounds=1", "model.width=4,8", f"out={out}")
    assert main.main(command) == 0
    submitted = submission.read_submissions(out / "prior")
    runs = manifest.read_runs(submission.runs_path(out / "prior", submitted[0].jobs[0]))
    assert sorted(run.config.model.width for run in runs) == [4, 8]
    assert all(run.config.lever.is_none and run.config.launch.keep_weights for run in runs)
    assert not (out / "submissions").exists(), "the runs that need them wait for the next call"
    assert "give the same command again when they are done, or --wait" in capsys.readouterr().out
