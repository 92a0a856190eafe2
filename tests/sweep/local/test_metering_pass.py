"""Energy of runs that shared their GPU, from a measurement of their shape alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from isoflop import record as records
from isoflop.cli import main
from isoflop.config import Config
from isoflop.config.launch import SHARED_GPU
from isoflop.meter.energy import window_meter
from isoflop.record import Energy, Record, problem, unknown
from isoflop.runner import energy as metering
from isoflop.runner import probe
from isoflop.runner import run as runner
from isoflop.sweep import grid, planning
from isoflop.sweep.local import metering_pass
from isoflop.sweep.local.metering_pass import FROM_SOLO, SoloMeasurement

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


def solo_of(record: Record, energy: Energy | None = ENERGY, reason: str | None = None) -> SoloMeasurement:
    return SoloMeasurement(energy, reason, 50_000, record.provenance.device, record.provenance.precision)


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
    assert metering_pass.needs_metering(packed)
    assert not metering_pass.needs_metering(done_record)
    made = metering_pass.complete(packed, solo_of(packed))
    assert isinstance(made, Record)
    assert problem(made) is None
    assert not metering_pass.needs_metering(made)
    assert made.compute is not None
    assert made.energy is not None
    joules = 1000.0 / 50_000 * made.compute.examples_seen
    assert made.energy.energy_joules == pytest.approx(joules)
    assert made.energy.net_joules == pytest.approx(joules / 2)
    assert made.energy.integral_joules is None
    assert made.energy.replayed
    assert made.energy.grade_reasons == ("replayed", FROM_SOLO)
    assert made.curve[-1].energy_joules == pytest.approx(joules)
    assert made.curve[0].energy_joules == pytest.approx(0.02 * made.curve[0].examples)
    assert made.spent.joules == pytest.approx(joules)
    assert made.spent.wasted_joules == 0
    assert dataclasses.replace(made, energy=None, energy_reason=SHARED_GPU) != packed
    untouched = ("error", "loss", "compute", "time", "provenance", "attempt", "state")
    assert all(getattr(made, name) == getattr(done_record, name) for name in untouched)


def test_another_gpu_or_a_failed_measurement_completes_nothing(done_record: Record) -> None:
    packed = shared(done_record)
    other = dataclasses.replace(solo_of(packed), device="Another GPU")
    assert "metered on Another GPU" in str(metering_pass.complete(packed, other))
    none = solo_of(packed, None, "the GPU was lost")
    assert metering_pass.complete(packed, none) == "the GPU was lost"


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

    def call_in_child(purpose: str, function: object, config: Config) -> SoloMeasurement:
        metered.append(config)
        if config.model.width == 8:
            return SoloMeasurement(None, "the GPU was lost", 0, "cpu", "fp32")
        return solo_of(records.read(records.path_of(directory, config.run_id)))

    monkeypatch.setattr(planning, "call_in_child", call_in_child)
    assert metering_pass.run_pass(runs, directory) == 2
    assert [config.model.width for config in metered] == [4, 8]
    assert "energy of 1 run stays unknown: the GPU was lost" in capsys.readouterr().err
    after = [records.read(records.path_of(directory, run.run_id)) for run in runs]
    assert [record.energy is not None for record in after] == [True, True, False, False]
    assert metering_pass.run_pass(runs, directory) == 0
    assert [config.model.width for config in metered] == [4, 8, 8], "what is complete is not metered again"


def test_the_energy_of_a_shape_alone_is_read_from_nvml(
    make_config: MakeConfig, nvml_stub_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU run and a stub of NVML at a constant 300 W: the energy is 300 W x the seconds of the window."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml_stub_folder))
    monkeypatch.setattr(metering, "gpu_uuids", lambda device: (UUID,))
    monkeypatch.setattr(probe, "LEAST_SECONDS", 1.0)
    monkeypatch.setattr(window_meter, "REACH_PERIODS", 100)
    config = make_config("meter.window_seconds=0", "meter.idle_seconds=0.3", "meter.period_seconds=0.05")
    energy, reason, examples, device, precision = probe.meter_shape(config)
    assert reason is None
    assert energy is not None
    assert energy.replayed
    assert energy.window_seconds >= 1
    assert energy.integral_joules == pytest.approx(300 * energy.window_seconds, rel=0.01)
    assert examples % 32 == 0
    assert examples > 0
    (made,) = runner.run(dataclasses.replace(config, meter=dataclasses.replace(config.meter, energy="none")))
    assert (device, precision) == (made.provenance.device, made.provenance.precision)
    full = metering_pass.complete(shared(made), SoloMeasurement(energy, None, examples, device, precision))
    assert isinstance(full, Record)
    assert full.energy is not None
    assert full.compute is not None
    assert full.energy.energy_joules == pytest.approx(
        energy.energy_joules / examples * full.compute.examples_seen
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
