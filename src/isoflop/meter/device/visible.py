"""UUIDs of the GPUs that CUDA would use in a process with a given environment.

With libcuda, the driver itself is queried, in a short-lived child process: the query initialises CUDA, after
which CUDA_VISIBLE_DEVICES can no longer be changed in that process. Without libcuda, the rules of
CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER are applied to NVML's list of GPUs, which is in PCI bus order. If
CUDA's order cannot be determined, the answer is unknown with its reason, never a guess.

Source of the rules: NVIDIA, CUDA C++ Programming Guide, "CUDA Environment Variables".
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from isoflop.meter import child
from isoflop.meter.device import nvml

TIMEOUT_SECONDS = 60.0
CUDA_ERROR_NO_DEVICE = 100
HIDDEN = "CUDA_VISIBLE_DEVICES hides every GPU"
NO_GPU = "this machine has no GPU that CUDA can use"


@dataclasses.dataclass(frozen=True)
class VisibleGpus:
    """UUIDs in CUDA's order. () means no GPU and None means unknown; each comes with its reason."""

    uuids: tuple[str, ...] | None
    reason: str | None


@dataclasses.dataclass(frozen=True)
class ListedGpu:
    """One GPU in NVML's list."""

    uuid: str
    name: str


def apply_environment(environment: Mapping[str, str], listed: Sequence[ListedGpu]) -> VisibleGpus:
    """Return the GPUs of NVML's list that CUDA_VISIBLE_DEVICES selects, by CUDA's documented rules.

    The variable holds indices, or UUIDs (complete, or a prefix that only one GPU has), separated by commas.
    The list ends at the first entry that is invalid or names no GPU, and an entry that occurs twice
    invalidates it all. Of several MIG instances CUDA uses only the first.
    """
    if not listed:
        return VisibleGpus((), NO_GPU)
    text = environment.get("CUDA_VISIBLE_DEVICES")
    if text is None:
        return _in_cuda_order(list(range(len(listed))), environment, listed)
    entries = [entry.strip() for entry in text.split(",")]
    if entries[0].startswith(nvml.MIG_PREFIX):
        return VisibleGpus((_mig_uuid(entries[0]),), None)
    if entries[0].startswith(nvml.GPU_PREFIX):
        indices = _valid_prefix([_index_of_uuid(entry, listed) for entry in entries])
        return VisibleGpus(tuple(listed[i].uuid for i in indices), None if indices else HIDDEN)
    indices = _valid_prefix([_index_of_number(entry, len(listed)) for entry in entries])
    return _in_cuda_order(indices, environment, listed)


def _valid_prefix(indices: Sequence[int | None]) -> list[int]:
    """Return the indices before the first invalid one (None); [] if one of them occurs twice."""
    valid: list[int] = []
    for index in indices:
        if index is None:
            break
        if index in valid:
            return []
        valid.append(index)
    return valid


