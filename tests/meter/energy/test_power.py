"""The energy meter and its sampler process over a stub of NVML: power laws, faults, start and end."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from isoflop.meter.energy import grade, window_meter
from isoflop.meter.energy.polls import PollReader
from isoflop.meter.energy.window_meter import WindowMeter

pytestmark = pytest.mark.slow

UUIDS = tuple(f"GPU-00000000-0000-0000-0000-00000000000{i}" for i in range(2))
PERIOD = 0.05


# ---- the meter and its sampler over the stub


def train(meter: WindowMeter, seconds: float) -> None:
    meter.begin()
    time.sleep(seconds)
    meter.end()


def test_constant_power_on_two_gpus_over_two_windows(patient: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patient.setenv("STUB_LAW", "constant 300")
    polls = tmp_path / "new" / "polls.jsonl"
    with WindowMeter([*UUIDS, UUIDS[0]], period_seconds=PERIOD, idle_seconds=0.2, polls_path=polls) as meter:
        assert meter.joules_so_far() is None
        train(meter, 0.4)
        time.sleep(0.1)
        train(meter, 0.3)
        so_far = meter.joules_so_far()
        energy, reason = meter.measurement()
    assert reason is None
    assert energy is not None
    seconds = sum(w.seconds for w in meter.windows)
    assert energy.window_seconds == seconds
    assert energy.integral_joules == pytest.approx(600 * seconds, rel=1e-6)
    assert energy.counter_joules == pytest.approx(
        600 * seconds, abs=600 * 4 * (0.02 + energy.longest_gap_seconds)
    )
    assert energy.idle_watts == pytest.approx(600, rel=1e-6)
    assert [d.uuid for d in energy.devices] == list(UUIDS)
    assert energy.devices[0].power_field == "NVML_FI_DEV_POWER_INSTANT"
    assert so_far == pytest.approx(energy.energy_joules, rel=0.5)
    lines = [json.loads(line) for line in polls.read_text().splitlines()]
    assert sum(line.get("watts") == 300.0 for line in lines) > 10
    assert "libnvidia-ml" not in Path("/proc/self/maps").read_text()
    again, _ = meter.measurement()
    assert again is not None
    assert again.integral_joules == pytest.approx(energy.integral_joules, rel=1e-6)
    first, _ = meter.measurement(meter.windows[:1])
    assert first is not None
    assert first.window_seconds == meter.windows[0].seconds
    assert meter.measurement(()) == (None, "no window was metered")


def test_a_long_sound_window_is_graded_a(patient: pytest.MonkeyPatch) -> None:
    for name, value in (("LONG_WINDOW_SECONDS", 0.5), ("SHORT_WINDOW_SECONDS", 0.1), ("AGREEMENT", 0.5)):
        patient.setattr(grade, name, value)
    with WindowMeter(UUIDS[:1], period_seconds=PERIOD) as meter:
        train(meter, 0.6)
        energy, _ = meter.measurement()
        replay, _ = meter.measurement(replayed=True)
    assert energy is not None
    assert replay is not None
    assert (energy.grade, replay.grade) == ("A", "B")
    assert replay.energy_joules == pytest.approx(energy.energy_joules, rel=1e-6)


@pytest.mark.parametrize("law", ["step", "ramp"])
def test_step_and_ramp_have_their_known_integral(patient: pytest.MonkeyPatch, law: str) -> None:
    zero = float(os.environ["STUB_EPOCH"])
    at = time.monotonic() + 0.6 - zero
    patient.setenv("STUB_LAW", f"step 100 500 {at}" if law == "step" else "ramp 100 400")
    with WindowMeter(UUIDS[:1], period_seconds=PERIOD) as meter:
        train(meter, 0.8)
        energy, reason = meter.measurement()
    assert energy is not None, reason
    a, b = meter.windows[0].begin_seconds - zero, meter.windows[0].end_seconds - zero
    gap = energy.longest_gap_seconds
    if law == "step":
        true, slack = 100 * (b - a) + 400 * (b - max(a, at)), 400 * gap
    else:
        true, slack = 100 * (b - a) + 200 * (b * b - a * a), 400 * gap * (b - a)
    assert energy.integral_joules == pytest.approx(true, abs=slack)
    assert energy.counter_joules == pytest.approx(true, abs=2 * (0.02 + gap) * (500 + 400 * b))


def test_the_counter_sees_a_square_wave_that_polls_cannot(patient: pytest.MonkeyPatch) -> None:
    patient.setenv("STUB_LAW", "square 100 500 0.01")
    with WindowMeter(UUIDS[:1], period_seconds=PERIOD) as meter:
        train(meter, 0.8)
        energy, reason = meter.measurement()
    assert energy is not None, reason
    assert energy.used == "counter"
    slack = 2 * (0.03 + energy.longest_gap_seconds) * 300
    assert energy.energy_joules == pytest.approx(300 * energy.window_seconds, abs=slack)


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"STUB_INIT": "9"}, "the NVIDIA driver is not loaded"),
        ({"STUB_INIT": "12"}, "no NVIDIA driver"),
        ({"STUB_INIT": "999"}, "NVML did not start"),
        ({"LD_LIBRARY_PATH": ""}, "libnvidia-ml.so.1 was not found"),
        ({"STUB_LOST": "/"}, "GpuIsLost"),
        (
            {"STUB_NO_POWER": "1", "STUB_NO_COUNTER": "1"},
            "power was never read; the energy counter was never",
        ),
    ],
)
def test_what_never_works_is_a_reason_and_never_a_figure(
    stub: pytest.MonkeyPatch, faults: dict[str, str], message: str
) -> None:
    for name, value in faults.items():
        stub.setenv(name, value)
    if not faults.get("LD_LIBRARY_PATH", "stub") and Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a real NVIDIA driver")
    with WindowMeter(UUIDS, period_seconds=PERIOD, idle_seconds=30) as meter:  # no GPU, no baseline
        train(meter, 0.1)
        assert meter.joules_so_far() is None
        energy, reason = meter.measurement()
    assert energy is None
    assert reason is not None
    assert message in reason
    assert UUIDS[0] in reason


def test_without_a_device_the_reason_names_gpu_and_rapl() -> None:
    nothing = (None, "no GPU was named to meter; RAPL was not requested")
    assert WindowMeter(()).measurement() == nothing
    with WindowMeter(()) as meter:
        train(meter, 0.001)
        assert meter.joules_so_far() is None
    assert meter.measurement() == nothing


def test_a_uuid_nvml_does_not_know_is_a_reason(stub: pytest.MonkeyPatch) -> None:
    with WindowMeter(["GPU-elsewhere"], period_seconds=PERIOD) as meter:
        train(meter, 0.1)
    energy, reason = meter.measurement()
    assert energy is None
    assert "GPU-elsewhere" in str(reason)
    assert "NotFound" in str(reason)


def test_no_counter_leaves_the_integral_at_grade_c(patient: pytest.MonkeyPatch) -> None:
    patient.setenv("STUB_NO_COUNTER", "1")
    patient.setenv("STUB_NO_INSTANT", "1")
    with WindowMeter([UUIDS[0].removeprefix("GPU-")], period_seconds=PERIOD) as meter:
        train(meter, 0.5)
        energy, reason = meter.measurement()
    assert energy is not None, reason
    assert (energy.used, energy.counter_joules) == ("integral", None)
    assert energy.counter_joules_reason == "the energy counter was never read (NotSupported)"
    assert "power integral only: no sound energy counter" in energy.grade_reasons
    assert energy.energy_joules == pytest.approx(300 * energy.window_seconds, rel=1e-6)
    assert energy.devices[0].power_field == "nvmlDeviceGetPowerUsage"


def test_a_counter_reset_during_training_falls_back_to_the_integral(
    patient: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = tmp_path / "now"
    patient.setenv("STUB_RESET", str(now))
    with WindowMeter(UUIDS[:1], period_seconds=PERIOD) as meter:
        meter.begin()
        time.sleep(0.3)
        now.touch()
        time.sleep(0.4)
        meter.end()
        energy, reason = meter.measurement()
    assert energy is not None, reason
    assert energy.used == "integral"
    assert "ran backwards" in str(energy.counter_joules_reason)
    assert energy.energy_joules == pytest.approx(300 * energy.window_seconds, rel=1e-6)


@pytest.mark.parametrize(("fault", "name"), [("STUB_LOST", "GpuIsLost"), ("STUB_DEAF", "NotSupported")])
def test_one_gpu_of_two_fails_during_training(
    stub: pytest.MonkeyPatch, tmp_path: Path, fault: str, name: str
) -> None:
    now, polls = tmp_path / "now", tmp_path / "polls.jsonl"
    stub.setenv(fault, str(now))
    stub.setenv("STUB_GPU", "1")
    with WindowMeter(UUIDS, period_seconds=PERIOD, polls_path=polls) as meter:
        meter.begin()
        time.sleep(0.1)
        now.touch()
        time.sleep(0.6)
        now.unlink()  # it comes back, as after a burst of errors
        time.sleep(0.1)
        meter.end()
        energy, reason = meter.measurement()
    assert energy is None
    assert str(reason).startswith(f"{UUIDS[1]}: power was read in only")
    assert str(reason).endswith(f"({name})")
    reader = PollReader(polls, UUIDS)
    reader.update()
    healthy, faulty = (reader.traces[uuid] for uuid in UUIDS)
    assert (healthy.power_error, faulty.power_error) == (None, name)
    assert set(healthy.watts) == set(faulty.watts) == {300.0}


def test_a_slow_call_delays_the_polls_of_its_gpu_only(stub: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now, polls = tmp_path / "now", tmp_path / "polls.jsonl"
    stub.setenv("STUB_SLOW", str(now))
    stub.setenv("STUB_SLOW_SECONDS", "2")
    stub.setenv("STUB_GPU", "1")
    with WindowMeter(UUIDS, period_seconds=PERIOD, polls_path=polls) as meter:
        meter.begin()
        now.touch()
        time.sleep(0.8)
        meter.end()
        asked = time.monotonic()
        energy, reason = meter.measurement()
        assert time.monotonic() - asked < 1
        time.sleep(1.6)
    assert energy is None
    assert "longest gap" in str(reason)
    reader = PollReader(polls, UUIDS)
    reader.update()
    fast, slow = (np.array(reader.traces[uuid].power_times) for uuid in UUIDS)
    gap = int(np.diff(slow).argmax())
    assert np.diff(slow)[gap] >= 2
    assert ((fast > slow[gap]) & (fast < slow[gap + 1])).sum() > 5


def test_a_call_that_hangs_is_abandoned(stub: pytest.MonkeyPatch) -> None:
    stub.setenv("STUB_SLOW", "/")
    stub.setenv("STUB_SLOW_SECONDS", "600")
    stub.setattr(window_meter, "START_SECONDS", 0.5)
    started = time.monotonic()
    with WindowMeter(UUIDS[:1], period_seconds=PERIOD, idle_seconds=30) as meter:
        pid = meter.sampler_pid
        train(meter, 0.1)
        energy, reason = meter.measurement()
    assert time.monotonic() - started < 10
    assert energy is None
    assert "power was never read" in str(reason)
    assert gone(pid)


def test_a_killed_sampler_is_a_reason(stub: pytest.MonkeyPatch) -> None:
    with WindowMeter(UUIDS[:1], period_seconds=PERIOD) as meter:
        meter.begin()
        assert meter.sampler_pid is not None
        os.kill(meter.sampler_pid, signal.SIGKILL)
        time.sleep(0.5)
        meter.end()
        inside = meter.measurement()
    for energy, reason in (inside, meter.measurement()):
        assert energy is None
        assert str(reason).startswith("the power sampler was killed by signal 9; ")
        assert "in only" in str(reason)


def test_a_sampler_that_cannot_start_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with WindowMeter(UUIDS[:1], polls_path=tmp_path) as meter:  # a folder where a file is needed
        train(meter, 0.01)
    assert "did not start" in str(meter.measurement()[1])
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with WindowMeter(UUIDS[:1]) as meter:
        train(meter, 0.01)
    assert "ended by itself (status 1)" in str(meter.measurement()[1])


def test_the_period_has_a_floor() -> None:
    with pytest.raises(ValueError, match=r"use 0.05 s or more"):
        WindowMeter(UUIDS, period_seconds=0.01)
    with pytest.raises(ValueError, match="idle baseline"):
        WindowMeter(UUIDS, idle_seconds=-1)


# ---- start and end of the sampler


def gone(pid: int | None, within_seconds: float = 10) -> bool:
    """Whether the process ends (or is only waiting to be reaped) within so many seconds."""
    limit = time.monotonic() + within_seconds
    while time.monotonic() < limit:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_the_sampler_imports_nothing_heavy() -> None:
    code = "import sys, isoflop.meter.device.visible, isoflop.meter.energy.sampler; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "numpy", "pandas", "msgspec", "pynvml"} & set(loaded.stdout.split())
    assert not heavy


ORPHANER = """
import os, sys, time
from isoflop.meter.energy.window_meter import WindowMeter
meter = WindowMeter([sys.argv[1]], period_seconds=0.05)
meter.__enter__()
child = os.fork()  # a data worker that keeps the sampler's standard input open
if child == 0:
    time.sleep(30)
    os._exit(0)
