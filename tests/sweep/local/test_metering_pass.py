"""Joules for cells that shared their GPU, from a window of their shape alone."""

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
from isoflop.runner import attempt, probe
from isoflop.runner import energy as metering
from isoflop.sweep import grid, planning
from isoflop.sweep.local import metering_pass
from isoflop.sweep.local.metering_pass import FROM_SOLO, Solo

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


def alone(record: Record, energy: Energy | None = ENERGY, reason: str | None = None) -> Solo:
    return Solo(energy, reason, 50_000, record.provenance.device, record.provenance.precision)


def shared(record: Record) -> Record:
    """The record of a cell that trained beside others on its GPU: its joules are unknown for that reason."""
    curve = tuple(
        dataclasses.replace(p, energy_joules=None, energy_joules_reason=SHARED_GPU) for p in record.curve
    )
    spent = dataclasses.replace(record.spent, **unknown(SHARED_GPU, "joules", "wasted_joules"))
    return dataclasses.replace(record, energy=None, energy_reason=SHARED_GPU, curve=curve, spent=spent)


def test_a_record_gets_the_joules_of_its_examples(done_record: Record) -> None:
    packed = shared(done_record)
    assert problem(packed) is None
    assert metering_pass.is_open(packed)
    assert not metering_pass.is_open(done_record)
    made = metering_pass.completed(packed, alone(packed))
    assert isinstance(made, Record)
    assert problem(made) is None
    assert not metering_pass.is_open(made)
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


def test_another_board_or_no_joules_complete_nothing(done_record: Record) -> None:
    packed = shared(done_record)
    other = dataclasses.replace(alone(packed), device="Another GPU")
    assert "metered on Another GPU" in str(metering_pass.completed(packed, other))
    none = alone(packed, None, "the board was lost")
    assert metering_pass.completed(packed, none) == "the board was lost"


def packed_sweep(make_config: MakeConfig) -> tuple[grid.Cell, ...]:
    """Two shapes of two seeds that shared a GPU, and one cell that did not."""
    cells = grid.expand(make_config("model.width=4,8", "seed=0,1"))
    for cell in cells[:-1]:
        (made,) = attempt.run(cell.config)
        records.write(shared(made), cell.config.directory)
    attempt.run(cells[-1].config)
    return cells


def test_the_pass_meters_each_shape_once_and_only_what_waits(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = packed_sweep(make_config)
    directory = cells[0].config.directory
    asked: list[Config] = []

    def ask(what: str, function: object, config: Config) -> Solo:
        asked.append(config)
        if config.model.width == 8:
            return Solo(None, "the board was lost", 0, "cpu", "fp32")
        return alone(records.read(records.path_of(directory, config.run_id)))

    monkeypatch.setattr(planning, "ask", ask)
    assert metering_pass.run_pass(cells, directory) == 2
    assert [config.model.width for config in asked] == [4, 8]
    assert "energy of 1 cell stays unknown: the board was lost" in capsys.readouterr().err
    found = [records.read(records.path_of(directory, cell.run_id)) for cell in cells]
    assert [record.energy is not None for record in found] == [True, True, False, False]
    assert metering_pass.run_pass(cells, directory) == 0
    assert [config.model.width for config in asked] == [4, 8, 8], "what is complete is not metered again"


def test_a_window_of_a_shape_alone_through_nvml(
    make_config: MakeConfig, nvml_stub_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU cell beside a stub board at a constant 300 W: joules are 300 W x the seconds of the window."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml_stub_folder))
    monkeypatch.setattr(metering, "gpu_uuids", lambda device: (UUID,))
    monkeypatch.setattr(probe, "LEAST_SECONDS", 1.0)
    monkeypatch.setattr(window_meter, "REACH_PERIODS", 100)
    config = make_config("meter.replay_seconds=0", "meter.idle_seconds=0.3", "meter.period_seconds=0.05")
    energy, reason, examples, device, precision = probe.meter_shape(config)
    assert reason is None
    assert energy is not None
    assert energy.replayed
    assert energy.window_seconds >= 1
    assert energy.integral_joules == pytest.approx(300 * energy.window_seconds, rel=0.01)
    assert examples % 32 == 0
    assert examples > 0
    (made,) = attempt.run(dataclasses.replace(config, meter=dataclasses.replace(config.meter, energy="none")))
    assert (device, precision) == (made.provenance.device, made.provenance.precision)
    full = metering_pass.completed(shared(made), Solo(energy, None, examples, device, precision))
    assert isinstance(full, Record)
    assert full.energy is not None
    assert full.compute is not None
    assert full.energy.energy_joules == pytest.approx(
        energy.energy_joules / examples * full.compute.examples_seen
    )


def test_without_a_board_the_command_says_why(
    make_config: MakeConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = packed_sweep(make_config)
    out = cells[0].config.out
    tiny = ["model.depth=1", "schedule.epochs=1", "launch.threads=1", "launch.device=cpu", f"out={out}"]
    assert main.main(["sweep", "model.width=4,8", "seed=0,1", *tiny, "--metering-pass"]) == 0
    said = capsys.readouterr().err
    assert "metering pass: 2 shapes" in said
    assert said.count("stays unknown: trained on the CPU") == 2
