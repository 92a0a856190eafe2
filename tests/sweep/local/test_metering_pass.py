"""Energy of runs that shared their GPU, from a measurement of their shape alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from isoflop import record as records
from isoflop.cli import main
from isoflop.config import Config
from isoflop.config.launch import METER_OFF, SHARED_GPU
from isoflop.meter.energy import window_meter
from isoflop.meter.energy.shape_energy import ShapeEnergy
from isoflop.record import Energy, Record, known, problem, unknown
from isoflop.runner import energy as metering
from isoflop.runner import run as runner
from isoflop.runner import session, shape
from isoflop.sweep import grid
from isoflop.sweep.local import launch, metering_pass, shape_records
from isoflop.sweep.local.agenda import Agenda, MeterShape
from isoflop.sweep.local.metering_results import MeteringResults
from isoflop.sweep.local.shape_records import FROM_SOLO
from isoflop.sweep.local.stops import StopRequests
from isoflop.sweep.local.worker import Reply
from isoflop.sweep.local.worker_pool import WorkerPool

pytestmark = pytest.mark.slow

MakeConfig = Callable[..., Config]
UUID = "GPU-00000000-0000-0000-0000-000000000000"
ENERGY = Energy(
    energy_joules=1000.0,
    used="counter",
    replayed=True,
    window_seconds=10.0,
    counter_joules=1000.0,
    counter_joules_reason=None,
    integral_joules=None,
    integral_joules_reason="not read",
    idle_watts=50.0,
    idle_watts_reason=None,
    net_joules=500.0,
    net_joules_reason=None,
    **unknown("not read", "host_joules"),
    coverage=1.0,
    longest_gap_seconds=0.1,
    grade="B",
    grade_reasons=("replayed",),
    devices=(),
)


def solo_of(record: Record, energy: Energy | None = ENERGY, reason: str | None = None) -> ShapeEnergy:
    origin = record.provenance
    return ShapeEnergy("shape", energy, reason, 50_000, 0.0, 10.0, (), origin.device, origin.precision, 20.0)


def shared(record: Record) -> Record:
    """Return the record as it would be if the run had shared its GPU: its energy is unknown."""
    curve = tuple(
        dataclasses.replace(p, energy_joules=None, energy_joules_reason=SHARED_GPU) for p in record.curve
    )
    spent = dataclasses.replace(record.spent, **unknown(SHARED_GPU, "joules", "wasted_joules"))
    return dataclasses.replace(record, energy=None, energy_reason=SHARED_GPU, curve=curve, spent=spent)


def test_a_record_gets_the_joules_of_its_examples(done_record: Record) -> None:
    packed = shared(done_record)
    assert problem(packed) is None
    assert shape_records.needs_pass(packed, 10.0)
    assert not shape_records.needs_pass(done_record, 10.0), "it was trained on a CPU"
    made = shape_records.complete(packed, solo_of(packed))
    assert isinstance(made, Record)
    assert problem(made) is None
    assert not shape_records.needs_pass(made, 1e9)
    assert not shape_records.is_incomplete(made)
    assert made.compute is not None
    assert made.energy is not None
    joules = 1000.0 / 50_000 * made.compute.examples_seen
    assert made.energy.energy_joules == pytest.approx(joules)
    assert made.energy.net_joules == pytest.approx(joules / 2)
    assert made.energy.integral_joules is None
    assert made.energy.replayed
    assert made.energy.source == "shape"
    assert (made.energy.own_joules, made.energy.own_joules_reason) == (None, SHARED_GPU)
    assert made.energy.grade_reasons == ("replayed", FROM_SOLO)
    assert made.curve[-1].energy_joules == pytest.approx(joules)
    assert made.curve[0].energy_joules == pytest.approx(0.02 * made.curve[0].examples)
    assert made.spent.joules == pytest.approx(joules)
    assert made.spent.wasted_joules == 0
    assert dataclasses.replace(made, energy=None, energy_reason=SHARED_GPU) != packed
    untouched = ("error", "loss", "compute", "time", "provenance", "attempt", "state")
    assert all(getattr(made, name) == getattr(done_record, name) for name in untouched)


def test_what_a_run_has_read_itself_stays_beside(done_record: Record) -> None:
    alone = dataclasses.replace(ENERGY, replayed=False, window_seconds=2.0, **known(own_joules=7.0))
    own = dataclasses.replace(done_record, **known(energy=alone))
    assert shape_records.is_incomplete(own)
    assert shape_records.needs_pass(own, 10.0)
    assert not shape_records.needs_pass(own, 1.0), "it was metered for long enough"
    made = shape_records.complete(own, solo_of(own))
    assert isinstance(made, Record)
    assert made.energy is not None
    assert (made.energy.source, made.energy.own_joules) == ("shape", 7.0)
    assert made.energy.grade_reasons == ("replayed",)
    off = dataclasses.replace(done_record, energy=None, energy_reason=METER_OFF)
    assert not shape_records.is_incomplete(off)
    failed = dataclasses.replace(done_record, state="failed", reason="a bug")
    assert not shape_records.is_incomplete(failed)
    assert not shape_records.needs_pass(failed, 10.0)


def test_another_gpu_or_a_failed_measurement_completes_nothing(done_record: Record) -> None:
    packed = shared(done_record)
    other = dataclasses.replace(solo_of(packed), device="Another GPU")
    assert "metered on Another GPU" in str(shape_records.complete(packed, other))
    none = solo_of(packed, None, "the GPU was lost")
    assert shape_records.complete(packed, none) == "the GPU was lost"


def test_a_kept_energy_counts_if_it_is_known_and_long_enough(done_record: Record, tmp_path: Path) -> None:
    measured = solo_of(done_record)
    assert shape_records.read(tmp_path, "shape", 10.0) is None
    shape_records.write(measured, tmp_path)
    assert shape_records.read(tmp_path, "shape", 10.0) == measured
    assert shape_records.read(tmp_path, "shape", 60.0) is None
    shape_records.path_of(tmp_path, "shape").write_text("{")
    assert shape_records.read(tmp_path, "shape", 0.0) is None


def packed_sweep(make_config: MakeConfig) -> tuple[grid.PlannedRun, ...]:
    """Return runs of two shapes and two seeds: all shared a GPU but the last."""
    runs = grid.expand(make_config("model.width=4,8", "seed=0,1"))
    for run in runs[:-1]:
        (made,) = runner.run(run.config)
        records.write(shared(made), run.config.directory)
    runner.run(runs[-1].config)
    return runs


def test_the_pass_meters_each_shape_once_and_only_those_that_need_it(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = packed_sweep(make_config)
    directory = runs[0].config.directory
    metered: list[Config] = []

    def execute(
        agenda: Agenda, slots: object, on_run_end: object, results: MeteringResults, *, seconds: float | None
    ) -> None:
        assert seconds is None
        while (job := agenda.next(0)) is not None:
            assert isinstance(job, MeterShape)
            metered.append(job.config)
            (planned, *_) = (run for run in runs if run.config.shape_id == job.shape_id)
            record = records.read(records.path_of(directory, planned.run_id))
            lost = job.config.model.width == 8
            solo = solo_of(record, None, "the GPU was lost") if lost else solo_of(record)
            measured = dataclasses.replace(solo, shape_id=job.shape_id)
            results.take(0, job, Reply("metered", measured=measured))

    monkeypatch.setattr(launch, "_execute", execute)
    assert metering_pass.run_pass(runs, directory) == 2
    assert [config.model.width for config in metered] == [4, 8]
    assert "stays unknown: the GPU was lost" in capsys.readouterr().err
    after = [records.read(records.path_of(directory, run.run_id)) for run in runs]
    assert [record.energy is not None for record in after] == [True, True, False, False]
    assert metering_pass.run_pass(runs, directory) == 0
    assert [config.model.width for config in metered] == [4, 8, 8], "what is complete is not metered again"


def test_the_pass_hands_its_time_limit_to_the_worker_pool(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = packed_sweep(make_config)
    limits: list[float | None] = []

    def stop_after(seconds: float | None, stops: StopRequests) -> AbstractContextManager[None]:
        limits.append(seconds)
        return nullcontext()

    monkeypatch.setattr(launch, "stop_after", stop_after)
    monkeypatch.setattr(WorkerPool, "execute", lambda self, stops: None)
    metering_pass.run_pass(runs, runs[0].config.directory, seconds=3.0)
    metering_pass.run_pass(runs, runs[0].config.directory)
    assert limits == [3.0, None]


def test_the_pass_takes_a_kept_energy_before_it_meters(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a sweep that was killed between a measurement and the records."""
    runs = packed_sweep(make_config)
    directory = runs[0].config.directory
    for run in (runs[0], runs[2]):
        record = records.read(records.path_of(directory, run.run_id))
        kept = dataclasses.replace(solo_of(record), shape_id=run.config.shape_id)
        shape_records.write(kept, directory)
    monkeypatch.setattr(launch, "_execute", lambda *_: pytest.fail("nothing is to be metered"))
    assert metering_pass.run_pass(runs, directory) == 4
    after = [records.read(records.path_of(directory, run.run_id)) for run in runs]
    assert all(record.energy and record.energy.source == "shape" for record in after)


