"""Access to NVML, the NVIDIA driver's monitoring library, through the `nvidia-ml-py` bindings.

The only module that loads the bindings, and only in `start`: importing it is cheap and needs no driver. A
reading the GPU does not support is None; any other failure raises `NvmlError` with NVML's own name for it,
such as GpuIsLost. Never imports torch, because the sampler process uses this module.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import importlib
from typing import Any, TypeVar

from isoflop import extras
from isoflop.meter.device import plausible

LIBRARY = "libnvidia-ml.so.1"
UNAVAILABLE = {
    "LibraryNotFound": f"{LIBRARY} was not found: this machine has no NVIDIA driver",
    "DriverNotLoaded": "the NVIDIA driver is not loaded",
    "NoPermission": "this user may not open the NVIDIA driver",
    "LibRmVersionMismatch": "the NVIDIA driver and its library differ in version: restart the machine",
}
"""NVML's name for a failed start -> message for the user."""

NOT_OFFERED = frozenset({"NotSupported", "FunctionNotFound"})
"""Errors that mean the GPU (NotSupported) or an old driver (FunctionNotFound) has no such reading."""

ALIASES = frozenset({"All", "None", "UserDefinedClocks"})
"""Throttle-reason constants of the bindings that are a mask, the zero, or an older name of another one."""

GPU_PREFIX = "GPU-"
MIG_PREFIX = "MIG-"
POWER_INSTANT = "NVML_FI_DEV_POWER_INSTANT"
POWER_USAGE = "nvmlDeviceGetPowerUsage"
Number = TypeVar("Number", int, float)


class NvmlUnavailableError(RuntimeError):
    """NVML cannot be used on this machine; the message is a one-line reason."""


class NvmlError(RuntimeError):
    """One NVML call failed; `name` is NVML's own, such as GpuIsLost or NotFound."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class OutOfRangeError(NvmlError):
    """A call succeeded with a value that cannot be true, such as 2^32 - 1 MHz; `name` states the value."""


@dataclasses.dataclass(frozen=True)
class Device:
    """One physical GPU.

    Attributes:
        handle: opaque handle of the bindings.
        uuid: the GPU's UUID, with its leading GPU-.
        name: product name.
        power_field: name of the NVML reading that `watts` uses.
        mig: whether MIG mode is on (the GPU is partitioned into instances); None if the driver does not say.
    """

    handle: Any
    uuid: str
    name: str
    power_field: str
    mig: bool | None


def canonical_uuid(uuid: str) -> str:
    """Return `uuid` as NVML writes it; torch gives the same digits without the leading GPU-."""
    return uuid if uuid.startswith((GPU_PREFIX, MIG_PREFIX)) else GPU_PREFIX + uuid


def start() -> None:
    """Load the library and initialise NVML; pair each call with `stop`.

    Raises:
        NvmlUnavailableError: the bindings or the library are missing, or the driver is not loaded.
    """
    try:
        binding = _binding()
    except ImportError as error:
        raise NvmlUnavailableError(_why_no_bindings(error)) from error
    try:
        binding.nvmlInit()
    except binding.NVMLError as error:
        name = _error_name(error)
        raise NvmlUnavailableError(UNAVAILABLE.get(name, f"NVML did not start ({name})")) from error


def _why_no_bindings(error: ImportError) -> str:
    """Return what to do about bindings that cannot be imported: nothing, where there is no driver either."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return UNAVAILABLE["LibraryNotFound"]
    return extras.explain(error, "the energy of a GPU") or f"nvidia-ml-py cannot be imported: {error}"


def stop() -> None:
    """Shut NVML down; a failure to do so is ignored, as nothing is read afterwards."""
    binding = _binding()
    try:
        binding.nvmlShutdown()
    except binding.NVMLError:
        return


