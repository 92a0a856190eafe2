"""Identity of the machine: its processor, its GPUs and the libraries that drive them."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

from isoflop import record
from isoflop.meter.device import nvml, nvml_facts

CPUINFO = Path("/proc/cpuinfo")


def describe_cpu() -> str:
    """Return the processor's name from /proc/cpuinfo, or else what Python's `platform` calls it."""
    try:
        text = CPUINFO.read_text(errors="replace")
    except OSError:
        text = ""
    return cpu_name(text) or platform.processor() or platform.machine() or "unknown processor"


def cpu_name(cpuinfo: str) -> str | None:
    """Return the first model name in the text of /proc/cpuinfo; None if it has none, as on many ARM chips."""
    match = re.search(r"^(?:model name|Model|cpu model)[ \t]*:[ \t]*(\S.*)$", cpuinfo, re.MULTILINE)
    return " ".join(match.group(1).split()) if match else None


def gpus() -> tuple[tuple[record.Gpu, ...], str | None]:
    """Return every GPU of the machine as NVML reports it, or () and the reason there is none.

    Starts and stops NVML in this process: call it before training, not during.
    """
    try:
        nvml.start()
    except nvml.NvmlUnavailableError as error:
        return (), str(error)
    try:
        version = nvml.driver_version()
        records = tuple(_gpu_record(gpu, version) for gpu in nvml.all_devices())
    except nvml.NvmlError as error:
        return (), f"NVML answered {error.name}"
    finally:
        nvml.stop()
    return records, None if records else "NVML sees no GPU"


def _gpu_record(gpu: nvml.Device, driver: str) -> record.Gpu:
    return record.Gpu(name=gpu.name, uuid=gpu.uuid, driver=driver, **nvml_facts.facts(gpu))


def libraries() -> dict[str, str]:
    """Return the versions of CUDA and cuDNN that torch was built with; those it lacks are left out.

    Imports torch, so only the training process calls it.
    """
    import torch

    cudnn: Any = torch.backends.cudnn
    number = cudnn.version() if torch.cuda.is_available() and cudnn.is_available() else None
    versions = {"cuda": torch.version.cuda, "cudnn": number and cudnn_version(number)}
    return {name: version for name, version in versions.items() if version}


def cudnn_version(number: int) -> str:
    """Format cuDNN's version number: 90100 -> 9.1.0, but 8902 -> 8.9.2 (cuDNN 9 widened the minor field)."""
    major, rest = divmod(number, 10000 if number >= 90000 else 1000)
    return f"{major}.{rest // 100}.{rest % 100}"
