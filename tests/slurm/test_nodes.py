"""Runs of several nodes and GPUs: what SLURM is asked for, and that it trains."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isoflop import record as records

pytestmark = pytest.mark.slurm

SWEEP = ("sweep", "data=digits", "model=mlp", "model.width=4,8", "model.depth=1", "schedule.epochs=1")
LAUNCH = ("launch=slurm", "launch.device=cpu", "launch.nodes=2", "launch.devices=2", "launch.slurm.gres=gpu")
REQUEST = {"--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=2", "--gres=gpu:2"}
SECONDS = 300


def isoflop(*arguments: str, at: Path) -> str:
    # The name of a fake node, which torchrun would be given, leads nowhere.
    environment = os.environ | {"MASTER_ADDR": "127.0.0.1"}
    command = [sys.executable, "-m", "isoflop", *arguments]
    return subprocess.run(command, cwd=at, env=environment, check=True, capture_output=True, text=True).stdout


def test_a_run_of_two_nodes_gets_what_the_dry_run_shows_and_trains(two_nodes: Path, tmp_path: Path) -> None:
    command = (*SWEEP, *LAUNCH, "sweep.name=nodes", "out=nodes")
    shown = isoflop(*command, "--dry-run", at=tmp_path)
    assert set(shown.split()) >= REQUEST
    isoflop(*command, "launch.slurm.options=[--hold]", at=tmp_path)
    asked = subprocess.run(
        ["scontrol", "show", "job"], check=True, capture_output=True, text=True
    ).stdout.split("\n\n")
    (job,) = (each for each in asked if "JobName=isoflop-nodes\n" in each)
    for words in ("NumNodes=2", "NumTasks=2", "CPUs/Task=2", "TresPerNode=gres:gpu:2"):
        assert words in job
    number = re.search(r"JobId=(\d+)", job)
    assert number is not None
    subprocess.run(["scontrol", "release", number[1]], check=True)
    deadline = time.monotonic() + SECONDS
    while len(done := list((tmp_path / "nodes/records").glob("*.json"))) < 2:
        assert time.monotonic() < deadline, (tmp_path / "nodes/logs").read_text()
        time.sleep(0.5)
    assert {records.read_state(path) for path in done} == {"done"}


HOSTILE = 'a `touch x1` $(touch x2) \'s "q" & | %j %%A; touch x3 #\nline 2'


def test_names_that_a_shell_would_run_are_only_names(two_nodes: Path, tmp_path: Path) -> None:
    """The folder of the sweep and the one that it is started from, through sbatch and both scripts."""
    at = tmp_path / "from $(touch x4); touch x5"
    at.mkdir()
    quoted = HOSTILE.replace('"', '\\"')
    isoflop(*SWEEP, "launch=slurm", "launch.device=cpu", f'out="{quoted}"', "sweep.name=names", at=at)
    directory = at / HOSTILE
    deadline = time.monotonic() + SECONDS
    while not (directory / "table.csv").is_file():
        assert time.monotonic() < deadline, sorted(directory.rglob("*"))
        time.sleep(0.5)
    submitted = json.loads((directory / "slurm/1.json").read_bytes())
    job = submitted["chunks"][0]["job"]
    logs = {path.name for path in (directory / "logs").iterdir()}
    assert logs >= {f"slurm-{job}_0.out", f"slurm-{job}_1.out"}
    assert {records.read_state(path) for path in (directory / "records").iterdir()} == {"done"}
    assert not list(tmp_path.rglob("x[0-9]"))
