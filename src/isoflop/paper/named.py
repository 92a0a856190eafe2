"""Models that the articles name: processors x peak x time against counted FLOPs, with what does not fit.

The paper's hardware burden is the former; the share of the peak that the latter makes of it says how far the
two are apart. What is not known is None, with the reason.
"""

from __future__ import annotations

import dataclasses

from isoflop.paper.facts import FactMark

DAY = 86_400.0
YEAR = 365.25 * DAY


@dataclasses.dataclass(frozen=True)
class NamedModel:
    """A model with its training as its source reports it.

    Attributes:
        name, year: of the model.
        reported: processors and time, as the source has them.
        mark: of `reported`.
        processors: how many.
        peak_flops: of one, a second; None where it is not known which.
        seconds: least and most.
        counted_flops: of the training; None where nobody counted.
        remark: what does not fit, or what is not known.
        source: of the counted FLOPs and of the peak.
    """

    name: str
    year: int
    reported: str
    mark: FactMark
    processors: float
    peak_flops: float | None
    seconds: tuple[float, float]
    counted_flops: float | None
    remark: str
    source: str

    @property
    def burden_flops(self) -> tuple[float, float] | None:
        """Return the least and the most of processors x peak x time, None without a peak."""
        if self.peak_flops is None:
            return None
        rate = self.processors * self.peak_flops
        return rate * self.seconds[0], rate * self.seconds[1]

    @property
    def share(self) -> tuple[float, float] | None:
        """Return the share of the peak that the counted FLOPs make, least first; None where unknown."""
        burden = self.burden_flops
        if burden is None or self.counted_flops is None:
            return None
        return self.counted_flops / burden[1], self.counted_flops / burden[0]


NAMED = (
    NamedModel(
        "AlexNet",
        2012,
        "2 GPUs, 5 to 6 days",
        "S",
        2,
        1.58e12,
        (5 * DAY, 6 * DAY),
        4.7e17,
        "The authors' point, 1.50e9 GFLOP, is that of 5.5 days: a third of it was counted.",
        "GTX 580 at 1,580 GFLOP/s [S]; counted: Epoch AI [D]",
    ),
    NamedModel(
        "ResNeXt-101",
        2017,
        "8 GPUs, over 10 days",
        "S",
        8,
        6.85e12,
        (10 * DAY, 10 * DAY),
        None,
        "The authors' point, 5.92e9 GFLOP, is 10 days of one processor of 6,850 GFLOP/s; of eight it is "
        "eight times that. Counted FLOPs of this training are not known.",
        "peak: from the authors' point [D]; the article's time is a least",
    ),
    NamedModel(
        "NoisyStudent (EfficientNet-L2)",
        2019,
        "about 1,000 TPUs, 6 days",
        "S",
        1_000,
        1e14,
        (6 * DAY, 6 * DAY),
        None,
        "The authors' point, 5.18e13 GFLOP, is 6 days of a pod of 1e8 GFLOP/s. It is of the last student; "
        "teachers before it, and counted FLOPs, are not known.",
        "peak of a TPUv3 pod: from the authors' point [D]",
    ),
    NamedModel(
        "Evolved Transformer, with its search",
        2019,
        "over 2 million GPU-hours, millions of dollars",
        "S",
        1,
        1.06e13,
        (2e6 * 3_600, 2e6 * 3_600),
        None,
        "The authors' point for WMT14 En-De, 6.48e9 GFLOP, is of the training alone: the search took some "
        "10,000 times that, and none of it is in the fitted line.",
        "P100 at 10.6 TFLOP/s (datasheet) [M]; the hours are of a GPU that the article does not name",
    ),
    NamedModel(
        "GPT-3",
        2020,
        "355 GPU-years, 4.6 million dollars",
        "S",
        1,
        1.25e14,
        (355 * YEAR, 355 * YEAR),
        3.14e23,
        "355 years is the counted FLOPs over an assumed 28 TFLOP/s, not a time that was measured: the share "
        "of the peak is that assumption (28 of 125). 4.6 million dollars are $1.48 a GPU-hour.",
        "V100 at 125 TFLOP/s of fp16 (datasheet, meter/device/peaks.py); counted: Epoch AI [D]",
    ),
)
CARS = 126_000.0
"""Pounds of CO2 of a car's lifetime with its fuel, as in facts.EQUIVALENTS [R]."""
SEARCH_POUNDS = 626_155.0
"""CO2 of an architecture search with its training, Strubell et al. 2019 [M]: five cars."""
ARTICLE_POUNDS = 266_000.0
"""The same in one of the articles, which calls it five cars as well [S]: it is two."""
