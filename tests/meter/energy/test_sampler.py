"""Lines that the sampler writes, in this process: what is read, what fails, which GPU is polled once."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop.meter.device import nvml
from isoflop.meter.energy import rapl, sampler

GPU = nvml.Device("handle", "GPU-a", "NVIDIA Stub", nvml.POWER_INSTANT, False)
NOW = 81.25
STATE: dict[str, Any] = {
    "temperature_celsius": 61,
    "sm_clock_mhz": 1410,
    "throttle_reasons": ("SwPowerCap",),
    "power_limit_watts": 400.0,
    "compute_processes": (4321, 17),
    "busy_share": 0.98,
}
KEYS = ("celsius", "sm_clock_mhz", "throttle", "power_limit_watts", "processes", "busy_share")


@pytest.fixture
def sensors(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Readings by the name of their function in nvml; a string is the error that it fails with."""
    values: dict[str, Any] = {"watts": 301.23456, "counter_joules": 9120.50049} | STATE

    def reader(name: str) -> Callable[[Any], Any]:
        def read(gpu: Any) -> Any:
            if isinstance(values[name], str):
                raise nvml.NvmlError(values[name])
            return values[name]

        return read

    for name in values:
        monkeypatch.setattr(nvml, name, reader(name))
    monkeypatch.setattr(time, "monotonic", lambda: NOW + 4e-7)
    return values


def power(limit_watts: float | None = 400.0) -> sampler.PlausiblePower:
    known = sampler.PlausiblePower()
    known.report_limit(limit_watts)
    return known


HEAD = {"time": NOW, "uuid": "GPU-a"}


@pytest.mark.parametrize(
    ("watts", "joules", "line"),
    [
        (301.23456, 9120.50049, {"watts": 301.235, "joules": 9120.5}),
        ("GpuIsLost", 9120.5, {"power_error": "GpuIsLost", "joules": 9120.5}),
        (301.0, "Timeout", {"watts": 301.0, "counter_error": "Timeout"}),
        (301.0, None, {"watts": 301.0, "counter_error": "NotSupported"}),
        ("GpuIsLost", "Timeout", {"power_error": "GpuIsLost", "counter_error": "Timeout"}),
        (800.0, 9120.5, {"watts": 800.0, "joules": 9120.5}),
        (800.0016, 1.0, {"rejected_watts": 800.002, "power_error": "read 800 W", "joules": 1.0}),
        (4294967.295, 1.0, {"rejected_watts": 4294967.295, "power_error": "read 4.29e+06 W", "joules": 1.0}),
        (0.0, 1.0, {"rejected_watts": 0.0, "power_error": "read 0 W", "joules": 1.0}),
    ],
)
def test_a_poll_has_what_was_read_and_what_failed(
    sensors: dict[str, Any], watts: float | str, joules: float | str | None, line: dict[str, Any]
) -> None:
    sensors |= {"watts": watts, "counter_joules": joules}
    assert sampler.poll(GPU, "GPU-a", power()) == HEAD | line


def test_a_poll_that_read_nothing_names_one_reason_for_both(sensors: dict[str, Any]) -> None:
    assert sampler.failed_poll("GPU-a", "why") == HEAD | {"power_error": "why", "counter_error": "why"}


def test_a_lowered_limit_does_not_narrow_what_is_plausible() -> None:
    known = power(None)
    assert known.range.highest_watts == 2000.0
    for reported, highest in ((400.0, 800.0), (250.0, 800.0), (None, 800.0), (500.0, 1000.0)):
        known.report_limit(reported)
        assert known.range.highest_watts == highest


def test_the_state_counts_processes_and_reports_the_limit(sensors: dict[str, Any]) -> None:
    known = power(None)
    assert sampler.poll_state(GPU, "GPU-a", known) == HEAD | {
        "celsius": 61,
        "sm_clock_mhz": 1410,
        "throttle": ("SwPowerCap",),
        "power_limit_watts": 400.0,
        "processes": 2,
        "busy_share": 0.98,
    }
    assert known.range.highest_watts == 800.0


