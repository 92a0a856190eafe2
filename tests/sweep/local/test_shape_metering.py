"""A sweep that meters shape by shape, on the CPU beside a stub of NVML whose power is known."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop import record as records
from isoflop.config import Config
from isoflop.record import Record
from isoflop.sweep import grid, retry
from isoflop.sweep.grid import PlannedRun
from isoflop.sweep.local import shape_records
from isoflop.sweep.local.launch import Slots

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
Collect = Callable[..., dict[str, Record | None]]
Misbehave = Callable[..., None]

WARM = Slots(1, 1, 1)
UUID = "GPU-00000000-0000-0000-0000-000000000000"
SETUP = """
os.environ.update({environment})
from isoflop.meter.energy import window_meter
from isoflop.runner import energy
energy.gpu_uuids = lambda device: ("{uuid}",)
window_meter.REACH_PERIODS = 100
"""
METER = ("meter.idle_seconds=0.4", "meter.period_seconds=0.05", "launch.device=cpu")
WINDOW_SECONDS = 1.5


@pytest.fixture
def on_stub(nvml_stub_folder: Path, misbehave: Misbehave) -> Callable[..., None]:
    """on_stub(body, setup, STUB_LAW=...): workers meter the stub's GPU 0."""

    def make(body: str = "pass", setup: str = "", **stub: str) -> None:
        environment = {"LD_LIBRARY_PATH": str(nvml_stub_folder), "STUB_THROTTLE": "0", "STUB_UPDATE": "0.005"}
        ready = SETUP.replace("{environment}", repr(environment | stub)).replace("{uuid}", UUID)
        misbehave(body, ready + setup)

    return make


def runs_of(make_config: MakeConfig, *overrides: str) -> tuple[PlannedRun, ...]:
    return grid.expand(make_config(*METER, f"meter.window_seconds={WINDOW_SECONDS}", *overrides))


def stored(runs: tuple[PlannedRun, ...]) -> list[Record]:
    directory = runs[0].config.directory
    return [records.read(records.path_of(directory, i)) for r in runs for i in r.config.point_ids.values()]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def joules_per_example(record: Record) -> float:
    assert record.energy is not None, record.energy_reason
    assert record.compute is not None
    return record.energy.energy_joules / record.compute.examples_seen


def test_two_shapes_of_three_seeds_have_the_joules_of_a_constant_power(
    make_config: MakeConfig, collect: Collect, on_stub: Callable[..., None]
) -> None:
    on_stub()
    runs = runs_of(make_config, "model.width=8,16", "seed=0,1,2")
    directory = runs[0].config.directory
    began = time.monotonic()
    collect(runs, WARM)
    elapsed = time.monotonic() - began
    spent = 0.0
    for shape in (runs[:3], runs[3:]):
        kept = shape_records.read(directory, shape[0].config.shape_id, 0.9 * WINDOW_SECONDS)
        assert kept is not None
        assert kept.energy is not None
        assert set(kept.runs) == {run.run_id for run in shape}
        seconds = kept.train_seconds + kept.replay_seconds
        assert kept.energy.energy_joules == pytest.approx(300 * seconds, rel=0.01)
        assert WINDOW_SECONDS <= seconds < 2 * WINDOW_SECONDS, "a replay no longer than is missing"
        spent += kept.replay_seconds
        of_shape = stored(shape)
        per_example = {round(joules_per_example(record), 12) for record in of_shape}
        assert len(per_example) == 1, "one figure for all seeds"
        assert per_example.pop() == pytest.approx(300 * seconds / kept.examples, rel=0.01)
        assert kept.train_seconds == pytest.approx(
            sum(r.time.train_seconds for r in of_shape if r.time), rel=0.1
        )
        for record in of_shape:
            energy = record.energy
            assert energy is not None
            assert record.time is not None
            assert (energy.source, energy.replayed) == ("shape", True)
            # The run's own window is some tenths of a second: the counter's and the polls' steps show.
            assert energy.own_joules == pytest.approx(300 * record.time.train_seconds, abs=300 * 0.1)
            assert energy.idle_watts == pytest.approx(300, rel=0.01)
            assert energy.net_joules == pytest.approx(0, abs=0.02 * energy.energy_joules)
            assert record.curve[-1].energy_joules == pytest.approx(energy.energy_joules)
            assert record.spent.joules == pytest.approx(energy.energy_joules)
            assert record.spent.wasted_seconds == 0
            polls = lines(directory / "power" / f"{record.run_id}.jsonl")
            assert polls[0]["name"] == "NVIDIA Stub"
            # A GPU's power and its state are polled by two threads, whose lines may pass each other.
            times = [line["time"] for line in polls if "watts" in line]
            assert times == sorted(set(times))
    assert spent < 2 * 2 * WINDOW_SECONDS
    assert elapsed < 120, "one worker, one idle baseline at each end, one replay a shape"
    idle = lines(directory / "idle.jsonl")
    assert [(line["when"], line["gpu"]) for line in idle] == [("first", UUID), ("last", UUID)]
    assert all(line["idle_watts"] == pytest.approx(300, rel=0.01) for line in idle)
    assert not list((directory / "power").glob("worker-*"))
    assert not (directory / "anchors.jsonl").exists()