def _index_of_uuid(entry: str, listed: Sequence[ListedGpu]) -> int | None:
    if not entry.startswith(nvml.GPU_PREFIX):
        return None
    matches = [i for i, gpu in enumerate(listed) if gpu.uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None


def _index_of_number(entry: str, count: int) -> int | None:
    """Parse an index as CUDA does, with C's strtol: leading digits count and the rest is ignored."""
    digits = re.match(r"[+-]?[0-9]+", entry)
    index = int(digits.group()) if digits else -1
    return index if 0 <= index < count else None


def _mig_uuid(entry: str) -> str:
    """Return MIG-UUID unchanged; of the older form MIG-GPU-UUID/instance/instance the UUID of its GPU."""
    inner = entry.removeprefix(nvml.MIG_PREFIX)
    return inner.partition("/")[0] if inner.startswith(nvml.GPU_PREFIX) else entry


def _in_cuda_order(
    indices: list[int], environment: Mapping[str, str], listed: Sequence[ListedGpu]
) -> VisibleGpus:
    """Return the GPUs that CUDA's `indices` stand for, or unknown if CUDA's numbering is not known.

    CUDA's numbering equals NVML's with CUDA_DEVICE_ORDER=PCI_BUS_ID. Its default, fastest first, keeps GPUs
    of one model in bus order, and does not matter if every GPU is selected.
    """
    by_bus = environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    one_model = len({gpu.name for gpu in listed}) == 1
    if indices and not by_bus and not one_model and len(indices) < len(listed):
        names = ", ".join(dict.fromkeys(gpu.name for gpu in listed))
        return VisibleGpus(
            None,
            f"CUDA counts GPUs from the fastest, and which of {names} that is cannot be determined: set "
            "CUDA_DEVICE_ORDER=PCI_BUS_ID, or CUDA_VISIBLE_DEVICES to UUIDs",
        )
    return VisibleGpus(tuple(listed[i].uuid for i in indices), None if indices else HIDDEN)


def visible_gpus(environment: Mapping[str, str] | None = None) -> VisibleGpus:
    """Return the GPUs that a process with this environment (default: that of this process) would use.

    Takes as long as CUDA takes to initialise. Never raises: a failure is an unknown with its reason.
    """
    try:
        done = subprocess.run(
            child.command_line("isoflop.meter.device.visible"),
            env=dict(os.environ if environment is None else environment),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_SECONDS,
            check=True,
        )
        # The last line only: a sitecustomize or the driver may have printed before it.
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        uuids = answer["uuids"]
        return VisibleGpus(None if uuids is None else tuple(uuids), answer["reason"])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError, KeyError) as error:
        summary = f"{type(error).__name__}: {error}".splitlines()[0]
        return VisibleGpus(None, f"the CUDA driver could not be queried for its GPUs ({summary})")


def run(arguments: Sequence[str]) -> None:
    """Print the visible GPUs as one line of JSON; this is what the child process runs."""
    assert not arguments
    sys.stdout.write(json.dumps(dataclasses.asdict(_look_up())) + "\n")


def _look_up() -> VisibleGpus:
    try:
        cuda: Any = ctypes.CDLL("libcuda.so.1")
    except OSError:
        cuda = None
    try:
        nvml.start()
    except nvml.NvmlUnavailableError as error:
        return _query_driver(cuda, set()) if cuda else VisibleGpus((), str(error))
    try:
        if cuda:
            return _query_driver(cuda, {gpu.uuid for gpu in nvml.all_devices()})
        return apply_environment(os.environ, [ListedGpu(gpu.uuid, gpu.name) for gpu in nvml.all_devices()])
    except nvml.NvmlError as error:
        return VisibleGpus(None, f"NVML could not list the GPUs ({error.name})")
    finally:
        nvml.stop()


def _query_driver(cuda: Any, known: set[str]) -> VisibleGpus:
    """Return the driver's own list. `known` are the UUIDs of whole GPUs as NVML lists them, if it can.

    The driver returns 16 bytes without GPU- or MIG-: a UUID that no whole GPU has is that of a MIG instance.
    """
    code = cuda.cuInit(0)
    if code == CUDA_ERROR_NO_DEVICE:
        return VisibleGpus((), HIDDEN if known else NO_GPU)
    count = ctypes.c_int()
    code = code or cuda.cuDeviceGetCount(ctypes.byref(count))
    uuids = []
    # Only version 2 (CUDA 11.4) returns the UUID of a MIG instance; version 1 returns that of its GPU.
    uuid_of = getattr(cuda, "cuDeviceGetUuid_v2", cuda.cuDeviceGetUuid)
    for index in range(0 if code else count.value):
        device, raw = ctypes.c_int(), (ctypes.c_ubyte * 16)()
        code = code or cuda.cuDeviceGet(ctypes.byref(device), index) or uuid_of(raw, device)
        digits = str(uuid.UUID(bytes=bytes(raw)))
        prefix = nvml.MIG_PREFIX if known and nvml.GPU_PREFIX + digits not in known else nvml.GPU_PREFIX
        uuids.append(prefix + digits)
    if code:
        return VisibleGpus(None, f"the CUDA driver answered with error {code}")
    return VisibleGpus(tuple(uuids), None if uuids else HIDDEN)