@pytest.mark.parametrize(("name", "key"), list(zip(STATE, KEYS, strict=True)))
def test_a_part_of_the_state_that_fails_costs_no_other(sensors: dict[str, Any], name: str, key: str) -> None:
    whole = sampler.poll_state(GPU, "GPU-a", power())
    sensors[name] = "Unknown"
    assert sampler.poll_state(GPU, "GPU-a", power()) == whole | {key: None, "state_error": "Unknown"}
    sensors[name] = None
    assert sampler.poll_state(GPU, "GPU-a", power()) == whole | {key: None}


# ---- pace


def test_the_pace_is_kept_and_missed_deadlines_are_not_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings of 1 s in a period of 4 s, but the third, which takes 9 s; then it is told to stop."""
    now, times = [100.0], list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            now[0] += timeout
            return len(times) == 5

    def read() -> sampler.Line:
        times.append(now[0])
        now[0] += 9.0 if len(times) == 3 else 1.0
        return {}

    sampler.pace(read, 4.0, lambda line: None, Stop())
    assert times == [100, 104, 108, 120, 124, 128], "the last one is read after the stop"


def test_a_reading_that_nearly_fills_its_period_waits_for_the_rest_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Readings of 3.75 s, then 4 s, in a period of 4 s."""
    now, waits = [100.0], list[float | None]()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    lengths = [3.75, 4.0, 3.75, 0.0]

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            now[0] += timeout or 0.0
            return len(waits) == 3

    def read() -> sampler.Line:
        now[0] += lengths.pop(0)
        return {}

    sampler.pace(read, 4.0, lambda line: None, Stop())
    assert waits == [0.25, 0.0, 0.25]
    assert lengths == []


