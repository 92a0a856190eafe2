"""Dense peak rates of GPUs by data type, each with its source.

The rates are dense (without the 2:4 sparsity that doubles the figures in bold print) and for products
accumulated in fp32, as training does: on GeForce GPUs since Turing that is half of what accumulating in fp16
gives. A name must match as a whole: an H100 PCIe is 24% slower than an H100 SXM, an A10G is not an A10, and
a MIG instance has no rate here. docs/hardware.md lists the GPUs that are left out, and why.
"""

from __future__ import annotations

import dataclasses
import re

from isoflop import record

DTYPES = ("fp32", "tf32", "bf16", "fp16", "fp8")
FP8_OVER_BF16 = 2.0
"""On every chip with fp8, by the same documents: those that print both round within 1.3% of it."""
VENDOR = re.compile(r"^(NVIDIA |Tesla )*")
GIBIBYTE = 2**30


@dataclasses.dataclass(frozen=True)
class Peak:
    """Dense peak rates of one GPU model.

    Attributes:
        names: regular expression that matches the whole of NVML's name without its vendor.
        tflops: 1e12 FLOPs a second (2 per multiply-accumulate) in fp32, tf32, bf16 and fp16; None if the chip
            has no such arithmetic.
        source: the document the rates come from.
        memory_gib: tells apart two GPU models that share a name; None if the name is unambiguous.
        fp8: whether the chip has fp8 (Ada, Hopper, Blackwell).
    """

    names: str
    tflops: tuple[float, float | None, float | None, float]
    source: str
    memory_gib: int | None = None
    fp8: bool = False

    def rate(self, dtype: str) -> float | None:
        """Return 1e12 FLOPs a second in one of DTYPES; None if the chip has no such arithmetic."""
        plain = dict(zip(DTYPES, self.tflops, strict=False))
        if dtype != "fp8":
            return plain[dtype]
        bf16 = plain["bf16"]
        return None if bf16 is None or not self.fp8 else FP8_OVER_BF16 * bf16


TURING = "NVIDIA Turing GPU architecture whitepaper (2018), reference board, fp32 accumulate"
GA102 = "NVIDIA Ampere GA102 GPU architecture whitepaper (2021), fp32 accumulate"
ADA = "NVIDIA Ada GPU architecture whitepaper (2023), fp32 accumulate"
RTX_BLACKWELL = "NVIDIA RTX Blackwell GPU architecture whitepaper (2025), fp32 accumulate"
RATED = (
    "NVIDIA's product page: multiprocessors and boost clock, times the chip's FLOPs a clock, fp32 accumulate"
)
SPARSE = "printed with sparsity: halved here"
HOPPER = "NVIDIA H100 Tensor Core GPU architecture whitepaper (2022), table 2"
B200 = "NVIDIA Blackwell datasheet (2025), one GPU of"