print(meter.sampler_pid, child, flush=True)
time.sleep(30)
"""


def test_the_sampler_dies_with_a_killed_trainer_even_if_a_worker_keeps_its_pipe(
    stub: pytest.MonkeyPatch,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", ORPHANER, UUIDS[0]], stdout=subprocess.PIPE, text=True
    ) as trainer:
        assert trainer.stdout is not None
        sampler, worker = (int(pid) for pid in trainer.stdout.readline().split())
        try:
            assert not gone(sampler, 0.1)
            trainer.kill()
            assert gone(sampler)
        finally:
            os.kill(worker, signal.SIGKILL)


def test_the_sampler_ignores_signals_to_the_job_and_ends_with_its_input(
    stub: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "polls.jsonl"
    command = [sys.executable, "-m", "isoflop.meter.energy.sampler", "--uuid", UUIDS[0], "--period", "0.05"]
    with subprocess.Popen([*command, "--out", out], stdin=subprocess.PIPE) as sampler:
        limit = time.monotonic() + 10
        while not (out.exists() and out.read_bytes().count(b"\n") > 2) and time.monotonic() < limit:
            time.sleep(0.02)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            sampler.send_signal(number)
        time.sleep(0.2)
        assert sampler.poll() is None
        assert sampler.stdin is not None
        sampler.stdin.close()
        assert sampler.wait(10) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines[0] == {
        "uuid": UUIDS[0],
        "name": "NVIDIA Stub",
        "power_field": "NVML_FI_DEV_POWER_INSTANT",
        "board": UUIDS[0],
        "mig": False,
    }
    times = [line["time"] for line in lines[1:] if "celsius" not in line]
    assert times == sorted(times)
