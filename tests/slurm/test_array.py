from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from isoflop.cli import main

pytestmark = pytest.mark.slurm

TINY = ("data=digits", "model=mlp", "launch=slurm")
LONG_EPOCHS, ENDLESS_EPOCHS = 2500, 100_000


def isoflop(*words: str, at: Path, codes: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "isoflop", *words], cwd=at, capture_output=True, text=True, check=False
    )
    assert done.returncode in codes, done.stdout + done.stderr
    return done.stdout


def started(*words: str, at: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "isoflop", *words]
    return subprocess.Popen(command, cwd=at, stdout=subprocess.PIPE, text=True)


def slurm(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def statuses(directory: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        isoflop("status", str(directory), "--json", "-", at=directory.parent)
    )["cells"]
    return found


def until(met: Callable[[], Any], seconds: float, words: str) -> Any:
    """What `met` gives once that is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := met():
            return found
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds} s: {words}")


def sign(directory: Path, run_id: str, attempt: int) -> Callable[[], bool]:
    """Whether a cell is in training in that attempt."""

    def seen() -> bool:
        path = directory / "progress" / f"{run_id}.json"
        try:
            return bool(json.loads(path.read_bytes())["attempt"] == attempt)
        except (OSError, ValueError):
            return False

    return seen


def task_of(directory: Path, run_id: str) -> str:
    """The task of a cell, as JOB_INDEX, by the files of the first submission."""
    lines = (directory / "slurm/1.jsonl").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if json.loads(line)["run_id"] == run_id)
    for chunk in json.loads((directory / "slurm/1.json").read_text())["chunks"]:
        if 0 <= number - chunk["first_line"] < chunk["tasks"]:
            return f"{chunk['job']}_{number - chunk['first_line']}"
    raise AssertionError(number)


def images(root: Path) -> None:
    """Two classes of black and white squares, as image folders."""
    for part in ("train", "val"):
        for shade, name in ((0, "black"), (255, "white")):
            (root / part / name).mkdir(parents=True)
            for number in range(64):
                Image.new("RGB", (8, 8), (shade,) * 3).save(root / part / name / f"{number}.png")


def test_every_task_ends_with_its_state_right_and_the_curve_is_fitted(cluster: Path, tmp_path: Path) -> None:
    """Seven cells in two arrays: two plain ones, one whose data is gone, one that needs more memory than it
    has, one whose process is killed, one that is cancelled, and one that is told of a time limit and then
    preempted."""
    directory = tmp_path / "my sweep"
    images(tmp_path / "images")
    gone: dict[str, Any] = {"data.name": "imagefolder", "data.root": tmp_path / "images"}
    gone["data.resolution"] = 8
    points: list[dict[str, Any]] = [
        *({"model.width": width} for width in (8, 64)),
        {"model.width": 9} | gone,
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
    until((directory / "manifest.jsonl").is_file, 120, "the cells are queued")

    cells = statuses(directory)
    assert [cell["state"] for cell in cells] == ["pending"] * 7
    assert "0 to run, 7 queued or running already" in isoflop(*command, at=tmp_path)
    ids = {cell["settings"]["model.width"]: cell["run_id"] for cell in cells}
    shutil.rmtree(tmp_path / "images")
    jobs = [chunk["job"] for chunk in json.loads((directory / "slurm/1.json").read_text())["chunks"]]
    assert len(jobs) == 2, "the test's cluster takes at most 5 tasks an array"
    slurm("scontrol", "release", *jobs)

    killed, cancelled, moved = (task_of(directory, ids[width]) for width in (20, 28, 24))
    until(sign(directory, ids[20], 1), 120, "the cell to be killed trains")
    running = {cell["run_id"]: cell for cell in statuses(directory)}[ids[20]]
    assert running["state"] == "running"
    assert 0 < running["share_done"] < 1
    assert running["seconds_left"] > 0
    os.kill(json.loads((directory / "progress" / f"{ids[20]}.json").read_bytes())["pid"], signal.SIGKILL)
    until(sign(directory, ids[28], 1), 120, "the cell to be cancelled trains")
    slurm("scancel", cancelled)
    until(sign(directory, ids[24], 1), 120, "the long cell trains")
    slurm("scancel", "--signal=USR1", "--batch", moved)
    until(sign(directory, ids[24], 2), 120, "the long cell goes on after a notice of its time limit")
    slurm("sbatch", "--partition=high", "--exclusive", "--mem=100", "--output=/dev/null", "--wrap=true")
    until(sign(directory, ids[24], 3), 120, "the long cell goes on after it was preempted")

    said, _ = waiting.communicate(timeout=240)
    assert waiting.returncode == 1
    assert "4 of 7 points are missing" in said
    ended = {cell["settings"]["model.width"]: cell for cell in statuses(directory)}
    states = {width: cell["state"] for width, cell in ended.items()}
    good = dict.fromkeys((8, 64, 24), "done")
    assert states == good | {9: "failed", 12_000: "oom", 20: "failed", 28: "interrupted"}
    assert "images" in ended[9]["reason"]
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
    assert (task_of(directory, ids[9]), "FAILED", "1:0") in seen
    assert (killed, "FAILED", "1:0") in seen
    assert [state for task, state, _ in seen if task == cancelled] == ["CANCELLED by 0"]
    assert {state for task, state, _ in seen if task == task_of(directory, ids[12_000])} == {"FAILED"}


def test_a_cell_by_two_processes_says_what_one_says(cluster: Path, tmp_path: Path) -> None:
    """A task of an array in which torchrun starts two processes, beside one process without SLURM."""
    words = ["optim.batch_size=60", "precision=fp32", "launch.threads=1"]
    run = ["run", *TINY[:2], *words, "model.width=16", "model.depth=1", "schedule.epochs=2"]
    assert main.main([*run, f"out={tmp_path / '1'}"]) == 0
    sweep = ["sweep", *TINY, *words, "sweep.points=[{model.width: 16, model.depth: 1, schedule.epochs: 2}]"]
    isoflop(*sweep, "launch.devices=2", f"out={tmp_path / '2'}", "sweep.name=two", "--wait", at=tmp_path)
    (log,) = (tmp_path / "2/logs").glob("slurm-*_0.out")
    assert "cells 1-1" in log.read_text()
    found = {}
    for devices in (1, 2):
        (path,) = (tmp_path / str(devices) / "records").iterdir()
        found[devices] = json.loads(path.read_bytes())
    one, two = found[1], found[2]
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
    words = ["sweep", *TINY, "model.width=8,16", f"out={tmp_path / 'd'}", "sweep.name=inside"]
    words += ["launch.slurm.memory=700M", 'launch.slurm.options=["--hold"]']
    command = [sys.executable, "-m", "isoflop", *words]
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
