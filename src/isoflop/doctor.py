"""Report what this machine can measure, what it cannot, and why; measure the ceilings it reaches."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isoflop import extras, record
from isoflop.config import ConfigError
from isoflop.meter.device import ceilings, hardware, peaks

if TYPE_CHECKING:
    import torch

MEASURED_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report.

    If `ok` is False something cannot be measured, and `detail` says why or what to change.
    """

    subject: str
    ok: bool
    detail: str


@dataclasses.dataclass(frozen=True)
class Measured:
    """A measured ceiling and the datasheet's peak for the same data type, or the reason there is no peak.

    `disturbances` is what speaks against the ceiling, a clause each; `kept` whether later runs use it.
    """

    ceiling: record.Ceiling
    peak: record.PeakRate | None
    peak_reason: str | None
    disturbances: tuple[str, ...] = ()
    kept: bool = True


def _torch() -> list[Finding]:
    if not extras.installed("torch"):
        return [Finding("training", False, extras.line("training", "torch"))]
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return [Finding("training", True, f"torch {torch.__version__} on {names}, bf16 autocast")]
    built = torch.version.cuda
    why = f"built for CUDA {built}, but no GPU or driver was found" if built else "built without CUDA"
    cpu = f"{hardware.describe_cpu()}, {len(os.sched_getaffinity(0))} cores"
    return [Finding("training", True, f"torch {torch.__version__} on the CPU ({cpu}), fp32; {why}")]


def _flops() -> Finding:
    for module in ("torch", "fvcore"):
        if not extras.installed(module):
            return Finding("FLOPs", False, extras.line("counting FLOPs", module))
    return Finding("FLOPs", True, "two counters, fvcore and torch, are compared for every shape")


def _energy(gpus: Sequence[record.Gpu], reason: str | None) -> list[Finding]:
    if not gpus:
        return [Finding("energy", False, f"joules stay unknown: {reason}")]
    return [
        Finding("energy", True, f"{gpu.name} {gpu.uuid} through NVML, driver {gpu.driver}") for gpu in gpus
    ]


def _gpus(gpus: Sequence[record.Gpu]) -> list[Finding]:
    """Return power caps, highest clock, memory and modes of each GPU; unknown values are left out."""
    findings = []
    for gpu in gpus:
        values = (
            ("cap", gpu.power_limit_watts, 1.0, "W"),
            ("factory cap", gpu.default_power_limit_watts, 1.0, "W"),
            ("clocks to", gpu.max_sm_clock_mhz, 1.0, "MHz"),
            ("memory", gpu.memory_bytes, 1 / peaks.GIBIBYTE, "GiB"),
        )
        facts = [f"{label} {value * scale:.4g} {unit}" for label, value, scale, unit in values if value]
        modes = (("persistence mode", gpu.persistence_mode), ("MIG mode", gpu.mig))
        facts += [label for label, on in modes if on]
        detail = f"{gpu.name}: {', '.join(facts) or 'NVML reports nothing more'}"
        # In MIG mode the sensors see the whole GPU: the joules of one instance cannot be measured.
        findings.append(Finding("GPU", not gpu.mig, detail))
    return findings


def _mfu(gpus: Sequence[record.Gpu]) -> list[Finding]:
    findings = []
    for name, memory_bytes in sorted({(gpu.name, gpu.memory_bytes or 0.0) for gpu in gpus}):
        dtype = "bf16" if peaks.peak_rate(name, "bf16", memory_bytes) else "fp16"
        peak = peaks.peak_rate(name, dtype, memory_bytes)
        detail = f"{name}: {peak.flops_per_second:.4g} FLOP/s {dtype} dense, {peak.source}" if peak else ""
        findings.append(
            Finding("MFU", peak is not None, detail or f"{name}: no peak rate is known, MFU stays unknown")
        )
    return findings or [Finding("MFU", False, "needs a GPU with a known peak rate")]


def _ceilings() -> list[Finding]:
    try:
        measured = ceilings.read_all()
    except ValueError as error:
        return [Finding("ceilings", False, str(error))]
    if not measured:
        return [
            Finding("ceilings", False, "not measured, so rooflines stay unknown: isoflop doctor --measure")
        ]
    return [Finding("ceilings", True, _describe_ceiling(ceiling)) for ceiling in measured]


def _data(root: Path) -> list[Finding]:
    folders = {
        "mnist": "MNIST",
        "fashion_mnist": "FashionMNIST",
        "cifar10": "cifar-10-batches-py",
        "cifar100": "cifar-100-python",
        "svhn": "svhn",
    }
    findings = [Finding("data", True, "digits ships with scikit-learn, synthetic is generated")]
    for name, folder in folders.items():
        path = root / folder
        absent = f"not in {root}: downloaded at first use if there is a network"
        findings.append(Finding("data", path.exists(), f"{name}: {path if path.exists() else absent}"))
    return findings


def _disk(directory: Path) -> Finding:
    free = shutil.disk_usage(directory).free / 1e9
    writable = os.access(directory, os.W_OK)
    detail = f"{free:.0f} GB free in {directory.resolve()}" if writable else f"{directory} cannot be written"
    return Finding("results", writable and free > 0.1, detail)


def examine(data_root: Path, directory: Path) -> tuple[Finding, ...]:
    """Return what a user should know of this machine before a sweep.

    `data_root` is the folder of data sets, `directory` the one that results are written to.
    """
    gpus, reason = hardware.gpus()
    machine = (*_torch(), _flops(), *_energy(gpus, reason), *_gpus(gpus), *_mfu(gpus))
    return (*machine, *_ceilings(), *_data(data_root), _disk(directory))