def device_by_uuid(uuid: str) -> Device:
    """Return the GPU with this UUID; the leading GPU- may be missing.

    For the UUID of a MIG instance (MIG-...) this is the physical GPU that contains it: NVML's power and
    energy readings exist for the whole GPU only.

    Raises:
        NvmlError: there is no such GPU (NotFound), or it does not answer.
    """
    handle = _call("nvmlDeviceGetHandleByUUID", canonical_uuid(uuid))
    if uuid.startswith(MIG_PREFIX):
        handle = _call("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", handle)
    return _device(handle)


def all_devices() -> tuple[Device, ...]:
    """Return every GPU of the machine in NVML's order (by PCI bus), whatever CUDA_VISIBLE_DEVICES says.

    Raises:
        NvmlError: a GPU does not answer.
    """
    count = _call("nvmlDeviceGetCount")
    return tuple(_device(_call("nvmlDeviceGetHandleByIndex", index)) for index in range(count))


def driver_version() -> str:
    """Return the driver's version, such as 550.54.15. Raises NvmlError."""
    return str(_call("nvmlSystemGetDriverVersion"))


def watts(gpu: Device) -> float:
    """Return the power drawn by the whole GPU, in watts, from the reading that `gpu.power_field` names.

    The value is NVML's, whatever it is: whether it can be true depends on the limit (plausible.power_range).

    Raises:
        NvmlError: the GPU does not answer or has no power sensor (NotSupported).
    """
    if gpu.power_field == POWER_INSTANT:
        return _instant_milliwatts(gpu.handle) * 1e-3
    return float(_call(POWER_USAGE, gpu.handle)) * 1e-3


def counter_joules(gpu: Device) -> float | None:
    """Return the GPU's energy counter in joules since the driver was loaded; None if it has none.

    Raises:
        NvmlError: the GPU does not answer.
    """
    millijoules = _call_optional("nvmlDeviceGetTotalEnergyConsumption", gpu.handle)
    return None if millijoules is None else float(millijoules) * 1e-3


def power_limit_watts(gpu: Device) -> float | None:
    """Return the enforced power cap in watts; None if the GPU has none. Raises NvmlError."""
    return _power_limit_watts(gpu.handle)


def temperature_celsius(gpu: Device) -> int | None:
    """Return the temperature of the chip; None if not supported. Raises NvmlError."""
    sensor = _binding().NVML_TEMPERATURE_GPU
    celsius: int | None = _call_optional("nvmlDeviceGetTemperature", gpu.handle, sensor)
    return within(celsius, plausible.CELSIUS, "degrees")


def sm_clock_mhz(gpu: Device) -> int | None:
    """Return the current clock of the multiprocessors in MHz; None if not supported. Raises NvmlError."""
    megahertz: int | None = _call_optional("nvmlDeviceGetClockInfo", gpu.handle, _binding().NVML_CLOCK_SM)
    return within(megahertz, plausible.CLOCK_MHZ, "MHz")


def busy_share(gpu: Device) -> float | None:
    """Return the share of NVML's last sample period, up to a second, in which a kernel ran, in [0, 1].

    None if not supported (as in MIG mode). Raises NvmlError.
    """
    rates = _call_optional("nvmlDeviceGetUtilizationRates", gpu.handle)
    return None if rates is None else within(float(rates.gpu) / 100, (0.0, 1.0), "of the time busy")


def throttle_reasons(gpu: Device) -> tuple[str, ...] | None:
    """Return NVML's names for why the clocks are below their maximum now, such as SwPowerCap.

    () means that nothing holds them back; None that the driver does not report it. Raises NvmlError.
    """
    bits = _call_optional("nvmlDeviceGetCurrentClocksEventReasons", gpu.handle)
    if bits is None:
        return None
    return tuple(name for name, bit in _throttle_bits().items() if bits & bit)


@functools.cache
def _throttle_bits() -> dict[str, int]:
    """Return reason -> bit, read from the bindings' constants so that reasons of newer drivers are named."""
    prefix = "nvmlClocksEventReason"
    flags = {n.removeprefix(prefix): v for n, v in vars(_binding()).items() if n.startswith(prefix)}
    return {name: bit for name, bit in flags.items() if name not in ALIASES}


