"""Real preemption, cancellation and time limits, in every phase of a task."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.cli import main

pytestmark = pytest.mark.slurm

TESTS = Path(__file__).parents[1]
TINY: tuple[str, ...] = ("data=digits", "model=mlp", "model.width=8", "model.depth=1")
TINY += ("schedule.evaluations=3", "launch=slurm", "launch.slurm.partition=low")
TINY += ("launch.slurm.at_once=1", "launch.slurm.memory=1500M")
PHASES = ("fork server", "compile", "training", "evaluation", "writing")
KEEPS = ("training", "evaluation")
PATIENCE_SECONDS = 300.0


def isoflop(*arguments: str, at: Path, code: int = 0) -> str:
    command = [sys.executable, "-m", "isoflop", *arguments]
    done = subprocess.run(command, cwd=at, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def slurm(*arguments: str) -> str:
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def until(condition: Callable[[], Any], description: str) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.2)
    raise AssertionError(f"not within {PATIENCE_SECONDS} s: {description}")


def submitted(
    folder: Path, *more: str, phases: tuple[str, ...] = PHASES, setup: tuple[str, ...] = ()
) -> tuple[Path, str]:
    """Submit a run for each phase, hooked there; return the sweep's folder and the job of the array.

    `setup` are lines that the script of each task runs first.
    """
    wrapper = folder / "python"
    wrapper.write_text(
        f"#!/bin/bash\nshift 3 # -P -m isoflop\n"
        f'PYTHONPATH=$PYTHONPATH:{TESTS} exec {sys.executable} {TESTS / "stop_in_phase.py"} "$@"\n'
    )
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    lines = [
        f"export NUMBER=0 MARK={folder}/mark PHASES='{','.join(phases)}'",
        f"[ -v SLURM_ARRAY_TASK_ID ] && python={wrapper}",
        *setup,
    ]
    seeds = ",".join(map(str, range(len(phases))))
    axis = f"seed={seeds}" if len(phases) > 1 else "seed=range(0,1)"
    quoted = ",".join(json.dumps(line) for line in lines)
    out = folder / "out"
    isoflop("sweep", *TINY, *more, axis, f"out={out}", f"launch.slurm.setup=[{quoted}]", at=folder)
    (chunk,) = json.loads((out / "slurm/1.json").read_text())["chunks"]
    return out, chunk["job"]


def statuses(out: Path) -> list[dict[str, Any]]:
    """Return what `isoflop status` writes, of this process: it is asked until SLURM's accounting knows."""
    shown = out.parent / "status.json"
    assert main.main(["status", str(out), "--json", str(shown)]) == 0
    runs: list[dict[str, Any]] = json.loads(shown.read_bytes())["cells"]
    return runs


def log(out: Path, job: str, task: int) -> str:
    path = out / f"logs/slurm-{job}_{task}.out"
    return path.read_text() if path.is_file() else ""


def record_of(out: Path, task: int) -> dict[str, Any] | None:
    """Return the record of the run of a task, if there is one."""
    run_id = json.loads((out / "slurm/1.jsonl").read_text().splitlines()[task])["run_id"]
    path = out / f"records/{run_id}.json"
    return json.loads(path.read_bytes()) if path.is_file() else None


def until_done(out: Path, task: int) -> dict[str, Any]:
    def done() -> dict[str, Any] | None:
        record = record_of(out, task)
        return record if record and record["state"] == "done" else None

    record: dict[str, Any] = until(done, f"task {task} is done")
    return record


def assert_interrupted(out: Path, task: int) -> None:
    """Wait for the interrupted record of a task's run; fail without a step and a checkpoint."""
    record = until(lambda: record_of(out, task), f"task {task} writes its record")
    assert record["state"] == "interrupted"
    assert re.match(r"SIG\w+ received after step \d+ of \d+: run it again to go on", record["reason"])
    assert (out / f"checkpoints/{record['trunk_id']}.pt").is_file()


def assert_plain(text: str) -> None:
    """Fail if a log holds more than the lines of the script, of SLURM and of isoflop's results."""
    assert "Traceback" not in text, text
    assert not re.search(r"\w+Error\b", text), text


