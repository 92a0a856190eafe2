"""Readings of a GPU over bindings that are simulated in this process: units, bounds, and each way to fail."""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from isoflop.meter.device import nvml, nvml_facts


class NVMLError(Exception):
    """As the bindings': one subclass NVMLError_X per code that they know, itself for others."""

    def __new__(cls, value: int) -> NVMLError:
        return super().__new__(KNOWN.get(value, cls), value)

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value


class NVMLError_NotSupported(NVMLError):
    """The GPU has no such reading."""


class NVMLError_FunctionNotFound(NVMLError):
    """The driver is too old."""


class NVMLError_GpuIsLost(NVMLError):
    """It fell off the bus."""


REASONS = {
    "GpuIdle": 0x1,
    "UserDefinedClocks": 0x2,
    "ApplicationsClocksSetting": 0x2,
    "SwPowerCap": 0x4,
    "SwThermalSlowdown": 0x20,
    "All": 0x3F,
    "None": 0x0,
}

KNOWN: dict[int, type[NVMLError]] = {
    3: NVMLError_NotSupported,
    13: NVMLError_FunctionNotFound,
    15: NVMLError_GpuIsLost,
}

ANSWERS: dict[str, Any] = {
    "nvmlDeviceGetUUID": "GPU-a",
    "nvmlDeviceGetName": "NVIDIA Stub",
    "nvmlDeviceGetPowerUsage": 251_500,
    "nvmlDeviceGetFieldValues": 252_500,
    "nvmlDeviceGetTotalEnergyConsumption": 9_120_500,
    "nvmlDeviceGetEnforcedPowerLimit": 400_000,
    "nvmlDeviceGetPowerManagementDefaultLimit": 450_000,
    "nvmlDeviceGetTemperature": 61,
    "nvmlDeviceGetClockInfo": 1410,
    "nvmlDeviceGetMaxClockInfo": 1980,
    "nvmlDeviceGetUtilizationRates": types.SimpleNamespace(gpu=83, memory=7),
    "nvmlDeviceGetCurrentClocksEventReasons": 0x24,
    "nvmlDeviceGetComputeRunningProcesses": [types.SimpleNamespace(pid=4321)],
    "nvmlDeviceGetMemoryInfo": types.SimpleNamespace(total=80 * 2**30, used=1, free=2),
    "nvmlDeviceGetPersistenceMode": 1,
    "nvmlDeviceGetMigMode": (1, 0),
    "nvmlDeviceGetHandleByUUID": "handle by UUID",
    "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": "handle of the whole GPU",
    "nvmlDeviceGetCount": 2,
    "nvmlDeviceGetHandleByIndex": "handle by index",
    "nvmlSystemGetDriverVersion": "550.54.15",
    "nvmlInit": None,
    "nvmlShutdown": None,
}


class Binding(types.ModuleType):
    """pynvml with the answers above; one that is a number of `codes` is the error of that code."""

    NVMLError = NVMLError
    NVML_SUCCESS = 0
    NVML_TEMPERATURE_GPU = 0
    NVML_CLOCK_SM = 1
    NVML_FI_DEV_POWER_INSTANT = 186

    def __init__(self) -> None:
        super().__init__("pynvml")
        vars(self).update({f"nvmlClocksEventReason{name}": bit for name, bit in REASONS.items()})
        self.answers, self.codes = dict(ANSWERS), dict[str, int]()
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in ANSWERS:
            raise AttributeError(name)

        def call(*arguments: Any) -> Any:
            self.asked.append((name, *arguments))
            code = self.codes.get(name, 0)
            if name == "nvmlDeviceGetFieldValues":  # it succeeds; a field has a code of its own
                value = types.SimpleNamespace(uiVal=self.answers[name])
                return [types.SimpleNamespace(nvmlReturn=code, value=value)]
            if code:
                raise NVMLError(code)
            return self.answers[name]

        return call


@pytest.fixture
def binding(monkeypatch: pytest.MonkeyPatch) -> Binding:
    bound = Binding()
    monkeypatch.setitem(sys.modules, "pynvml", bound)
    monkeypatch.setattr(nvml, "_throttle_bits", nvml._throttle_bits.__wrapped__)
    return bound


GPU = nvml.Device("handle", "GPU-a", "NVIDIA Stub", nvml.POWER_INSTANT, None)
AVERAGE = dataclasses.replace(GPU, power_field=nvml.POWER_USAGE)

