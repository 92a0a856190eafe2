"""Ctrl-C once, twice, three times; signals of schedulers; a supervisor that is killed: nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from isoflop import record as records
from isoflop import signals
from isoflop.cli import main
from isoflop.config import Config
from isoflop.record import Record, heartbeat
from isoflop.sweep import grid, retry
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import worker
from isoflop.sweep.local.launch import Slots
from isoflop.sweep.local.stops import StopLevel, StopRequests, handle_stop_signals
from isoflop.table import aggregate

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
Collect = Callable[..., dict[str, Record | None]]
PATIENCE_SECONDS = 120.0


def until(ready: Callable[[], object]) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        assert time.monotonic() < limit, "the condition was not met in time"
        time.sleep(0.02)


@contextlib.contextmanager
def sending(*numbers: int, after: Callable[[], object]) -> Iterator[None]:
    """Send this process signals once `after` holds, each when the one before has been handled."""
    handled: list[int] = []

    def send() -> None:
        until(after)
        for number in numbers:
            seen = len(handled)
            os.kill(os.getpid(), number)
            until(lambda seen=seen: len(handled) > seen)  # type: ignore[misc]

    original = StopRequests.handle

    def handle(self: StopRequests, number: int, frame: object) -> None:
        original(self, number, None)
        handled.append(number)

    StopRequests.handle = handle  # type: ignore[method-assign]
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        sender.join()
        StopRequests.handle = original  # type: ignore[method-assign]


def long_runs(make_config: MakeConfig, number: int = 4) -> tuple[PlannedRun, ...]:
    seeds = ",".join(map(str, range(number)))
    return grid.expand(make_config(f"seed={seeds}", "schedule.epochs=100000"))


def first_two_train(runs: tuple[PlannedRun, ...]) -> Callable[[], bool]:
    """Return a condition: the first two runs have written a heartbeat."""
    return lambda: all(heartbeat.path_of(c.config.directory, c.run_id).exists() for c in runs[:2])


def test_each_ctrl_c_raises_the_level_and_signals_of_schedulers_stop() -> None:
    with handle_stop_signals() as requests:
        levels = []
        for _ in range(4):
            os.kill(os.getpid(), signal.SIGINT)
            levels.append(requests.level)
    assert levels == [StopLevel.DRAIN, StopLevel.STOP, StopLevel.KILL, StopLevel.KILL]
    for number in signals.BESIDE_CTRL_C:
        with handle_stop_signals() as requests:
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            assert requests.level == StopLevel.STOP
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_after_the_first_ctrl_c_runs_that_have_started_finish(
    make_config: MakeConfig, collect: Collect, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = grid.expand(make_config("seed=0,1,2,3,4,5,6,7", "schedule.epochs=50"))
    directory = runs[0].config.directory
    first = records.path_of(directory, runs[0].run_id).exists
    with sending(signal.SIGINT, after=first), pytest.raises(KeyboardInterrupt):
        collect(runs)
    done = aggregate.aggregate(directory)
    assert 1 <= len(done.rows) < 8
    assert not done.dropped, "no run was cut short"
    assert capsys.readouterr().err.count("isoflop: starting no new runs; ") == 1
    assert len(retry.select(runs, directory)) == 8 - len(done.rows)


@pytest.mark.parametrize(
    "numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,), (signal.SIGUSR1,), (signal.SIGHUP,)]
)
def test_the_second_ctrl_c_or_a_signal_of_a_scheduler_stops_runs_with_a_checkpoint(
    make_config: MakeConfig,
    collect: Collect,
    capsys: pytest.CaptureFixture[str],
    numbers: tuple[int, ...],
) -> None:
    runs = long_runs(make_config)
    with sending(*numbers, after=first_two_train(runs)), pytest.raises(KeyboardInterrupt):
        collect(runs)
    directory = runs[0].config.directory
    written = [records.read(path) for path in (directory / "records").iterdir()]
    assert [record.state for record in written] == ["interrupted", "interrupted"]
    assert len(list((directory / "checkpoints").glob("*.pt"))) == 2
    assert "isoflop: stopping 2 runs" in capsys.readouterr().err
    assert retry.select(runs, directory) == runs


def test_the_third_ctrl_c_kills(
    make_config: MakeConfig, collect: Collect, misbehave: Callable[[str], None]
) -> None:
    misbehave("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    runs = long_runs(make_config)
    with sending(*[signal.SIGINT] * 3, after=first_two_train(runs)), pytest.raises(KeyboardInterrupt):
        collect(runs)
    directory = runs[0].config.directory
    written = [records.read(path) for path in (directory / "records").iterdir()]
    assert [record.state for record in written] == ["interrupted", "interrupted"]
    assert not (directory / "checkpoints").exists(), "they had no time to write one"


STUCK = """
signal.signal(signal.SIGTERM, lambda *_: None)
out.mkdir()
(out / "begun").touch()
sum(itertools.repeat(0))
"""


def test_a_run_that_does_not_stop_in_time_is_killed(
    make_config: MakeConfig,
    collect: Collect,
    misbehave: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "GRACE_SECONDS", 1.0)
    misbehave(STUCK)
    runs = long_runs(make_config)
    begun = (runs[0].config.directory / "begun").exists
    with sending(signal.SIGTERM, after=begun), pytest.raises(KeyboardInterrupt):
        collect(runs, Slots(1, 1, 0))
    (path,) = (runs[0].config.directory / "records").iterdir()
    record = records.read(path)
    assert record.state == "interrupted"
    assert record.spent.wasted_seconds >= 1


# ---- the supervisor itself

SWEEP = ("model.width=4,8", "model.depth=1", "seed=0,1,2,3,4,5", "launch.threads=1", "launch.workers=2")
TIMED = ["train_seconds", "device_seconds", "examples_per_second", "achieved_gflops_per_second", "started_at"]


def command(out: Path, *more: str) -> list[str]:
    return ["sweep", "model=mlp", *SWEEP, *more, f"out={out}"]


def table(directory: Path) -> pd.DataFrame:
    aggregated = aggregate.aggregate(directory)
    assert not aggregated.dropped
    return aggregated.rows.drop(columns=TIMED)


def count(directory: Path, pattern: str) -> int:
    return len(list(directory.glob(pattern)))


@contextlib.contextmanager
def supervisor(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start isoflop in a process group of its own, like a foreground job of a terminal."""
    process = subprocess.Popen(
        [sys.executable, "-m", "isoflop", *arguments],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_sweep_resumed_after_its_supervisor_was_killed_gives_the_same_table(tmp_path: Path) -> None:
    length = "schedule.epochs=60"
    assert main.main(command(tmp_path / "uninterrupted", length)) == 0
    killed = tmp_path / "killed"
    with supervisor(command(killed, length)) as process:
        until(lambda: count(killed, "records/*.json") >= 3 or process.poll() is not None)
        assert process.poll() is None
        process.kill()
        process.wait()
    assert 3 <= count(killed, "records/*.json") < 12
    assert main.main(command(killed, length)) == 0
    pd.testing.assert_frame_equal(table(killed), table(tmp_path / "uninterrupted"))
    assert count(killed, "records/*.json") == 12


def test_ctrl_c_twice_at_a_terminal_reaches_the_whole_group_and_exits_with_75(tmp_path: Path) -> None:
    with supervisor(command(tmp_path, "schedule.epochs=100000")) as process:
        until(lambda: count(tmp_path, "progress/*.json") >= 2)
        assert process.stderr is not None
        os.killpg(process.pid, signal.SIGINT)
        assert "starting no new runs; waiting for 2 runs" in process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        assert "stopping 2 runs" in process.stderr.readline()
        _, rest = process.communicate(timeout=PATIENCE_SECONDS)
    assert rest == "isoflop: interrupted: run the same command again to go on\n"
    assert process.returncode == 75
    states = [records.read_state(path) for path in (tmp_path / "records").iterdir()]
    assert states == ["interrupted", "interrupted"]
