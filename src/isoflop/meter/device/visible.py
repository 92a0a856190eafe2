"""Which boards CUDA would use in a process with this environment, by UUID.

The driver itself is asked where there is one: libcuda in a short-lived child, since asking starts CUDA and
would settle the choice for this process too. Without libcuda the rules of CUDA_VISIBLE_DEVICES and
CUDA_DEVICE_ORDER are applied to NVML's list of boards, which is in the order of the PCI bus. Where the order
CUDA would use cannot be known, the answer is unknown with the reason, never a guess.

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
NO_DEVICE = 100
HIDDEN = "CUDA_VISIBLE_DEVICES hides every GPU"
NONE_THERE = "this machine has no GPU that CUDA can use"


@dataclasses.dataclass(frozen=True)
class Visible:
    """The boards in CUDA's order; () is none at all and None is unknown, each with its reason."""

    uuids: tuple[str, ...] | None
    reason: str | None


@dataclasses.dataclass(frozen=True)
class Listed:
    """A board as NVML lists it."""

    uuid: str
    name: str


def parse(environment: Mapping[str, str], listed: Sequence[Listed]) -> Visible:
    """The boards of NVML's list that CUDA_VISIBLE_DEVICES leaves, by CUDA's documented rules.

    A list of indices, or of UUIDs (in full, or as much of the beginning as one board alone has), separated by
    commas; it ends at the first entry that is neither or names no board. An entry that comes twice leaves
    none. MIG slices: CUDA uses the first one only.
    """
    if not listed:
        return Visible((), NONE_THERE)
    text = environment.get("CUDA_VISIBLE_DEVICES")
    if text is None:
        return _ordered(list(range(len(listed))), environment, listed)
    words = [word.strip() for word in text.split(",")]
    if words[0].startswith(nvml.SLICE):
        return Visible((_slice(words[0]),), None)
    if words[0].startswith(nvml.PREFIX):
        found = _until_invalid([_by_uuid(word, listed) for word in words])
        return Visible(tuple(listed[i].uuid for i in found), None if found else HIDDEN)
    return _ordered(_until_invalid([_by_index(word, len(listed)) for word in words]), environment, listed)


def _until_invalid(entries: Sequence[int | None]) -> list[int]:
    """The entries before the first invalid one; none where one of them comes twice."""
    found: list[int] = []
    for entry in entries:
        if entry is None:
            break
        if entry in found:
            return []
        found.append(entry)
    return found


def _by_uuid(word: str, listed: Sequence[Listed]) -> int | None:
    if not word.startswith(nvml.PREFIX):
        return None
    matches = [i for i, board in enumerate(listed) if board.uuid.startswith(word)]
    return matches[0] if len(matches) == 1 else None


def _by_index(word: str, count: int) -> int | None:
    """CUDA reads an index as C's strtol does: the digits at the beginning count, the rest is passed over."""
    digits = re.match(r"[+-]?[0-9]+", word)
    index = int(digits.group()) if digits else -1
    return index if 0 <= index < count else None


def _slice(word: str) -> str:
    """MIG-UUID as it is; the older MIG-GPU-UUID/instance/instance as its board, where the sensors are."""
    inner = word.removeprefix(nvml.SLICE)
    return inner.partition("/")[0] if inner.startswith(nvml.PREFIX) else word


def _ordered(indices: list[int], environment: Mapping[str, str], listed: Sequence[Listed]) -> Visible:
    """Boards by CUDA's index, which is NVML's in the order of the PCI bus. Fastest first, the default, leaves
    equal boards in that order, and does not matter where every board is taken."""
    by_bus = environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    alike = len({board.name for board in listed}) == 1
    if indices and not by_bus and not alike and len(indices) < len(listed):
        names = ", ".join(dict.fromkeys(board.name for board in listed))
        return Visible(
            None,
            f"CUDA counts GPUs from the fastest, and which of {names} that is cannot be told: set "
            "CUDA_DEVICE_ORDER=PCI_BUS_ID, or CUDA_VISIBLE_DEVICES to UUIDs",
        )
    return Visible(tuple(listed[i].uuid for i in indices), None if indices else HIDDEN)


def boards(environment: Mapping[str, str] | None = None) -> Visible:
    """The boards a process with this environment (default: this process's) would use. Takes the time of a
    start of CUDA where there is a driver. Never raises: trouble is an unknown with its reason."""
    try:
        done = subprocess.run(
            child.command("isoflop.meter.device.visible"),
            env=dict(os.environ if environment is None else environment),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_SECONDS,
            check=True,
        )
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        uuids = said["uuids"]
        return Visible(None if uuids is None else tuple(uuids), said["reason"])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError, KeyError) as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        return Visible(None, f"the CUDA driver could not be asked for its GPUs ({what})")


def run(arguments: Sequence[str]) -> None:
    """In the child: say which boards there are as one line of JSON."""
    assert not arguments
    sys.stdout.write(json.dumps(dataclasses.asdict(_look())) + "\n")


def _look() -> Visible:
    try:
        cuda: Any = ctypes.CDLL("libcuda.so.1")
    except OSError:
        cuda = None
    try:
        nvml.start()
    except nvml.NvmlUnavailableError as error:
        return _ask(cuda, set()) if cuda else Visible((), str(error))
    try:
        if cuda:
            return _ask(cuda, {board.uuid for board in nvml.devices()})
        return parse(os.environ, [Listed(board.uuid, board.name) for board in nvml.devices()])
    except nvml.NvmlError as error:
        return Visible(None, f"NVML could not list the GPUs ({error.name})")
    finally:
        nvml.stop()


def _ask(cuda: Any, known: set[str]) -> Visible:
    """The driver's own list. Its UUID is bytes without a prefix: one that is no board's is a slice's."""
    code = cuda.cuInit(0)
    if code == NO_DEVICE:
        return Visible((), HIDDEN if known else NONE_THERE)
    count = ctypes.c_int()
    code = code or cuda.cuDeviceGetCount(ctypes.byref(count))
    found = []
    uuid_of = getattr(cuda, "cuDeviceGetUuid_v2", cuda.cuDeviceGetUuid)
    for index in range(0 if code else count.value):
        device, raw = ctypes.c_int(), (ctypes.c_ubyte * 16)()
        code = code or cuda.cuDeviceGet(ctypes.byref(device), index) or uuid_of(raw, device)
        digits = str(uuid.UUID(bytes=bytes(raw)))
        prefix = nvml.SLICE if known and nvml.PREFIX + digits not in known else nvml.PREFIX
        found.append(prefix + digits)
    if code:
        return Visible(None, f"the CUDA driver answered with error {code}")
    return Visible(tuple(found), None if found else HIDDEN)
