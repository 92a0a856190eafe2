"""Locks with and without flock: held by live processes, given up by killed ones, here and on other nodes."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isoflop.record import lock

pytestmark = pytest.mark.slow

SHARED = Path(__file__).parents[2] / "../shared/cases/noflock.c"
LEASE_SECONDS = 1.5
HOLDER = """
import errno, fcntl, socket, sys, time
from pathlib import Path
path, has_flock, host = Path(sys.argv[1]), sys.argv[2] == "True", sys.argv[3]

def no_flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")

if not has_flock:
    fcntl.flock = no_flock
if host:
    socket.gethostname = lambda: host
from isoflop.record import lock
lock.LEASE_SECONDS = float(sys.argv[4])
with lock.exclusive(path, wait=False):
    print("held", flush=True)
    time.sleep(600)
"""
Hold = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Hold]:
    """hold(has_flock=..., host=...): a process that holds tmp_path/a.lock."""
    processes = []

    def start(*, has_flock: bool, host: str = "") -> subprocess.Popen[str]:
        words = [str(tmp_path / "a.lock"), str(has_flock), host, str(LEASE_SECONDS)]
        process = subprocess.Popen([sys.executable, "-c", HOLDER, *words], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(lock, "LEASE_SECONDS", LEASE_SECONDS)


def taken(path: Path) -> bool:
    with lock.exclusive(path, wait=False):
        return True


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_lock_is_held_by_one_process_and_given_up_when_it_is_killed(tmp_path: Path, hold: Hold) -> None:
    holder = hold(has_flock=True)
    with (
        pytest.raises(lock.LockHeldError, match=r"a\.lock: another process"),
        lock.exclusive(tmp_path / "a.lock", wait=False),
    ):
        pass
    kill(holder)
    assert taken(tmp_path / "a.lock")
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_whoever_waits_gets_the_lock(tmp_path: Path) -> None:
    path, order = tmp_path / "a.lock", []

    def wait() -> None:
        with lock.exclusive(path, wait=True):
            order.append("second")

    with lock.exclusive(path, wait=True):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert taken(path)


@pytest.mark.usefixtures("no_flock")
def test_without_flock_a_live_holder_keeps_its_lease(tmp_path: Path, hold: Hold) -> None:
    hold(has_flock=False, host="another-node")
    with pytest.raises(lock.LockHeldError), lock.exclusive(tmp_path / "a.lock", wait=False):
        pass


@pytest.mark.usefixtures("no_flock")
@pytest.mark.parametrize("host", ["", "another-node"])
def test_without_flock_the_lease_of_a_killed_holder_can_be_taken(
    tmp_path: Path, hold: Hold, host: str
) -> None:
    kill(hold(has_flock=False, host=host))
    assert (tmp_path / "a.lock.lease").exists(), "a killed process leaves its lease behind"
    assert taken(tmp_path / "a.lock")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), lock.exclusive(tmp_path / "file/a.lock", wait=False):
        pass


def test_a_run_works_on_a_file_system_without_locks(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not SHARED.is_file():
        pytest.skip("no C compiler, or ../shared/cases/noflock.c is absent")
    library = tmp_path / "noflock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, SHARED, "-ldl"], check=True)
    tiny = ("model.width=8", "model.depth=1", "schedule.epochs=1", "launch.threads=1")
    done = subprocess.run(
        [sys.executable, "-m", "isoflop", "run", *tiny, f"out={tmp_path / 'out'}"],
        env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out/records").iterdir())) == 1
    assert list((tmp_path / "out/.locks").iterdir()) == []
