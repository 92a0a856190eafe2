"""What this machine can measure, what it cannot, and why."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
from pathlib import Path

from isoflop.meter import hardware


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report; `ok` is False where something cannot be measured, with what would change it."""

    subject: str
    ok: bool
    detail: str


def _torch() -> list[Finding]:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return [Finding("training", True, f"torch {torch.__version__} on {names}, bf16 autocast")]
    built = torch.version.cuda
    why = f"built for CUDA {built}, but no GPU or driver was found" if built else "built without CUDA"
    cpu = f"{hardware.describe_cpu()}, {len(os.sched_getaffinity(0))} cores"
    return [Finding("training", True, f"torch {torch.__version__} on the CPU ({cpu}), fp32; {why}")]


def _flops() -> Finding:
    if importlib.util.find_spec("fvcore") is None:
        return Finding(
            "FLOPs", False, "fvcore is not installed, so two counters cannot be compared: install fvcore"
        )
    return Finding("FLOPs", True, "two counters, fvcore and torch, are compared for every shape")


def _energy() -> list[Finding]:
    gpus, reason = hardware.gpus()
    if not gpus:
        return [Finding("energy", False, f"joules stay unknown: {reason}")]
    return [
        Finding("energy", True, f"{gpu.name} {gpu.uuid} through NVML, driver {gpu.driver}") for gpu in gpus
    ]


def _mfu() -> list[Finding]:
    gpus, _ = hardware.gpus()
    found = []
    for name in sorted({gpu.name for gpu in gpus}):
        peak = hardware.peak_rate(name, "bf16")
        detail = f"{name}: {peak.flops_per_second:.4g} FLOP/s bf16 dense, {peak.source}" if peak else ""
        found.append(
            Finding("MFU", peak is not None, detail or f"{name}: no peak rate is known, MFU stays unknown")
        )
    return found or [Finding("MFU", False, "needs a GPU with a known peak rate")]


def _data(root: Path) -> list[Finding]:
    places = {
        "mnist": "MNIST",
        "fashion_mnist": "FashionMNIST",
        "cifar10": "cifar-10-batches-py",
        "cifar100": "cifar-100-python",
        "svhn": "svhn",
    }
    found = [Finding("data", True, "digits ships with scikit-learn, synthetic is made here")]
    for name, place in places.items():
        here = (root / place).exists()
        where = f"{root / place}" if here else f"not in {root}: fetched at first use where there is a network"
        found.append(Finding("data", here, f"{name}: {where}"))
    return found


def _disk(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free / 1e9
    writable = os.access(directory, os.W_OK)
    detail = f"{free:.0f} GB free in {directory.resolve()}" if writable else f"{directory} cannot be written"
    return Finding("results", writable and free > 0.1, detail)


def examine(data_root: Path, directory: Path) -> tuple[Finding, ...]:
    """Everything a user of this machine would ask before a sweep."""
    return (*_torch(), _flops(), *_energy(), *_mfu(), *_data(data_root), _disk(directory))
