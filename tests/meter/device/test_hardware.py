"""The processor, and the NVML door over a stub library."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from isoflop.meter.device import hardware, nvml


def test_the_processor_is_named() -> None:
    assert hardware.cpu_name("processor\t: 0\nmodel name\t: Some  CPU @ 2.0GHz\n") == "Some CPU @ 2.0GHz"
    assert hardware.cpu_name("processor\t: 0\nBogoMIPS\t: 50.00\n") is None
    assert hardware.describe_cpu()


def test_uuid_of_torch_and_of_nvml_are_one() -> None:
    digits = "8f14e45f-ceea-467f-a1b2-000000000000"
    assert nvml.canonical_uuid(digits) == nvml.canonical_uuid(f"GPU-{digits}") == f"GPU-{digits}"


def run_with_stub(folder: Path, code: str, **environment: str) -> Any:
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
from isoflop.meter.device import hardware
found, reason = hardware.gpus()
one, missing = hardware.gpu("00000000-0000-0000-0000-000000000001")
none, absent = hardware.gpu("GPU-elsewhere")
print(json.dumps([[dataclasses.asdict(g) for g in found], reason, one and one.uuid, absent]))
"""


def test_gpus_as_nvml_names_them(nvml_stub_folder: Path) -> None:
    found, reason, one, absent = run_with_stub(nvml_stub_folder, LIST)
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


FACTS = """
import dataclasses, json
from isoflop import record
from isoflop.meter.device import hardware
(first, *_), _ = hardware.gpus()
assert record.problem(first) is None, record.problem(first)
print(json.dumps(dataclasses.asdict(first)))
"""
NAMES = ("default_power_limit_watts", "max_sm_clock_mhz", "memory_bytes", "persistence_mode", "mig")


def test_what_a_board_is(nvml_stub_folder: Path) -> None:
    found = run_with_stub(nvml_stub_folder, FACTS)
    assert [found[name] for name in NAMES] == [450.0, 1980.0, 80 * 2**30, True, False]
    assert run_with_stub(nvml_stub_folder, FACTS, STUB_MIG="1")["mig"] is True


@pytest.mark.parametrize(
    ("setting", "mig", "reasons"),
    [
        ("STUB_NO_FACTS", False, ("the board has no power cap", *["the board does not say"] * 3, None)),
        ("STUB_FACT_ERROR", None, ("NVML answered Unknown",) * 5),
    ],
)
def test_a_fact_that_cannot_be_read_does_not_hide_the_board(
    nvml_stub_folder: Path, setting: str, mig: bool | None, reasons: tuple[str | None, ...]
) -> None:
    found = run_with_stub(nvml_stub_folder, FACTS, **{setting: "999"})
    assert found["name"] == "NVIDIA Stub"
    assert found["power_limit_watts"] == 400.0
    assert [found[name] for name in NAMES] == [None, None, None, None, mig]
    assert tuple(found[f"{name}_reason"] for name in NAMES) == reasons


@pytest.mark.parametrize(("number", "version"), [(8902, "8.9.2"), (90100, "9.1.0"), (91002, "9.10.2")])
def test_cudnn_s_number_is_read_as_it_is_printed(number: int, version: str) -> None:
    assert hardware.cudnn_version(number) == version


def test_libraries_are_named_with_versions_or_not_at_all() -> None:
    assert all(name in ("cuda", "cudnn") and version for name, version in hardware.libraries().items())


def test_gpus_without_a_driver_is_empty_with_a_reason(nvml_stub_folder: Path, tmp_path: Path) -> None:
    found, reason, _, absent = run_with_stub(nvml_stub_folder, LIST, STUB_INIT="9")
    assert (found, reason, absent) == ([], *["the NVIDIA driver is not loaded"] * 2)
    _, reason, _, _ = run_with_stub(nvml_stub_folder, LIST, STUB_INIT="17")
    assert reason.startswith("NVML did not start (")
    _, reason, _, _ = run_with_stub(nvml_stub_folder, LIST, STUB_INIT="12")
    assert "libnvidia-ml.so.1 was not found" in reason


READ = """
import json
from isoflop.meter.device import nvml
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
    assert read[:2] == [300.0, nvml.USAGE]
