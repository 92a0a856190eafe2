"""isoflop run: one run, its record and its exit code."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop import record as records
from isoflop.cli import main, output

TINY = ("model.width=8", "model.depth=1", "schedule.epochs=1", "launch.threads=1")


def test_run_writes_a_record_and_does_not_repeat_a_done_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["run", *TINY]) == 0
    first = capsys.readouterr().out
    (path,) = (here / "results/runs/records").glob("*.json")
    assert "test error" in first
    assert path.stem in first
    assert main.main(["run", *TINY]) == 0
    assert "done before" in capsys.readouterr().out
    assert records.read(path).attempt == 1
    assert main.main(["run", "--again", *TINY]) == 0
    assert records.read(path).attempt == 2


def test_an_unwritable_folder_is_refused_before_training(here: Path, error_line: Callable[[], str]) -> None:
    (here / "file").write_text("in the way")
    assert main.main(["run", "out=file/inside", *TINY]) == output.INPUT
    assert "file" in error_line()


def test_a_full_disk_is_the_machines_fault_and_loses_no_record(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    error_line: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main.main(["run", "seed=1", *TINY]) == 0
    capsys.readouterr()
    (old,) = (here / "results/runs/records").glob("*.json")
    before = old.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert main.main(["run", "seed=2", *TINY]) == output.FAILED
    assert "No space left on device" in error_line()
    assert [p.read_bytes() for p in (here / "results/runs/records").iterdir()] == [before]


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        (["optim=sgd", "optim.lr=1e20"], output.DIVERGED),
        (["model.width=300000", "model.depth=2"], output.OOM),
    ],
)
def test_the_exit_code_is_that_of_the_state(extra: list[str], code: int, here: Path) -> None:
    assert main.main(["run", *TINY, *extra]) == code


def test_a_run_that_another_process_holds_is_left_to_it(
    here: Path, error_line: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "held elsewhere")

    monkeypatch.setattr(fcntl, "flock", held)
    assert main.main(["run", *TINY]) == output.FAILED
    assert "another process is working on this run" in error_line()
    assert list(here.rglob("*.json")) == []


def test_hydras_multirun_writes_the_same_records(here: Path) -> None:
    assert main.main(["run", "-m", "seed=0,1", "out=multi", *TINY]) == 0
    assert main.main(["sweep", "seed=0,1", "out=swept", *TINY]) == 0
    multi, swept = (sorted((here / d / "records").glob("*.json")) for d in ("multi", "swept"))
    assert [p.name for p in multi] == [p.name for p in swept]
    for a, b in zip(multi, swept, strict=True):
        assert records.read(a).error == records.read(b).error


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_a_multirun_stops_all_of_its_jobs(here: Path, number: signal.Signals) -> None:
    """The run that trains keeps its place; none of those behind it begins."""
    long = ("model.width=8", "model.depth=1", "schedule.epochs=100000", "launch.threads=1", "meter=none")
    command = [sys.executable, "-m", "isoflop", "run", "-m", "seed=0,1,2", "out=multi", *long]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as multi:
        try:
            while not list(here.glob("multi/progress/*.json")) and multi.poll() is None:
                time.sleep(0.02)
            multi.send_signal(number)
            _, stderr = multi.communicate(timeout=30)
        finally:
            multi.kill()
    assert multi.returncode == output.INTERRUPTED
    assert stderr.endswith("isoflop: interrupted: run the same command again to go on\n")
    (only,) = here.glob("multi/records/*.json")
    assert records.read(only).state == "interrupted"
    assert len(list(here.glob("multi/progress/*.json"))) <= 1
