"""Ctrl-C once, twice, three times; a scheduler's signals; the supervisor killed outright: nothing is lost."""

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
from isoflop.cli import main
from isoflop.config import Config
from isoflop.record import Record, heartbeat
from isoflop.sweep import grid, retry
from isoflop.sweep.grid import Cell
from isoflop.sweep.local import stops, worker
from isoflop.sweep.local.launch import Slots
from isoflop.sweep.local.stops import Level, Stops, heard
from isoflop.table import aggregate

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
Collect = Callable[..., dict[str, Record | None]]
PATIENCE_SECONDS = 120.0


def until(ready: Callable[[], object]) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        assert time.monotonic() < limit, "it did not come to that"
        time.sleep(0.02)


@contextlib.contextmanager
def sending(*numbers: int, after: Callable[[], object]) -> Iterator[None]:
    """Send this process signals, once `after` holds, each when the one before has been noticed."""
    noticed: list[int] = []

    def send() -> None:
        until(after)
        for number in numbers:
            seen = len(noticed)
            os.kill(os.getpid(), number)
            until(lambda seen=seen: len(noticed) > seen)  # type: ignore[misc]

    note = Stops.note

    def noting(self: Stops, number: int, frame: object) -> None:
        note(self, number, None)
        noticed.append(number)

    Stops.note = noting  # type: ignore[method-assign]
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        sender.join()
        Stops.note = note  # type: ignore[method-assign]


def long_cells(make_config: MakeConfig, number: int = 4) -> tuple[Cell, ...]:
    seeds = ",".join(map(str, range(number)))
    return grid.expand(make_config(f"seed={seeds}", "schedule.epochs=100000"))


def in_hand(cells: tuple[Cell, ...]) -> Callable[[], bool]:
    """Whether the first two cells give signs of life."""
    return lambda: all(heartbeat.path_of(c.config.directory, c.run_id).exists() for c in cells[:2])


def test_each_ctrl_c_is_a_step_further_and_schedulers_mean_it() -> None:
    with heard() as asked:
        levels = []
        for _ in range(4):
            os.kill(os.getpid(), signal.SIGINT)
            levels.append(asked.level)
    assert levels == [Level.DRAIN, Level.STOP, Level.KILL, Level.KILL]
    for number in stops.STOPPING:
        with heard() as asked:
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            assert asked.level == Level.STOP
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_the_first_ctrl_c_lets_cells_in_hand_finish(
    make_config: MakeConfig, collect: Collect, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = grid.expand(make_config("seed=0,1,2,3,4,5,6,7", "schedule.epochs=50"))
    directory = cells[0].config.directory
    first = records.path_of(directory, cells[0].run_id).exists
    with sending(signal.SIGINT, after=first), pytest.raises(KeyboardInterrupt):
        collect(cells)
    done = aggregate.aggregate(directory)
    assert 1 <= len(done.rows) < 8
    assert not done.dropped, "no cell was cut short"
    assert capsys.readouterr().err.count("isoflop: nothing new is started; ") == 1
    assert len(retry.select(cells, directory)) == 8 - len(done.rows)


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,), (signal.SIGUSR1,)])
def test_the_second_or_a_schedulers_signal_stops_cells_with_what_they_have(
    make_config: MakeConfig,
    collect: Collect,
    capsys: pytest.CaptureFixture[str],
    numbers: tuple[int, ...],
) -> None:
    cells = long_cells(make_config)
    with sending(*numbers, after=in_hand(cells)), pytest.raises(KeyboardInterrupt):
        collect(cells)
    directory = cells[0].config.directory
    found = [records.read(path) for path in (directory / "records").iterdir()]
    assert [record.state for record in found] == ["interrupted", "interrupted"]
    assert len(list((directory / "checkpoints").glob("*.pt"))) == 2
    assert "isoflop: stopping 2 cells in hand" in capsys.readouterr().err
    assert retry.select(cells, directory) == cells


def test_the_third_kills(make_config: MakeConfig, collect: Collect, misbehave: Callable[[str], None]) -> None:
    misbehave("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    cells = long_cells(make_config)
    with sending(*[signal.SIGINT] * 3, after=in_hand(cells)), pytest.raises(KeyboardInterrupt):
        collect(cells)
    directory = cells[0].config.directory
    found = [records.read(path) for path in (directory / "records").iterdir()]
    assert [record.state for record in found] == ["interrupted", "interrupted"]
    assert not (directory / "checkpoints").exists(), "they were given no time"


STUCK = """
signal.signal(signal.SIGTERM, lambda *_: None)
out.mkdir()
(out / "begun").touch()
sum(itertools.repeat(0))
"""


def test_one_that_does_not_stop_in_time_is_killed(
    make_config: MakeConfig,
    collect: Collect,
    misbehave: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "GRACE_SECONDS", 1.0)
    misbehave(STUCK)
    cells = long_cells(make_config)
    begun = (cells[0].config.directory / "begun").exists
    with sending(signal.SIGTERM, after=begun), pytest.raises(KeyboardInterrupt):
        collect(cells, Slots(1, 1, 0))
    (path,) = (cells[0].config.directory / "records").iterdir()
    found = records.read(path)
    assert found.state == "interrupted"
    assert found.spent.wasted_seconds >= 1


# ---- the supervisor itself

SWEEP = ("model.width=4,8", "model.depth=1", "seed=0,1,2,3,4,5", "launch.threads=1", "launch.workers=2")
TIMED = ["train_seconds", "examples_per_second", "achieved_gflops_per_second", "started_at"]


def command(out: Path, *more: str) -> list[str]:
    return ["sweep", "model=mlp", *SWEEP, *more, f"out={out}"]


def table(directory: Path) -> pd.DataFrame:
    found = aggregate.aggregate(directory)
    assert not found.dropped
    return found.rows.drop(columns=TIMED)


def count(directory: Path, pattern: str) -> int:
    return len(list(directory.glob(pattern)))


@contextlib.contextmanager
def supervisor(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """isoflop in a process group of its own, like a terminal's foreground job."""
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


def test_a_sweep_whose_supervisor_is_killed_ends_with_the_table_of_an_undisturbed_one(tmp_path: Path) -> None:
    length = "schedule.epochs=60"
    assert main.main(command(tmp_path / "undisturbed", length)) == 0
    hit = tmp_path / "hit"
    with supervisor(command(hit, length)) as process:
        until(lambda: count(hit, "records/*.json") >= 3 or process.poll() is not None)
        assert process.poll() is None
        process.kill()
        process.wait()
    assert 3 <= count(hit, "records/*.json") < 12
    assert main.main(command(hit, length)) == 0
    pd.testing.assert_frame_equal(table(hit), table(tmp_path / "undisturbed"))
    assert count(hit, "records/*.json") == 12


def test_at_a_terminal_ctrl_c_twice_reaches_the_whole_group_and_ends_with_75(tmp_path: Path) -> None:
    with supervisor(command(tmp_path, "schedule.epochs=100000")) as process:
        until(lambda: count(tmp_path, "progress/*.json") >= 2)
        assert process.stderr is not None
        os.killpg(process.pid, signal.SIGINT)
        assert "nothing new is started; 2 cells in hand finish" in process.stderr.readline()
        os.killpg(process.pid, signal.SIGINT)
        assert "stopping 2 cells in hand" in process.stderr.readline()
        _, rest = process.communicate(timeout=PATIENCE_SECONDS)
    assert rest == "isoflop: interrupted: run the same command again to go on\n"
    assert process.returncode == 75
    states = [records.read_state(path) for path in (tmp_path / "records").iterdir()]
    assert states == ["interrupted", "interrupted"]
