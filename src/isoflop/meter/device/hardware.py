"""What the machine is: its processor, its boards, and the libraries that drive them."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

from isoflop import record
from isoflop.meter.device import nvml, nvml_facts

CPUINFO = Path("/proc/cpuinfo")


def describe_cpu() -> str:
    """The processor as the system names it, from /proc/cpuinfo where there is one."""
    try:
        text = CPUINFO.read_text(errors="replace")
    except OSError:
        text = ""
    return cpu_name(text) or platform.processor() or platform.machine() or "unknown processor"


def cpu_name(cpuinfo: str) -> str | None:
    """The first model name in the text of /proc/cpuinfo, or None where it has none (as on many ARM chips)."""
    found = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(\S.*)$", cpuinfo, re.MULTILINE)
    return " ".join(found.group(1).split()) if found else None


def gpus() -> tuple[tuple[record.Gpu, ...], str | None]:
    """Every board of the machine as NVML names it, and None; or no board and the reason.

    Loads NVML in this process for a moment: call it before training, not during.
    """
    try:
        nvml.start()
    except nvml.NvmlUnavailableError as error:
        return (), str(error)
    try:
        version = nvml.driver()
        found = tuple(_gpu(board, version) for board in nvml.devices())
    except nvml.NvmlError as error:
        return (), f"NVML answered {error.name}"
    finally:
        nvml.stop()
    return found, None if found else "NVML sees no board"


def gpu(uuid: str) -> tuple[record.Gpu | None, str | None]:
    """The board with this UUID (as torch or NVML writes it), or the reason there is none."""
    found, reason = gpus()
    wanted = nvml.canonical_uuid(uuid)
    mine = next((g for g in found if g.uuid == wanted), None)
    return mine, None if mine else reason or f"NVML sees no board {wanted}"


def _gpu(board: nvml.Device, version: str) -> record.Gpu:
    return record.Gpu(name=board.name, uuid=board.uuid, driver=version, **nvml_facts.facts(board))


def libraries() -> dict[str, str]:
    """Versions of CUDA and cuDNN that torch brings; absent where torch was built without them.

    Imports torch: for the process that trains.
    """
    import torch

    cudnn: Any = torch.backends.cudnn
    number = cudnn.version() if torch.cuda.is_available() and cudnn.is_available() else None
    found = {"cuda": torch.version.cuda, "cudnn": number and cudnn_version(number)}
    return {name: version for name, version in found.items() if version}


def cudnn_version(number: int) -> str:
    """cuDNN's number as a version: 90100 -> 9.1.0, and 8902 -> 8.9.2, as the places moved with cuDNN 9."""
    major, rest = divmod(number, 10000 if number >= 90000 else 1000)
    return f"{major}.{rest // 100}.{rest % 100}"
