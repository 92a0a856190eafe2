"""The trainer's handle on its sampler: what it starts, what it reads back, how an end is explained."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.meter import child
from isoflop.meter.energy import sampler_process
from isoflop.meter.energy.sampler_process import SamplerProcess

POLL = '{"time":1.5,"uuid":"GPU-a","watts":301.0}'
Start = Callable[..., SamplerProcess]


@pytest.fixture
def asked() -> list[tuple[str, ...]]:
    """Arguments with which samplers were started."""
    return []


@pytest.fixture
def start(asked: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Start:
    """start("echo ...") -> a running sampler that is this shell script, with the file of polls as $1."""

    def started(script: str, path: Path | None = tmp_path / "folder/polls.jsonl") -> SamplerProcess:
        def command_line(*arguments: str) -> list[str]:
            asked.append(arguments)
            return ["sh", "-c", script, "sampler", arguments[-1]]

        monkeypatch.setattr(child, "command_line", command_line)
        process = SamplerProcess(["--uuid", "GPU-a"], ["GPU-a"], 0.25, path)
        process.start()
        return process

    return started


def ended(process: SamplerProcess) -> SamplerProcess:
    process.wait(lambda: False, 60.0)
    return process


def test_it_is_started_with_its_devices_period_and_file(
    start: Start, asked: list[tuple[str, ...]], tmp_path: Path
) -> None:
    process = start("read word")
    assert process.pid is not None
    path = str(tmp_path / "folder/polls.jsonl")
    module = "isoflop.meter.energy.sampler"
    assert asked == [(module, "--uuid", "GPU-a", "--period", "0.25", "--out", path)]
    process.stop()
    assert process.pid is None


def test_what_it_writes_is_read_back_and_what_an_earlier_attempt_wrote_is_not(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "polls.jsonl"
    path.write_text(f"{POLL}\n")
    process = start(f"echo '{POLL.replace('1.5', '2.5')}' >> $1", path)
    assert process.offset == len(POLL) + 1
    assert ended(process).traces[0].power_times == [2.5]
    assert process.offset == 2 * (len(POLL) + 1)
    assert process.lines_since(len(POLL) + 1) == f"{POLL.replace('1.5', '2.5')}\n".encode()
    process.stop()


def test_before_the_start_there_is_nothing(tmp_path: Path) -> None:
    process = SamplerProcess([], ["GPU-a"], 0.25, tmp_path / "polls.jsonl")
    process.update()
    assert (process.pid, process.traces, process.offset, process.failure()) == (None, [], 0, None)
    assert process.lines_since(0) == b""
    process.stop()
    assert not (tmp_path / "polls.jsonl").exists()


def test_a_file_of_its_own_is_removed_at_the_end(start: Start, asked: list[tuple[str, ...]]) -> None:
    process = start(f"echo '{POLL}' >> $1; read word; echo '{POLL}' >> $1", None)
    process.wait(lambda: bool(process.traces[0].watts), 60.0)
    file = Path(asked[0][-1])
    assert file.name == "polls.jsonl"
    assert file.parent.name.startswith("isoflop-power-")
    process.stop()
    assert process.traces[0].watts == [301.0, 301.0], "what it wrote after it was told to stop is read"
    assert not file.parent.exists()


def test_it_is_told_to_stop_by_a_word(start: Start, tmp_path: Path) -> None:
    start(f"read word; echo $word > {tmp_path}/word").stop()
    assert (tmp_path / "word").read_text() == "stop\n"


def test_one_that_does_not_stop_is_killed_and_not_waited_for(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler_process, "STOP_SECONDS", 0.05)
    process = start("exec sleep 60")
    running: Any = process._process
    process.stop()
    assert running.returncode == -9
    assert process.failure() is None, "its end was asked for"


def test_two_seconds_are_given_to_stop_and_two_to_be_killed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, waits = start("read word"), list[object]()
    running: Any = process._process

    def hang(*arguments: Any, timeout: float) -> None:
        waits.append((*arguments, timeout))
        raise subprocess.TimeoutExpired("sampler", timeout)

    monkeypatch.setattr(running, "communicate", hang)
    monkeypatch.setattr(running, "wait", lambda seconds: hang(timeout=seconds))
    monkeypatch.setattr(running, "kill", lambda: waits.append("killed"))
    process.stop()
    assert waits == [(b"stop\n", 2.0), "killed", (2.0,)]
    monkeypatch.undo()
    running.kill()
    running.communicate()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("read word", None),
        ("exit 0", "the power sampler ended by itself (status 0)"),
        ("exit 3", "the power sampler ended by itself (status 3)"),
        ("echo first >&2; echo ' last ' >&2; exit 1", "the power sampler ended by itself (status 1:  last)"),
        ("kill -9 $$", "the power sampler was killed by signal 9"),
    ],
)
def test_how_it_ended_by_itself(start: Start, script: str, reason: str | None) -> None:
    process = start(script)
    if reason is not None:
        ended(process)
    assert process.failure() == process.failure() == reason
    process.stop()
    assert process.failure() == reason, "the reason outlives it"


def test_one_that_cannot_be_started_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(child, "command_line", lambda *_: ["/no/such/program"])
    process = SamplerProcess([], ["GPU-a"], 0.25, tmp_path / "polls.jsonl")
    process.start()
    assert str(process.failure()).startswith("the power sampler did not start: [Errno 2]")
    process.wait(lambda: False, 60.0)
    process.stop()
    assert process.pid is None


class Clock:
    """time.monotonic that moves by `sleep` alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.slept = 100.0, list[float]()
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def waiting(monkeypatch: pytest.MonkeyPatch, codes: list[int | None]) -> tuple[SamplerProcess, list[str]]:
    """A sampler whose poll gives these exit codes, the last of them for ever, and a list of its updates."""
    process, updates = SamplerProcess([], [], 0.25, None), list[str]()
    running: Any = type("Process", (), {"poll": lambda self: codes.pop(0) if len(codes) > 1 else codes[0]})()
    process._process = running
    monkeypatch.setattr(process, "update", lambda: updates.append("read"))
    return process, updates


def test_waiting_ends_when_ready_or_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    process, updates = waiting(monkeypatch, [None])
    process.wait(lambda: len(updates) == 3, 60.0)
    assert (len(updates), clock.slept) == (3, [0.005, 0.005])
    process.wait(lambda: False, 0.02)
    assert clock.now == pytest.approx(100.0 + 0.01 + 0.02, abs=0.006)
    process.wait(lambda: False, 0.0)
    assert len(updates) == pytest.approx(3 + 5 + 1, abs=1)


def test_a_sampler_that_ended_is_read_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    process, updates = waiting(monkeypatch, [None, 1])
    process.wait(lambda: False, 60.0)
    assert len(updates) == 3
