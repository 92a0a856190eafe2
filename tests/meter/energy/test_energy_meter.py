"""EnergyMeter in a user's script: no guard, no arguments, no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import isoflop
from isoflop.meter.energy.energy_meter import EnergyMeter

pytestmark = pytest.mark.slow

UUID = "GPU-00000000-0000-0000-0000-000000000000"

SCRIPT = """
import json, sys, time
from isoflop import EnergyMeter

with EnergyMeter() as meter:
    time.sleep(0.4)
    inside = meter.measurement
    with meter.paused():
        time.sleep(0.3)
    time.sleep(0.3)
measured = meter.measurement
print(measured)
print(json.dumps({
    "joules": measured.energy_joules, "seconds": measured.seconds,
    "mean": measured.mean_watts, "grade": measured.grade,
    "inside": inside.energy_joules, "reason": measured.reason, "torch": "torch" in sys.modules,
    "devices": [d.uuid for d in measured.energy.devices] if measured.energy else [],
}))
"""


def script(folder: Path) -> tuple[str, dict[str, object]]:
    (folder / "mine.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-W", "error", "mine.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    text, values = done.stdout.splitlines()
    return text, json.loads(values)


def test_a_script_without_a_guard_is_metered(stub: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stub.setenv("CUDA_VISIBLE_DEVICES", UUID)
    stub.setenv("STUB_LAW", "constant 200")
    text, values = script(tmp_path)
    assert values["devices"] == [UUID]
    assert values["seconds"] == pytest.approx(0.7, abs=0.25)
    assert values["joules"] == pytest.approx(200 * values["seconds"], rel=0.2)  # type: ignore[operator]
    assert 0 < values["inside"] < values["joules"]  # type: ignore[operator]
    assert not values["torch"]
    assert "grade D: " in text


def test_without_sensors_a_script_gets_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if Path("/proc/driver/nvidia").exists() or Path("/sys/class/powercap").exists():
        pytest.skip("this machine has sensors")
    text, values = script(tmp_path)
    assert (values["joules"], values["mean"], values["grade"]) == (None, None, None)
    assert "no NVIDIA driver" in str(values["reason"])
    assert "RAPL" in str(values["reason"])
    assert text.startswith("joules unknown over ")


def test_an_exception_of_the_script_propagates(stub: pytest.MonkeyPatch) -> None:
    meter = EnergyMeter([UUID], period_seconds=0.05)
    with pytest.raises(KeyError, match="mine"), meter:
        raise KeyError("mine")
    assert meter.measurement.seconds > 0


def test_importing_isoflop_loads_nothing() -> None:
    code = "import sys, isoflop; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "msgspec", "isoflop.meter"} & set(loaded.stdout.split())
    assert isoflop.EnergyMeter is EnergyMeter
    with pytest.raises(AttributeError, match="no attribute Meter"):
        _ = isoflop.Meter
