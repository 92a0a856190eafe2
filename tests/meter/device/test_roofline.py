from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from isoflop import record
from isoflop.meter.device import ceilings, roofline
from isoflop.runner.timing import timing as timing_of

CEILING = record.Ceiling("some GPU", "bf16", 0, 100e12, 1e12, "2026-01-01T00:00:00+00:00")
PEAK = record.PeakRate(flops_per_second=312e12, dtype="bf16", source="a datasheet")


def test_mfu_is_a_share_and_above_one_is_refused() -> None:
    assert roofline.mfu(156e12, PEAK) == 0.5
    with pytest.raises(ValueError, match="check the precision"):
        roofline.mfu(313e12, PEAK)


def test_a_share_of_exactly_one_is_kept_and_a_refusal_has_its_numbers() -> None:
    assert roofline.mfu(312e12, PEAK) == 1.0
    message = r"^MFU of 1\.5: 4\.68e\+14 FLOP/s exceed the bf16 peak of 3\.12e\+14: .* \(a datasheet\)$"
    with pytest.raises(ValueError, match=message):
        roofline.mfu(468e12, PEAK)


def test_five_per_cent_above_a_roof_is_the_measurement() -> None:
    assert roofline.roofline_share(105e12, CEILING, 1000.0)[0] == pytest.approx(1.05)
    assert roofline.roofline_share(105.1e12, CEILING, 1000.0)[0] is None
    assert roofline.roofline_share(10.5e12, CEILING, 10.0)[0] == pytest.approx(1.05)
    assert roofline.roofline_share(10.51e12, CEILING, 10.0)[0] is None


def test_hardware_burden_is_devices_times_peak_times_seconds() -> None:
    assert roofline.hardware_burden_flops(PEAK, 10.0) == 3.12e15
    assert roofline.hardware_burden_flops(PEAK, 10.0, devices=8) == 8 * 3.12e15


@pytest.mark.parametrize(("intensity", "roof"), [(10.0, 10e12), (100.0, 100e12), (1000.0, 100e12)])
def test_the_roofline_rises_with_intensity_up_to_the_ridge(intensity: float, roof: float) -> None:
    assert roofline.roof_flops_per_second(CEILING, intensity) == roof
    assert roofline.roofline_share(roof / 2, CEILING, intensity) == (0.5, None)


def test_a_little_above_the_roof_is_the_measurement_and_is_kept() -> None:
    share, reason = roofline.roofline_share(10.4e12, CEILING, 10.0)
    assert share == pytest.approx(1.04)
    assert reason is None


def test_a_fused_step_above_the_bandwidth_roof_has_a_reason_and_is_not_clipped() -> None:
    share, reason = roofline.roofline_share(30e12, CEILING, 10.0)
    assert share is None
    assert reason is not None
    assert reason.startswith("3 times the roofline of a step without fusion")
    assert reason.endswith("of the compute ceiling it reached 0.3")


def test_above_the_compute_ceiling_the_ceiling_is_out_of_date() -> None:
    share, reason = roofline.roofline_share(120e12, CEILING, 1000.0)
    assert share is None
    assert reason is not None
    assert reason.startswith("1.2 times the measured bf16 ceiling")


@dataclasses.dataclass
class Run:
    """What `runner.timing` reads of a run."""

    train_seconds: float = 10.0
    warmup_seconds: float = 1.0
    compile_seconds: float = 0.0
    eval_seconds: float = 1.0
    setup_seconds: float = 1.0
    processes: int = 1
    step_engine: str | None = "graph"
    step_choice: str | None = "launch.step=graph"


@pytest.fixture(scope="module")
def stored() -> record.Record:
    """A record of an MLP, whose compute and provenance are changed at will."""
    return record.read(Path(__file__).parents[2] / "data/record_schema_2_gpu.json")


def _timing(
    stored: record.Record,
    *,
    flops: float = 5e14,
    intensity: float | None = 100.0,
    processes: int = 1,
    **origin: object,
) -> record.Timing:
    """The timing of 1,000 examples in 10 s: `flops` in all, at `intensity` FLOPs a byte."""
    assert stored.compute is not None
    each = flops / 1000
    known = dataclasses.replace(
        stored.compute,
        examples_seen=1000,
        train_flops=flops,
        train_flops_per_example=each,
        train_bytes_per_example=None if intensity is None else each / intensity,
        train_bytes_per_example_reason="not counted" if intensity is None else None,
    )
    device = {"device": "some GPU", "precision": "bf16", "gpu": None, "gpu_reason": "not read", **origin}
    trained = Run(processes=processes)
    timing = timing_of(known, trained, dataclasses.replace(stored.provenance, **device))  # type: ignore[arg-type]
    assert record.problem(timing) is None
    return timing