EVALUATES_AT_HALF_POWER = """
from isoflop.runner import evaluation
from isoflop.train.loop import Trainer
log = open({path!r}, "a", buffering=1)
def draw(watts):
    log.write(f"{time.monotonic():.6f} {watts}\\n")
draw(100)
real_evaluate, real_init = evaluation.evaluate, Trainer.__init__
def evaluate(*arguments):
    draw(150)
    time.sleep(0.06)
    score = real_evaluate(*arguments)
    draw(300)
    return score
evaluation.evaluate = evaluate
def init(self, *arguments, **how):
    draw(300)
    real_init(self, *arguments, **how)
Trainer.__init__ = init
"""


def test_what_evaluations_draw_is_not_counted_as_training(
    make_config: MakeConfig, collect: Collect, on_stub: Callable[..., None], tmp_path: Path
) -> None:
    """Training at 300 W, evaluations at 150 W and as long together, an idle GPU at 100 W."""
    log = str(tmp_path / "power.log")
    setup = EVALUATES_AT_HALF_POWER.replace("{path!r}", repr(log))
    on_stub(setup=setup, STUB_LAW=f"log {log}", STUB_EPOCH="0")
    runs = runs_of(make_config, "seed=0,1,2", "schedule.epochs=20", "schedule.evaluations=6")
    collect(runs, WARM)
    kept = shape_records.read(runs[0].config.directory, runs[0].config.shape_id, 0)
    assert kept is not None
    assert kept.energy is not None
    seconds = kept.train_seconds + kept.replay_seconds
    assert kept.energy.energy_joules == pytest.approx(300 * seconds, rel=0.03)
    assert kept.energy.idle_watts == pytest.approx(100, rel=0.02)
    assert kept.energy.net_joules == pytest.approx(200 * seconds, rel=0.05)
    assert len({round(joules_per_example(record), 12) for record in stored(runs)}) == 1


def test_shapes_that_train_long_enough_are_not_replayed(
    make_config: MakeConfig, collect: Collect, on_stub: Callable[..., None]
) -> None:
    on_stub()
    runs = runs_of(make_config, "seed=0,1", "meter.window_seconds=0.05", "schedule.epochs=20")
    collect(runs, WARM)
    kept = shape_records.read(runs[0].config.directory, runs[0].config.shape_id, 0)
    assert kept is not None
    assert kept.replay_seconds == 0
    assert kept.energy is not None
    assert not kept.energy.replayed
    assert kept.energy.energy_joules == pytest.approx(300 * kept.train_seconds, rel=0.03)


def test_the_points_of_a_trunk_share_its_joules_per_example(
    make_config: MakeConfig, collect: Collect, on_stub: Callable[..., None]
) -> None:
    on_stub()
    runs = runs_of(make_config, "seed=0,1", "schedule.cooldowns=[0.25,0.5,1]", "schedule.epochs=4")
    collect(runs, WARM)
    points = stored(runs)
    assert len(points) == 6
    assert len({round(joules_per_example(point), 12) for point in points}) == 1
    kept = shape_records.read(runs[0].config.directory, runs[0].config.shape_id, 0)
    assert kept is not None
    compute = points[0].compute
    assert compute is not None
    each = compute.train_flops_per_example
    assert each is not None
    trained = sum(point.spent.flops or 0 for point in points) / each
    replayed = kept.examples * kept.replay_seconds / (kept.replay_seconds + kept.train_seconds)
    assert kept.examples - trained == pytest.approx(replayed, rel=0.5), "each branch is counted once"
    own = [point.energy.own_joules for point in points if point.energy]
    assert all(joules is not None and joules > 0 for joules in own)


