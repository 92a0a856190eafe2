"""What CUDA's driver answers and how the child's answer is read, over a library that is simulated here."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from isoflop.meter import child
from isoflop.meter.device import nvml, visible
from isoflop.meter.device.visible import HIDDEN, NO_GPU, VisibleGpus

DIGITS = [f"00000000-0000-0000-0000-00000000000{i}" for i in range(3)]


class Driver:
    """libcuda with `count` devices, whose UUIDs end in their number; `codes`: function -> its error."""

    def __init__(self, count: int = 2, **codes: int) -> None:
        self.count, self.codes = count, codes
        self.asked: list[str] = []

    def _code(self, name: str) -> int:
        self.asked.append(name)
        return self.codes.get(name, 0)

    def cuInit(self, flags: int) -> int:
        assert flags == 0, "CUDA allows no other"
        return self._code("cuInit")

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self.count
        return self._code("cuDeviceGetCount")

    def cuDeviceGet(self, device: Any, index: int) -> int:
        device._obj.value = index
        return self._code("cuDeviceGet")

    def cuDeviceGetUuid(self, raw: Any, device: ctypes.c_int) -> int:
        raw[:] = [0] * 15 + [device.value]
        return self._code("cuDeviceGetUuid")


class NewDriver(Driver):
    """CUDA 11.4 and later."""

    def cuDeviceGetUuid_v2(self, raw: Any, device: ctypes.c_int) -> int:
        raw[:] = [0] * 15 + [device.value]
        return self._code("cuDeviceGetUuid_v2")


def test_devices_are_listed_in_the_drivers_order() -> None:
    assert visible._query_driver(Driver(), set()) == VisibleGpus(
        (f"GPU-{DIGITS[0]}", f"GPU-{DIGITS[1]}"), None
    )
    assert visible._query_driver(Driver(0), set()) == VisibleGpus((), HIDDEN)


@pytest.mark.parametrize(
    ("driver", "function"), [(Driver(1), "cuDeviceGetUuid"), (NewDriver(1), "cuDeviceGetUuid_v2")]
)
def test_the_newest_function_that_the_driver_has_is_asked(driver: Driver, function: str) -> None:
    visible._query_driver(driver, set())
    assert driver.asked == ["cuInit", "cuDeviceGetCount", "cuDeviceGet", function]


def test_a_uuid_that_no_whole_gpu_has_is_that_of_an_instance() -> None:
    known = {f"GPU-{DIGITS[0]}"}
    assert visible._query_driver(Driver(), known).uuids == (f"GPU-{DIGITS[0]}", f"MIG-{DIGITS[1]}")


def test_no_device_is_no_error() -> None:
    none = Driver(cuInit=100)
    assert visible._query_driver(none, {"GPU-a"}) == VisibleGpus((), HIDDEN)
    assert visible._query_driver(none, set()) == VisibleGpus((), NO_GPU)


@pytest.mark.parametrize("function", ["cuInit", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetUuid"])
def test_any_other_error_makes_the_devices_unknown(function: str) -> None:
    driver = Driver(**{function: 99})
    assert visible._query_driver(driver, set()) == VisibleGpus(None, "the CUDA driver answered with error 99")
    assert driver.asked[-1] == function, "after an error nothing more is asked"
    assert driver.asked.count(function) == 1


# ---- which of driver and NVML is asked


def looked_up(
    monkeypatch: pytest.MonkeyPatch, *, cuda: Driver | None, listed: list[str] | nvml.NvmlError | None
) -> tuple[VisibleGpus, int]:
    """The answer, and how often NVML was stopped.

    Args:
        monkeypatch: undoes the simulation.
        cuda: the driver, None without libcuda.
        listed: UUIDs in NVML, its error, or None where it does not start.
    """
    stopped: list[int] = []

    def load(name: str) -> Driver:
        assert name == "libcuda.so.1"
        if cuda is None:
            raise OSError
        return cuda

    def start() -> None:
        if listed is None:
            raise nvml.NvmlUnavailableError("no driver")

    def all_devices() -> list[nvml.Device]:
        if isinstance(listed, nvml.NvmlError):
            raise listed
        return [nvml.Device("handle", uuid, "NVIDIA Stub", "field", None) for uuid in listed or ()]

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(nvml, "start", start)
    monkeypatch.setattr(nvml, "stop", lambda: stopped.append(1))
    monkeypatch.setattr(nvml, "all_devices", all_devices)
    return visible._look_up(), len(stopped)


def test_the_driver_is_asked_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    both = VisibleGpus((f"GPU-{DIGITS[0]}", f"MIG-{DIGITS[1]}"), None)
    assert looked_up(monkeypatch, cuda=Driver(), listed=[f"GPU-{DIGITS[0]}"]) == (both, 1)
    alone = VisibleGpus((f"GPU-{DIGITS[0]}",), None)
    assert looked_up(monkeypatch, cuda=Driver(1), listed=None) == (alone, 0)


def test_without_the_driver_nvml_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    second = VisibleGpus(("GPU-b",), None)
    assert looked_up(monkeypatch, cuda=None, listed=["GPU-a", "GPU-b"]) == (second, 1)
    assert looked_up(monkeypatch, cuda=None, listed=None) == (VisibleGpus((), "no driver"), 0)


@pytest.mark.parametrize("cuda", [Driver(), None])
def test_an_error_of_nvml_is_named(monkeypatch: pytest.MonkeyPatch, cuda: Driver | None) -> None:
    failed = VisibleGpus(None, "NVML could not list the GPUs (GpuIsLost)")
    assert looked_up(monkeypatch, cuda=cuda, listed=nvml.NvmlError("GpuIsLost")) == (failed, 1)


# ---- the child


def answered(monkeypatch: pytest.MonkeyPatch, script: str, **environment: str) -> VisibleGpus:
    """What is made of a child that is this shell script."""
    monkeypatch.setattr(child, "command_line", lambda *words: ["/bin/sh", "-c", script, *words])
    return visible.visible_gpus(environment or None)


def test_the_last_line_is_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    line = '{"uuids": ["GPU-a", "GPU-b"], "reason": null}'
    assert answered(monkeypatch, f"echo hello; echo '{line}'") == VisibleGpus(("GPU-a", "GPU-b"), None)
    unknown = '{"uuids": null, "reason": "why"}'
    assert answered(monkeypatch, f"echo '{unknown}'") == VisibleGpus(None, "why")


def test_the_child_gets_the_environment_that_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    script = """echo '{"uuids": ["'$WHICH'"], "reason": null}'"""
    monkeypatch.setenv("WHICH", "mine")
    assert answered(monkeypatch, script).uuids == ("mine",)
    assert answered(monkeypatch, script, WHICH="another's").uuids == ("another's",)


@pytest.mark.parametrize("script", ["exit 3", "true", "echo nonsense", "echo '{}'"])
def test_a_child_without_an_answer_is_a_reason_in_one_line(
    monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    gpus = answered(monkeypatch, script)
    assert gpus.uuids is None
    assert str(gpus.reason).startswith("the CUDA driver could not be queried for its GPUs (")
    assert "\n" not in str(gpus.reason)


def test_a_driver_that_hangs_is_waited_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {}

    def run(command: list[str], **given: Any) -> Any:
        settings.update(given)
        raise subprocess.TimeoutExpired(command, given["timeout"])

    monkeypatch.setattr(subprocess, "run", run)
    gpus = visible.visible_gpus()
    assert (settings["timeout"], settings["capture_output"], settings["check"]) == (60.0, True, True)
    assert settings["stdin"] == subprocess.DEVNULL
    assert "TimeoutExpired" in str(gpus.reason)


def test_the_child_prints_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(visible, "_look_up", lambda: VisibleGpus(("GPU-a",), None))
    visible.run([])
    assert capsys.readouterr().out == '{"uuids": ["GPU-a"], "reason": null}\n'


def test_a_child_runs_a_module_of_this_package_and_none_of_the_working_directory() -> None:
    program, *options, code, packages, word = child.command_line("isoflop.meter.device.visible", "word")
    assert (program, options, word) == (sys.executable, ["-P", "-c"], "word")
    assert (Path(packages) / "isoflop/meter/child.py").is_file()
    assert code.endswith(
        "import isoflop.meter.device.visible; isoflop.meter.device.visible.run(sys.argv[1:])"
    )
