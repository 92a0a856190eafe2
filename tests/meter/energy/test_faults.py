"""What goes wrong while training goes on: nothing is 0 that was not measured, and the reason is named."""

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

UUIDS = tuple(f"GPU-00000000-0000-0000-0000-00000000000{i}" for i in range(2))
PERIOD = 0.05


def struck(fault: Path, *, after: float = 0.3, lasting: float = 0.2) -> tuple[Energy | None, str | None]:
    """One window of one board in which `fault` is there for a while."""
    with WindowMeter(UUIDS[:1], period_seconds=PERIOD) as meter:
        meter.begin()
        time.sleep(after)
        fault.touch()
        time.sleep(lasting)
        fault.unlink()
        time.sleep(0.3)
        meter.end()
        found, reason = meter.measurement()
    assert found is None or record.problem(found) is None
    return found, reason


def test_a_burst_of_0_watts_is_a_gap_and_no_reading(patient: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patient.setenv("STUB_ZERO", str(tmp_path / "now"))
    found, reason = struck(tmp_path / "now")
    assert found is not None, reason
    assert found.integral_joules == pytest.approx(300 * found.window_seconds, rel=1e-3)
    assert found.energy_joules == pytest.approx(300 * found.window_seconds, abs=300 * 0.3)
    assert found.devices[0].peak_watts == 300


def test_a_board_that_only_ever_reads_0_watts_has_an_unknown_integral(patient: pytest.MonkeyPatch) -> None:
    patient.setenv("STUB_ZERO", "/")
    with WindowMeter(UUIDS[:1], period_seconds=PERIOD) as meter:
        meter.begin()
        time.sleep(0.4)
        meter.end()
        found, reason = meter.measurement()
    assert found is not None, reason
    assert (found.used, found.integral_joules) == ("counter", None)
    assert found.integral_joules_reason == "power was never read (read 0 W)"
    assert found.grade in "CD"


@pytest.mark.parametrize("fault", ["STUB_DEAF", "STUB_LOST"])
def test_a_burst_of_errors_is_a_gap(patient: pytest.MonkeyPatch, tmp_path: Path, fault: str) -> None:
    patient.setenv(fault, str(tmp_path / "now"))
    found, reason = struck(tmp_path / "now")
    assert found is not None, reason
    assert found.longest_gap_seconds >= 0.2
    assert found.integral_joules == pytest.approx(300 * found.window_seconds, rel=1e-3)
    assert found.energy_joules == pytest.approx(300 * found.window_seconds, abs=300 * 0.3)


def test_a_counter_that_runs_backwards_for_a_moment(patient: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patient.setenv("STUB_BACK", str(tmp_path / "now"))
    found, reason = struck(tmp_path / "now")
    assert found is not None, reason
    assert (found.used, found.counter_joules) == ("integral", None)
    assert "ran backwards" in str(found.counter_joules_reason)
    assert found.energy_joules == pytest.approx(300 * found.window_seconds, rel=1e-3)


def test_the_state_of_the_board_is_in_the_record(patient: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hotter, capped, throttled, shared and cut into slices: each is a finding of its own."""
    now = tmp_path / "now"
    for name, value in (("HOT", now), ("CAPPED", now), ("THROTTLE", 0x44), ("PROCESSES", 3), ("MIG", 1)):
        patient.setenv(f"STUB_{name}", str(value))
    with WindowMeter(UUIDS[:1], period_seconds=PERIOD) as meter:
        meter.begin()
        time.sleep(0.1)
        now.touch()
        time.sleep(1.2)
        meter.end()
        found, reason = meter.measurement()
    assert found is not None, reason
    device = found.devices[0]
    assert (device.temperature_begin_celsius, device.temperature_end_celsius) == (61, 85)
    assert (device.sm_clock_mhz, device.power_limit_watts) == (1410, 250)
    assert (device.compute_processes, device.throttled_share) == (3, 1)
    assert set(device.throttle_reasons) == {"SwPowerCap", "HwThermalSlowdown"}
    assert found.grade == "D"
    for said in ("24 degrees warmer", "by heat 100%", "the power cap 100%", "2 other compute", "MIG"):
        assert any(said in words for words in found.grade_reasons), said


def test_a_board_that_does_not_tell_its_state_says_so(patient: pytest.MonkeyPatch) -> None:
    with WindowMeter(UUIDS[1:], period_seconds=PERIOD) as meter:
        meter.begin()
        time.sleep(0.3)
        meter.end()
        found, reason = meter.measurement()
    assert found is not None, reason
    device = found.devices[0]
    assert (device.compute_processes, device.power_limit_watts) == (None, None)
    assert device.compute_processes_reason == device.power_limit_watts_reason == "the board does not offer it"
    assert device.temperature_end_celsius == 61


def test_two_slices_of_one_board_are_metered_once(patient: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patient.setenv("STUB_MIG", "1")
    polls = tmp_path / "polls.jsonl"
    slices = ["MIG-11111111-1111-1111-1111-111111111111", "MIG-22222222-2222-2222-2222-222222222222"]
    with WindowMeter([*slices, UUIDS[0]], period_seconds=PERIOD, polls_path=polls) as meter:
        meter.begin()
        time.sleep(0.4)
        meter.end()
        found, reason = meter.measurement()
    assert found is not None, reason
    assert found.integral_joules == pytest.approx(300 * found.window_seconds, rel=1e-3)
    assert len(found.devices) == 1
    assert found.grade == "D"
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
            found, reason = meter.measurement()
        assert found is not None, reason
        assert found.devices[0].polls < 12
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
    (board,) = reader.boards.values()
    assert len(board.watts) > 4
    assert set(board.watts) == {300.0}
    assert board.states[0].celsius == 61


def test_a_file_of_the_user_s_does_not_get_in_the_sampler_s_way(
    patient: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("json", "signal", "select"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong module')\n")
    patient.chdir(tmp_path)
    with WindowMeter(UUIDS[:1], period_seconds=PERIOD) as meter:
        meter.begin()
        time.sleep(0.2)
        meter.end()
        found, reason = meter.measurement()
    assert found is not None, reason