DIES = """
if seed == 1:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_killed_within_a_shape_costs_its_run_and_a_resumed_sweep_uses_the_shapes_file(
    make_config: MakeConfig, collect: Collect, on_stub: Callable[..., None]
) -> None:
    on_stub(DIES)
    runs = runs_of(make_config, "seed=0,1,2")
    collect(runs, WARM)
    directory, shape_id = runs[0].config.directory, runs[0].config.shape_id
    first, died, last = stored(runs)
    assert [first.state, died.state, last.state] == ["done", "failed", "done"]
    kept = shape_records.read(directory, shape_id, 0)
    assert kept is not None
    assert kept.runs == (runs[2].run_id,), "the windows of the first died with its process"
    assert joules_per_example(first) == pytest.approx(joules_per_example(last))
    assert first.energy is not None
    assert first.energy.idle_watts == pytest.approx(300, rel=0.01)
    assert last.energy is not None
    assert last.energy.idle_watts == pytest.approx(300, rel=0.01), "measured by the worker that died"
    before = shape_records.path_of(directory, shape_id).read_bytes()
    on_stub()
    collect_whole = retry.select(runs, directory)
    assert [run.run_id for run in collect_whole] == [runs[1].run_id]
    collect(collect_whole, WARM)
    assert shape_records.path_of(directory, shape_id).read_bytes() == before
    assert joules_per_example(stored(runs)[1]) == pytest.approx(joules_per_example(last))


def test_a_counter_that_is_reset_within_a_shape_leaves_the_power(
    make_config: MakeConfig, collect: Collect, on_stub: Callable[..., None], tmp_path: Path
) -> None:
    reset = tmp_path / "reset"
    on_stub(f"if seed == 1: Path({str(reset)!r}).touch()", STUB_RESET=str(reset))
    runs = runs_of(make_config, "seed=0,1,2")
    collect(runs, WARM)
    kept = shape_records.read(runs[0].config.directory, runs[0].config.shape_id, 0)
    assert kept is not None
    assert kept.energy is not None
    assert (kept.energy.used, kept.energy.counter_joules) == ("integral", None)
    assert "reset" in str(kept.energy.counter_joules_reason)
    assert kept.energy.energy_joules == pytest.approx(
        300 * (kept.train_seconds + kept.replay_seconds), rel=0.01
    )


def test_a_lost_gpu_leaves_a_reason_and_never_a_figure(
    make_config: MakeConfig, collect: Collect, on_stub: Callable[..., None], tmp_path: Path
) -> None:
    lost = tmp_path / "lost"
    lost.touch()
    on_stub(STUB_LOST=str(lost))
    runs = runs_of(make_config, "seed=0,1")
    collect(runs, WARM)
    for record in stored(runs):
        assert record.energy is None
        assert "GpuIsLost" in str(record.energy_reason)
    assert not shape_records.path_of(runs[0].config.directory, runs[0].config.shape_id).exists()


METERING_DIES = """
from isoflop.runner import shape
shape.meter_shape = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_that_dies_while_metering_leaves_what_the_runs_have_read(
    make_config: MakeConfig,
    collect: Collect,
    on_stub: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    on_stub(setup=METERING_DIES)
    runs = runs_of(make_config, "model.width=4,8")
    collect(runs, WARM)
    assert "metering the shape of" in capsys.readouterr().err
    for record in stored(runs):
        assert record.state == "done"
        assert record.energy is not None
        assert (record.energy.source, record.energy.own_joules) == ("run", record.energy.energy_joules)


def test_an_anchor_is_metered_first_in_the_middle_and_last(
    make_config: MakeConfig, collect: Collect, on_stub: Callable[..., None]
) -> None:
    on_stub()
    config = make_config(
        *METER, "meter.window_seconds=0.5", "model.width=4,8,16", "seed=0,1", "sweep.anchor=true"
    )
    runs = grid.expand(config)
    collect(runs, WARM)
    anchors = lines(config.directory / "anchors.jsonl")
    assert [line["when"] for line in anchors] == ["first", "middle", "last"]
    assert {line["shape"] for line in anchors} == {"mlp w8 d1"}
    assert {line["config_id"] for line in anchors} == {runs[2].config.config_id}
    for line in anchors:
        watts = line["joules_per_example"] / line["seconds_per_example"]
        assert watts == pytest.approx(300, rel=0.06)
        assert (line["temperature_celsius"], line["sm_clock_mhz"], line["gpu"]) == (61, 1410, UUID)
        assert line["joules_per_example_reason"] is None
    moments = [line["t_monotonic"] for line in anchors]
    assert moments == sorted(moments)
    assert moments[-1] < time.monotonic()
    assert all(record.energy and record.energy.source == "shape" for record in stored(runs))