class Threads(list[tuple[Any, ...]]):
    """Stands in for `_thread`: keeps what would run, and for how long the sampler would wait for its end."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float | None] = []

    def __call__(self, work: Callable[..., None], *arguments: Any) -> threading.Thread:
        self.append((work, *arguments))
        thread = threading.Thread()
        monitored: Any = thread
        monitored.join = lambda timeout=None: self.waited.append(timeout)
        return thread


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    made = Threads()
    monkeypatch.setattr(sampler, "_thread", made)
    return made


# ---- devices


def written(uuids: list[str], board: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[sampler.Line]:
    """The lines of GPUs that are polled once each; `board`: UUID -> that of its physical GPU."""
    lines, stop = list[sampler.Line](), threading.Event()
    stop.set()

    def find(uuid: str) -> nvml.Device:
        if uuid not in board:
            raise nvml.NvmlError("NotFound")
        return nvml.Device("handle", board[uuid], "NVIDIA Stub", nvml.POWER_INSTANT, False)

    monkeypatch.setattr(nvml, "start", lambda: None)
    monkeypatch.setattr(nvml, "device_by_uuid", find)
    polled = sampler.PolledGpus()
    for uuid in uuids:
        sampler.sample_gpu(uuid, 0.01, lines.append, stop, polled)
    return lines


def test_a_gpu_is_described_and_polled(sensors: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    first, *rest = written(["GPU-a"], {"GPU-a": "GPU-a"}, monkeypatch)
    described = {"name": "NVIDIA Stub", "power_field": nvml.POWER_INSTANT, "board": "GPU-a", "mig": False}
    assert first == {"uuid": "GPU-a"} | described
    assert any(line.get("watts") == 301.235 for line in rest)


def test_the_limit_is_known_before_the_first_poll(
    sensors: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sensors["watts"] = 900.0
    monkeypatch.setattr(sampler, "_thread", lambda *_: None)  # no thread of the state
    lines = written(["GPU-a"], {"GPU-a": "GPU-a"}, monkeypatch)
    assert lines[1]["power_error"] == "read 900 W"
    sensors["power_limit_watts"] = "Unknown"
    lines = written(["GPU-a"], {"GPU-a": "GPU-a"}, monkeypatch)
    assert lines[1]["watts"] == 900.0


def test_the_state_is_polled_once_a_second_beside_the_power(
    sensors: dict[str, Any], threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = written(["GPU-a"], {"GPU-a": "GPU-a"}, monkeypatch)
    ((work, read, period_seconds, write, stop),) = threads
    assert (work, period_seconds, stop.is_set()) == (sampler.pace, 1.0, True)
    assert read()["celsius"] == 61
    write({"time": 0})
    assert lines[-1] == {"time": 0}


def test_each_gpu_has_a_thread_of_its_own_that_knows_which_are_polled(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(nvml, "start", lambda: started.append("nvml"))
    sampler.sample_gpus(["GPU-a", "GPU-b"], 0.25, print, threading.Event())
    assert started == ["nvml"]
    assert [each[:4] for each in threads] == [
        (sampler.sample_gpu, "GPU-a", 0.25, print),
        (sampler.sample_gpu, "GPU-b", 0.25, print),
    ]
    assert threads[0][-1] is threads[1][-1]
    assert threads.waited == [None, None], "it ends when all of them have"


def test_two_instances_of_one_gpu_are_polled_once(
    sensors: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = written(["MIG-1", "MIG-2", "GPU-gone"], {"MIG-1": "GPU-a", "MIG-2": "GPU-a"}, monkeypatch)
    assert {"uuid": "MIG-2", "same_as": "MIG-1"} in lines
    assert {line["uuid"] for line in lines if "watts" in line} == {"MIG-1"}
    reason = {"power_error": "the GPU: NotFound", "counter_error": "the GPU: NotFound"}
    assert lines[-1] == {"time": NOW, "uuid": "GPU-gone"} | reason


def test_without_nvml_each_gpu_has_the_reason(
    sensors: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable() -> None:
        raise nvml.NvmlUnavailableError("no driver")

    monkeypatch.setattr(nvml, "start", unavailable)
    lines: list[sampler.Line] = []
    sampler.sample_gpus(["GPU-a", "GPU-b"], 0.1, lines.append, threading.Event())
    assert lines == [
        {"time": NOW, "uuid": uuid, "power_error": "no driver", "counter_error": "no driver"}
        for uuid in ("GPU-a", "GPU-b")
    ]


# ---- the processor


def test_a_processors_joules_count_from_the_first_poll_and_over_a_wrap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readings: list[float | rapl.RaplError] = [95.0, 97.5, rapl.RaplError("denied"), 3.5000004, 4.0]

    def read(domain: rapl.Domain) -> float:
        value = readings.pop(0)
        if isinstance(value, rapl.RaplError):
            raise value
        return value

    monkeypatch.setattr(rapl, "read_joules", read)
    monkeypatch.setattr(time, "monotonic", lambda: NOW)
    counter = sampler.RaplCounter(rapl.Domain(Path("none"), "RAPL package-0", 100.0))
    head = {"time": NOW, "uuid": "RAPL package-0"}
    assert counter() == head | {"joules": 0.0}
    assert counter() == head | {"joules": 2.5}
    assert counter() == head | {"counter_error": "denied"}
    assert counter() == head | {"joules": 8.5}
    assert counter() == head | {"joules": 9.0}


def test_each_counter_of_the_processor_is_described_and_polled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "intel-rapl:0").mkdir()
    for name, text in (("name", "package-0"), ("energy_uj", 5_000_000), ("max_energy_range_uj", 10**9)):
        (tmp_path / "intel-rapl:0" / name).write_text(f"{text}\n")
    lines, stop = list[sampler.Line](), threading.Event()
    stop.set()
    sampler.sample_processors(tmp_path, 0.01, lines.append, stop)
    described = {"name": "package-0", "power_field": rapl.FIELD, "board": "RAPL package-0", "mig": None}
    assert lines[0] == {"uuid": "RAPL package-0"} | described
    assert [line["joules"] for line in lines[1:]] == [0.0, 0.0]


# ---- the file, and the end


def test_a_line_is_one_write_and_a_full_disk_loses_it(tmp_path: Path) -> None:
    path = tmp_path / "polls.jsonl"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for number in range(2):
        sampler.write_line(file, {"time": number, "uuid": "GPU-a"})
    os.close(file)
    assert path.read_text() == '{"time":0,"uuid":"GPU-a"}\n{"time":1,"uuid":"GPU-a"}\n'
    if Path("/dev/full").exists():
        full = os.open("/dev/full", os.O_WRONLY)
        sampler.write_line(full, {"time": 0})
        os.close(full)


@pytest.mark.parametrize("sent", [b"stop\n", b""])
def test_the_sampler_ends_on_a_word_or_with_its_input(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, sent)
    if not sent:
        os.close(theirs)
    kept = os.dup(0)
    os.dup2(ours, 0)
    try:
        sampler.wait_for_end(os.getppid())
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(ours)
        if sent:
            os.close(theirs)


def test_the_sampler_ends_with_its_parent() -> None:
    sampler.wait_for_end(os.getppid() + 1)


def test_the_sampler_goes_on_while_its_parent_lives_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to read, another word, nothing; then the word, in the middle of what is read."""
    said = [b"", b"go on\n", b"", b"now\nstop\n", b"too late"]

    def selected(read: list[int], written: list[int], failed: list[int], seconds: float) -> Any:
        assert (read, written, failed, seconds) == ([0], [], [], 1.0)
        if said[0]:
            return [0], [], []
        said.pop(0)
        return [], [], []

    def read(file: int, most: int) -> bytes:
        assert (file, most) == (0, 4096)
        return said.pop(0)

    monkeypatch.setattr(select, "select", selected)
    monkeypatch.setattr(os, "read", read)
    sampler.wait_for_end(os.getppid())
    assert said == [b"too late"]


