"""What goes wrong while training goes on: what was not measured is never 0, and the reason is named."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from isoflop import record
from isoflop.meter.energy import sampler
from isoflop.meter.energy.polls import PollReader
from isoflop.meter.energy.window_meter import WindowMeter
from isoflop.record import Energy

pytestmark = pytest.mark.slow

UUIDS = tuple(f"GPU-00000000-0000-0000-0000-00000000000{i}" for i in range(2))
PERIOD = 0.05


def metered_with(
    fault: Path, *, after: float = 0.3, lasting: float = 0.2
) -> tuple[Energy | None, str | None]:
    """Meter one window of one GPU, during which the stub's fault is active for a while."""
    with WindowMeter(UUIDS[:1], period_seconds=PERIOD) as meter:
        meter.begin()
        time.sleep(after)
        fault.touch()
        time.sleep(lasting)
        fault.unlink()
        time.sleep(0.3)
        meter.end()
        energy, reason = meter.measurement()
    assert energy is None or record.problem(energy) is None
    return energy, reason


def test_a_burst_of_0_watts_is_a_gap_not_a_reading(patient: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patient.setenv("STUB_ZERO", str(tmp_path / "now"))
    energy, reason = metered_with(tmp_path / "now")
    assert energy is not None, reason
    assert energy.integral_joules == pytest.approx(300 * energy.window_seconds, rel=1e-3)
    assert energy.energy_joules == pytest.approx(300 * energy.window_seconds, abs=300 * 0.3)
    assert energy.devices[0].peak_watts == 300


def test_a_gpu_that_only_reads_0_watts_has_an_unknown_integral(patient: pytest.MonkeyPatch) -> None:
    patient.setenv("STUB_ZERO", "/")
    with WindowMeter(UUIDS[:1], period_seconds=PERIOD) as meter:
        meter.begin()
        time.sleep(0.4)
        meter.end()
        energy, reason = meter.measurement()
    assert energy is not None, reason
    assert (energy.used, energy.integral_joules) == ("counter", None)
    assert energy.integral_joules_reason == "power was never read (read 0 W)"
    assert energy.grade in "CD"


@pytest.mark.parametrize("fault", ["STUB_DEAF", "STUB_LOST"])
def test_a_burst_of_errors_is_a_gap(patient: pytest.MonkeyPatch, tmp_path: Path, fault: str) -> None:
    patient.setenv(fault, str(tmp_path / "now"))
    energy, reason = metered_with(tmp_path / "now")
    assert energy is not None, reason
    assert energy.longest_gap_seconds >= 0.2
    assert energy.integral_joules == pytest.approx(300 * energy.window_seconds, rel=1e-3)
    assert energy.energy_joules == pytest.approx(300 * energy.window_seconds, abs=300 * 0.3)


def test_a_counter_that_runs_backwards_for_a_moment(patient: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patient.setenv("STUB_BACK", str(tmp_path / "now"))
    energy, reason = metered_with(tmp_path / "now")
    assert energy is not None, reason
    assert (energy.used, energy.counter_joules) == ("integral", None)
    assert "ran backwards" in str(energy.counter_joules_reason)
    assert energy.energy_joules == pytest.approx(300 * energy.window_seconds, rel=1e-3)


def test_the_state_of_the_gpu_is_in_the_record(patient: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hotter, capped, throttled, shared and in MIG mode: each lowers the grade for a reason of its own."""
    now = tmp_path / "now"
    for name, value in (("HOT", now), ("CAPPED", now), ("THROTTLE", 0x44), ("PROCESSES", 3), ("MIG", 1)):
        patient.setenv(f"STUB_{name}", str(value))
    with WindowMeter(UUIDS[:1], period_seconds=PERIOD) as meter:
        meter.begin()
        time.sleep(0.1)
        now.touch()
        time.sleep(1.2)
        meter.end()
        energy, reason = meter.measurement()
    assert energy is not None, reason
    device = energy.devices[0]
    assert (device.temperature_begin_celsius, device.temperature_end_celsius) == (61, 85)
    assert (device.sm_clock_mhz, device.power_limit_watts) == (1410, 250)
    assert (device.compute_processes, device.throttled_share) == (3, 1)
    assert set(device.throttle_reasons) == {"SwPowerCap", "HwThermalSlowdown"}
    assert energy.grade == "D"
    for finding in ("24 degrees warmer", "by heat 100%", "the power cap 100%", "2 other compute", "MIG"):
        assert any(finding in reason for reason in energy.grade_reasons), finding


def test_state_that_a_gpu_does_not_report_has_a_reason(patient: pytest.MonkeyPatch) -> None:
    with WindowMeter(UUIDS[1:], period_seconds=PERIOD) as meter:
        meter.begin()
        time.sleep(0.3)
        meter.end()
        energy, reason = meter.measurement()
    assert energy is not None, reason
    device = energy.devices[0]
    assert (device.compute_processes, device.power_limit_watts) == (None, None)
    assert device.compute_processes_reason == device.power_limit_watts_reason == "the GPU does not report it"
    assert device.temperature_end_celsius == 61


def test_two_mig_instances_of_one_gpu_are_metered_once(patient: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patient.setenv("STUB_MIG", "1")
    polls = tmp_path / "polls.jsonl"
    instances = ["MIG-11111111-1111-1111-1111-111111111111", "MIG-22222222-2222-2222-2222-222222222222"]
    with WindowMeter([*instances, UUIDS[0]], period_seconds=PERIOD, polls_path=polls) as meter:
        meter.begin()
        time.sleep(0.4)
        meter.end()
        energy, reason = meter.measurement()
    assert energy is not None, reason
    assert energy.integral_joules == pytest.approx(300 * energy.window_seconds, rel=1e-3)
    assert len(energy.devices) == 1
    assert energy.grade == "D"
    assert polls.read_text().count("same_as") == 2


def test_a_slow_state_call_does_not_hold_up_the_power(stub: pytest.MonkeyPatch) -> None:
    """State and power are read by threads of their own."""
    lines: list[sampler.Line] = []
    stop = threading.Event()

    def slow() -> sampler.Line:
        time.sleep(0.5)
        return {"slow": True}

    threads = [
        sampler._thread(sampler.pace, read, 0.05, lines.append, stop)
        for read in (slow, lambda: {"slow": False})
    ]
    time.sleep(0.7)
    stop.set()
    for thread in threads:
        thread.join()
    assert sum(not line["slow"] for line in lines) >= 8
    assert sum(line["slow"] for line in lines) <= 3


def test_a_second_attempt_keeps_the_polls_of_the_first(patient: pytest.MonkeyPatch, tmp_path: Path) -> None:
    polls = tmp_path / "polls.jsonl"
    for _ in range(2):
        with WindowMeter(UUIDS[:1], period_seconds=PERIOD, polls_path=polls) as meter:
            meter.begin()
            time.sleep(0.2)
            meter.end()
            energy, reason = meter.measurement()
        assert energy is not None, reason
        assert energy.devices[0].polls < 12
    assert polls.read_text().count('"name"') == 2


TRAINER = """
import sys, time
from pathlib import Path
from isoflop.meter.energy.window_meter import WindowMeter
with WindowMeter([sys.argv[1]], period_seconds=0.05, polls_path=Path(sys.argv[2])) as meter:
    meter.begin()
    print(meter.sampler_pid, flush=True)
    time.sleep(60)
"""


def running(pid: int) -> bool:
    """Whether the process is there, and not only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_after_a_killed_trainer_the_polls_can_be_read(stub: pytest.MonkeyPatch, tmp_path: Path) -> None:
    polls = tmp_path / "polls.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", TRAINER, UUIDS[0], str(polls)], stdout=subprocess.PIPE, text=True
    ) as trainer:
        assert trainer.stdout is not None
        pid = int(trainer.stdout.readline())
        time.sleep(0.3)
        trainer.send_signal(signal.SIGKILL)
    limit = time.monotonic() + 10
    while running(pid) and time.monotonic() < limit:
        time.sleep(0.02)
    assert not running(pid)
    reader = PollReader(polls, UUIDS[:1])
    reader.update()
    (trace,) = reader.traces.values()
    assert len(trace.watts) > 4
    assert set(trace.watts) == {300.0}
    assert trace.states[0].celsius == 61


def test_a_users_file_does_not_shadow_the_samplers_modules(
    patient: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("json", "signal", "select"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong module')\n")
    patient.chdir(tmp_path)
    with WindowMeter(UUIDS[:1], period_seconds=PERIOD) as meter:
        meter.begin()
        time.sleep(0.2)
        meter.end()
        energy, reason = meter.measurement()
    assert energy is not None, reason