def measure(
    *, seconds: float | None, dtypes: str | None, threads: int | None, on_cpu: bool, anyway: bool = False
) -> tuple[Measured, ...]:
    """Measure the ceilings of the GPU, or of the CPU, twice, and store them for later runs.

    Where anything speaks against them (isoflop.meter.device.passes) they are returned and not stored.

    Args:
        seconds: about how long to measure in all; None: MEASURED_SECONDS.
        dtypes: data types such as "fp32,bf16"; None: all that the device trains in.
        threads: number of CPU threads; None: torch's own choice.
        on_cpu: measure the CPU even if there is a GPU.
        anyway: store them whatever speaks against them.

    Raises:
        ConfigError: an option's value is impossible on this device.
        ValueError: the device has too little free memory, or the file of ceilings is damaged.
        OSError: the ceilings cannot be written.
    """
    import torch

    from isoflop.meter.device import bench, conditions, passes
    from isoflop.runner.energy import gpu_uuids
    from isoflop.runner.provenance import now

    seconds = MEASURED_SECONDS if seconds is None else seconds
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"--seconds {seconds:g}: give a number above 0")
    gpu = torch.cuda.is_available() and not on_cpu
    device = torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")
    chosen = _parse_dtypes(dtypes, bench.supported_dtypes(device))
    _check_threads(threads, gpu)
    ceilings.read_all()  # a damaged file is reported before the measurement, not after
    name = torch.cuda.get_device_name(device) if gpu else hardware.describe_cpu()
    part = seconds / passes.PASSES / (len(chosen) + 1)  # the copy is one more
    watch = conditions.GpuWatch(*gpu_uuids(device)) if gpu else conditions.ProcessorWatch()
    with bench.torch_threads(threads) as count:
        both = passes.measure(
            chosen,
            watch,
            lambda dtype: bench.matmul_flops_per_second(device, dtype, part),
            lambda: bench.copy_bytes_per_second(device, part),
        )
    used = 0 if gpu else count
    measured = [passes.ceiling(both, dtype, device=name, threads=used, measured_at=now()) for dtype in chosen]
    disturbances = passes.disturbances(both, chosen)
    kept = anyway or not disturbances
    if kept:
        ceilings.store(measured)
    return tuple(
        dataclasses.replace(_with_peak(ceiling, device), disturbances=disturbances, kept=kept)
        for ceiling in measured
    )


def refusal(measured: Sequence[Measured]) -> str | None:
    """Return why ceilings were not kept and what to do, as one line, or None if they were."""
    if not measured or measured[0].kept:
        return None
    why = "; ".join(measured[0].disturbances)
    return (
        f"these ceilings are not kept, because the device was not idle: {why}. Stop what else runs and "
        "measure again (longer with --seconds), or keep them with --anyway"
    )


def describe(measured: Measured) -> str:
    """Format a ceiling, and the datasheet's peak or why there is none, as one line."""
    if measured.peak is None:
        return f"{_describe_ceiling(measured.ceiling)}; no datasheet peak: {measured.peak_reason}"
    share = measured.ceiling.flops_per_second / measured.peak.flops_per_second
    datasheet = f"{measured.peak.flops_per_second:.4g} FLOP/s ({measured.peak.source})"
    return f"{_describe_ceiling(measured.ceiling)}; {share:.1%} of the datasheet's {datasheet}"


def _describe_ceiling(ceiling: record.Ceiling) -> str:
    threads = f", {ceiling.threads} thread{'s' * (ceiling.threads > 1)}" if ceiling.threads else ""
    rates = f"{ceiling.flops_per_second:.4g} FLOP/s, {ceiling.bytes_per_second:.4g} bytes/s"
    ridge = ceiling.flops_per_second / ceiling.bytes_per_second
    fill = f"{rates}, so {ridge:.3g} FLOPs a byte fill it"
    return f"{ceiling.device}{threads}, {ceiling.dtype}: {fill}{_circumstances(ceiling)}"


def _circumstances(ceiling: record.Ceiling) -> str:
    """Return how the two results differed, others' load and the clock, as far as they are known."""
    facts = []
    if ceiling.passes_apart is not None:
        facts.append(f"two measurements {ceiling.passes_apart:.1%} apart")
    if ceiling.other_load is not None:
        facts.append(f"others' load {ceiling.other_load:.0%}")
    if ceiling.clock_mhz is not None:
        highest = "" if ceiling.highest_clock_mhz is None else f" of {ceiling.highest_clock_mhz:.0f}"
        facts.append(f"at {ceiling.clock_mhz:.0f}{highest} MHz")
    return f" ({', '.join(facts)})" if facts else ""


def _parse_dtypes(dtypes: str | None, supported: tuple[str, ...]) -> tuple[str, ...]:
    if dtypes is None:
        return supported
    chosen = tuple(dict.fromkeys(dtypes.split(",")))
    for dtype in chosen:
        if dtype not in supported:
            raise ConfigError(f"--dtype {dtype}: this device measures {', '.join(supported)}")
    return chosen


def _check_threads(threads: int | None, gpu: bool) -> None:
    if threads is None:
        return
    if gpu:
        raise ConfigError("--threads is for the CPU: add --cpu, or leave it out")
    cores = len(os.sched_getaffinity(0))
    if not 1 <= threads <= cores:
        raise ConfigError(f"--threads {threads}: this machine has {cores} cores")


def _with_peak(ceiling: record.Ceiling, device: torch.device) -> Measured:
    import torch

    if device.type != "cuda":
        return Measured(ceiling, None, "not a GPU")
    memory_bytes = float(torch.cuda.get_device_properties(device).total_memory)
    peak = peaks.peak_rate(ceiling.device, ceiling.dtype, memory_bytes)
    return Measured(ceiling, peak, None if peak else f"{ceiling.device} is not in the table")
