from __future__ import annotations

import dataclasses
import errno
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop import record as records
from isoflop.config import Config, ConfigError
from isoflop.record import Record
from isoflop.sweep import children, grid, planning, retry
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import launch as local
from isoflop.sweep.local import outcomes, worker, worker_pool
from isoflop.sweep.slots import Slots, fixed_slots
from isoflop.table import aggregate

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
Collect = Callable[..., dict[str, Record | None]]
Misbehave = Callable[[str], None]

DEADLY = """
if seed == 1:
    os.kill(os.getpid(), signal.SIGKILL)
if seed == 2:
    sys.exit(3)
if seed == 3:
    raise RuntimeError("outside of run")
"""

FULL = """
from isoflop import record
def full(written, directory):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory / "records"))
if seed == 1:
    record.write = full
"""


def runs_of(config: Config) -> tuple[PlannedRun, ...]:
    return grid.expand(config)


def test_a_run_that_dies_costs_only_itself(
    make_config: MakeConfig, collect: Collect, misbehave: Misbehave, monkeypatch: pytest.MonkeyPatch
) -> None:
    misbehave(DEADLY)
    runs = runs_of(make_config("seed=0,1,2,3"))
    seen = collect(runs)
    states = {run.config.seed: seen[run.run_id] for run in runs}
    assert {seed: record.state for seed, record in states.items() if record} == {
        0: "done",
        1: "failed",
        2: "failed",
        3: "failed",
    }
    assert "killed by signal 9" in str(states[1] and states[1].reason)
    assert "exit code 3" in str(states[2] and states[2].reason)
    directory = runs[0].config.directory
    table = aggregate.aggregate(directory)
    assert (len(table.rows), len(table.dropped)) == (1, 3)

    monkeypatch.undo()
    todo = retry.select(runs, directory)
    assert {run.config.seed for run in todo} == {1, 2, 3}
    again = collect(todo)
    assert {record.attempt for record in again.values() if record} == {2}
    assert retry.select(runs, directory) == ()


def test_a_sweep_gives_the_same_results_as_single_runs(
    make_config: MakeConfig, collect: Collect, tmp_path: Path
) -> None:
    from isoflop.runner import run as runner

    runs = runs_of(make_config("seed=0,1"))
    swept = collect(runs)
    for run in runs:
        alone = runner.run(dataclasses.replace(run.config, out=str(tmp_path / "alone")))[0]
        other = swept[run.run_id]
        assert other is not None
        assert (alone.error, alone.loss) == (other.error, other.loss)


def test_planning_sorts_the_largest_first_and_finds_bad_input(make_config: MakeConfig) -> None:
    planned, gpus = local.plan(runs_of(make_config("model.width=4,16,8")))
    assert gpus == 0
    assert [run.config.model.width for run in planned] == [16, 8, 4]
    steps = 898 // 32
    forward = 64 * 16 + 16 * 10
    assert planned[0].planned_train_flops == 2 * (3 * forward - 64 * 16) * steps * 32
    with pytest.raises(ConfigError, match="larger than the 898"):
        local.plan(runs_of(make_config("seed=0,1", "optim.batch_size=900")))
    assert not planned[0].config.directory.exists()


def test_the_runs_of_a_shape_follow_one_another(make_config: MakeConfig) -> None:
    """Also where two shapes have the same FLOPs and the grid alternates between them."""
    runs = runs_of(make_config("seed=0,1", "optim.weight_decay=0,0.1", "optim.lr=0.1,0.2"))
    planned, _ = local.plan(runs)
    shapes = [run.config.shape_id for run in planned]
    assert shapes == [shapes[0]] * 4 + [shapes[4]] * 4
    assert shapes[0] != shapes[4]


