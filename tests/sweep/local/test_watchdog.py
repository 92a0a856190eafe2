"""Cells that hang or take too long are ended, whatever the wall clock says."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

import pytest

from isoflop.config import Config
from isoflop.record import Record, heartbeat
from isoflop.record.heartbeat import Progress
from isoflop.sweep import grid, retry
from isoflop.sweep.local import worker
from isoflop.sweep.local.watchdog import Verdict, Vigil

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
Collect = Callable[..., dict[str, Record | None]]


class Process:
    """Notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def terminate(self) -> None:
        self.done.append("asked")

    def kill(self) -> None:
        self.done.append("killed")


class Case:
    """A vigil over a process that is not there, under a clock that is set by hand."""

    def __init__(self, config: Config) -> None:
        self.now, self.process = 100.0, Process()
        self.directory, self.run_id = config.directory, config.run_id
        self.vigil = Vigil(cast(BaseProcess, self.process), config, lambda: self.now)

    def sign(self, steps_done: int) -> Path:
        beat = heartbeat.Beat(self.directory, self.run_id)
        beat.write(Progress(1, steps_done, 100, 0.1, "host", 1, None))
        return heartbeat.path_of(self.directory, self.run_id)

    def after(self, seconds: float) -> list[str]:
        self.now += seconds
        self.vigil.look()
        return self.process.done


def test_a_cell_may_take_so_long_in_all(make_config: MakeConfig) -> None:
    case = Case(make_config("launch.timeout_seconds=60"))
    assert case.after(59) == []
    case.sign(50)
    assert case.after(1) == ["asked"]
    assert case.vigil.verdict == Verdict("failed", "took longer than launch.timeout_seconds=60: ended")
    assert case.after(worker.GRACE_SECONDS - 1) == ["asked"]
    assert case.after(1) == ["asked", "killed"]
    assert case.vigil.seconds == 60 + worker.GRACE_SECONDS


def test_only_new_signs_count_and_the_wall_clock_does_not(make_config: MakeConfig) -> None:
    config = make_config("launch.stall_seconds=100")
    Case(config).sign(5)
    case = Case(config)
    assert case.after(99) == [], "the sign was there before: the clock runs from the hand-over"
    path = case.sign(6)
    os.utime(path, (2**33, 2**33))
    assert case.after(99) == []
    os.utime(path, (0, 0))
    assert case.after(98) == []
    case.sign(7)
    assert case.after(1) == []
    path.touch()
    assert case.after(99) == []
    assert case.after(1) == ["asked"], "a sign that says the same is no progress"
    assert case.vigil.verdict == Verdict("failed", "no progress for 100 s (launch.stall_seconds): ended")


def test_without_limits_a_cell_is_never_ended(make_config: MakeConfig) -> None:
    case = Case(make_config("launch.stall_seconds=null"))
    assert case.after(1e9) == []


def test_the_first_reason_stands(make_config: MakeConfig) -> None:
    case = Case(make_config("launch.timeout_seconds=1"))
    case.vigil.end("interrupted", "stopped")
    case.vigil.end("interrupted", "stopped again")
    assert case.after(2) == ["asked"]
    case.vigil.kill("killed")
    assert case.process.done == ["asked", "killed"]
    assert case.vigil.verdict == Verdict("interrupted", "stopped")


HANGS = """
if seed == 1:
    time.sleep(600)
if seed == 2:
    signal.signal(signal.SIGTERM, lambda *_: None)
    sum(itertools.repeat(0))
"""


def test_cells_that_hang_are_ended(
    make_config: MakeConfig,
    collect: Collect,
    misbehave: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One sleeps; one is in native code, where Python's handler of SIGTERM never runs."""
    monkeypatch.setattr(worker, "GRACE_SECONDS", 1.0)
    misbehave(HANGS)
    cells = grid.expand(make_config("seed=1,2", "launch.stall_seconds=3"))
    found = {record.seed: record for record in collect(cells).values() if record}
    assert {seed: record.state for seed, record in found.items()} == {1: "failed", 2: "failed"}
    assert found[1].reason == found[2].reason == "no progress for 3 s (launch.stall_seconds): ended"
    assert found[2].spent.wasted_seconds >= 4


def test_a_cell_that_is_too_slow_stops_in_order_and_has_failed(
    make_config: MakeConfig, collect: Collect
) -> None:
    """It trains on and on, and writes an interrupted record when asked to stop; the next sweep may go on."""
    cells = grid.expand(make_config("seed=0,1", "schedule.epochs=100000", "launch.timeout_seconds=10"))
    (found,) = collect(cells[:1]).values()
    assert found is not None
    assert (found.state, found.reason) == ("failed", "took longer than launch.timeout_seconds=10: ended")
    assert retry.select(cells[:1], cells[0].config.directory) == cells[:1]
    assert list((cells[0].config.directory / "checkpoints").iterdir()), "it kept what it had"
