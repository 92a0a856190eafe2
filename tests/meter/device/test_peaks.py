"""Peak rates, cross-checked by multiprocessors x FLOPs per clock x rated boost clock."""

import re

import pytest

from isoflop.meter.device import peaks

# GPU, multiprocessors, dense tensor FLOPs per multiprocessor and clock (fp16, fp32 accumulate), GHz of its
# boost clock for tensor work, plain fp32 FLOPs a clock, GHz of its boost clock for them, memory in GiB.
# Tensor clocks of the NVL cards and all clocks of B200 and GB200 are not in print: these are what the
# datasheet's rates imply, so the four rows show no more than rates that agree, at a clock such chips have.
CHIPS: list[tuple[str, int, int, float, int, float, int]] = [
    ("Tesla V100-SXM2-16GB", 80, 1024, 1.53, 128, 1.53, 16),
    ("Tesla V100-PCIE-32GB", 80, 1024, 1.38, 128, 1.38, 32),
    ("Tesla V100S-PCIE-32GB", 80, 1024, 1.597, 128, 1.597, 32),
    ("Tesla T4", 40, 1024, 1.59, 128, 1.59, 16),
    ("NVIDIA TITAN RTX", 72, 1024, 1.77, 128, 1.77, 24),
    ("Quadro RTX 8000", 72, 1024, 1.77, 128, 1.77, 48),
    ("NVIDIA GeForce RTX 2080 Ti", 68, 512, 1.545, 128, 1.545, 11),
    ("NVIDIA GeForce RTX 2080", 46, 512, 1.71, 128, 1.71, 8),
    ("NVIDIA GeForce RTX 2070", 36, 512, 1.62, 128, 1.62, 8),
    ("NVIDIA A100-SXM4-80GB", 108, 2048, 1.41, 128, 1.41, 80),
    ("NVIDIA A100 80GB PCIe", 108, 2048, 1.41, 128, 1.41, 80),
    ("NVIDIA A30", 56, 2048, 1.44, 128, 1.44, 24),
    ("NVIDIA A40", 84, 1024, 1.74, 256, 1.74, 48),
    ("NVIDIA A10", 72, 1024, 1.695, 256, 1.695, 24),
    ("NVIDIA A10G", 80, 512, 1.71, 256, 1.71, 24),
    ("NVIDIA RTX A6000", 84, 1024, 1.80, 256, 1.80, 48),
    ("NVIDIA RTX A5000", 64, 1024, 1.695, 256, 1.695, 24),
    ("NVIDIA RTX A4000", 48, 1024, 1.56, 256, 1.56, 16),
    ("NVIDIA GeForce RTX 3090 Ti", 84, 512, 1.86, 256, 1.86, 24),
    ("NVIDIA GeForce RTX 3090", 82, 512, 1.695, 256, 1.695, 24),
    ("NVIDIA GeForce RTX 3080 Ti", 80, 512, 1.665, 256, 1.665, 12),
    ("NVIDIA GeForce RTX 3080", 68, 512, 1.71, 256, 1.71, 10),
    ("NVIDIA GeForce RTX 3080", 70, 512, 1.71, 256, 1.71, 12),
    ("NVIDIA GeForce RTX 3070 Ti", 48, 512, 1.77, 256, 1.77, 8),
    ("NVIDIA GeForce RTX 3070", 46, 512, 1.725, 256, 1.725, 8),
    ("NVIDIA GeForce RTX 3060 Ti", 38, 512, 1.665, 256, 1.665, 8),
    ("NVIDIA GeForce RTX 3060", 28, 512, 1.777, 256, 1.777, 12),
    ("NVIDIA GeForce RTX 4090", 128, 512, 2.52, 256, 2.52, 24),
    ("NVIDIA GeForce RTX 4080 SUPER", 80, 512, 2.55, 256, 2.55, 16),
    ("NVIDIA GeForce RTX 4080", 76, 512, 2.505, 256, 2.505, 16),
    ("NVIDIA GeForce RTX 4070 Ti SUPER", 66, 512, 2.61, 256, 2.61, 16),
    ("NVIDIA GeForce RTX 4070 Ti", 60, 512, 2.61, 256, 2.61, 12),
    ("NVIDIA GeForce RTX 4070 SUPER", 56, 512, 2.475, 256, 2.475, 12),
    ("NVIDIA GeForce RTX 4070", 46, 512, 2.475, 256, 2.475, 12),
    ("NVIDIA GeForce RTX 4060 Ti", 34, 512, 2.535, 256, 2.535, 16),
    ("NVIDIA GeForce RTX 4060", 24, 512, 2.46, 256, 2.46, 8),
    ("NVIDIA RTX 6000 Ada Generation", 142, 1024, 2.505, 256, 2.505, 48),
    ("NVIDIA L4", 58, 1024, 2.04, 256, 2.04, 24),
    ("NVIDIA L40", 142, 512, 2.49, 256, 2.49, 48),
    ("NVIDIA L40S", 142, 1024, 2.52, 256, 2.52, 48),
    ("NVIDIA H100 80GB HBM3", 132, 4096, 1.83, 256, 1.98, 80),
    ("NVIDIA H100 PCIe", 114, 4096, 1.62, 256, 1.755, 80),
    ("NVIDIA H100 NVL", 132, 4096, 1.545, 256, 1.785, 94),
    ("NVIDIA H200", 132, 4096, 1.83, 256, 1.98, 141),
    ("NVIDIA H200 NVL", 132, 4096, 1.545, 256, 1.785, 141),
    ("NVIDIA GH200 480GB", 132, 4096, 1.83, 256, 1.98, 96),
    ("NVIDIA B200", 148, 8192, 1.86, 256, 1.98, 180),
    ("NVIDIA GB200", 148, 8192, 2.062, 256, 2.11, 186),
    ("NVIDIA GeForce RTX 5090", 170, 512, 2.407, 256, 2.407, 32),
    ("NVIDIA GeForce RTX 5080", 84, 512, 2.617, 256, 2.617, 16),
    ("NVIDIA GeForce RTX 5070 Ti", 70, 512, 2.452, 256, 2.452, 16),
    ("NVIDIA GeForce RTX 5070", 48, 512, 2.512, 256, 2.512, 12),
    ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 188, 1024, 2.617, 256, 2.617, 96),
]


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: f"{chip[0]} {chip[-1]}")
def test_peaks_are_dense_and_follow_from_the_chip(chip: tuple[str, int, int, float, int, float, int]) -> None:
    name, multiprocessors, tensor, tensor_ghz, plain, plain_ghz, gib = chip
    fp16 = peaks.peak_rate(name, "fp16", gib * 2**30)
    fp32 = peaks.peak_rate(name, "fp32", gib * 2**30)
    assert fp16 is not None
    assert fp32 is not None
    assert fp16.flops_per_second == pytest.approx(multiprocessors * tensor * tensor_ghz * 1e9, rel=0.02)
    assert fp32.flops_per_second == pytest.approx(multiprocessors * plain * plain_ghz * 1e9, rel=0.02)
    assert "NVIDIA" in fp16.source


