"""Two measurements of a ceiling and what was seen beside them: which is kept, and what speaks against it."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isoflop import record
from isoflop.meter.device import conditions, passes
from isoflop.meter.device.conditions import Load, Reading


class Quiet:
    """A device that others use by `share` and whose clock rises by 100 MHz a reading."""

    def __init__(self, share: Reading = (0.0, None), faults: tuple[str, ...] = ()) -> None:
        self._share, self._faults, self._clock = share, faults, 1000.0

    def load(self) -> Load:
        return Load(self._share, "2 other compute processes")

    def clock_mhz(self) -> Reading:
        self._clock += 100
        return self._clock, None

    def highest_clock_mhz(self) -> Reading:
        return None, "the GPU does not report it"

    def faults(self) -> tuple[str, ...]:
        return self._faults


def measured(
    products: tuple[float, float], copies: tuple[float, float] = (1e10, 1e10), watch: Quiet | None = None
) -> passes.Measurement:
    rates, bytes_rates = iter(products), iter(copies)
    return passes.measure(["bf16"], watch or Quiet(), lambda dtype: next(rates), lambda: next(bytes_rates))


@pytest.mark.parametrize(("products", "clock"), [((1e12, 0.9e12), 1100), ((0.9e12, 1e12), 1200)])
def test_the_higher_of_two_results_is_the_ceiling_with_its_clock(
    products: tuple[float, float], clock: float
) -> None:
    both = measured(products, (2e10, 1.9e10))
    kept = passes.ceiling(both, "bf16", device="a GPU", threads=0, measured_at="2026-01-01T00:00:00+00:00")
    assert record.problem(kept) is None
    assert (kept.flops_per_second, kept.bytes_per_second, kept.clock_mhz) == (1e12, 2e10, clock)
    assert kept.passes_apart == pytest.approx(0.1)
    assert kept.highest_clock_mhz_reason == "the GPU does not report it"


@pytest.mark.parametrize(
    ("products", "copies", "clauses"),
    [
        ((1e12, 0.951e12), (1e10, 1e10), ()),
        ((1e12, 0.949e12), (1e10, 1e10), ("two measurements of the product in bf16 are 5% apart",)),
        ((0.5e12, 1e12), (1e10, 1e10), ("two measurements of the product in bf16 are 50% apart",)),
        ((1e12, 1e12), (1e10, 0.951e10), ()),
        ((1e12, 1e12), (0.6e10, 1e10), ("two measurements of the copy are 40% apart",)),
    ],
)
def test_results_that_differ_speak_against_the_ceiling(
    products: tuple[float, float], copies: tuple[float, float], clauses: tuple[str, ...]
) -> None:
    assert passes.disturbances(measured(products, copies), ["bf16"]) == clauses


@pytest.mark.parametrize(
    ("share", "clauses"),
    [
        ((0.10, None), ()),
        ((0.11, None), ("2 other compute processes used 11% of the device",)),
        ((None, "not reported"), ()),
    ],
)
def test_work_that_goes_on_throughout_speaks_against_it_too(share: Reading, clauses: tuple[str, ...]) -> None:
    both = measured((1e12, 1e12), watch=Quiet(share))
    assert passes.disturbances(both, ["bf16"]) == clauses


def test_a_hot_gpu_speaks_against_it() -> None:
    both = measured((1e12, 1e12), watch=Quiet(faults=("HwThermalSlowdown",)))
    assert passes.disturbances(both, ["bf16"]) == ("its clocks were held back (HwThermalSlowdown)",)


# ---- the processor


def burn(seconds: float) -> None:
    """Keep one core busy."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def proc_stat(path: Path, user: float, system: float, idle: float, steal: float) -> None:
    """Write counters in seconds as the kernel does, with a guest's time that is in user already."""
    ticks = [int(x * os.sysconf("SC_CLK_TCK")) for x in (user, 0, system, idle, 0, 0, 0, steal, user, 0)]
    text = " ".join(map(str, ticks))
    allowed = min(os.sched_getaffinity(0))
    # Another job's core, and all cores together, are busy throughout.
    others = int(1e6 * (user + system + idle + steal))
    path.write_text(f"cpu  {others} 0 0 0 0 0 0 0 0 0\ncpu{allowed} {text}\ncpu9999 {others} 0 0 0 0 0 0 0\n")


@pytest.mark.parametrize(
    ("work", "share"),
    [((0, 0, 20, 0), 0.0), ((5, 1, 14, 0), 0.3), ((0, 0, 12, 8), 0.4), ((20, 0, 0, 0), 1.0)],
)
def test_the_load_is_what_others_and_other_machines_use(
    work: tuple[float, ...], share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "PROC_STAT", tmp_path / "stat")
    proc_stat(tmp_path / "stat", 100, 50, 1000, 7)
    watch = conditions.ProcessorWatch()
    user, system, idle, steal = work
    proc_stat(tmp_path / "stat", 100 + user, 50 + system, 1000 + idle, 7 + steal)
    assert watch.load().share[0] == pytest.approx(share, abs=0.02)


