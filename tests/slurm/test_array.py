from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.cli import main

pytestmark = pytest.mark.slurm

TINY = ("data=digits", "model=mlp", "launch=slurm")
LONG_EPOCHS, ENDLESS_EPOCHS = 2500, 100_000


def isoflop(*arguments: str, at: Path, codes: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "isoflop", *arguments], cwd=at, capture_output=True, text=True, check=False
    )
    assert done.returncode in codes, done.stdout + done.stderr
    return done.stdout


def started(*arguments: str, at: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "isoflop", *arguments]
    return subprocess.Popen(command, cwd=at, stdout=subprocess.PIPE, text=True)


def slurm(*arguments: str) -> str:
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def statuses(directory: Path) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads(
        isoflop("status", str(directory), "--json", "-", at=directory.parent)
    )["cells"]
    return runs


def until(condition: Callable[[], Any], seconds: float, description: str) -> Any:
    """Return the value of `condition` once it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds} s: {description}")


def in_attempt(directory: Path, run_id: str, attempt: int) -> Callable[[], bool]:
    """Return a condition: the run trains in that attempt."""

    def seen() -> bool:
        path = directory / "progress" / f"{run_id}.json"
        try:
            return bool(json.loads(path.read_bytes())["attempt"] == attempt)
        except (OSError, ValueError):
            return False

    return seen


def task_of(directory: Path, run_id: str) -> str:
    """Return the task of a run as JOB_INDEX, from the files of the first submission."""
    lines = (directory / "slurm/1.jsonl").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if json.loads(line)["run_id"] == run_id)
    for chunk in json.loads((directory / "slurm/1.json").read_text())["chunks"]:
        if 0 <= number - chunk["first_line"] < chunk["tasks"]:
            return f"{chunk['job']}_{number - chunk['first_line']}"
    raise AssertionError(number)


def test_every_task_ends_in_the_right_state_and_the_curve_is_fitted(cluster: Path, tmp_path: Path) -> None:
    """Six runs in two arrays: two plain ones, one that needs more memory than it has, one whose process is
    killed, one that is cancelled, and one that gets the signal before its time limit and is then
    preempted."""
    directory = tmp_path / "my sweep"
    points: list[dict[str, Any]] = [
        *({"model.width": width} for width in (8, 64)),
        {"model.width": 12_000, "model.depth": 2},
        {"model.width": 20, "schedule.epochs": ENDLESS_EPOCHS},
        {"model.width": 28, "schedule.epochs": ENDLESS_EPOCHS},
        {"model.width": 24, "schedule.epochs": LONG_EPOCHS},
    ]
    every: dict[str, Any] = {"model.depth": 1, "schedule.epochs": 3}
    written = ", ".join(
        "{" + ", ".join(f"{key}: {value}" for key, value in (every | point).items()) + "}" for point in points
    )
    command = ["sweep", *TINY, f"sweep.points=[{written}]", f'out="{directory}"', "sweep.name=states"]
    command += ["launch.slurm.partition=low", "launch.slurm.memory=1500M", "launch.slurm.options=[--hold]"]
    waiting = started(*command, "--wait", at=tmp_path)
    until((directory / "manifest.jsonl").is_file, 120, "the runs are queued")

    runs = statuses(directory)
    assert [run["state"] for run in runs] == ["pending"] * 6
    assert "0 to run, 6 queued or running already" in isoflop(*command, at=tmp_path)
    ids = {run["settings"]["model.width"]: run["run_id"] for run in runs}
    jobs = [chunk["job"] for chunk in json.loads((directory / "slurm/1.json").read_text())["chunks"]]
    assert len(jobs) == 2, "the test's cluster takes at most 5 tasks an array"
    slurm("scontrol", "release", *jobs)

    killed, cancelled, moved = (task_of(directory, ids[width]) for width in (20, 28, 24))
    until(in_attempt(directory, ids[20], 1), 120, "the run to be killed trains")
    running = {run["run_id"]: run for run in statuses(directory)}[ids[20]]
    assert running["state"] == "running"
    assert 0 < running["share_done"] < 1
    assert running["seconds_left"] > 0
    os.kill(json.loads((directory / "progress" / f"{ids[20]}.json").read_bytes())["pid"], signal.SIGKILL)
    until(in_attempt(directory, ids[28], 1), 120, "the run to be cancelled trains")
    slurm("scancel", cancelled)
    until(in_attempt(directory, ids[24], 1), 120, "the long run trains")
    slurm("scancel", "--signal=USR1", "--batch", moved)
    until(in_attempt(directory, ids[24], 2), 120, "the long run resumes after its time limit")
    slurm("sbatch", "--partition=high", "--exclusive", "--mem=100", "--output=/dev/null", "--wrap=true")
    until(in_attempt(directory, ids[24], 3), 120, "the long run resumes after it was preempted")

    output, _ = waiting.communicate(timeout=240)
    assert waiting.returncode == 1
    assert "3 of 6 points are missing" in output
    ended = {run["settings"]["model.width"]: run for run in statuses(directory)}
    states = {width: run["state"] for width, run in ended.items()}
    good = dict.fromkeys((8, 64, 24), "done")
    assert states == good | {12_000: "oom", 20: "failed", 28: "interrupted"}
    assert "launch.slurm.memory" in ended[12_000]["reason"]
    assert "killed by signal 9" in ended[20]["reason"]
    assert (directory / "checkpoints" / f"{ids[28]}.pt").is_file()
    assert ended[24]["attempt"] == 3
    assert len(json.loads((directory / "fit.json").read_text())["reports"]) > 0
    assert (directory / "index.html").is_file()

    printed = slurm("sacct", "-X", "-D", "-n", "-P", "-o", "JobID,State,ExitCode", "-j", ",".join(jobs))
    seen = {tuple(line.split("|")) for line in printed.splitlines()}
    assert (moved, "PREEMPTED", "0:0") in seen
    assert (moved, "COMPLETED", "0:0") in seen
    assert (killed, "FAILED", "1:0") in seen
    assert [state for task, state, _ in seen if task == cancelled] == ["CANCELLED by 0"]
    assert {state for task, state, _ in seen if task == task_of(directory, ids[12_000])} == {"FAILED"}


def test_two_processes_give_the_result_of_one(cluster: Path, tmp_path: Path) -> None:
    """A task of an array in which torchrun starts two processes, beside one process without SLURM."""
    settings = ["optim.batch_size=60", "precision=fp32", "launch.threads=1"]
    shape = ["model.width=16", "model.depth=1", "schedule.epochs=2"]
    assert main.main(["run", *TINY[:2], *settings, *shape, f"out={tmp_path / '1'}"]) == 0
    sweep = [
        "sweep",
        *TINY,
        *settings,
        "sweep.points=[{model.width: 16, model.depth: 1, schedule.epochs: 2}]",
    ]
    isoflop(*sweep, "launch.devices=2", f"out={tmp_path / '2'}", "sweep.name=two", "--wait", at=tmp_path)
    (log,) = (tmp_path / "2/logs").glob("slurm-*_0.out")
    assert "runs 1-1" in log.read_text()
    by_devices = {}
    for devices in (1, 2):
        (path,) = (tmp_path / str(devices) / "records").iterdir()
        by_devices[devices] = json.loads(path.read_bytes())
    one, two = by_devices[1], by_devices[2]
    assert one["state"] == two["state"] == "done"
    assert one["run_id"] == two["run_id"]
    assert one["compute"] == two["compute"]
    assert one["error"] == two["error"]
    assert two["loss"]["test"] == pytest.approx(one["loss"]["test"], abs=1e-5)
    jobs = json.loads((tmp_path / "2/slurm/1.json").read_text())["chunks"]
    asked = slurm("sacct", "-X", "-n", "-P", "-o", "AllocCPUS", "-j", jobs[0]["job"])
    assert asked.split() == ["2"]


def test_a_sweep_submitted_from_inside_a_job_is_not_part_of_it(cluster: Path, tmp_path: Path) -> None:
    """Neither its partition nor its memory, CPUs or time limit are those of the jobs it submits."""
    arguments = ["sweep", *TINY, "model.width=8,16", f"out={tmp_path / 'd'}", "sweep.name=inside"]
    arguments += ["launch.slurm.memory=700M", 'launch.slurm.options=["--hold"]']
    command = [sys.executable, "-m", "isoflop", *arguments]
    outer = ["srun", "--partition=high", "--job-name=outer", "--mem=1500M", "--cpus-per-task=2", "--time=20"]
    subprocess.run([*outer, *command], cwd=tmp_path, check=True, capture_output=True)
    made = json.loads((tmp_path / "d/slurm/1.json").read_text())
    (array,), finish = made["chunks"], made["finish_job"]
    shown = slurm("squeue", "-h", "-j", f"{array['job']},{finish}", "-o", "%F|%j|%P|%C|%m|%l")
    assert set(shown.splitlines()) == {
        f"{array['job']}|isoflop-inside|main|1|700M|UNLIMITED",
        f"{finish}|isoflop-inside-finish|main|1|700M|UNLIMITED",
    }
    slurm("scancel", array["job"], finish)


def test_the_users_command_runs_in_the_job_that_finishes(cluster: Path, tmp_path: Path) -> None:
    """Once, after the report, told of the folder whatever its name; its failure is said and costs nothing."""
    directory = tmp_path / "a $(touch no) 'sweep'"
    command = 'env | grep ^ISOFLOP_ | sort > \\"$ISOFLOP_SWEEP_DIR/told\\"; hostname >> at_end; exit 3'
    arguments = ["sweep", *TINY, "model.width=8,16", "model.depth=1", "schedule.epochs=2", "sweep.name=told"]
    arguments += [f'out="{directory}"', f'launch.on_end="{command}"', "--wait"]
    printed = isoflop(*arguments, at=tmp_path)
    assert f"next: isoflop aggregate '{tmp_path}/a $(touch no) '\"'\"'sweep'\"'\"''" in printed
    (log,) = (directory / "logs").glob("slurm-finish-*.out")
    assert "launch.on_end=" in log.read_text()
    assert "ended with exit code 3: the sweep is not affected" in log.read_text()
    told = dict(line.split("=", 1) for line in (directory / "told").read_text().splitlines())
    assert told["ISOFLOP_SWEEP_DIR"] == str(directory)
    assert told["ISOFLOP_SWEEP_NAME"] == "told"
    assert (told["ISOFLOP_EXIT_CODE"], told["ISOFLOP_RUNS"], told["ISOFLOP_RUNS_DONE"]) == ("0", "2", "2")
    assert len((tmp_path / "at_end").read_text().splitlines()) == 1
    assert not list(tmp_path.rglob("no"))
    finish = json.loads((directory / "slurm/1.json").read_text())["finish_job"]
    state = slurm("sacct", "-X", "-n", "-P", "-o", "State,ExitCode", "-j", finish)
    assert state.split() == ["COMPLETED|0:0"]
