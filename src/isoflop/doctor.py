"""What this machine can measure, what it cannot, and why; and the ceilings it reaches."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isoflop import record
from isoflop.config import ConfigError
from isoflop.meter.device import ceilings, hardware, peaks

if TYPE_CHECKING:
    import torch

MEASURED_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report; `ok` is False where something cannot be measured, with what would change it."""

    subject: str
    ok: bool
    detail: str


@dataclasses.dataclass(frozen=True)
class Measured:
    """A measured ceiling beside the datasheet's peak for the same data type."""

    ceiling: record.Ceiling
    peak: record.PeakRate | None
    peak_reason: str | None


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


def _energy(gpus: Sequence[record.Gpu], reason: str | None) -> list[Finding]:
    if not gpus:
        return [Finding("energy", False, f"joules stay unknown: {reason}")]
    return [
        Finding("energy", True, f"{gpu.name} {gpu.uuid} through NVML, driver {gpu.driver}") for gpu in gpus
    ]


def _boards(gpus: Sequence[record.Gpu]) -> list[Finding]:
    """Limits and memory of each board, with what is unknown left out."""
    found = []
    for gpu in gpus:
        facts = (
            ("cap", gpu.power_limit_watts, 1.0, "W"),
            ("shipped with", gpu.default_power_limit_watts, 1.0, "W"),
            ("clocks to", gpu.max_sm_clock_mhz, 1.0, "MHz"),
            ("memory", gpu.memory_bytes, 1 / peaks.GIBIBYTE, "GiB"),
        )
        said = [f"{word} {value * scale:.4g} {unit}" for word, value, scale, unit in facts if value]
        switches = (("persistence mode", gpu.persistence_mode), ("cut into slices (MIG)", gpu.mig))
        said += [word for word, on in switches if on]
        found.append(Finding("board", not gpu.mig, f"{gpu.name}: {', '.join(said) or 'NVML says no more'}"))
    return found


def _mfu(gpus: Sequence[record.Gpu]) -> list[Finding]:
    found = []
    for name, memory_bytes in sorted({(gpu.name, gpu.memory_bytes or 0.0) for gpu in gpus}):
        dtype = "bf16" if peaks.peak_rate(name, "bf16", memory_bytes) else "fp16"
        peak = peaks.peak_rate(name, dtype, memory_bytes)
        detail = f"{name}: {peak.flops_per_second:.4g} FLOP/s {dtype} dense, {peak.source}" if peak else ""
        found.append(
            Finding("MFU", peak is not None, detail or f"{name}: no peak rate is known, MFU stays unknown")
        )
    return found or [Finding("MFU", False, "needs a GPU with a known peak rate")]


def _ceilings() -> list[Finding]:
    try:
        kept = ceilings.read()
    except ValueError as error:
        return [Finding("ceilings", False, str(error))]
    if not kept:
        return [
            Finding("ceilings", False, "not measured, so rooflines stay unknown: isoflop doctor --measure")
        ]
    return [Finding("ceilings", True, _rates(ceiling)) for ceiling in kept]


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
    gpus, reason = hardware.gpus()
    machine = (*_torch(), _flops(), *_energy(gpus, reason), *_boards(gpus), *_mfu(gpus))
    return (*machine, *_ceilings(), *_data(data_root), _disk(directory))


def measure(
    *, seconds: float | None, dtypes: str | None, threads: int | None, on_cpu: bool
) -> tuple[Measured, ...]:
    """Measure the ceilings of the GPU, or of the CPU with `threads` threads, in about `seconds` in all, and
    keep them for the runs to come. `dtypes` such as "fp32,bf16"; None: all that the device trains in.

    Raises:
        ConfigError: a number or a name that cannot be.
        ValueError: the device has too little free memory, or the file of ceilings is damaged.
        OSError: the ceilings cannot be written.
    """
    import torch

    from isoflop.meter.device import bench
    from isoflop.runner.provenance import now

    seconds = MEASURED_SECONDS if seconds is None else seconds
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"--seconds {seconds:g}: give a number above 0")
    gpu = torch.cuda.is_available() and not on_cpu
    device = torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")
    chosen = _chosen(dtypes, bench.runnable(device))
    _check_threads(threads, gpu)
    ceilings.read()  # a damaged file is told before the measuring, not after
    name = torch.cuda.get_device_name(device) if gpu else hardware.describe_cpu()
    part = seconds / (len(chosen) + 1)
    with bench.threads(threads) as count:
        bytes_per_second = bench.copy_bytes_per_second(device, part)
        found = [
            record.Ceiling(
                device=name,
                dtype=dtype,
                threads=0 if gpu else count,
                flops_per_second=bench.product_flops_per_second(device, dtype, part),
                bytes_per_second=bytes_per_second,
                measured_at=now(),
            )
            for dtype in chosen
        ]
    ceilings.keep(found)
    return tuple(_beside_peak(ceiling, device) for ceiling in found)


def told(measured: Measured) -> str:
    """One line: the ceiling, and the datasheet's peak or why there is none."""
    if measured.peak is None:
        return f"{_rates(measured.ceiling)}; no datasheet peak: {measured.peak_reason}"
    share = measured.ceiling.flops_per_second / measured.peak.flops_per_second
    datasheet = f"{measured.peak.flops_per_second:.4g} FLOP/s ({measured.peak.source})"
    return f"{_rates(measured.ceiling)}; {share:.1%} of the datasheet's {datasheet}"


def _rates(ceiling: record.Ceiling) -> str:
    threads = f", {ceiling.threads} thread{'s' * (ceiling.threads > 1)}" if ceiling.threads else ""
    rates = f"{ceiling.flops_per_second:.4g} FLOP/s, {ceiling.bytes_per_second:.4g} bytes/s"
    ridge = ceiling.flops_per_second / ceiling.bytes_per_second
    return f"{ceiling.device}{threads}, {ceiling.dtype}: {rates}, so {ridge:.3g} FLOPs a byte fill it"


def _chosen(dtypes: str | None, runnable: tuple[str, ...]) -> tuple[str, ...]:
    if dtypes is None:
        return runnable
    chosen = tuple(dict.fromkeys(dtypes.split(",")))
    for dtype in chosen:
        if dtype not in runnable:
            raise ConfigError(f"--dtype {dtype}: this device measures {', '.join(runnable)}")
    return chosen


def _check_threads(threads: int | None, gpu: bool) -> None:
    if threads is None:
        return
    if gpu:
        raise ConfigError("--threads is for the CPU: add --cpu, or leave it out")
    cores = len(os.sched_getaffinity(0))
    if not 1 <= threads <= cores:
        raise ConfigError(f"--threads {threads}: this machine has {cores} cores")


def _beside_peak(ceiling: record.Ceiling, device: torch.device) -> Measured:
    import torch

    if device.type != "cuda":
        return Measured(ceiling, None, "not a GPU")
    memory_bytes = float(torch.cuda.get_device_properties(device).total_memory)
    peak = peaks.peak_rate(ceiling.device, ceiling.dtype, memory_bytes)
    return Measured(ceiling, peak, None if peak else f"{ceiling.device} is not in the table")