def test_the_sampler_looks_for_its_parent_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    parents = [7, 7, 1]
    monkeypatch.setattr(os, "getppid", lambda: parents.pop(0))
    monkeypatch.setattr(select, "select", lambda *_: ([], [], []))
    sampler.wait_for_end(7)
    assert parents == []


@pytest.fixture
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
    """The handlers of signals that the sampler sets, none of which takes hold here."""
    handlers: dict[int, Any] = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    return handlers


def test_main_samples_what_it_is_told_until_the_end_and_then_waits_a_moment(
    undisturbed: dict[int, Any], threads: Threads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, parents = tmp_path / "polls.jsonl", list[int]()
    path.write_text("earlier\n")
    monkeypatch.setattr(sampler, "wait_for_end", parents.append)
    monkeypatch.setattr(time, "monotonic", lambda: NOW)
    told = ["--uuid", "GPU-a", "--uuid", "GPU-b", "--rapl", "/powercap", "--out", str(path)]
    sampler.main(told)
    assert set(undisturbed.values()) == {signal.SIG_IGN}
    names = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
    assert set(undisturbed) == names, "the trainer decides when metering ends"
    assert parents == [os.getppid()]
    (gpus, uuids, period, write, stop), (processors, root, *same) = threads
    assert (gpus, uuids, period) == (sampler.sample_gpus, ["GPU-a", "GPU-b"], 0.1)
    assert (processors, root, *same) == (sampler.sample_processors, Path("/powercap"), period, write, stop)
    assert stop.is_set()
    assert threads.waited == pytest.approx([0.3, 0.3])
    write({"time": 1})
    assert path.read_text() == 'earlier\n{"time":1}\n'


def test_the_moment_after_the_end_is_shared_by_all_threads(
    undisturbed: dict[int, Any], threads: Threads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [NOW, NOW + 0.1, NOW + 0.5]  # the end, and before each wait
    monkeypatch.setattr(sampler, "wait_for_end", lambda parent: None)
    monkeypatch.setattr(time, "monotonic", lambda: times.pop(0))
    sampler.main(["--uuid", "a", "--rapl", "/powercap", "--period", "0.5", "--out", str(tmp_path / "polls")])
    assert [each[2] for each in threads] == [0.5, 0.5]
    assert threads.waited == pytest.approx([0.2, 0.0])


def test_a_device_that_is_not_named_is_not_sampled(
    undisturbed: dict[int, Any], threads: Threads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler, "wait_for_end", lambda parent: None)
    sampler.main(["--out", str(tmp_path / "polls")])
    assert threads == []


def test_the_process_ends_with_code_0_without_waiting_for_a_hanging_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[object] = []
    monkeypatch.setattr(sampler, "main", calls.append)
    monkeypatch.setattr(os, "_exit", calls.append)
    sampler.run(["--out", "polls"])
    assert calls == [["--out", "polls"], 0]


def test_a_thread_that_hangs_keeps_no_process_alive() -> None:
    done = threading.Event()

    def hang(seconds: float) -> None:
        done.wait(seconds)

    thread = sampler._thread(hang, 5.0)
    assert thread.daemon
    assert thread.is_alive()
    done.set()
    thread.join()