@pytest.fixture
def kept(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOFLOP_CACHE", str(tmp_path_factory.mktemp("cache")))
    ceilings.store([CEILING, dataclasses.replace(CEILING, device="NVIDIA H200", flops_per_second=700e12)])


@pytest.mark.usefixtures("kept")
def test_a_run_on_a_known_gpu_has_its_place_on_the_roofline(stored: record.Record) -> None:
    timing = _timing(stored, device="NVIDIA H200")
    assert timing.peak is not None
    assert timing.peak.flops_per_second == 989.5e12
    assert timing.achieved_flops_per_second == pytest.approx(50e12)
    assert timing.mfu == pytest.approx(50 / 989.5)
    assert timing.hardware_burden_flops == pytest.approx(9.895e15)
    assert timing.intensity_flops_per_byte == pytest.approx(100.0)
    assert timing.roofline_share == pytest.approx(0.5), "100 FLOPs a byte x 1e12 bytes/s bind, not 700e12"


@pytest.mark.usefixtures("kept")
def test_with_several_gpus_a_share_is_per_gpu_and_the_burden_of_all(stored: record.Record) -> None:
    one, two = (_timing(stored, device="NVIDIA H200", processes=n) for n in (1, 2))
    assert two.mfu == pytest.approx(one.mfu / 2)
    assert two.roofline_share == pytest.approx(one.roofline_share / 2)
    assert two.hardware_burden_flops == pytest.approx(2 * one.hardware_burden_flops)


@pytest.mark.usefixtures("kept")
def test_an_unknown_gpu_has_a_ceiling_but_no_peak(stored: record.Record) -> None:
    timing = _timing(stored)
    assert (timing.mfu, timing.peak, timing.hardware_burden_flops) == (None, None, None)
    assert timing.mfu_reason == "no bf16 peak rate is known for some GPU"
    assert timing.ceiling == CEILING
    assert timing.roofline_share == pytest.approx(0.5)


@pytest.mark.usefixtures("kept")
def test_without_bytes_or_ceiling_the_reason_is_theirs(stored: record.Record) -> None:
    assert _timing(stored, intensity=None).roofline_share_reason == "not counted"
    other = _timing(stored, precision="fp32")
    assert other.ceiling is None
    assert other.roofline_share_reason == other.ceiling_reason
    assert "not measured for some GPU in fp32: isoflop doctor --measure" in str(other.ceiling_reason)


@pytest.mark.usefixtures("kept")
def test_an_mfu_above_one_is_refused_with_the_reason_in_the_record(stored: record.Record) -> None:
    timing = _timing(stored, flops=2e16, device="NVIDIA H200")
    assert timing.mfu is None
    assert "check the precision named for the run" in str(timing.mfu_reason)
    assert timing.hardware_burden_flops is not None


@pytest.mark.usefixtures("kept")
def test_a_cpu_looks_for_the_ceiling_of_its_own_threads(stored: record.Record) -> None:
    cpu = stored.provenance.cpu
    mine = record.Ceiling(cpu, "fp32", 3, 1e12, 1e10, "2026-01-01T00:00:00+00:00")
    ceilings.store([mine])
    timing = _timing(stored, device=cpu, precision="fp32", threads=3, flops=1e12)
    assert timing.ceiling == mine
    assert timing.peak_reason == "not a GPU"
    assert _timing(stored, device=cpu, precision="fp32", threads=2).ceiling is None


@pytest.mark.usefixtures("kept")
def test_a_mig_instance_has_no_peak(stored: record.Record) -> None:
    gpu = record.Gpu(
        "NVIDIA H200",
        "GPU-0",
        "550",
        **record.known(power_limit_watts=700.0, mig=True),
        **record.unknown(
            "not read", "default_power_limit_watts", "max_sm_clock_mhz", "memory_bytes", "persistence_mode"
        ),
    )
    timing = _timing(stored, device="NVIDIA H200", gpu=gpu, gpu_reason=None)
    assert timing.peak is None
    assert "MIG" in str(timing.peak_reason)
