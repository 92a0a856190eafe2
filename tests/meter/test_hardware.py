"""Peak rates against the chips' own arithmetic, MFU, and the NVML door over a stub library."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from isoflop import record
from isoflop.meter import hardware, nvml

# board, multiprocessors, dense tensor FLOPs a multiprocessor does a clock (fp16, fp32 accumulate), boost GHz
CHIPS = [
    ("Tesla T4", 40, 1024, 1.59),
    ("Tesla V100-SXM2-16GB", 80, 1024, 1.53),
    ("NVIDIA A100-SXM4-80GB", 108, 2048, 1.41),
    ("NVIDIA A100 80GB PCIe", 108, 2048, 1.41),
    ("NVIDIA A10", 72, 1024, 1.695),
    ("NVIDIA GeForce RTX 3090", 82, 512, 1.695),
    ("NVIDIA GeForce RTX 4090", 128, 512, 2.52),
    ("NVIDIA L4", 58, 1024, 2.04),
    ("NVIDIA L40S", 142, 1024, 2.52),
    ("NVIDIA H100 80GB HBM3", 132, 4096, 1.83),
    ("NVIDIA H100 PCIe", 114, 4096, 1.62),
    ("NVIDIA H200", 132, 4096, 1.83),
    ("NVIDIA GH200 480GB", 132, 4096, 1.83),
    ("NVIDIA B200", 148, 8192, 1.86),
]


@pytest.mark.parametrize(("name", "multiprocessors", "flops_per_clock", "boost_ghz"), CHIPS)
def test_peak_is_dense_and_follows_from_the_chip(
    name: str, multiprocessors: int, flops_per_clock: int, boost_ghz: float
) -> None:
    peak = hardware.peak_rate(name, "fp16")
    assert peak is not None
    assert peak.flops_per_second == pytest.approx(
        multiprocessors * flops_per_clock * boost_ghz * 1e9, rel=0.02
    )
    assert "NVIDIA" in peak.source


@pytest.mark.parametrize("row", hardware.PEAKS, ids=lambda row: row.names)
def test_rates_of_one_board_stand_in_the_chip_s_ratios(row: hardware.Peak) -> None:
    if row.tf32 is None or row.bf16 is None:
        assert row.tf32 is row.bf16
        assert row.fp16 / row.fp32 == pytest.approx(8, rel=0.02)
    else:
        assert row.bf16 == row.fp16
        assert row.bf16 / row.tf32 == pytest.approx(2, rel=0.03)
        assert row.tf32 >= row.fp32


def test_every_name_matches_one_row_only() -> None:
    for name, *_ in CHIPS:
        bare = hardware.MAKER.sub("", name)
        assert sum(bool(hardware.re.fullmatch(row.names, bare)) for row in hardware.PEAKS) == 1


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA A10G",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA GeForce RTX 3090 Ti",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA H100",
        "NVIDIA H20",
        "NVIDIA L40",
        "AMD Instinct MI300X",
        "",
    ],
)
def test_a_board_that_is_not_in_the_table_has_no_peak(name: str) -> None:
    assert hardware.peak_rate(name, "bf16") is None


def test_arithmetic_the_chip_lacks_has_no_peak() -> None:
    assert hardware.peak_rate("Tesla V100-SXM2-16GB", "bf16") is None
    assert hardware.peak_rate("Tesla T4", "tf32") is None
    assert hardware.peak_rate("NVIDIA H200", "fp8") is None


def test_dtype_and_form_factor_matter() -> None:
    def rate(name: str, dtype: str) -> float:
        peak = hardware.peak_rate(name, dtype)
        assert peak is not None
        assert peak.dtype == dtype
        return peak.flops_per_second

    assert rate("NVIDIA A100-PCIE-40GB", "tf32") == 156e12
    assert rate("NVIDIA A100-PCIE-40GB", "fp32") == 19.5e12
    assert rate("NVIDIA H100 PCIe", "bf16") < 0.8 * rate("NVIDIA H100 80GB HBM3", "bf16")
    assert rate("NVIDIA H100 NVL", "bf16") == rate("NVIDIA H200 NVL", "bf16") == 835.5e12


def test_mfu_is_a_share_and_above_one_is_refused() -> None:
    peak = record.PeakRate(flops_per_second=312e12, dtype="bf16", source="a datasheet")
    assert hardware.mfu(156e12, peak) == 0.5
    with pytest.raises(ValueError, match="check the precision"):
        hardware.mfu(313e12, peak)


def test_the_processor_is_named() -> None:
    assert hardware.cpu_name("processor\t: 0\nmodel name\t: Some  CPU @ 2.0GHz\n") == "Some CPU @ 2.0GHz"
    assert hardware.cpu_name("processor\t: 0\nBogoMIPS\t: 50.00\n") is None
    assert hardware.describe_cpu()


def test_uuid_of_torch_and_of_nvml_are_one() -> None:
    digits = "8f14e45f-ceea-467f-a1b2-000000000000"
    assert nvml.canonical_uuid(digits) == nvml.canonical_uuid(f"GPU-{digits}") == f"GPU-{digits}"


def run_with_stub(folder: Path, code: str, **environment: str) -> object:
    """What `code` prints as JSON, in a process that finds the stub library."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment, "LD_LIBRARY_PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LIST = """
import dataclasses, json
from isoflop.meter import hardware
found, reason = hardware.gpus()
one, missing = hardware.gpu("00000000-0000-0000-0000-000000000001")
none, absent = hardware.gpu("GPU-elsewhere")
print(json.dumps([[dataclasses.asdict(g) for g in found], reason, one and one.uuid, absent]))
"""


