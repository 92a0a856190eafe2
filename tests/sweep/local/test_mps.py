"""NVIDIA's MPS daemon for the length of a sweep, with a stub that logs its commands."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop.config import Config
from isoflop.record import Record
from isoflop.sweep import grid
from isoflop.sweep.local import mps
from isoflop.sweep.local.launch import Slots

pytestmark = pytest.mark.slow

CONTROL = """#!/bin/sh
# nvidia-cuda-mps-control: -d starts, "quit" on standard input ends; needs its folder to be there.
if [ "$1" = -d ]; then
    test ! -e "$STUB_REFUSES" && test -d "$CUDA_MPS_PIPE_DIRECTORY" && echo start >> "$STUB_LOG"
else
    read -r word && echo "$word" >> "$STUB_LOG"
fi
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the log of a stub of the daemon that is first on the path."""
    control = tmp_path / "bin" / mps.CONTROL
    control.parent.mkdir()
    control.write_text(CONTROL)
    control.chmod(0o755)
    monkeypatch.setenv("PATH", f"{control.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("STUB_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("STUB_REFUSES", str(tmp_path / "refuses"))
    monkeypatch.delenv(mps.PIPES, raising=False)
    return tmp_path / "log"


def test_the_daemon_runs_within_the_context(log: Path) -> None:
    with mps.daemon(wanted=True) as environment:
        folder = Path(environment[mps.PIPES])
        assert folder.is_dir()
        assert environment[mps.LOGS] == str(folder)
        assert log.read_text() == "start\n"
    assert log.read_text() == "start\nquit\n"
    assert not folder.exists()


def test_there_is_no_daemon_if_it_is_not_wanted_not_installed_or_does_not_start(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mps.daemon(wanted=False) as environment:
        assert environment == {}
    (log.parent / "refuses").touch()
    with mps.daemon(wanted=True) as environment:
        assert environment == {}
    monkeypatch.setenv("PATH", "/nowhere")
    with mps.daemon(wanted=True) as environment:
        assert environment == {}
    assert "start" not in (log.read_text() if log.exists() else "")


def test_a_running_daemon_is_used_and_left_alone(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(mps.PIPES, "/run/theirs")
    with mps.daemon(wanted=True) as environment:
        assert environment == {}, "children inherit the variable"
    assert not log.exists()


def test_the_daemon_ends_when_the_sweep_is_killed(log: Path) -> None:
    program = (
        "from isoflop.sweep.local import mps; import time\nwith mps.daemon(wanted=True): time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        limit = time.monotonic() + 60
        while not log.exists() and time.monotonic() < limit:
            time.sleep(0.02)
        process.kill()
    while "quit" not in log.read_text() and time.monotonic() < limit:
        time.sleep(0.02)
    assert log.read_text() == "start\nquit\n"


NOTE = """
out.mkdir(exist_ok=True)
(out / f"{seed}.env").write_text(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "none"))
"""


@pytest.mark.parametrize(("slots", "daemon"), [(Slots(2, 1, 1), True), (Slots(2, 1, 2), False)])
def test_runs_that_share_a_gpu_use_the_daemon(
    make_config: Callable[..., Config],
    collect: Callable[..., dict[str, Record | None]],
    misbehave: Callable[[str], None],
    log: Path,
    slots: Slots,
    daemon: bool,
) -> None:
    misbehave(NOTE)
    runs = grid.expand(make_config("seed=0,1"))
    collect(runs, slots)
    pipes = {path.read_text() for path in runs[0].config.directory.glob("*.env")}
    assert (pipes != {"none"}) == daemon
    assert len(pipes) == 1
    assert log.exists() == daemon
