"""What is seen of a GPU while its ceiling is measured: readings of NVML that are simulated here."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import Any

import pytest

from isoflop.meter.device import hardware, nvml, nvml_facts
from isoflop.meter.device.conditions import GpuWatch, Load

GPU = nvml.Device("handle", "GPU-a", "NVIDIA Stub", nvml.POWER_INSTANT, False)
READINGS: dict[str, tuple[Any, Any]] = {
    "busy": (nvml, "busy_share"),
    "clock": (nvml, "sm_clock_mhz"),
    "highest": (nvml_facts, "max_sm_clock_mhz"),
    "throttle": (nvml, "throttle_reasons"),
    "processes": (nvml, "compute_processes"),
}

HEAT = ("HwSlowdown", "HwThermalSlowdown", "SwThermalSlowdown", "HwPowerBrakeSlowdown")
Watch = Callable[..., GpuWatch]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """watch(busy=0.5, ...) -> a watch that reads this; a string is the error with which NVML answers."""

    def made(**answers: Any) -> GpuWatch:
        quiet = {"busy": 0.0, "clock": 1410, "highest": 1980.0, "throttle": (), "processes": (7,)}
        for name, answer in (quiet | answers).items():
            module, function = READINGS[name]

            def read(gpu: Any, answer: Any = answer) -> Any:
                assert gpu is GPU
                if isinstance(answer, str):
                    raise nvml.NvmlError(answer)
                return answer

            monkeypatch.setattr(module, function, read)
        monkeypatch.setattr(nvml, "start", lambda: None)
        monkeypatch.setattr(nvml, "device_by_uuid", lambda uuid: GPU)
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
        return GpuWatch("GPU-a")

    return made


@pytest.mark.parametrize(
    ("busy", "processes", "load"),
    [
        (0.0, (7,), Load((0.0, None), "other work")),
        (0.83, (), Load((0.83, None), "other work")),
        (0.83, (7, 8), Load((0.83, None), "1 other compute process")),
        (0.83, (7, 8, 9), Load((0.83, None), "2 other compute processes")),
        (None, (7, 8), Load((1.0, None), "1 other compute process")),
        (None, (7,), Load((None, "the GPU does not report it"), "other work")),
        (None, None, Load((None, "the GPU does not report it"), "other work")),
        ("GpuIsLost", "GpuIsLost", Load((None, "NVML answered GpuIsLost"), "other work")),
    ],
)
def test_the_load_is_what_ran_before_and_who_is_there_now(
    watch: Watch, busy: Any, processes: Any, load: Load
) -> None:
    assert watch(busy=busy, processes=processes).load() == load


def test_the_sample_is_let_pass_before_it_is_read(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    watch()
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(nvml, "busy_share", lambda gpu: len(slept) / 2)
    assert GpuWatch("GPU-a").load().share == (0.5, None)
    assert slept == [1.0]


def test_clocks_or_why_they_are_unknown(watch: Watch) -> None:
    seen = watch()
    assert (seen.clock_mhz(), seen.highest_clock_mhz()) == ((1410.0, None), (1980.0, None))
    seen = watch(clock=None, highest="Unknown")
    assert seen.clock_mhz() == (None, "the GPU does not report it")
    assert seen.highest_clock_mhz() == (None, "NVML answered Unknown")


@pytest.mark.parametrize(
    ("throttle", "faults"),
    [
        ((), ()),
        (None, ()),
        ("Unknown", ()),
        (("SwPowerCap", "GpuIdle"), ()),
        (("SwPowerCap", *HEAT), HEAT),
    ],
)
def test_heat_is_a_fault_and_a_power_cap_is_none(
    watch: Watch, throttle: Any, faults: tuple[str, ...]
) -> None:
    assert watch(throttle=throttle).faults() == faults


@pytest.mark.parametrize("error", [nvml.NvmlUnavailableError("no driver"), nvml.NvmlError("no driver")])
def test_without_nvml_every_reading_has_the_reason(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    watch()

    def fail(uuid: str) -> Any:
        raise error

    monkeypatch.setattr(nvml, "device_by_uuid", fail)
    seen, unknown = GpuWatch("GPU-a"), (None, "no driver")
    assert seen.load() == Load(unknown, "other work")
    assert (seen.clock_mhz(), seen.highest_clock_mhz(), seen.faults()) == (unknown, unknown, ())


# ---- the machine


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("model name\t: A  B\nmodel name\t: C\n", "A B"),
        ("processor: 0\nModel\t\t: Raspberry Pi 5\n", "Raspberry Pi 5"),
        ("cpu model\t: MIPS 24K\n", "MIPS 24K"),
        ("model name\t:\nflags: x\n", None),
        ("the model name\t: A\n", None),
    ],
)
def test_the_first_model_name_is_the_processors(text: str, name: str | None) -> None:
    assert hardware.cpu_name(text) == name


def test_a_processor_without_a_name_is_what_python_calls_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(hardware, "CPUINFO", tmp_path / "absent")
    for processor, machine, name in (
        ("one", "two", "one"),
        ("", "two", "two"),
        ("", "", "unknown processor"),
    ):
        monkeypatch.setattr(platform, "processor", lambda processor=processor: processor)
        monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
        assert hardware.describe_cpu() == name


@pytest.mark.parametrize(("number", "version"), [(89999, "89.9.99"), (90000, "9.0.0"), (8100, "8.1.0")])
def test_cudnn_9_widened_its_version_number(number: int, version: str) -> None:
    assert hardware.cudnn_version(number) == version


def gpus(monkeypatch: pytest.MonkeyPatch, *found: nvml.Device, error: str | None = None) -> Any:
    """What hardware.gpus returns, and how often it stopped NVML."""
    stopped: list[int] = []

    def all_devices() -> tuple[nvml.Device, ...]:
        if error:
            raise nvml.NvmlError(error)
        return found

    monkeypatch.setattr(nvml, "start", lambda: None)
    monkeypatch.setattr(nvml, "stop", lambda: stopped.append(1))
    monkeypatch.setattr(nvml, "driver_version", lambda: "550.54.15")
    monkeypatch.setattr(nvml, "all_devices", all_devices)
    monkeypatch.setattr(nvml, "query", lambda *_: None)
    monkeypatch.setattr(nvml, "power_limit_watts", lambda gpu: 400.0)
    monkeypatch.setitem(nvml_facts.FACTS, "power_limit_watts", lambda gpu: 400.0)
    return *hardware.gpus(), len(stopped)


def test_gpus_have_names_drivers_and_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    (gpu,), reason, stopped = gpus(monkeypatch, GPU)
    assert (gpu.name, gpu.uuid, gpu.driver, gpu.power_limit_watts, gpu.mig) == (
        *("NVIDIA Stub", "GPU-a", "550.54.15", 400.0, False),
    )
    assert (reason, stopped) == (None, 1)
    assert gpus(monkeypatch) == ((), "NVML sees no GPU", 1)
    assert gpus(monkeypatch, error="GpuIsLost") == ((), "NVML answered GpuIsLost", 1)
