"""Liveness files: a process counts for as long as it runs, and stale files go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from isoflop.track import liveness

SLEEP = "import time; time.sleep(600)"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / liveness.FOLDER).glob("*"))


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs for ten minutes."""
    child = subprocess.Popen([sys.executable, "-c", SLEEP])
    yield child
    child.kill()
    child.wait()


def test_a_process_counts_until_it_is_killed(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    assert not liveness.any_running(tmp_path)
    liveness.register(tmp_path, process.pid)
    assert liveness.any_running(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{process.pid}").exists(), "a zombie, which nobody has collected"
    assert not liveness.any_running(tmp_path)
    assert names(tmp_path) == []


def test_its_own_children_do_not_count_for_it(tmp_path: Path) -> None:
    """A grandchild that outlives the tracker, as a helper process of W&B might, holds up nobody."""
    code = (
        f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {SLEEP!r}]).pid, flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as tracker:
        liveness.register(tmp_path, tracker.pid)
        assert tracker.stdout is not None
        grandchild = int(tracker.stdout.readline())
    try:
        assert not liveness.any_running(tmp_path)
    finally:
        os.kill(grandchild, signal.SIGKILL)


def test_an_id_that_was_given_to_another_process_is_stale(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    liveness.register(tmp_path, process.pid)
    (path,) = (tmp_path / liveness.FOLDER).iterdir()
    path.rename(path.with_name(path.name.rpartition("-")[0] + "-1"))
    assert not liveness.any_running(tmp_path)
    assert names(tmp_path) == []


def test_files_of_other_machines_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / liveness.FOLDER
    folder.mkdir()
    foreign = ["other-4026531836-1-2", f"{liveness._machine()}x-1-2", "notes.txt"]
    for name in foreign:
        (folder / name).touch()
    assert not liveness.any_running(tmp_path)
    assert names(tmp_path) == sorted(foreign)
