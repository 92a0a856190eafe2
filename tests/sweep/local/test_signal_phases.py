"""A signal to the whole process group in every phase of a sweep: 75, plain lines, and the sweep goes on.

The signals of a single run are in tests/runner/test_signals.py, those under SLURM in tests/slurm.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from isoflop import record as records
from isoflop.cli import main
from isoflop.record import Record

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[2]
TINY: tuple[str, ...] = ("data=digits", "model=mlp", "model.width=8", "model.depth=1")
TINY += ("schedule.evaluations=3", "launch.threads=1", "launch.workers=2")
TINY += ("meter.idle_seconds=0", "meter.window_seconds=0")
LENGTH, ENDLESS = "schedule.epochs=30", "schedule.epochs=100000"
SWEEP = ("sweep", *TINY, "seed=0,1")
KEEPS = ("training", "evaluation")
AT_THE_END = ("metering", "writing")
OTHER = {
    **{"fork server": signal.SIGTERM, "planning": signal.SIGHUP, "preparing": signal.SIGTERM},
    **{"compile": signal.SIGHUP, "training": signal.SIGTERM, "evaluation": signal.SIGHUP},
    **{"metering": signal.SIGTERM, "writing": signal.SIGHUP},
}
"""Every phase gets Ctrl-C, twice, and one of the two signals that are handled alike where no terminal closes;
each of these comes to phases that keep nothing, a checkpoint, and all."""
STOPS = [*((phase, signal.SIGINT) for phase in OTHER), *OTHER.items()]
PATIENCE_SECONDS = 300.0


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""} | more


def all_records(out: Path) -> list[Record]:
    return [records.read(path) for path in sorted((out / "records").glob("[!.]*.json"))]


def results(out: Path) -> list[tuple[object, ...]]:
    return [(each.run_id, each.state, each.error, each.loss) for each in all_records(out)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted")
    assert main.main([*SWEEP, LENGTH, f"out={out}"]) == 0
    return out


@pytest.mark.parametrize(("phase", "number"), STOPS)
def test_a_signal_to_the_whole_group(
    phase: str, number: signal.Signals, tmp_path: Path, uninterrupted: Path
) -> None:
    out = tmp_path / "out"
    ended = subprocess.run(
        [sys.executable, TESTS / "stop_in_phase.py", *SWEEP, LENGTH, f"out={out}"],
        env=environment(PHASE=phase, MARK=str(tmp_path / "mark"), NUMBER=str(int(number))),
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (tmp_path / f"mark-{phase}").exists(), "it was never in this phase"
    assert ended.returncode == 75, ended.stderr
    lines = ended.stderr.splitlines()
    assert lines[-1] == "isoflop: interrupted: run the same command again to go on"
    assert all(line.startswith("isoflop: ") for line in lines), ended.stderr
    left = all_records(out)
    assert {each.state for each in left} <= {"interrupted", "done"}, [each.reason for each in left]
    if phase in KEEPS:
        assert list((out / "checkpoints").glob("*.pt"))
    if phase in AT_THE_END:
        assert "done" in {each.state for each in left}
    assert main.main([*SWEEP, LENGTH, f"out={out}"]) == 0
    assert results(out) == results(uninterrupted)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a terminal: what the user sees, and what the program has."""
    outer, inner = pty.openpty()
    yield outer, inner
    for end in (outer, inner):
        try:
            os.close(end)
        except OSError:  # closed by the test
            continue


IN_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "isoflop", *sys.argv[1:]])
"""


@pytest.mark.parametrize("verb", ["run", "sweep"])
def test_a_terminal_that_closes_costs_nothing(verb: str, tmp_path: Path, terminal: tuple[int, int]) -> None:
    """As a dropped ssh connection: SIGHUP, and every write to the terminal is an error from then on."""
    outer, inner = terminal
    axis = ["seed=0,1"] if verb == "sweep" else []
    command = [verb, *TINY, *axis, ENDLESS, f"out={tmp_path}"]
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, *command],
        env=environment(TERM="xterm"),
        stdin=inner,
        stdout=inner,
        stderr=inner,
    )
    os.close(inner)
    os.set_blocking(outer, False)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(list(tmp_path.glob("progress/*.json"))) < 1 + len(axis):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.close(outer)
        assert process.wait(PATIENCE_SECONDS) == 75
    finally:
        process.kill()
    left = all_records(tmp_path)
    assert [each.state for each in left] == ["interrupted"] * (1 + len(axis))
    assert all("received after step" in str(each.reason) for each in left), left[0].reason
    assert len(list(tmp_path.glob("checkpoints/*.pt"))) == 1 + len(axis)
