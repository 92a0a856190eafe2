"""A sweep with a time limit: no run starts after it, those under way can be resumed, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from isoflop import record as records
from isoflop.config import Config
from isoflop.sweep import retry
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import launch
from isoflop.sweep.local.launch import Slots
from isoflop.sweep.local.stops import StopLevel, StopRequests, stop_after

pytestmark = pytest.mark.slow


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    requests = StopRequests()
    with stop_after(60.0, requests), stop_after(None, requests):
        pass
    assert (requests.level, requests.signalled) == (StopLevel.NONE, False)


def test_runs_are_stopped_at_the_limit_and_resumed_later(make_config: Callable[..., Config]) -> None:
    configs = [make_config("schedule.epochs=100000", f"seed={seed}") for seed in range(3)]
    runs = tuple(PlannedRun(config.run_id, {}, config) for config in configs)
    began, ended = time.monotonic(), []
    launch.run_all(runs, Slots(1, 1, 0), lambda run, written: ended.append(written), seconds=1.0)
    assert time.monotonic() - began < 60
    states = [record.state for written in ended for record in written]
    assert states == ["interrupted"]  # the others never began
    directory = configs[0].directory
    assert not records.path_of(directory, runs[1].run_id).exists()
    assert retry.select(runs, directory) == runs