def test_every_row_has_a_cross_check_and_every_name_one_row() -> None:
    rows = [peaks.find_peak(name, gib * 2**30) for name, *_, gib in CHIPS]
    assert {id(row) for row in rows} == {id(row) for row in peaks.PEAKS}
    for name, *_, gib in CHIPS:
        bare = peaks.VENDOR.sub("", name)
        hits = [p for p in peaks.PEAKS if re.fullmatch(p.names, bare) and p.memory_gib in (None, gib)]
        assert len(hits) == 1, name


def test_rates_of_one_gpu_are_in_the_ratios_of_its_chip() -> None:
    for row in peaks.PEAKS:
        fp32, tf32, bf16, fp16 = row.tflops
        if tf32 is None or bf16 is None:
            assert tf32 is bf16, row
            assert fp16 / fp32 == pytest.approx(8 if "GeForce" not in row.names else 4, rel=0.02), row
        else:
            assert bf16 == fp16, row
            assert bf16 / tf32 == pytest.approx(2, rel=0.03), row
            assert tf32 >= fp32, row
        if "GeForce" in row.names and bf16 is not None:  # accumulating in fp32 is half as fast as in fp16
            assert bf16 / fp32 == pytest.approx(2, rel=0.01), row


# fp8, dense and accumulated in fp32, as documents print it in 1e12 FLOPs a second (recalled).
FP8_PRINTED = [
    ("NVIDIA GeForce RTX 4090", 330.3),
    ("NVIDIA RTX 6000 Ada Generation", 728.5),
    ("NVIDIA L4", 485 / 2),
    ("NVIDIA L40S", 733),
    ("NVIDIA H100 80GB HBM3", 1978.9),
    ("NVIDIA H100 PCIe", 1513),
    ("NVIDIA H200", 3958 / 2),
    ("NVIDIA B200", 9000 / 2),
    ("NVIDIA GeForce RTX 5090", 419),
]


@pytest.mark.parametrize(("name", "printed"), FP8_PRINTED)
def test_fp8_is_what_is_printed(name: str, printed: float) -> None:
    peak = peaks.peak_rate(name, "fp8")
    assert peak is not None
    assert peak.dtype == "fp8"
    assert peak.flops_per_second == pytest.approx(printed * 1e12, rel=0.015)