READINGS: dict[str, tuple[Callable[[nvml.Device], Any], str, Any]] = {
    "counter": (nvml.counter_joules, "nvmlDeviceGetTotalEnergyConsumption", 9120.5),
    "limit": (nvml.power_limit_watts, "nvmlDeviceGetEnforcedPowerLimit", 400.0),
    "temperature": (nvml.temperature_celsius, "nvmlDeviceGetTemperature", 61),
    "clock": (nvml.sm_clock_mhz, "nvmlDeviceGetClockInfo", 1410),
    "busy": (nvml.busy_share, "nvmlDeviceGetUtilizationRates", 0.83),
    "throttle": (
        nvml.throttle_reasons,
        "nvmlDeviceGetCurrentClocksEventReasons",
        ("SwPowerCap", "SwThermalSlowdown"),
    ),
    "processes": (nvml.compute_processes, "nvmlDeviceGetComputeRunningProcesses", (4321,)),
    "default limit": (
        nvml_facts.default_power_limit_watts,
        "nvmlDeviceGetPowerManagementDefaultLimit",
        450.0,
    ),
    "highest clock": (nvml_facts.max_sm_clock_mhz, "nvmlDeviceGetMaxClockInfo", 1980.0),
    "memory": (nvml_facts.memory_bytes, "nvmlDeviceGetMemoryInfo", 80.0 * 2**30),
    "persistence": (nvml_facts.persistence_mode, "nvmlDeviceGetPersistenceMode", True),
    "mig": (nvml_facts.mig, "nvmlDeviceGetMigMode", True),
}


@pytest.mark.parametrize("name", READINGS)
def test_a_reading_in_its_unit_or_why_there_is_none(binding: Binding, name: str) -> None:
    read, function, value = READINGS[name]
    assert read(GPU) == (pytest.approx(value) if isinstance(value, float) else value)
    assert binding.asked[0][:2] == (function, "handle")
    for code in (3, 13):  # the GPU, or its driver, does not offer it
        binding.codes[function] = code
        assert read(GPU) is (False if name == "mig" else None)
    for code, error in ((15, "GpuIsLost"), (777, "code 777")):
        binding.codes[function] = code
        with pytest.raises(nvml.NvmlError) as failed:
            read(GPU)
        assert failed.value.name == error


@pytest.mark.parametrize(
    ("name", "sound", "false", "words"),
    [
        ("limit", (1_000, 10_000_000), (999, 10_000_001, 2**32 - 1), "W"),
        ("default limit", (1_000, 10_000_000), (999, 10_000_001), "W"),
        ("temperature", (0, 150), (-1, 151, 2**32 - 1), "degrees"),
        ("clock", (0, 10_000), (-1, 10_001, 2**32 - 1), "MHz"),
        ("highest clock", (0, 10_000), (-1, 10_001), "MHz"),
    ],
)
def test_a_value_that_cannot_be_true_has_failed(
    binding: Binding, name: str, sound: tuple[int, ...], false: tuple[int, ...], words: str
) -> None:
    read, function, _ = READINGS[name]
    for answer in sound:
        binding.answers[function] = answer
        assert read(GPU) is not None
    for answer in false:
        binding.answers[function] = answer
        with pytest.raises(nvml.OutOfRangeError, match=rf"^read .* {words}$"):
            read(GPU)


def test_the_share_of_time_busy_is_one_at_most(binding: Binding) -> None:
    for percent, share in ((0, 0.0), (100, 1.0)):
        binding.answers["nvmlDeviceGetUtilizationRates"] = types.SimpleNamespace(gpu=percent)
        assert nvml.busy_share(GPU) == share
    binding.answers["nvmlDeviceGetUtilizationRates"] = types.SimpleNamespace(gpu=101)
    with pytest.raises(nvml.OutOfRangeError, match=r"read 1\.01 of the time busy"):
        nvml.busy_share(GPU)


def test_clocks_that_nothing_holds_back(binding: Binding) -> None:
    binding.answers["nvmlDeviceGetCurrentClocksEventReasons"] = 0
    assert nvml.throttle_reasons(GPU) == ()


def test_power_is_read_from_the_field_of_the_device(binding: Binding) -> None:
    assert (nvml.watts(GPU), nvml.watts(AVERAGE)) == (252.5, 251.5)
    binding.codes["nvmlDeviceGetFieldValues"] = 15
    with pytest.raises(nvml.NvmlError, match="GpuIsLost"):
        nvml.watts(GPU)


