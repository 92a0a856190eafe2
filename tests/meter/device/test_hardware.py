"""The processor, and NVML over a stub library."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.meter.device import hardware, nvml

RunWithStub = Callable[..., Any]


def test_the_processor_is_named() -> None:
    assert hardware.cpu_name("processor\t: 0\nmodel name\t: Some  CPU @ 2.0GHz\n") == "Some CPU @ 2.0GHz"
    assert hardware.cpu_name("processor\t: 0\nBogoMIPS\t: 50.00\n") is None
    assert hardware.describe_cpu()


def test_uuid_of_torch_and_of_nvml_are_one() -> None:
    digits = "8f14e45f-ceea-467f-a1b2-000000000000"
    assert nvml.canonical_uuid(digits) == nvml.canonical_uuid(f"GPU-{digits}") == f"GPU-{digits}"


LIST = """
import dataclasses, json
from isoflop.meter.device import hardware
gpus, reason = hardware.gpus()
print(json.dumps([[dataclasses.asdict(g) for g in gpus], reason]))
"""


def test_gpus_as_nvml_names_them(run_with_stub: RunWithStub) -> None:
    gpus, reason = run_with_stub(LIST)
    uuids = [f"GPU-00000000-0000-0000-0000-00000000000{i}" for i in range(2)]
    assert [g["uuid"] for g in gpus] == uuids
    assert reason is None
    assert (gpus[0]["name"], gpus[0]["driver"], gpus[0]["power_limit_watts"]) == (
        "NVIDIA Stub",
        "550.54.15",
        400.0,
    )
    assert gpus[1]["power_limit_watts"] is None
    assert gpus[1]["power_limit_watts_reason"] == "the GPU has no power cap"


FACTS = """
import dataclasses, json
from isoflop import record
from isoflop.meter.device import hardware
(first, *_), _ = hardware.gpus()
assert record.problem(first) is None, record.problem(first)
print(json.dumps(dataclasses.asdict(first)))
"""
NAMES = ("default_power_limit_watts", "max_sm_clock_mhz", "memory_bytes", "persistence_mode", "mig")


def test_properties_of_a_gpu(run_with_stub: RunWithStub) -> None:
    gpu = run_with_stub(FACTS)
    assert [gpu[name] for name in NAMES] == [450.0, 1980.0, 80 * 2**30, True, False]
    assert run_with_stub(FACTS, STUB_MIG="1")["mig"] is True


@pytest.mark.parametrize(
    ("setting", "mig", "reasons"),
    [
        ("STUB_NO_FACTS", False, ("the GPU has no power cap", *["the GPU does not report it"] * 3, None)),
        ("STUB_FACT_ERROR", None, ("NVML answered Unknown",) * 5),
    ],
)
def test_a_fact_that_cannot_be_read_does_not_hide_the_gpu(
    run_with_stub: RunWithStub, setting: str, mig: bool | None, reasons: tuple[str | None, ...]
) -> None:
    gpu = run_with_stub(FACTS, **{setting: "999"})
    assert gpu["name"] == "NVIDIA Stub"
    assert gpu["power_limit_watts"] == 400.0
    assert [gpu[name] for name in NAMES] == [None, None, None, None, mig]
    assert tuple(gpu[f"{name}_reason"] for name in NAMES) == reasons


@pytest.mark.parametrize(("number", "version"), [(8902, "8.9.2"), (90100, "9.1.0"), (91002, "9.10.2")])
def test_the_version_number_of_cudnn_is_formatted(number: int, version: str) -> None:
    assert hardware.cudnn_version(number) == version


def test_libraries_are_named_with_versions_or_not_at_all() -> None:
    assert all(name in ("cuda", "cudnn") and version for name, version in hardware.libraries().items())


def test_gpus_without_a_driver_is_empty_with_a_reason(run_with_stub: RunWithStub, tmp_path: Path) -> None:
    gpus, reason = run_with_stub(LIST, STUB_INIT="9")
    assert (gpus, reason) == ([], "the NVIDIA driver is not loaded")
    _, reason = run_with_stub(LIST, STUB_INIT="17")
    assert reason.startswith("NVML did not start (")
    _, reason = run_with_stub(LIST, STUB_INIT="12")
    assert "libnvidia-ml.so.1 was not found" in reason


READ = """
import json
from isoflop.meter.device import nvml
nvml.start()
a, b = nvml.all_devices()
try:
    nvml.device_by_uuid("GPU-elsewhere")
except nvml.NvmlError as error:
    missing = error.name
print(json.dumps([
    nvml.watts(a), a.power_field, nvml.counter_joules(a), nvml.power_limit_watts(b),
    nvml.temperature_celsius(a), nvml.sm_clock_mhz(a), nvml.throttle_reasons(a),
    nvml.compute_processes(a), nvml.compute_processes(b), missing,
]))
nvml.stop()
"""


def test_readings_of_a_gpu(run_with_stub: RunWithStub) -> None:
    readings = run_with_stub(READ, STUB_LAW="constant 251.5", STUB_NO_COUNTER="1")
    throttles = ["SwPowerCap", "SwThermalSlowdown"]
    assert readings == [251.5, nvml.POWER_INSTANT, None, None, 61, 1410, throttles, [4321], None, "NotFound"]


def test_without_an_instantaneous_reading_the_average_is_read(run_with_stub: RunWithStub) -> None:
    readings = run_with_stub(READ, STUB_NO_INSTANT="1")
    assert readings[:2] == [300.0, nvml.POWER_USAGE]
