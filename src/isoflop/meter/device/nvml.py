"""The one door to NVML (the NVIDIA driver's sensors), through the `nvidia-ml-py` bindings.

The bindings are imported when NVML is started, so importing this module costs nothing and needs no driver.
A reading the board does not offer is None; any other trouble is an `NvmlError` that carries NVML's own name
for it, such as GpuIsLost. Never imports torch: the sampler process uses this module.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
from typing import Any

UNAVAILABLE = {
    "LibraryNotFound": "libnvidia-ml.so.1 was not found: this machine has no NVIDIA driver",
    "DriverNotLoaded": "the NVIDIA driver is not loaded",
    "NoPermission": "this user may not open the NVIDIA driver",
    "LibRmVersionMismatch": "the NVIDIA driver and its library differ in version: restart the machine",
}
"""NVML's name for a failed start -> what it means."""

NOT_OFFERED = frozenset({"NotSupported", "FunctionNotFound"})
"""The answers by which a board or an old driver says that it has no such sensor."""

ALIASES = frozenset({"All", "None", "UserDefinedClocks"})
"""Names among the throttle reasons that are no reason of their own."""

PREFIX = "GPU-"
SLICE = "MIG-"
INSTANT = "NVML_FI_DEV_POWER_INSTANT"
USAGE = "nvmlDeviceGetPowerUsage"


class NvmlUnavailableError(RuntimeError):
    """NVML cannot be used on this machine; the message is a one-line reason."""


class NvmlError(RuntimeError):
    """One NVML call failed; `name` is NVML's own, such as GpuIsLost or NotFound."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclasses.dataclass(frozen=True)
class Device:
    """One board. `power_field` names what `watts` reads; `handle` is the bindings' and opaque. `mig`: whether
    it is cut into slices, or None where the driver does not say."""

    handle: Any
    uuid: str
    name: str
    power_field: str
    mig: bool | None


def canonical_uuid(uuid: str) -> str:
    """`uuid` as NVML writes it. torch gives the same digits without the leading GPU-."""
    return uuid if uuid.startswith((PREFIX, SLICE)) else PREFIX + uuid


def start() -> None:
    """Load the library and start NVML; pair with `stop`.

    Raises:
        NvmlUnavailableError: the bindings or the library are missing, or the driver is not loaded.
    """
    try:
        binding = _binding()
    except ImportError as error:
        raise NvmlUnavailableError("nvidia-ml-py is not installed: pip install nvidia-ml-py") from error
    try:
        binding.nvmlInit()
    except binding.NVMLError as error:
        name = _name_of(error)
        raise NvmlUnavailableError(UNAVAILABLE.get(name, f"NVML did not start ({name})")) from error


def stop() -> None:
    """Let go of NVML; trouble while leaving is of no consequence."""
    binding = _binding()
    try:
        binding.nvmlShutdown()
    except binding.NVMLError:
        return


def device(uuid: str) -> Device:
    """The board with this UUID, with or without the leading GPU-; of a slice (MIG-) the whole board, which is
    all that has sensors.

    Raises:
        NvmlError: there is no such board (NotFound), or it does not answer.
    """
    handle = _call("nvmlDeviceGetHandleByUUID", canonical_uuid(uuid))
    if uuid.startswith(SLICE):
        handle = _call("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", handle)
    return _device(handle)


def devices() -> tuple[Device, ...]:
    """Every board of the machine in NVML's order, whatever CUDA_VISIBLE_DEVICES says.

    Raises:
        NvmlError: a board does not answer.
    """
    count = _call("nvmlDeviceGetCount")
    return tuple(_device(_call("nvmlDeviceGetHandleByIndex", index)) for index in range(count))


def driver() -> str:
    """The driver's version, such as 550.54.15. Raises NvmlError."""
    return str(_call("nvmlSystemGetDriverVersion"))


def watts(board: Device) -> float:
    """Power drawn by the whole board, in watts, from the field that `board.power_field` names.

    The instantaneous field is preferred where the board has it: nvmlDeviceGetPowerUsage is an average over
    one second on H100 and instantaneous on A100 (arXiv 2312.02741).

    Raises:
        NvmlError: the board does not answer or has no power sensor (NotSupported).
    """
    if board.power_field == INSTANT:
        return _instant_milliwatts(board.handle) * 1e-3
    return float(_call(USAGE, board.handle)) * 1e-3