def test_what_this_process_computes_is_not_the_load_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a second that all cores were busy, this process used what it used."""
    monkeypatch.setattr(conditions, "PROC_STAT", tmp_path / "stat")
    proc_stat(tmp_path / "stat", 0, 0, 0, 0)
    before = os.times()
    watch = conditions.ProcessorWatch()
    burn(0.3)
    proc_stat(tmp_path / "stat", 1, 0, 0, 0)
    share, after = watch.load().share[0], os.times()
    own = after.user + after.system - before.user - before.system
    assert share == pytest.approx(1 - own, abs=0.05)


def test_a_machine_without_counters_has_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "PROC_STAT", tmp_path / "none")
    monkeypatch.setattr(conditions, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(conditions, "HIGHEST_CLOCK", tmp_path / "none")
    watch = conditions.ProcessorWatch()
    assert watch.load().share == (None, f"{tmp_path / 'none'} cannot be read")
    assert watch.clock_mhz() == watch.highest_clock_mhz() == (None, "the kernel does not say")
    (tmp_path / "none").write_text("cpu MHz\t\t: 1400.5\nflags: x\ncpu MHz\t\t: 2100.25\n")
    assert watch.clock_mhz() == (2100.25, None)
    (tmp_path / "none").write_text("3600000\n")
    assert watch.highest_clock_mhz() == (3600.0, None)


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        # busy, own and whole CPU seconds of the cores
        ((10, 1, 20), (14, 2, 30), 0.3),
        ((10, 1, 20), (11, 3, 30), 0.0),  # this process' ticks are counted later than the cores'
        ((10, 1, 20), (40, 1, 30), 1.0),
        ((10, 1, 20), (10, 1, 20), 0.0),  # no time has passed
    ],
)
def test_the_load_is_of_the_cores_time_without_this_process(
    monkeypatch: pytest.MonkeyPatch, before: tuple[float, ...], after: tuple[float, ...], share: float
) -> None:
    readings = [before, after]
    monkeypatch.setattr(conditions.ProcessorWatch, "_now", lambda self: readings.pop(0))
    watch = conditions.ProcessorWatch()
    load = watch.load()
    assert (load.share, load.subject) == ((pytest.approx(share), None), "other programs")
    assert watch.faults() == ()


def test_waiting_for_a_disk_is_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields: user nice system idle iowait irq softirq steal, then a guest's, which is in user already."""
    core, ticks = min(os.sched_getaffinity(0)), os.sysconf("SC_CLK_TCK")
    fields = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    (tmp_path / "stat").write_text(f"cpu{core} {' '.join(str(f * ticks) for f in fields)}\n")
    monkeypatch.setattr(conditions, "PROC_STAT", tmp_path / "stat")
    monkeypatch.setattr(os, "times", lambda: os.times_result((3.0, 0.5, 70.0, 80.0, 90.0)))
    assert conditions.ProcessorWatch._now() == (1 + 2 + 4 + 32 + 64 + 128, 3.5, 255)
    (tmp_path / "stat").write_text("intr 5\n\n")
    assert conditions.ProcessorWatch._now() is None


@pytest.mark.parametrize("readable", [(True, False), (False, True), (False, False)])
def test_a_load_that_cannot_be_read_is_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, readable: tuple[bool, bool]
) -> None:
    """Load is a difference: one reading of the two says nothing."""
    cores = "".join(f"cpu{core} 10 0 10 80 0 0 0 0 0 0\n" for core in os.sched_getaffinity(0))
    (tmp_path / "stat").write_text(cores)
    paths = {True: tmp_path / "stat", False: tmp_path / "absent"}
    monkeypatch.setattr(conditions, "PROC_STAT", paths[readable[0]])
    watch = conditions.ProcessorWatch()
    monkeypatch.setattr(conditions, "PROC_STAT", paths[readable[1]])
    share, reason = watch.load().share
    assert share is None
    assert str(reason).endswith("cannot be read")


@pytest.mark.skipif(not conditions.PROC_STAT.exists(), reason="needs Linux' /proc")
def test_another_process_is_seen_on_this_machine() -> None:
    """A process that burns a core for a while is at least half a core of the load."""
    watch = conditions.ProcessorWatch()
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=burn, args=(1.0,))
    began = time.monotonic()
    other.start()
    other.join()
    whole = (time.monotonic() - began) * (os.cpu_count() or 1)
    share = watch.load().share[0]
    assert share is not None
    assert share * whole > 0.3


# ---- a GPU, over the stub

WATCH = """
import json
from isoflop.meter.device import conditions
conditions.UTILISATION_SECONDS = 0.0
watch = conditions.GpuWatch("GPU-00000000-0000-0000-0000-000000000000")
load = watch.load()
print(json.dumps([load.share, load.subject, watch.clock_mhz(), watch.highest_clock_mhz(), watch.faults()]))
"""
CLOCKS = [[1410.0, None], [1980.0, None]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "share", "subject", "faults"),
    [
        ({"STUB_BUSY": "0", "STUB_THROTTLE": "0x4"}, [0.0, None], "other work", []),
        ({"STUB_BUSY": "83"}, [0.83, None], "other work", []),
        ({"STUB_BUSY": "83", "STUB_PROCESSES": "2"}, [0.83, None], "1 other compute process", []),
        ({"STUB_PROCESSES": "3"}, [1.0, None], "2 other compute processes", []),
        ({}, [None, "the GPU does not report it"], "other work", []),
        ({"STUB_BUSY": "0", "STUB_THROTTLE": "0x44"}, [0.0, None], "other work", ["HwThermalSlowdown"]),
        ({"STUB_BUSY": "0", "STUB_THROTTLE": "0x20"}, [0.0, None], "other work", ["SwThermalSlowdown"]),
    ],
)
def test_a_gpu_that_others_use_or_that_is_hot(
    run_with_stub: Callable[..., Any],
    settings: dict[str, str],
    share: Reading,
    subject: str,
    faults: list[str],
) -> None:
    quiet = {"STUB_THROTTLE": "0"} | settings
    assert run_with_stub(WATCH, **quiet) == [share, subject, *CLOCKS, faults]


@pytest.mark.slow
def test_a_gpu_without_nvml_has_reasons(run_with_stub: Callable[..., Any]) -> None:
    load, _, clock, highest, faults = run_with_stub(WATCH, STUB_INIT="9")
    assert load == clock == highest == [None, "the NVIDIA driver is not loaded"]
    assert faults == []
