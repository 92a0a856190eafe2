"""isoflop meter -- COMMAND: joules over the stub; output, signals and exit code of the command."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

UUID = "GPU-00000000-0000-0000-0000-000000000000"
METER = [sys.executable, "-W", "error", "-m", "isoflop", "meter"]
NO_GPU = {**os.environ, "LD_LIBRARY_PATH": "", "CUDA_VISIBLE_DEVICES": ""}


def meter(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*METER, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_any_program_is_metered(patient: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patient.setenv("STUB_LAW", "constant 250")
    patient.setenv("STUB_PROCESSES", "0")
    out, polls = tmp_path / "report.json", tmp_path / "polls.jsonl"
    done = meter(
        *("--gpu", UUID, "--json", str(out), "--idle", "0.3", "--polls", str(polls), "--period", "0.05"),
        *("--", "sh", "-c", "echo out; echo err >&2; sleep 1.1; exit 7"),
    )
    report = json.loads(out.read_text())
    assert (done.returncode, report["exit_code"], done.stdout) == (7, 7, "out\n")
    assert report["seconds"] == pytest.approx(1.2, abs=0.3)
    assert report["energy_joules"] == pytest.approx(250 * report["seconds"], abs=250 * 0.4)
    assert report["energy"]["integral_joules"] == pytest.approx(250 * report["seconds"], rel=1e-3)
    assert report["peak_watts"] == 250
    assert report["energy"]["idle_watts"] == pytest.approx(250, rel=1e-3)
    first, summary, device = done.stderr.splitlines()[:3]
    assert first == "err"
    assert summary.startswith("isoflop meter: ")
    assert "grade C" in summary
    assert UUID in device
    assert polls.stat().st_size > 1000


def test_processes_that_were_there_before_are_foreign(patient: pytest.MonkeyPatch) -> None:
    patient.setenv("STUB_PROCESSES", "2")
    done = meter("--gpu", UUID, "--json", "-", "--", "sleep", "0.3")
    assert "shared: 2 other compute processes on the GPU" in done.stderr
    assert json.loads(done.stdout)["energy"]["grade"] == "D"


def test_without_sensors_the_joules_are_unknown_and_the_command_runs() -> None:
    if Path("/proc/driver/nvidia").exists() or Path("/sys/class/powercap").exists():
        pytest.skip("this machine has sensors")
    done = meter("--json", "-", "--", sys.executable, "-c", "print('hi')")
    output, _, rest = done.stdout.partition("\n")
    assert (done.returncode, output) == (0, "hi")
    assert json.loads(rest)["energy_joules"] is None
    assert "no NVIDIA driver" in json.loads(rest)["energy_joules_reason"]
    assert "joules unknown: " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--", "no-such-program"), 127, "no-such-program: not found"),
        (("--", "/etc/passwd"), 126, "/etc/passwd: not executable"),
        (("--",), 2, "give the command after --"),
        ((), 2, "give the command after --"),
        (("python", "-V"), 2, "isoflop meter [OPTIONS] -- python -V"),
        (("--period", "0.01", "--", "true"), 2, "use 0.05 s or more"),
        (("--json", "/no/such/place", "--", "true"), 2, "--json /no/such/place"),
        (("--", "sh", "-c", "kill -9 $$"), 137, "isoflop meter: "),
        (("--", "sh", "-c", "exit 3", "--", "--json"), 3, "isoflop meter: "),
    ],
)
def test_exit_codes(arguments: tuple[str, ...], code: int, message: str) -> None:
    done = meter(*arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


COUNTER = """
import os, signal, sys, time
count = {}
def note(number, frame):
    count[number] = count.get(number, 0) + 1
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, note)
if os.fork() == 0:  # a worker in the command's group that does not expect SIGUSR1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    time.sleep(1.5)
    os._exit(0)
print("ready", flush=True)
end = time.monotonic() + 1
while time.monotonic() < end:
    time.sleep(0.05)
_, status = os.wait()
print(count, status)
sys.exit(5)
"""


def test_signals_reach_the_command_once_each() -> None:
    with subprocess.Popen(
        [*METER, "--", sys.executable, "-c", COUNTER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=NO_GPU,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            running.send_signal(number)
            time.sleep(0.1)
        output, _ = running.communicate(timeout=30)
    counts = dict.fromkeys((int(signal.SIGINT), int(signal.SIGTERM), int(signal.SIGUSR1)), 1)
    counts = {int(number): times for number, times in counts.items()}
    assert output == f"{counts} 0\n"
    assert running.returncode == 5


def test_a_signal_ends_the_whole_group_and_is_its_exit_code() -> None:
    with subprocess.Popen(
        [*METER, "--", "sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True, env=NO_GPU
    ) as running:
        assert running.stdout is not None
        worker = int(running.stdout.readline())
        running.terminate()
        assert running.wait(30) == 128 + signal.SIGTERM
    limit = time.monotonic() + 5
    while Path(f"/proc/{worker}/cmdline").is_file() and time.monotonic() < limit:
        if not Path(f"/proc/{worker}/cmdline").read_bytes():  # waiting to be reaped
            return
        time.sleep(0.02)
    assert not Path(f"/proc/{worker}").exists()


OWN_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, sys.argv[1:])
"""
"""Leads a session whose terminal is standard input, as a shell in a window does."""


def test_at_a_terminal_ctrl_c_reaches_the_command_and_the_report_is_printed() -> None:
    """The command reads from the terminal, which it therefore must have been given."""
    ours, theirs = pty.openpty()
    code = "import sys; print('got', sys.stdin.readline().strip(), flush=True); import time; time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", OWN_TERMINAL, *METER, "--", sys.executable, "-c", code],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=NO_GPU,
    ) as running:
        os.close(theirs)
        assert running.stdout is not None
        os.write(ours, b"a line\n")
        assert running.stdout.readline() == "got a line\n"
        os.write(ours, b"\x03")
        _, report = running.communicate(timeout=30)
    os.close(ours)
    assert running.returncode == 128 + signal.SIGINT
    assert report.count("KeyboardInterrupt") == 1
    assert "isoflop meter: " in report