def test_a_task_that_is_preempted_in_any_phase_is_requeued_and_ends(cluster: Path, tmp_path: Path) -> None:
    out, job = submitted(tmp_path, "schedule.epochs=30")
    for task, phase in enumerate(PHASES):
        mark = tmp_path / f"mark-{phase}"
        until(mark.exists, f"task {task} is in the phase {phase}")
        slurm("sbatch", "--partition=high", "--exclusive", "--mem=100", "--output=/dev/null", "--wrap=true")
        until(lambda n=task: "DUE TO PREEMPTION" in log(out, job, n), f"task {task} is preempted")  # type: ignore[misc]
        Path(f"{mark}.go").touch()
        if phase in KEEPS:
            assert_interrupted(out, task)
    for task, phase in enumerate(PHASES):
        # The run of the last phase is done before the task is preempted: its second start finds that.
        until(lambda n=task: "start 2: runs" in log(out, job, n), f"task {task} is requeued")  # type: ignore[misc]
        record = until_done(out, task)
        text = log(out, job, task)
        assert_plain(text)
        interrupted = "isoflop: interrupted: run the same command again to go on"
        assert text.partition("start 2: runs")[0].count(interrupted) == 1, text
        if phase in KEEPS:
            assert record["attempt"] == 2
            assert record["spent"]["wasted_flops"] == 0, "it went on from its checkpoint"
    until(lambda: not slurm("squeue", "-h"), "the last job ends")
    (finish,) = (out / "logs").glob("slurm-finish-*.out")
    assert "no fit yet: test_error against train_gflops: 1 distinct compute scales" in finish.read_text()
    number = finish.stem.rpartition("-")[2]
    asked = ("sacct", "-X", "-n", "-P", "-o", "State,ExitCode", "-j", number)
    until(lambda: slurm(*asked).split() == ["COMPLETED|0:0"], "accounting knows that the last job succeeded")


def test_a_task_that_is_cancelled_in_any_phase_is_interrupted(cluster: Path, tmp_path: Path) -> None:
    out, job = submitted(tmp_path, "schedule.epochs=30")
    for task, phase in enumerate(PHASES):
        mark = tmp_path / f"mark-{phase}"
        until(mark.exists, f"task {task} is in the phase {phase}")
        slurm("scancel", f"{job}_{task}")
        until(lambda n=task: "CANCELLED" in log(out, job, n), f"task {task} is cancelled")  # type: ignore[misc]
        Path(f"{mark}.go").touch()
        gone = f"{job}_{task}"
        until(lambda name=gone: name not in slurm("squeue", "-h", "-r", "-o", "%i"), f"{gone} has left")  # type: ignore[misc]
        # The accounting, which alone knows how a task without a record ended, lags behind the queue.
        until(lambda n=task: statuses(out)[n]["state"] != "lost", f"the end of {gone} is accounted for")  # type: ignore[misc]
        state = statuses(out)[task]
        if phase == "writing" and state["state"] == "done":
            continue
        assert state["state"] == "interrupted", (phase, state)
        assert_plain(log(out, job, task))
        assert "requeued" not in log(out, job, task)


def test_a_time_limit_that_is_lowered_costs_nothing(cluster: Path, tmp_path: Path) -> None:
    """The limit of a task that trains becomes a minute; the signal comes 45 s before it."""
    signalled = tmp_path / "signalled"
    out, job = submitted(
        tmp_path,
        "schedule.epochs=30",
        'launch.slurm.options=["--signal=B:USR1@45"]',
        phases=("training",),
        setup=(f"trap 'forward; touch {signalled}' USR1",),
    )
    until((tmp_path / "mark-training").exists, "it trains")
    slurm("scontrol", "update", f"JobId={job}_0", "TimeLimit=1")
    until(signalled.exists, "the signal before the limit")
    (tmp_path / "mark-training.go").touch()
    until(lambda: "interrupted: requeued to resume" in log(out, job, 0), "it is requeued")
    assert_interrupted(out, 0)
    slurm("scontrol", "update", f"JobId={job}_0", "TimeLimit=UNLIMITED")
    record = until_done(out, 0)
    assert_plain(log(out, job, 0))
    assert record["attempt"] == 2
    assert record["spent"]["wasted_flops"] == 0
