"""What else went on while a ceiling was measured: other programs' load, clocks, heat. Torch-free.

A ceiling is the most that a device can do, and whatever shares the device lowers it without a trace in the
figure itself. So these stand beside it, and decide whether it is kept (isoflop.meter.device.passes).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from pathlib import Path
from typing import Protocol

from isoflop.meter.device import nvml, nvml_facts

PROC_STAT = Path("/proc/stat")
CPUINFO = Path("/proc/cpuinfo")
HIGHEST_CLOCK = Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
HOT = ("HwSlowdown", "HwThermalSlowdown", "SwThermalSlowdown", "HwPowerBrakeSlowdown")
"""Throttle reasons that are a fault; a power cap is the device's own limit and part of what it can reach."""
BUSY_COUNTERS = slice(0, 8)
IDLE_COUNTERS = slice(3, 5)
"""Fields of /proc/stat: user nice system idle iowait irq softirq steal. What follows is in user already."""
UTILISATION_SECONDS = 1.0
"""Longest sample period of NVML's utilisation."""

Reading = tuple[float | None, str | None]
"""A value, or None and why it is unknown."""


@dataclasses.dataclass(frozen=True)
class Load:
    """What others used of the device: a share of it in [0, 1], and who, as messages call them."""

    share: Reading
    subject: str


class Watch(Protocol):
    """Observer of one device from its construction on."""

    def load(self) -> Load:
        """Return what others used of the device."""

    def clock_mhz(self) -> Reading:
        """Return the clock now: called right after work, it is that of the work."""

    def highest_clock_mhz(self) -> Reading:
        """Return the highest clock that the device has."""

    def faults(self) -> tuple[str, ...]:
        """Return NVML's names for what holds the clocks back now, such as heat."""


class ProcessorWatch:
    """The processor: CPU time of everything but this process, on the cores that it may use, from here on.

    On a node that several jobs share, what runs on the others' cores takes nothing of this job's.
    """

    def __init__(self) -> None:
        self._began = self._now()

    def load(self) -> Load:
        """Return the share of those cores that other programs, or other virtual machines, used."""
        now = self._now()
        if self._began is None or now is None:
            return Load((None, f"{PROC_STAT} cannot be read"), "other programs")
        busy, own, whole = (after - before for after, before in zip(now, self._began, strict=True))
        share = min(1.0, max(0.0, (busy - own) / whole)) if whole > 0 else 0.0
        return Load((share, None), "other programs")

    def clock_mhz(self) -> Reading:
        """Return the highest clock of any core, as /proc/cpuinfo has it."""
        with contextlib.suppress(OSError, ValueError):
            lines = [line for line in CPUINFO.read_text(errors="replace").splitlines() if "cpu MHz" in line]
            if lines:
                return max(float(line.rpartition(":")[2]) for line in lines), None
        return None, "the kernel does not say"

    def highest_clock_mhz(self) -> Reading:
        """Return the highest clock that the kernel may set; virtual machines have none."""
        with contextlib.suppress(OSError, ValueError):
            return float(HIGHEST_CLOCK.read_text()) * 1e-3, None
        return None, "the kernel does not say"

    def faults(self) -> tuple[str, ...]:
        """Return (): no interface common to processors tells."""
        return ()

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Return CPU seconds since the start of the machine: busy, of this process, and of all its cores."""
        try:
            own_cores = {f"cpu{number}" for number in os.sched_getaffinity(0)}
            lines = [line.split() for line in PROC_STAT.read_text().splitlines()]
            cores = [[float(field) for field in line[1:]] for line in lines if line and line[0] in own_cores]
        except (OSError, ValueError):
            return None
        if not cores:
            return None
        ticks = [sum(each) for each in zip(*(core[BUSY_COUNTERS] for core in cores), strict=True)]
        per_second = os.sysconf("SC_CLK_TCK")
        whole = sum(ticks) / per_second
        own = os.times()
        return whole - sum(ticks[IDLE_COUNTERS]) / per_second, own.user + own.system, whole


class GpuWatch:
    """One GPU, through NVML. Construct it before this process computes on the GPU; a failure is a reason."""

    def __init__(self, uuid: str) -> None:
        self._gpu: nvml.Device | None = None
        self._reason = ""
        try:
            nvml.start()
            self._gpu = nvml.device_by_uuid(uuid)
            time.sleep(UTILISATION_SECONDS)  # until the sample holds nothing that was computed before
            self._before = self._read(nvml.busy_share)
        except (nvml.NvmlUnavailableError, nvml.NvmlError) as error:
            self._reason = str(error)

    def load(self) -> Load:
        """Return how busy the GPU was before this process computed on it."""
        others = len(self._processes()) - 1  # this process has a context by now
        subject = f"{others} other compute process{'es' * (others > 1)}" if others > 0 else "other work"
        if self._gpu is None:
            return Load((None, self._reason), subject)
        share, reason = self._before
        if share is None and others > 0:  # whether they compute cannot be told, so they count
            return Load((1.0, None), subject)
        return Load((share, reason), subject)

    def clock_mhz(self) -> Reading:
        """Return the clock of the multiprocessors."""
        return self._read(nvml.sm_clock_mhz)

    def highest_clock_mhz(self) -> Reading:
        """Return their highest clock."""
        return self._read(nvml_facts.max_sm_clock_mhz)

    def faults(self) -> tuple[str, ...]:
        """Return those of HOT that hold the clocks back now."""
        if self._gpu is None:
            return ()
        try:
            return tuple(name for name in nvml.throttle_reasons(self._gpu) or () if name in HOT)
        except nvml.NvmlError:
            return ()

    def _processes(self) -> tuple[int, ...]:
        if self._gpu is None:
            return ()
        try:
            return nvml.compute_processes(self._gpu) or ()
        except nvml.NvmlError:
            return ()

    def _read(self, function: nvml_facts.Fact) -> Reading:
        if self._gpu is None:
            return None, self._reason
        try:
            value = function(self._gpu)
        except nvml.NvmlError as error:
            return None, f"NVML answered {error.name}"
        return (None, "the GPU does not report it") if value is None else (float(value), None)
