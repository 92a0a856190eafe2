"""Properties of a GPU that do not change while it runs: power caps, highest clock, memory, modes. Torch-free.

A property that cannot be read is unknown, with NVML's name for the error; the others are still reported.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from isoflop import record
from isoflop.meter.device import nvml, plausible

Fact = Callable[[nvml.Device], Any]
"""Reads one property; None if the GPU does not support it. Raises NvmlError."""
CLOCK_SM = 1
"""The multiprocessors' clock in NVML's enumeration nvmlClockType_t."""


def default_power_limit_watts(gpu: nvml.Device) -> float | None:
    """Return the GPU's factory power cap in watts. Raises NvmlError."""
    milliwatts = nvml.query("nvmlDeviceGetPowerManagementDefaultLimit", gpu)
    return nvml.within(
        None if milliwatts is None else float(milliwatts) * 1e-3, plausible.POWER_LIMIT_WATTS, "W"
    )


def max_sm_clock_mhz(gpu: nvml.Device) -> float | None:
    """Return the highest clock of the multiprocessors in MHz. Raises NvmlError."""
    clock = nvml.query("nvmlDeviceGetMaxClockInfo", gpu, CLOCK_SM)
    return nvml.within(None if clock is None else float(clock), plausible.CLOCK_MHZ, "MHz")


def memory_bytes(gpu: nvml.Device) -> float | None:
    """Return the size of the GPU's memory in bytes. Raises NvmlError."""
    memory = nvml.query("nvmlDeviceGetMemoryInfo", gpu)
    return None if memory is None else float(memory.total)


def persistence_mode(gpu: nvml.Device) -> bool | None:
    """Return whether the driver stays loaded while no process uses the GPU. Raises NvmlError."""
    mode = nvml.query("nvmlDeviceGetPersistenceMode", gpu)
    return None if mode is None else bool(mode)


def mig(gpu: nvml.Device) -> bool:
    """Return whether MIG mode is on; False for a GPU that does not support MIG. Raises NvmlError."""
    modes = nvml.query("nvmlDeviceGetMigMode", gpu)
    return False if modes is None else bool(modes[0])


FACTS: dict[str, Fact] = {
    "power_limit_watts": nvml.power_limit_watts,
    "default_power_limit_watts": default_power_limit_watts,
    "max_sm_clock_mhz": max_sm_clock_mhz,
    "memory_bytes": memory_bytes,
    "persistence_mode": persistence_mode,
    "mig": mig,
}
NOT_SUPPORTED_REASONS = {
    "power_limit_watts": "the GPU has no power cap",
    "default_power_limit_watts": "the GPU has no power cap",
}


def facts(gpu: nvml.Device) -> types.MappingProxyType[str, Any]:
    """Return keyword arguments for record.Gpu: the value of each of FACTS, or None with its reason."""
    fields: dict[str, Any] = {}
    for name, read_fact in FACTS.items():
        try:
            value, reason = read_fact(gpu), NOT_SUPPORTED_REASONS.get(name, "the GPU does not report it")
        except nvml.NvmlError as error:
            value, reason = None, f"NVML answered {error.name}"
        fields |= record.known(**{name: value}) if value is not None else record.unknown(reason, name)
    return types.MappingProxyType(fields)
