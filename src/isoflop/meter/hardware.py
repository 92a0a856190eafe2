"""What the machine is: its processor, its boards, and how fast the boards could be at best.

The peak rates are dense (without the 2:4 sparsity that doubles the figures in bold print) and for products
accumulated in fp32, as training does them. A name must match whole: an H100 PCIe is 24% slower than an H100
SXM, an A10G is not an A10, and a slice of a board (MIG) has no figure here.
"""

from __future__ import annotations

import dataclasses
import platform
import re
from pathlib import Path

from isoflop import record
from isoflop.meter import nvml

CPUINFO = Path("/proc/cpuinfo")


@dataclasses.dataclass(frozen=True)
class Peak:
    """Dense peak of one board in TFLOP/s (1e12 a second, 2 per multiply-accumulate); None where the chip has
    no such arithmetic. `names` matches the whole of NVML's name without its maker."""

    names: str
    fp32: float
    tf32: float | None
    bf16: float | None
    fp16: float
    source: str


HALVED = "the datasheet's tensor figures are with sparsity: halved here"

PEAKS = (
    Peak(r"T4", 8.1, None, None, 65, "NVIDIA T4 datasheet (2019)"),
    Peak(r"V100-(SXM2|DGXS)-(16|32)GB", 15.7, None, None, 125, "NVIDIA V100 datasheet (2020), SXM2"),
    Peak(r"V100-PCIE-(16|32)GB", 14.0, None, None, 112, "NVIDIA V100 datasheet (2020), PCIe"),
    Peak(r"V100S-PCIE-32GB", 16.4, None, None, 130, "NVIDIA V100 datasheet (2020), V100S PCIe"),
    Peak(
        r"A100-SXM4-(40|80)GB|A100-PCIE-(40|80)GB|A100 80GB PCIe",
        *(19.5, 156, 312, 312),
        "NVIDIA A100 Tensor Core GPU datasheet (2021)",
    ),
    Peak(r"A10", 31.2, 62.5, 125, 125, "NVIDIA A10 datasheet (2021)"),
    Peak(
        r"GeForce RTX 3090",
        *(35.6, 35.6, 71, 71),
        "NVIDIA Ampere GA102 GPU architecture whitepaper, appendix A (fp32 accumulate)",
    ),
    Peak(
        r"GeForce RTX 4090",
        *(82.6, 82.6, 165.2, 165.2),
        "NVIDIA Ada GPU architecture whitepaper, appendix A (fp32 accumulate)",
    ),
    Peak(r"L4", 30.3, 60, 121, 121, f"NVIDIA L4 datasheet (2023); {HALVED}"),
    Peak(r"L40S", 91.6, 183, 362.05, 362.05, "NVIDIA L40S datasheet (2023)"),
    Peak(
        r"H100 80GB HBM3",
        *(66.9, 494.7, 989.4, 989.4),
        "NVIDIA H100 Tensor Core GPU architecture whitepaper, table 2, SXM5",
    ),
    Peak(
        r"H100 PCIe",
        51.2,
        378,
        756,
        756,
        "NVIDIA H100 Tensor Core GPU architecture whitepaper, table 2, PCIe",
    ),
    Peak(r"H100 NVL", 60, 417.5, 835.5, 835.5, f"NVIDIA H100 datasheet (2024), NVL; {HALVED}"),
    Peak(r"GH200 (120GB|480GB|144G HBM3e)", 67, 494, 990, 990, f"NVIDIA GH200 datasheet (2024); {HALVED}"),
    Peak(r"H200", 67, 494.5, 989.5, 989.5, f"NVIDIA H200 datasheet (2024), SXM; {HALVED}"),
    Peak(r"H200 NVL", 60, 417.5, 835.5, 835.5, f"NVIDIA H200 datasheet (2024), NVL; {HALVED}"),
    Peak(r"B200", 75, 1100, 2250, 2250, f"NVIDIA Blackwell datasheet (2025), one GPU of HGX B200; {HALVED}"),
)

DTYPES = ("fp32", "tf32", "bf16", "fp16")
MAKER = re.compile(r"^(NVIDIA |Tesla )*")


def peak_rate(gpu_name: str, dtype: str) -> record.PeakRate | None:
    """Dense peak rate of the board NVML or torch calls `gpu_name`, for `dtype` of DTYPES.

    None for a board the table does not hold, for arithmetic the chip does not have (bf16 on a V100) and for a
    dtype outside DTYPES: MFU is then absent rather than wrong.
    """
    name = MAKER.sub("", gpu_name.strip())
    peak = next((p for p in PEAKS if re.fullmatch(p.names, name)), None)
    if peak is None or dtype not in DTYPES:
        return None
    rate = {"fp32": peak.fp32, "tf32": peak.tf32, "bf16": peak.bf16, "fp16": peak.fp16}[dtype]
    if rate is None:
        return None
    return record.PeakRate(flops_per_second=rate * 1e12, dtype=dtype, source=peak.source)


def mfu(achieved_flops_per_second: float, peak: record.PeakRate) -> float:
    """Model FLOPs utilisation: the share of the dense peak that the model's own FLOPs reach, in [0, 1].

    (Chowdhery et al. 2022, PaLM, section 4.1.)

    Raises:
        ValueError: the share exceeds 1, so the FLOPs, the seconds or the peak are wrong: most often the work
            ran at another precision than `peak.dtype`, or the GPU was not waited for.
    """
    share = achieved_flops_per_second / peak.flops_per_second
    if share > 1:
        raise ValueError(
            f"MFU of {share:.3g}: {achieved_flops_per_second:.4g} FLOP/s exceed the {peak.dtype} peak of "
            f"{peak.flops_per_second:.4g}: check the precision named for the run ({peak.source})"
        )
    return share


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
    limit = nvml.power_limit_watts(board)
    return record.Gpu(
        name=board.name,
        uuid=board.uuid,
        driver=version,
        power_limit_watts=limit,
        power_limit_watts_reason="the board has no power cap" if limit is None else None,
        **record.unknown("not read", "default_power_limit_watts", "max_sm_clock_mhz", "memory_bytes"),
        **record.unknown("not read", "persistence_mode", "mig"),
    )
