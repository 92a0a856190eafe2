"""What a board is, beside what its sensors read: limits, memory, persistence, slices. Torch-free.

A fact that cannot be read is unknown with NVML's own name for the trouble; it never hides the board.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from isoflop import record
from isoflop.meter.device import nvml

CLOCK_SM = 1
"""nvmlClockType_t's number for the multiprocessors' clock."""


def default_power_limit_watts(board: nvml.Device) -> float | None:
    """The power cap the board is shipped with, in watts. Raises NvmlError."""
    milliwatts = nvml.ask("nvmlDeviceGetPowerManagementDefaultLimit", board)
    return None if milliwatts is None else float(milliwatts) * 1e-3


def max_sm_clock_mhz(board: nvml.Device) -> float | None:
    """The highest clock of the multiprocessors, in MHz. Raises NvmlError."""
    clock = nvml.ask("nvmlDeviceGetMaxClockInfo", board, CLOCK_SM)
    return None if clock is None else float(clock)


def memory_bytes(board: nvml.Device) -> float | None:
    """The board's memory. Raises NvmlError."""
    memory = nvml.ask("nvmlDeviceGetMemoryInfo", board)
    return None if memory is None else float(memory.total)


def persistence_mode(board: nvml.Device) -> bool | None:
    """Whether the driver stays loaded while nothing uses the board. Raises NvmlError."""
    mode = nvml.ask("nvmlDeviceGetPersistenceMode", board)
    return None if mode is None else bool(mode)


def mig(board: nvml.Device) -> bool:
    """Whether the board is cut into slices; a board that knows no MIG is whole. Raises NvmlError."""
    modes = nvml.ask("nvmlDeviceGetMigMode", board)
    return False if modes is None else bool(modes[0])


FACTS: dict[str, Callable[[nvml.Device], Any]] = {
    "power_limit_watts": nvml.power_limit_watts,
    "default_power_limit_watts": default_power_limit_watts,
    "max_sm_clock_mhz": max_sm_clock_mhz,
    "memory_bytes": memory_bytes,
    "persistence_mode": persistence_mode,
    "mig": mig,
}
ABSENT = {
    "power_limit_watts": "the board has no power cap",
    "default_power_limit_watts": "the board has no power cap",
}


def facts(board: nvml.Device) -> types.MappingProxyType[str, Any]:
    """Keyword arguments for record.Gpu: each of FACTS, or None with the reason."""
    read: dict[str, Any] = {}
    for name, ask in FACTS.items():
        try:
            value, reason = ask(board), ABSENT.get(name, "the board does not say")
        except nvml.NvmlError as error:
            value, reason = None, f"NVML answered {error.name}"
        read |= record.known(**{name: value}) if value is not None else record.unknown(reason, name)
    return types.MappingProxyType(read)
