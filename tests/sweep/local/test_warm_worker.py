"""One worker a GPU that goes on over runs and shapes, on the CPU: slots say there is a GPU, runs that there
is none. Whatever happens to a run costs that run alone."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop.config import Config
from isoflop.record import Record, heartbeat
from isoflop.runner import run as runner
from isoflop.sweep import grid, retry
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import launch, worker_pool
from isoflop.sweep.local.launch import Slots
from isoflop.sweep.local.stops import StopLevel

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
Collect = Callable[..., dict[str, Record | None]]
Misbehave = Callable[[str], None]

WARM = Slots(1, 1, 1)
"""One run at a time on one GPU."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The slots in which workers were started, in order."""
    slots: list[int] = []
    start = worker_pool.WorkerPool._start_worker
    monkeypatch.setattr(
        worker_pool.WorkerPool,
        "_start_worker",
        lambda self, slot, job: (slots.append(slot), start(self, slot, job))[1],  # type: ignore[func-returns-value]
    )
    return slots


def runs_of(make_config: MakeConfig, *overrides: str) -> tuple[PlannedRun, ...]:
    return grid.expand(make_config("launch.device=cpu", *overrides))


def states(runs: tuple[PlannedRun, ...], seen: dict[str, Record | None]) -> list[str | None]:
    return [record.state if (record := seen[run.run_id]) else None for run in runs]


def test_one_process_trains_all_shapes_with_the_results_of_single_runs(
    make_config: MakeConfig, collect: Collect, tmp_path: Path, started: list[int]
) -> None:
    runs = runs_of(make_config, "model.width=8,4", "seed=0,1,2")
    seen = collect(runs, WARM)
    assert started == [0]
    for run in runs:
        (alone,) = runner.run(dataclasses.replace(run.config, out=str(tmp_path / "alone")))
        other = seen[run.run_id]
        assert other is not None
        assert (alone.error, alone.loss) == (other.error, other.loss)


def test_two_gpus_have_a_process_each(make_config: MakeConfig, collect: Collect, started: list[int]) -> None:
    runs = runs_of(make_config, "model.width=8,4", "seed=0,1,2")
    assert set(states(runs, collect(runs, Slots(2, 1, 2)))) == {"done"}
    assert sorted(started) == [0, 1]


def test_on_a_cpu_each_run_has_a_process(
    make_config: MakeConfig, collect: Collect, started: list[int]
) -> None:
    runs = runs_of(make_config, "seed=0,1,2")
    collect(runs, Slots(1, 1, 0))
    assert started == [0, 0, 0]


DIES = """
if seed == 1:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_crash_costs_the_run_in_hand(
    make_config: MakeConfig,
    collect: Collect,
    misbehave: Misbehave,
    started: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    misbehave(DIES)
    runs = runs_of(make_config, "seed=0,1,2,3")
    seen = collect(runs, WARM)
    assert states(runs, seen) == ["done", "failed", "done", "done"]
    assert started == [0, 0]
    died = seen[runs[1].run_id]
    assert died is not None
    assert "killed by signal 9" in str(died.reason)
    monkeypatch.undo()
    again = collect(retry.select(runs, runs[0].config.directory), WARM)
    assert [record and record.state for record in again.values()] == ["done"]


HANGS = """
if seed == 1:
    time.sleep(600)
"""


def test_a_stall_costs_the_run_in_hand(
    make_config: MakeConfig, collect: Collect, misbehave: Misbehave, started: list[int]
) -> None:
    misbehave(HANGS)
    runs = runs_of(make_config, "seed=0,1,2", "launch.stall_seconds=2")
    seen = collect(runs, WARM)
    assert states(runs, seen) == ["done", "failed", "done"]
    stalled = seen[runs[1].run_id]
    assert stalled is not None
    assert "no progress for 2 s" in str(stalled.reason)
    assert started == [0, 0]


NO_MEMORY = """
import torch
from isoflop.train.loop import Trainer
if seed == 1:
    def fail(self):
        raise torch.OutOfMemoryError("out of memory")
    Trainer.warm_up = fail
"""


def test_after_running_out_of_memory_a_new_process_goes_on(
    make_config: MakeConfig, collect: Collect, misbehave: Misbehave, started: list[int]
) -> None:
    """The fault stays with its process, as the state of CUDA may."""
    misbehave(NO_MEMORY)
    runs = runs_of(make_config, "seed=0,1,2,3")
    assert states(runs, collect(runs, WARM)) == ["done", "oom", "done", "done"]
    assert started == [0, 0]


def test_a_failure_is_followed_by_a_new_process(
    make_config: MakeConfig, collect: Collect, misbehave: Misbehave, started: list[int]
) -> None:
    misbehave(NO_MEMORY.replace("torch.OutOfMemoryError", "RuntimeError"))
    runs = runs_of(make_config, "seed=0,1,2")
    assert states(runs, collect(runs, WARM)) == ["done", "failed", "done"]
    assert started == [0, 0]


def test_a_stop_signal_leaves_a_checkpoint_and_the_rest_untouched(
    make_config: MakeConfig, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = runs_of(make_config, "seed=0,1,2", "schedule.epochs=100000")
    beating = heartbeat.path_of(runs[0].config.directory, runs[0].run_id)
    check = worker_pool.WorkerPool._check_watchdogs

    def stop_in_training(self: worker_pool.WorkerPool, level: StopLevel) -> None:
        if level == StopLevel.NONE and beating.exists():
            os.kill(os.getpid(), signal.SIGTERM)
        check(self, level)

    monkeypatch.setattr(worker_pool.WorkerPool, "_check_watchdogs", stop_in_training)
    ended: dict[str, str] = {}
    with pytest.raises(KeyboardInterrupt):
        launch.run_all(runs, WARM, lambda run, written: ended.update({run.run_id: written[-1].state}))
    assert ended == {runs[0].run_id: "interrupted"}
    assert (runs[0].config.directory / "checkpoints" / f"{runs[0].run_id}.pt").is_file()
    assert started == [0]