@pytest.mark.parametrize(
    ("milliwatts", "code", "limit_code", "field"),
    [
        (252_500, 0, 0, nvml.POWER_INSTANT),
        (252_500, 3, 0, nvml.POWER_USAGE),  # an old GPU has no such field
        (0, 0, 0, nvml.POWER_USAGE),
        (800_000, 0, 0, nvml.POWER_INSTANT),
        (800_001, 0, 0, nvml.POWER_USAGE),  # above twice the limit
        (800_001, 0, 15, nvml.POWER_INSTANT),  # the limit is unknown
    ],
)
def test_the_instantaneous_field_is_used_where_it_can_be_true(
    binding: Binding, milliwatts: int, code: int, limit_code: int, field: str
) -> None:
    binding.answers["nvmlDeviceGetFieldValues"] = milliwatts
    binding.codes |= {"nvmlDeviceGetFieldValues": code, "nvmlDeviceGetEnforcedPowerLimit": limit_code}
    assert nvml._device("handle") == nvml.Device("handle", "GPU-a", "NVIDIA Stub", field, True)


@pytest.mark.parametrize(
    ("modes", "code", "mig"), [((1, 0), 0, True), ((0, 1), 0, False), ((1, 0), 3, None), ((1, 0), 15, None)]
)
def test_mig_is_what_is_on_now(binding: Binding, modes: tuple[int, int], code: int, mig: bool | None) -> None:
    binding.answers["nvmlDeviceGetMigMode"] = modes
    binding.codes["nvmlDeviceGetMigMode"] = code
    assert nvml._device("handle").mig is mig


def test_facts_with_reasons(binding: Binding) -> None:
    assert nvml_facts.facts(GPU) == {
        "power_limit_watts": 400.0,
        "power_limit_watts_reason": None,
        "default_power_limit_watts": 450.0,
        "default_power_limit_watts_reason": None,
        "max_sm_clock_mhz": 1980.0,
        "max_sm_clock_mhz_reason": None,
        "memory_bytes": 80.0 * 2**30,
        "memory_bytes_reason": None,
        "persistence_mode": True,
        "persistence_mode_reason": None,
        "mig": True,
        "mig_reason": None,
    }
    binding.codes |= {
        "nvmlDeviceGetPowerManagementDefaultLimit": 3,
        "nvmlDeviceGetMaxClockInfo": 15,
        "nvmlDeviceGetMemoryInfo": 13,
    }
    found = nvml_facts.facts(GPU)
    names = ("default_power_limit_watts", "max_sm_clock_mhz", "memory_bytes")
    assert [found[name] for name in names] == [None] * 3
    assert [found[f"{name}_reason"] for name in names] == [
        "the GPU has no power cap",
        "NVML answered GpuIsLost",
        "the GPU does not report it",
    ]
    assert found["power_limit_watts"] == 400.0


@pytest.mark.parametrize(
    ("uuid", "asked", "handle"),
    [
        ("GPU-a", "GPU-a", "handle by UUID"),
        ("a", "GPU-a", "handle by UUID"),  # as torch writes it
        ("MIG-a", "MIG-a", "handle of the whole GPU"),
    ],
)
def test_a_gpu_is_found_by_its_uuid_or_that_of_an_instance(
    binding: Binding, uuid: str, asked: str, handle: str
) -> None:
    assert nvml.device_by_uuid(uuid).handle == handle
    assert binding.asked[0] == ("nvmlDeviceGetHandleByUUID", asked)
    whole = ("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", "handle by UUID")
    assert (whole in binding.asked) == uuid.startswith("MIG-")


def test_every_gpu_is_asked_for_by_its_number(binding: Binding) -> None:
    assert [gpu.handle for gpu in nvml.all_devices()] == ["handle by index"] * 2
    numbers = [call[1:] for call in binding.asked if call[0] == "nvmlDeviceGetHandleByIndex"]
    assert numbers == [(0,), (1,)]
    assert nvml.driver_version() == "550.54.15"


def test_an_error_is_called_by_nvmls_name_for_it(binding: Binding) -> None:
    binding.codes["nvmlDeviceGetHandleByUUID"] = 15
    with pytest.raises(nvml.NvmlError, match=r"^GpuIsLost$"):
        nvml.device_by_uuid("GPU-a")


def test_nvml_is_started_and_stopped_and_a_failed_start_says_why(binding: Binding) -> None:
    nvml.start()
    nvml.stop()
    assert [name for name, *_ in binding.asked] == ["nvmlInit", "nvmlShutdown"]
    binding.codes["nvmlShutdown"] = 15
    nvml.stop()
    for code, reason in (
        (15, r"NVML did not start \(GpuIsLost\)"),
        (777, r"NVML did not start \(code 777\)"),
    ):
        binding.codes["nvmlInit"] = code
        with pytest.raises(nvml.NvmlUnavailableError, match=rf"^{reason}$"):
            nvml.start()