def test_the_energy_of_a_shape_alone_is_read_from_nvml(
    make_config: MakeConfig, nvml_stub_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU run and a stub of NVML at a constant 300 W: the energy is 300 W x the seconds of the window."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml_stub_folder))
    monkeypatch.setattr(metering, "gpu_uuids", lambda device: (UUID,))
    monkeypatch.setattr(shape, "LEAST_SECONDS", 1.0)
    monkeypatch.setattr(window_meter, "REACH_PERIODS", 100)
    config = make_config("meter.window_seconds=0", "meter.idle_seconds=0.3", "meter.period_seconds=0.05")
    try:
        idle = shape.measure_idle(config, 0, use=True)
        solo = shape.meter_shape(config, 0)
    finally:
        session.close_all()
    assert idle[UUID][0] == pytest.approx(300, rel=0.01)
    energy = solo.energy
    assert energy is not None, solo.reason
    assert energy.replayed
    assert energy.window_seconds == pytest.approx(solo.replay_seconds)
    assert solo.replay_seconds >= 1
    assert energy.integral_joules == pytest.approx(300 * energy.window_seconds, rel=0.01)
    assert energy.net_joules == pytest.approx(0, abs=300 * 0.15)
    assert solo.examples % 32 == 0
    assert solo.examples > 0
    (made,) = runner.run(dataclasses.replace(config, meter=dataclasses.replace(config.meter, energy="none")))
    assert (solo.device, solo.precision) == (made.provenance.device, made.provenance.precision)
    full = shape_records.complete(shared(made), solo)
    assert isinstance(full, Record)
    assert full.energy is not None
    assert full.compute is not None
    assert full.energy.energy_joules == pytest.approx(
        energy.energy_joules / solo.examples * full.compute.examples_seen
    )


def test_without_a_gpu_the_command_says_why(
    make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = packed_sweep(make_config)
    out = runs[0].config.out
    tiny = ["model.depth=1", "schedule.epochs=1", "launch.threads=1", "launch.device=cpu", f"out={out}"]
    assert main.main(["sweep", "model.width=4,8", "seed=0,1", *tiny, "--metering-pass"]) == 0
    output = capsys.readouterr().err
    assert "metering pass: 2 shapes" in output
    assert output.count("stays unknown: trained on the CPU") == 2