PEAKS = (
    Peak(r"V100-(SXM2|DGXS)-(16|32)GB", (15.7, None, None, 125), "NVIDIA V100 datasheet (2020), SXM2"),
    Peak(r"V100-PCIE-(16|32)GB", (14.0, None, None, 112), "NVIDIA V100 datasheet (2020), PCIe"),
    Peak(r"V100S-PCIE-32GB", (16.4, None, None, 130), "NVIDIA V100 datasheet (2020), V100S PCIe"),
    Peak(r"T4", (8.1, None, None, 65), "NVIDIA T4 datasheet (2019)"),
    Peak(r"TITAN RTX|Quadro RTX [68]000", (16.3, None, None, 130.5), TURING),
    Peak(r"GeForce RTX 2080 Ti", (13.4, None, None, 53.8), TURING),
    Peak(r"GeForce RTX 2080", (10.1, None, None, 40.3), TURING),
    Peak(r"GeForce RTX 2070", (7.5, None, None, 29.9), TURING),
    Peak(
        r"A100-SXM4-(40|80)GB|A100-PCIE-(40|80)GB|A100 80GB PCIe",
        (19.5, 156, 312, 312),
        "NVIDIA A100 Tensor Core GPU datasheet (2021)",
    ),
    Peak(r"A30", (10.3, 82, 165, 165), "NVIDIA A30 datasheet (2021)"),
    Peak(r"A40", (37.4, 74.8, 149.7, 149.7), "NVIDIA A40 datasheet (2021)"),
    Peak(r"A10", (31.2, 62.5, 125, 125), "NVIDIA A10 datasheet (2021)"),
    Peak(r"A10G", (35, 35, 70, 70), "NVIDIA A10G datasheet (2022)"),
    Peak(r"RTX A6000", (38.7, 77.4, 154.8, 154.8), GA102),
    Peak(r"RTX A5000", (27.8, 55.5, 111.1, 111.1), f"NVIDIA RTX A5000 datasheet (2021), {SPARSE}"),
    Peak(r"RTX A4000", (19.2, 38.3, 76.7, 76.7), f"NVIDIA RTX A4000 datasheet (2021), {SPARSE}"),
    Peak(r"GeForce RTX 3090 Ti", (40.0, 40.0, 80.0, 80.0), ADA),
    Peak(r"GeForce RTX 3090", (35.6, 35.6, 71, 71), GA102),
    Peak(r"GeForce RTX 3080 Ti", (34.1, 34.1, 68.2, 68.2), RATED),
    Peak(r"GeForce RTX 3080", (29.8, 29.8, 59.5, 59.5), GA102, memory_gib=10),
    Peak(r"GeForce RTX 3080", (30.6, 30.6, 61.3, 61.3), RATED, memory_gib=12),
    Peak(r"GeForce RTX 3070 Ti", (21.7, 21.7, 43.5, 43.5), RATED),
    Peak(r"GeForce RTX 3070", (20.3, 20.3, 40.6, 40.6), GA102),
    Peak(r"GeForce RTX 3060 Ti", (16.2, 16.2, 32.4, 32.4), RATED),
    Peak(r"GeForce RTX 3060", (12.7, 12.7, 25.5, 25.5), RATED),
    Peak(r"GeForce RTX 4090", (82.6, 82.6, 165.2, 165.2), ADA, fp8=True),
    Peak(r"GeForce RTX 4080 SUPER", (52.2, 52.2, 104.4, 104.4), RATED, fp8=True),
    Peak(r"GeForce RTX 4080", (48.7, 48.7, 97.5, 97.5), ADA, fp8=True),
    Peak(r"GeForce RTX 4070 Ti SUPER", (44.1, 44.1, 88.2, 88.2), RATED, fp8=True),
    Peak(r"GeForce RTX 4070 Ti", (40.1, 40.1, 80.2, 80.2), RATED, fp8=True),
    Peak(r"GeForce RTX 4070 SUPER", (35.5, 35.5, 71.0, 71.0), RATED, fp8=True),
    Peak(r"GeForce RTX 4070", (29.1, 29.1, 58.3, 58.3), RATED, fp8=True),
    Peak(r"GeForce RTX 4060 Ti", (22.1, 22.1, 44.1, 44.1), RATED, fp8=True),
    Peak(r"GeForce RTX 4060", (15.1, 15.1, 30.2, 30.2), RATED, fp8=True),
    Peak(r"RTX 6000 Ada Generation", (91.1, 182.1, 364.2, 364.2), ADA, fp8=True),
    Peak(r"L4", (30.3, 60, 121, 121), f"NVIDIA L4 datasheet (2023), {SPARSE}", fp8=True),
    Peak(r"L40", (90.5, 90.5, 181.05, 181.05), "NVIDIA L40 datasheet (2023)", fp8=True),
    Peak(r"L40S", (91.6, 183, 362.05, 362.05), "NVIDIA L40S datasheet (2023)", fp8=True),
    Peak(r"H100 80GB HBM3", (66.9, 494.7, 989.4, 989.4), f"{HOPPER}, SXM5", fp8=True),
    Peak(r"H100 PCIe", (51.2, 378, 756, 756), f"{HOPPER}, PCIe", fp8=True),
    Peak(r"H100 NVL", (60, 417.5, 835.5, 835.5), f"NVIDIA H100 datasheet (2024), NVL, {SPARSE}", fp8=True),
    Peak(r"H200", (67, 494.5, 989.5, 989.5), f"NVIDIA H200 datasheet (2024), SXM, {SPARSE}", fp8=True),
    Peak(r"H200 NVL", (60, 417.5, 835.5, 835.5), f"NVIDIA H200 datasheet (2024), NVL, {SPARSE}", fp8=True),
    Peak(
        r"GH200 (120GB|480GB|144G HBM3e)",
        (67, 494, 990, 990),
        f"NVIDIA GH200 datasheet (2024), {SPARSE}",
        fp8=True,
    ),
    Peak(r"B200", (75, 1100, 2250, 2250), f"{B200} HGX B200, {SPARSE}", fp8=True),
    Peak(r"GB200", (80, 1250, 2500, 2500), f"{B200} GB200 NVL72, {SPARSE}", fp8=True),
    Peak(r"GeForce RTX 5090", (104.8, 104.8, 209.5, 209.5), RTX_BLACKWELL, fp8=True),
    Peak(r"GeForce RTX 5080", (56.3, 56.3, 112.6, 112.6), RTX_BLACKWELL, fp8=True),
    Peak(r"GeForce RTX 5070 Ti", (43.9, 43.9, 87.9, 87.9), RTX_BLACKWELL, fp8=True),
    Peak(r"GeForce RTX 5070", (30.9, 30.9, 61.7, 61.7), RTX_BLACKWELL, fp8=True),
    Peak(
        r"RTX PRO 6000 Blackwell Workstation Edition", (126.0, 251.9, 503.8, 503.8), RTX_BLACKWELL, fp8=True
    ),
)


def find_peak(gpu_name: str, memory_bytes: float | None = None) -> Peak | None:
    """Return the table's row for the GPU that NVML or torch calls `gpu_name`, or None.

    Two models that share a name are told apart by `memory_bytes`; without it neither matches.
    """
    name = VENDOR.sub("", gpu_name.strip())
    gib = None if memory_bytes is None else round(memory_bytes / GIBIBYTE)
    rows = (p for p in PEAKS if re.fullmatch(p.names, name) and p.memory_gib in (None, gib))
    return next(rows, None)


def peak_rate(gpu_name: str, dtype: str, memory_bytes: float | None = None) -> record.PeakRate | None:
    """Return the dense peak rate of the GPU that NVML or torch calls `gpu_name`, for `dtype` of DTYPES.

    None for a GPU that is not in the table, for arithmetic the chip does not have (bf16 on a V100) and for a
    dtype outside DTYPES: MFU is then absent rather than wrong.
    """
    row = find_peak(gpu_name, memory_bytes)
    if row is None or dtype not in DTYPES:
        return None
    tflops = row.rate(dtype)
    if tflops is None:
        return None
    return record.PeakRate(flops_per_second=tflops * 1e12, dtype=dtype, source=row.source)