def test_work_is_counted_once_a_sweep(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither again for another seed or rate, nor in the process that trains, nor by the next planning."""
    from isoflop.meter.flops import count as flops
    from isoflop.runner import prepare

    monkeypatch.setattr(planning, "_counted", {})
    monkeypatch.setattr(prepare, "_counted", {})
    counted: list[int] = []
    count = flops.count

    def note_and_count(*arguments: Any, **how: Any) -> flops.FlopCount:
        counted.append(1)
        return count(*arguments, **how)

    monkeypatch.setattr(flops, "count", note_and_count)
    monkeypatch.setattr(
        children, "call_in_child", lambda purpose, function, *given, on_done: function(*given)
    )
    runs = runs_of(make_config("model.width=4,8", "seed=0,1,2", "optim.lr=0.1,0.2", "launch.device=cpu"))
    planned, _ = local.plan(runs)
    assert len(counted) == 2
    monkeypatch.setattr(prepare, "_counted", {})  # as in another process
    assert local.plan(runs)[0] == planned
    assert len(counted) == 2
    monkeypatch.setattr(prepare, "_counted", {})
    reply = worker.execute(
        worker.Assignment(runs[0].config, None, planning.counted_work(runs[0].config.shape_id)),
        worker.WorkerSettings(0, "isoflop sweep", {}, "nothing"),
    )
    assert reply.kind == "ended"
    assert records.is_done(records.path_of(runs[0].config.directory, runs[0].run_id))
    assert len(counted) == 2


def test_a_call_in_a_child_that_dies_says_what_it_was_for() -> None:
    with pytest.raises(RuntimeError, match="planning failed: its process ended with code 7"):
        children.call_in_child("planning", os._exit, 7)
    with pytest.raises(RuntimeError, match="planning failed: KeyError: 'x'"):
        children.call_in_child("planning", dict[str, int]().__getitem__, "x")


def _hold(directory: Path, run_id: str, held: Any, release: Any) -> None:
    with records.claim(directory, run_id):
        held.set()
        release.wait(60)


@pytest.mark.parametrize("for_good", [True, False])
def test_a_run_that_another_process_executes_is_left_to_it(
    make_config: MakeConfig, collect: Collect, monkeypatch: pytest.MonkeyPatch, for_good: bool
) -> None:
    """If that process ends soon (a worker of a killed sweep), the run is executed here after the others."""
    monkeypatch.setattr(worker_pool, "BUSY_SECONDS", 0.0 if for_good else 60.0)
    (run, other) = runs_of(make_config("seed=0,1"))
    context = multiprocessing.get_context("forkserver")
    held, release = context.Event(), context.Event()
    holder = multiprocessing.get_context("fork").Process(
        target=_hold, args=(run.config.directory, run.run_id, held, release)
    )
    holder.start()
    assert held.wait(60)
    postpone = worker_pool.WorkerPool._postpone

    def postpone_then_release(self: worker_pool.WorkerPool, slot: int, planned: PlannedRun) -> None:
        postpone(self, slot, planned)
        if not for_good:
            release.set()

    monkeypatch.setattr(worker_pool.WorkerPool, "_postpone", postpone_then_release)
    seen = collect((run, other))
    release.set()
    holder.join()
    assert (seen[run.run_id] is None) == for_good
    assert records.path_of(run.config.directory, run.run_id).exists() != for_good
    assert seen[other.run_id] is not None


def test_a_full_disk_stops_the_sweep_and_leaves_other_records_alone(
    make_config: MakeConfig, collect: Collect, misbehave: Misbehave
) -> None:
    runs = runs_of(make_config("seed=0,1,2,3"))
    collect(runs[:1])
    path = records.path_of(runs[0].config.directory, runs[0].run_id)
    before = path.read_bytes()
    misbehave(FULL)
    with pytest.raises(OSError, match="No space left") as raised:
        collect(runs[1:], Slots(1, 1, 0))
    assert raised.value.errno == errno.ENOSPC
    assert [p.name for p in path.parent.iterdir()] == [path.name], "no other run started, no part of a file"
    assert path.read_bytes() == before


def test_running_out_of_memory_beside_others_is_not_final(
    make_config: MakeConfig, done_record: Record
) -> None:
    config = make_config()
    crowded = dataclasses.replace(done_record, run_id=config.run_id, state="oom", reason="out of memory")
    records.write(crowded, config.directory)
    ended = outcomes.EndedRun(config, crowded.attempt, 1.0, None, "", None)
    for slots, state in ((Slots(1, 1, 1), "oom"), (Slots(2, 1, 1), "failed")):
        (record,) = outcomes.ensure_records(ended, slots, "isoflop sweep")
        assert record.state == state
        assert records.read(records.path_of(config.directory, config.run_id)) == record
    assert "launch.per_gpu=1" in str(record.reason)


def test_slots_fill_the_machine(make_config: MakeConfig) -> None:
    cores = len(os.sched_getaffinity(0))
    launch = dataclasses.replace(make_config().launch, threads=None)
    assert fixed_slots(launch, 0) == Slots(cores, 1, 0)
    assert fixed_slots(launch, 1) == Slots(1, cores, 1)
    assert fixed_slots(launch, 0, per_gpu=4) == Slots(cores, 1, 0)
    assert fixed_slots(launch, 2, per_gpu=3) == Slots(6, max(1, cores // 6), 2)
    assert fixed_slots(dataclasses.replace(launch, workers=3, threads=5), 0) == Slots(3, 5, 0)
    assert fixed_slots(dataclasses.replace(launch, threads=cores), 0).workers == 1
    assert [Slots(6, 1, 2).device_index(slot) for slot in range(6)] == [0, 1, 0, 1, 0, 1]
    cases = {(1, 1, 0): "nothing", (2, 1, 0): "processor", (2, 1, 2): "processor", (3, 1, 2): "gpu"}
    assert {each: Slots(*each).shared for each in cases} == cases
    pairs = Slots(2, 1, 4, devices=2)
    assert ([pairs.device_index(slot) for slot in (0, 1)], pairs.shared) == ([0, 2], "processor")