def test_gpus_as_nvml_names_them(nvml_stub_folder: Path) -> None:
    found, reason, one, absent = run_with_stub(nvml_stub_folder, LIST)  # type: ignore[misc]
    uuids = [f"GPU-00000000-0000-0000-0000-00000000000{i}" for i in range(2)]
    assert [g["uuid"] for g in found] == uuids
    assert reason is None
    assert one == uuids[1]
    assert absent == "NVML sees no board GPU-elsewhere"
    assert (found[0]["name"], found[0]["driver"], found[0]["power_limit_watts"]) == (
        "NVIDIA Stub",
        "550.54.15",
        400.0,
    )
    assert found[1]["power_limit_watts"] is None
    assert found[1]["power_limit_watts_reason"] == "the board has no power cap"


def test_gpus_without_a_driver_is_empty_with_a_reason(nvml_stub_folder: Path, tmp_path: Path) -> None:
    found, reason, _, absent = run_with_stub(nvml_stub_folder, LIST, STUB_INIT="9")  # type: ignore[misc]
    assert (found, reason, absent) == ([], *["the NVIDIA driver is not loaded"] * 2)
    _, reason, _, _ = run_with_stub(nvml_stub_folder, LIST, STUB_INIT="17")  # type: ignore[misc]
    assert reason.startswith("NVML did not start (")
    _, reason, _, _ = run_with_stub(nvml_stub_folder, LIST, STUB_INIT="12")  # type: ignore[misc]
    assert "libnvidia-ml.so.1 was not found" in reason


READ = """
import json
from isoflop.meter import nvml
nvml.start()
a, b = nvml.devices()
try:
    nvml.device("GPU-elsewhere")
except nvml.NvmlError as error:
    missing = error.name
print(json.dumps([
    nvml.watts(a), a.power_field, nvml.counter_joules(a), nvml.power_limit_watts(b),
    nvml.temperature_celsius(a), nvml.sm_clock_mhz(a), nvml.throttle_reasons(a),
    nvml.compute_processes(a), nvml.compute_processes(b), missing,
]))
nvml.stop()
"""


def test_readings_of_a_board(nvml_stub_folder: Path) -> None:
    read = run_with_stub(nvml_stub_folder, READ, STUB_LAW="constant 251.5", STUB_NO_COUNTER="1")
    throttles = ["SwPowerCap", "SwThermalSlowdown"]
    assert read == [251.5, nvml.INSTANT, None, None, 61, 1410, throttles, [4321], None, "NotFound"]


def test_the_averaged_power_is_read_where_the_board_has_no_instantaneous_one(nvml_stub_folder: Path) -> None:
    read = run_with_stub(nvml_stub_folder, READ, STUB_NO_INSTANT="1")
    assert read[:2] == [300.0, nvml.USAGE]  # type: ignore[index]
