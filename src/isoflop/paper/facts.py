"""Numbers of the paper and of the world that the sections use, each with its source and mark.

Marks as in isoflop.paper.section: S in articles or code of the authors, D derived, M recalled and not
re-read; R re-read: seen again, at the source or quoted by others, while this table was written.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Literal

from isoflop.curve.estimate import Interval

FactMark = Literal["S", "D", "M", "R"]


@dataclasses.dataclass(frozen=True)
class TableTarget:
    """One target of the paper's extrapolation table: `error` a fraction (1 less the score for COCO, SQuAD,
    CoNLL and WMT), and log10 of GFLOPs, pounds of CO2 and dollars under both forms."""

    benchmark: str
    error: float
    polynomial: tuple[int, int, int]
    exponential: tuple[int, int, int]


TABLE = (
    TableTarget("ImageNet", 0.115, (14, 6, 6), (14, 6, 6)),
    TableTarget("ImageNet", 0.05, (19, 10, 11), (27, 19, 19)),
    TableTarget("ImageNet", 0.01, (28, 20, 20), (120, 112, 112)),
    TableTarget("MS COCO", 0.467, (14, 6, 6), (15, 7, 7)),
    TableTarget("MS COCO", 0.30, (23, 14, 15), (29, 21, 21)),
    TableTarget("MS COCO", 0.10, (44, 36, 36), (107, 99, 99)),
    TableTarget("SQuAD 1.1", 0.04621, (13, 4, 5), (13, 5, 5)),
    TableTarget("SQuAD 1.1", 0.02, (15, 7, 7), (23, 15, 15)),
    TableTarget("SQuAD 1.1", 0.01, (18, 10, 10), (40, 32, 32)),
    TableTarget("CoNLL 2003", 0.065, (13, 5, 5), (13, 5, 5)),
    TableTarget("CoNLL 2003", 0.02, (43, 35, 35), (82, 73, 74)),
    TableTarget("CoNLL 2003", 0.01, (61, 53, 53), (181, 173, 173)),
    TableTarget("WMT14 En-Fr", 0.544, (12, 4, 4), (12, 4, 4)),
    TableTarget("WMT14 En-Fr", 0.30, (23, 15, 15), (30, 22, 22)),
    TableTarget("WMT14 En-Fr", 0.10, (43, 35, 35), (107, 100, 100)),
)
"""The paper's extrapolation table [M; 29 of its 30 cells of compute agree with what follows from the authors'
published points, D]."""
TABLE_MARK: FactMark = "M"


def truncated(exponent: int) -> Interval:
    """Return what a whole power of ten of the table stands for, in log10: it is truncated, not rounded.

    Of the 30 exponents that follow from the authors' points 29 lie in [k, k + 1), and 12 outside k ± 0.5 [D].
    """
    return Interval(float(exponent), float(exponent + 1))


BENCHMARKS = tuple(name for name, _ in itertools.groupby(TABLE, key=lambda c: c.benchmark))

HARDWARE_ALPHA = {
    "ImageNet": 13.6,
    "MS COCO": 44.0,
    "SQuAD 1.1": 7.8,
    "CoNLL 2003": 60.0,
    "WMT14 En-Fr": 42.0,
}
"""The paper's alpha over the hardware burden (processors x peak rate x time), by benchmark [D: from the
authors' published points]."""
QUOTED_ALPHA = {"SQuAD 1.1": 7.7}
"""The same as the authors' articles quote it [S]."""


@dataclasses.dataclass(frozen=True)
class Quoted:
    """A figure of the paper or of its authors' articles that is quoted: its points cannot be had."""

    area: str
    what: str
    value: str
    mark: FactMark


QUOTED = (
    Quoted("ImageNet, per network pass", "alpha (95%), R²", "9 (7.0 to 13.9), 43%", "M"),
    Quoted("Question answering", "alpha in the articles; their points of SQuAD 1.1 give 7.8", "7.7", "S"),
)
IMAGENET_ALPHA = (9.0, 7.0, 13.9)
"""The paper's alpha for ImageNet per network pass, with its 95% interval [M]."""
THEORY_ALPHA = 4.0
"""k times better needs k^2 data and so k^4 compute [M]."""
GROWTH_A_YEAR = 10.0
"""Compute of the largest models, times a year, 2012 to 2019 [S]."""
OPENAI_DOUBLING_MONTHS = 3.43
"""OpenAI, AI and Compute, 2018: fit over 2012 to 2018 [S]."""
BILL_ERROR = 0.05

FLOPS_PER_POUND_CO2 = 1.25e17
FLOPS_PER_DOLLAR = 1e17
FLOPS_PER_DOLLAR_RANGE = (0.8e17, 1.2e17)
"""The conversions that the paper's extrapolation table implies [D]."""
GRAMS_PER_POUND = 453.59237


@dataclasses.dataclass(frozen=True)
class Equivalent:
    """An amount of CO2 in pounds, or of money in dollars, that people have a feeling for."""

    name: str
    many: str
    amount: float
    unit: Literal["pounds of CO2", "dollars"]
    source: str
    mark: FactMark


STRUBELL = "Strubell, Ganesh and McCallum 2019 (arXiv 1906.02243), table 1, as others quote it"
EQUIVALENTS = (
    Equivalent(
        "flight New York to San Francisco and back, one seat",
        "return flights New York to San Francisco",
        1_984,
        "pounds of CO2",
        STRUBELL,
        "R",
    ),
    Equivalent(
        "a home's energy for a year (United States)",
        "household-years of energy",
        7.93e6 / GRAMS_PER_POUND,
        "pounds of CO2",
        "EPA, Greenhouse Gas Equivalencies Calculator, 7.93 t a home and year",
        "M",
    ),
    Equivalent("a car's lifetime with its fuel", "car lifetimes", 126_000, "pounds of CO2", STRUBELL, "R"),
    Equivalent(
        "the world's CO2 from energy in a year",
        "years of the world's CO₂ from energy",
        37.4e15 / GRAMS_PER_POUND,
        "pounds of CO2",
        "IEA, CO2 Emissions in 2023: 37.4 Gt",
        "M",
    ),
    Equivalent(
        "the world's product in a year",
        "years of the world's product",
        1.05e14,
        "dollars",
        "World Bank, gross world product 2023, about 105 trillion dollars",
        "M",
    ),
)


@dataclasses.dataclass(frozen=True)
class ReferenceGpu:
    """The GPU of today's conversion: dense peak in FLOP/s, board power in watts, and the share of the peak
    that training reaches, with the range over which that share is varied."""

    name: str
    dtype: str
    board_watts: float
    share: float
    share_range: tuple[float, float]
    source: str
    mark: FactMark


TODAY = ReferenceGpu(
    name="H100 80GB HBM3",
    dtype="bf16",
    board_watts=700.0,
    share=0.4,
    share_range=(0.2, 0.6),
    source="NVIDIA H100 datasheet: 700 W; 40% of the dense peak, as well-run training reports",
    mark="M",
)

IMAGENET_TRAIN_IMAGES = 1_281_167
EPOCHS = 90
PASSES_PER_EXAMPLE = 3
"""A usual training of ImageNet: 90 epochs, each example costing a forward pass and a backward one of twice
that. The number of images is of ILSVRC 2012 [M]."""