def test_fp8_is_on_chips_from_ada_on_alone() -> None:
    modern = re.compile(r"RTX (40|50)\d\d|Ada|\bL4|H100|H200|B200|Blackwell")
    for name, *_, gib in CHIPS:
        peak = peaks.peak_rate(name, "fp8", gib * 2**30)
        assert (peak is not None) == bool(modern.search(name)), name


# What documents print in whole numbers, of which an error of 1 may lie within the chip's tolerance: plain
# fp32, tf32 and fp16 in 1e12 FLOPs a second, and whether the last two are printed with 2:4 sparsity, which
# doubles them. The figures of GB200 are those of a rack of 72.
PRINTED: list[tuple[str, float, float | None, float, bool]] = [
    ("Tesla V100-SXM2-16GB", 15.7, None, 125, False),
    ("Tesla V100-PCIE-32GB", 14, None, 112, False),
    ("Tesla V100S-PCIE-32GB", 16.4, None, 130, False),
    ("Tesla T4", 8.1, None, 65, False),
    ("NVIDIA A100-SXM4-80GB", 19.5, 156, 312, False),
    ("NVIDIA A30", 10.3, 82, 165, False),
    ("NVIDIA A10", 31.2, 62.5, 125, False),
    ("NVIDIA A10G", 35, 35, 70, False),
    ("NVIDIA GeForce RTX 3090", 35.6, 35.6, 71, False),
    ("NVIDIA L4", 30.3, 120, 242, True),
    ("NVIDIA L40S", 91.6, 183, 362.05, False),
    ("NVIDIA H100 PCIe", 51.2, 378, 756, False),
    ("NVIDIA H100 NVL", 60, 835, 1671, True),
    ("NVIDIA H200", 67, 989, 1979, True),
    ("NVIDIA H200 NVL", 60, 835, 1671, True),
    ("NVIDIA GH200 480GB", 67, 494, 990, False),
    ("NVIDIA B200", 75, 2200, 4500, True),
    ("NVIDIA GB200", 5760 / 72, 180_000 / 72, 360_000 / 72, True),
]


@pytest.mark.parametrize("printed", PRINTED, ids=lambda printed: printed[0])
def test_whole_numbers_are_those_in_print(printed: tuple[str, float, float | None, float, bool]) -> None:
    name, plain, tf32, fp16, sparse = printed
    halved = 2 if sparse else 1
    row = peaks.find_peak(name)
    assert row is not None
    assert row.tflops[0] == plain
    assert row.tflops[1] == (None if tf32 is None else tf32 / halved)
    assert row.tflops[3] == fp16 / halved


def test_every_row_says_which_document_and_which_year_or_how_it_is_derived() -> None:
    for row in peaks.PEAKS:
        dated = re.search(r"(datasheet|whitepaper) \((20\d\d)\)", row.source)
        assert dated or row.source == peaks.RATED, row


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 3080",  # 10 or 12 GB: two chips under one name
        "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        "NVIDIA H100",
        "NVIDIA H20",
        "AMD Instinct MI300X",
        "",
    ],
)
def test_a_gpu_that_is_not_in_the_table_has_no_peak(name: str) -> None:
    assert peaks.peak_rate(name, "bf16") is None


def test_arithmetic_the_chip_lacks_has_no_peak() -> None:
    assert peaks.peak_rate("Tesla V100-SXM2-16GB", "bf16") is None
    assert peaks.peak_rate("Tesla T4", "tf32") is None
    assert peaks.peak_rate("NVIDIA A100-SXM4-80GB", "fp8") is None
    assert peaks.peak_rate("NVIDIA H200", "fp4") is None


def test_dtype_form_factor_and_memory_matter() -> None:
    def rate(name: str, dtype: str, gib: float | None = None) -> float:
        peak = peaks.peak_rate(name, dtype, None if gib is None else gib * 2**30)
        assert peak is not None
        assert peak.dtype == dtype
        return peak.flops_per_second

    assert rate("NVIDIA A100-PCIE-40GB", "tf32") == 156e12
    assert rate("NVIDIA A100-PCIE-40GB", "fp32") == 19.5e12
    assert rate("NVIDIA H100 PCIe", "bf16") < 0.8 * rate("NVIDIA H100 80GB HBM3", "bf16")
    assert rate("NVIDIA H100 NVL", "bf16") == rate("NVIDIA H200 NVL", "bf16") == 835.5e12
    assert rate("NVIDIA GeForce RTX 3080", "bf16", 9.9) < rate("NVIDIA GeForce RTX 3080", "bf16", 12)