def counter_joules(board: Device) -> float | None:
    """The board's energy counter since the driver was loaded, in joules; None where it has none.

    Raises:
        NvmlError: the board does not answer.
    """
    counted = _optional("nvmlDeviceGetTotalEnergyConsumption", board.handle)
    return None if counted is None else float(counted) * 1e-3


def power_limit_watts(board: Device) -> float | None:
    """The power cap in force, in watts; None where the board has none. Raises NvmlError."""
    limit = _optional("nvmlDeviceGetEnforcedPowerLimit", board.handle)
    return None if limit is None else float(limit) * 1e-3


def temperature_celsius(board: Device) -> int | None:
    """Temperature of the chip; None where it is not offered. Raises NvmlError."""
    read: int | None = _optional("nvmlDeviceGetTemperature", board.handle, _binding().NVML_TEMPERATURE_GPU)
    return read


def sm_clock_mhz(board: Device) -> int | None:
    """Clock of the multiprocessors now, in MHz; None where it is not offered. Raises NvmlError."""
    read: int | None = _optional("nvmlDeviceGetClockInfo", board.handle, _binding().NVML_CLOCK_SM)
    return read


def throttle_reasons(board: Device) -> tuple[str, ...] | None:
    """Why the clocks are below their highest now, such as SwPowerCap; () where nothing holds them back, None
    where the driver does not say. Raises NvmlError."""
    bits = _optional("nvmlDeviceGetCurrentClocksEventReasons", board.handle)
    if bits is None:
        return None
    return tuple(name for name, bit in _throttle_bits().items() if bits & bit)


@functools.cache
def _throttle_bits() -> dict[str, int]:
    prefix = "nvmlClocksEventReason"
    flags = {n.removeprefix(prefix): v for n, v in vars(_binding()).items() if n.startswith(prefix)}
    return {name: bit for name, bit in flags.items() if name not in ALIASES}


def compute_processes(board: Device) -> tuple[int, ...] | None:
    """Process ids with a compute context on the board, this process among them; None where the driver does
    not say. Inside a container they are the host's ids, so only their number can be relied on.

    Raises:
        NvmlError: the board does not answer.
    """
    running = _optional("nvmlDeviceGetComputeRunningProcesses", board.handle)
    return None if running is None else tuple(int(process.pid) for process in running)


def _binding() -> Any:
    return importlib.import_module("pynvml")


def _name_of(error: Exception) -> str:
    name = type(error).__name__.removeprefix("NVMLError_")
    return f"code {getattr(error, 'value', '?')}" if name == "NVMLError" else name


def _call(function: str, *arguments: Any) -> Any:
    binding = _binding()
    try:
        return getattr(binding, function)(*arguments)
    except binding.NVMLError as error:
        raise NvmlError(_name_of(error)) from error


def _optional(function: str, *arguments: Any) -> Any:
    try:
        return _call(function, *arguments)
    except NvmlError as error:
        if error.name in NOT_OFFERED:
            return None
        raise


def _device(handle: Any) -> Device:
    try:
        field = INSTANT if _instant_milliwatts(handle) > 0 else USAGE
    except NvmlError:
        field = USAGE
    uuid, name = _call("nvmlDeviceGetUUID", handle), _call("nvmlDeviceGetName", handle)
    return Device(handle, str(uuid), str(name), field, _mig(handle))


def _mig(handle: Any) -> bool | None:
    try:
        mode = _optional("nvmlDeviceGetMigMode", handle)
    except NvmlError:
        return None
    return None if mode is None else bool(mode[0])


def _instant_milliwatts(handle: Any) -> float:
    binding = _binding()
    (read,) = _call("nvmlDeviceGetFieldValues", handle, [binding.NVML_FI_DEV_POWER_INSTANT])
    if read.nvmlReturn != binding.NVML_SUCCESS:
        raise NvmlError(_name_of(binding.NVMLError(read.nvmlReturn)))
    return float(read.value.uiVal)


def ask(function: str, board: Device, *arguments: Any) -> Any:
    """What NVML's `function` says of a board; None where the board or the driver does not offer it.

    Raises:
        NvmlError: the board does not answer.
    """
    return _optional(function, board.handle, *arguments)