def compute_processes(gpu: Device) -> tuple[int, ...] | None:
    """Return the ids of processes with a compute context on the GPU, this process among them.

    None if the driver does not report them. Inside a container they are ids of the host, so only their
    number can be relied on.

    Raises:
        NvmlError: the GPU does not answer.
    """
    processes = _call_optional("nvmlDeviceGetComputeRunningProcesses", gpu.handle)
    return None if processes is None else tuple(int(process.pid) for process in processes)


def within(value: Number | None, bounds: plausible.Bounds, unit: str) -> Number | None:
    """Return `value` if it lies within `bounds` (or is None).

    Raises:
        OutOfRangeError: it does not.
    """
    if value is not None and not bounds[0] <= value <= bounds[1]:
        raise OutOfRangeError(f"read {value:g} {unit}")
    return value


def query(function: str, gpu: Device, *arguments: Any) -> Any:
    """Call NVML's `function` on a GPU; None if the GPU or the driver does not support it.

    Raises:
        NvmlError: the GPU does not answer.
    """
    return _call_optional(function, gpu.handle, *arguments)


def _binding() -> Any:
    return importlib.import_module("pynvml")


def _error_name(error: Exception) -> str:
    """Return NVML's name for an error, such as GpuIsLost, or its code if the bindings have no name for it."""
    # The bindings make one subclass NVMLError_X per error code; a code newer than they are stays NVMLError.
    name = type(error).__name__.removeprefix("NVMLError_")
    return f"code {getattr(error, 'value', '?')}" if name == "NVMLError" else name


def _call(function: str, *arguments: Any) -> Any:
    binding = _binding()
    try:
        return getattr(binding, function)(*arguments)
    except binding.NVMLError as error:
        raise NvmlError(_error_name(error)) from error


def _call_optional(function: str, *arguments: Any) -> Any:
    try:
        return _call(function, *arguments)
    except NvmlError as error:
        if error.name in NOT_OFFERED:
            return None
        raise


def _device(handle: Any) -> Device:
    # nvmlDeviceGetPowerUsage is a one-second average on H100 and instantaneous on A100 (arXiv 2312.02741), so
    # the instantaneous field is preferred. A field that reads what cannot be, such as 0 W, counts as absent.
    try:
        limit = _power_limit_watts(handle)
    except NvmlError:
        limit = None
    try:
        instant_watts = _instant_milliwatts(handle) * 1e-3
        field = POWER_INSTANT if plausible.power_range(limit).contains(instant_watts) else POWER_USAGE
    except NvmlError:
        field = POWER_USAGE
    uuid, name = _call("nvmlDeviceGetUUID", handle), _call("nvmlDeviceGetName", handle)
    return Device(handle, str(uuid), str(name), field, _mig_mode(handle))


def _power_limit_watts(handle: Any) -> float | None:
    milliwatts = _call_optional("nvmlDeviceGetEnforcedPowerLimit", handle)
    return within(None if milliwatts is None else milliwatts * 1e-3, plausible.POWER_LIMIT_WATTS, "W")


def _mig_mode(handle: Any) -> bool | None:
    try:
        modes = _call_optional("nvmlDeviceGetMigMode", handle)
    except NvmlError:  # a failure here must not hide a GPU whose power can be read
        return None
    return None if modes is None else bool(modes[0])  # (current, pending after the next reset)


def _instant_milliwatts(handle: Any) -> float:
    binding = _binding()
    # The call itself succeeds even if a field does not: each field value carries a return code of its own.
    (field,) = _call("nvmlDeviceGetFieldValues", handle, [binding.NVML_FI_DEV_POWER_INSTANT])
    if field.nvmlReturn != binding.NVML_SUCCESS:
        raise NvmlError(_error_name(binding.NVMLError(field.nvmlReturn)))
    return float(field.value.uiVal)
