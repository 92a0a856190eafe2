"""Cells that hang or take too long are stopped, whatever the wall clock says."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

import pytest

from isoflop.config import Config
from isoflop.record import Record, heartbeat
from isoflop.record.heartbeat import Heartbeat
from isoflop.sweep import grid, retry
from isoflop.sweep.local import worker
from isoflop.sweep.local.watchdog import Termination, Watchdog

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
Collect = Callable[..., dict[str, Record | None]]


class Process:
    """A stub that keeps the signals it gets."""

    def __init__(self) -> None:
        self.signals: list[str] = []

    def terminate(self) -> None:
        self.signals.append("SIGTERM")

    def kill(self) -> None:
        self.signals.append("SIGKILL")


class Case:
    """A watchdog of a stub process, with a clock that the test sets."""

    def __init__(self, config: Config, **how: float) -> None:
        self.now, self.process = 100.0, Process()
        self.directory, self.run_id = config.directory, config.run_id
        self.watchdog = Watchdog(cast(BaseProcess, self.process), config, lambda: self.now, **how)

    def beat(self, steps_done: int) -> Path:
        heartbeat.HeartbeatWriter(self.directory, self.run_id).write(
            Heartbeat(1, steps_done, 100, 0.1, "host", 1, None)
        )
        return heartbeat.path_of(self.directory, self.run_id)

    def after(self, seconds: float) -> list[str]:
        self.now += seconds
        self.watchdog.check()
        return self.process.signals


def test_a_run_is_stopped_at_its_timeout(make_config: MakeConfig) -> None:
    case = Case(make_config("launch.timeout_seconds=60"))
    assert case.after(59) == []
    case.beat(50)
    assert case.after(1) == ["SIGTERM"]
    assert case.watchdog.termination == Termination(
        "failed", "took longer than launch.timeout_seconds=60: stopped"
    )
    assert case.after(worker.GRACE_SECONDS - 1) == ["SIGTERM"]
    assert case.after(1) == ["SIGTERM", "SIGKILL"]
    assert case.watchdog.seconds == 60 + worker.GRACE_SECONDS


def test_only_new_content_of_the_heartbeat_counts_and_not_its_time(make_config: MakeConfig) -> None:
    config = make_config("launch.stall_seconds=100")
    Case(config).beat(5)
    case = Case(config)
    assert case.after(99) == [], "this heartbeat was there before: time counts from the start of the watchdog"
    path = case.beat(6)
    os.utime(path, (2**33, 2**33))
    assert case.after(99) == []
    os.utime(path, (0, 0))
    assert case.after(98) == []
    case.beat(7)
    assert case.after(1) == []
    path.touch()
    assert case.after(99) == []
    assert case.after(1) == ["SIGTERM"], "an unchanged heartbeat is no progress"
    assert case.watchdog.termination == Termination(
        "failed", "no progress for 100 s (launch.stall_seconds): stopped"
    )


def test_without_limits_a_run_is_never_stopped(make_config: MakeConfig) -> None:
    case = Case(make_config("launch.stall_seconds=null"))
    assert case.after(1e9) == []


def test_the_first_reason_is_kept(make_config: MakeConfig) -> None:
    case = Case(make_config("launch.timeout_seconds=1"))
    case.watchdog.stop("interrupted", "stopped")
    case.watchdog.stop("interrupted", "stopped again")
    assert case.after(2) == ["SIGTERM"]
    case.watchdog.kill("killed")
    assert case.process.signals == ["SIGTERM", "SIGKILL"]
    assert case.watchdog.termination == Termination("interrupted", "stopped")


HANGS = """
if seed == 1:
    time.sleep(600)
if seed == 2:
    signal.signal(signal.SIGTERM, lambda *_: None)
    sum(itertools.repeat(0))
"""


def test_runs_that_hang_are_stopped(
    make_config: MakeConfig,
    collect: Collect,
    misbehave: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One sleeps; one is in native code, where Python's handler of SIGTERM never runs."""
    monkeypatch.setattr(worker, "GRACE_SECONDS", 1.0)
    misbehave(HANGS)
    runs = grid.expand(make_config("seed=1,2", "launch.stall_seconds=3"))
    by_seed = {record.seed: record for record in collect(runs).values() if record}
    assert {seed: record.state for seed, record in by_seed.items()} == {1: "failed", 2: "failed"}
    assert by_seed[1].reason == by_seed[2].reason == "no progress for 3 s (launch.stall_seconds): stopped"
    assert by_seed[2].spent.wasted_seconds >= 4


def test_a_run_over_its_timeout_writes_a_checkpoint_and_has_failed(
    make_config: MakeConfig, collect: Collect
) -> None:
    """It writes an interrupted record when it gets SIGTERM; the next sweep may resume it."""
    runs = grid.expand(make_config("seed=0,1", "schedule.epochs=100000", "launch.timeout_seconds=10"))
    (record,) = collect(runs[:1]).values()
    assert record is not None
    assert (record.state, record.reason) == ("failed", "took longer than launch.timeout_seconds=10: stopped")
    assert retry.select(runs[:1], runs[0].config.directory) == runs[:1]
    assert list((runs[0].config.directory / "checkpoints").iterdir())


def test_no_heartbeat_is_expected_while_something_is_metered(make_config: MakeConfig) -> None:
    config = make_config("launch.stall_seconds=100", "launch.timeout_seconds=300")
    case = Case(config, quiet_seconds=50)
    assert case.after(149) == []
    assert case.after(1) == ["SIGTERM"]
