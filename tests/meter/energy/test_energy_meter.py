"""EnergyMeter in a user's script: no guard, no arguments, no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import isoflop
from isoflop.meter.energy.energy_meter import EnergyMeter

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
found = meter.measurement
print(found)
print(json.dumps({
    "joules": found.energy_joules, "seconds": found.seconds, "mean": found.mean_watts, "grade": found.grade,
    "inside": inside.energy_joules, "reason": found.reason, "torch": "torch" in sys.modules,
    "devices": [d.uuid for d in found.energy.devices] if found.energy else [],
}))
"""


def script(folder: Path) -> tuple[str, dict[str, object]]:
    (folder / "mine.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-W", "error", "mine.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    words, said = done.stdout.splitlines()
    return words, json.loads(said)


def test_a_script_without_a_guard_is_metered(stub: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stub.setenv("CUDA_VISIBLE_DEVICES", UUID)
    stub.setenv("STUB_LAW", "constant 200")
    words, said = script(tmp_path)
    assert said["devices"] == [UUID]
    assert said["seconds"] == pytest.approx(0.7, abs=0.25)
    assert said["joules"] == pytest.approx(200 * said["seconds"], rel=0.2)  # type: ignore[operator]
    assert 0 < said["inside"] < said["joules"]  # type: ignore[operator]
    assert not said["torch"]
    assert "grade D: " in words


def test_a_script_on_a_machine_without_sensors_is_told_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if Path("/proc/driver/nvidia").exists() or Path("/sys/class/powercap").exists():
        pytest.skip("this machine has sensors")
    words, said = script(tmp_path)
    assert (said["joules"], said["mean"], said["grade"]) == (None, None, None)
    assert "no NVIDIA driver" in str(said["reason"])
    assert "RAPL" in str(said["reason"])
    assert words.startswith("joules unknown over ")


def test_an_error_of_the_script_passes_through(stub: pytest.MonkeyPatch) -> None:
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
