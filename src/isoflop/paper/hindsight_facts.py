"""Lines through the authors' points over the hardware burden, and errors that have been reached since.

The points are those of the authors' public site (github.com/Computer-Progress/computerprogress.com, data/*.js
at commit 8897c8b): name, burden in GFLOP and score of each model, 101 in all. They are not shipped: what
follows from them stands here, by least squares as in isoflop.paper.published; lower ends are those of 95%
intervals over 2,000 resamples of models (seed 0). All [D].
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class FittedForm:
    """A form's line over log10 GFLOP of burden: log10(1/e), or 1/e, = intercept + slope x, and its R^2."""

    intercept: float
    slope: float
    r_squared: float


@dataclasses.dataclass(frozen=True)
class BenchmarkLines:
    """Both forms through the `points` of one benchmark."""

    points: int
    polynomial: FittedForm
    exponential: FittedForm

    def of(self, form: str) -> FittedForm:
        """Return the line of a form by its name."""
        return self.polynomial if form == "polynomial" else self.exponential


LINES = {
    "ImageNet": BenchmarkLines(
        13, FittedForm(-0.096467, 0.073338, 0.452), FittedForm(-4.14564, 0.866917, 0.484)
    ),
    "MS COCO": BenchmarkLines(
        33, FittedForm(0.001514, 0.022578, 0.290), FittedForm(0.839774, 0.0851004, 0.273)
    ),
    "SQuAD 1.1": BenchmarkLines(
        16, FittedForm(-0.345329, 0.128596, 0.682), FittedForm(-19.804598, 2.986622, 0.757)
    ),
    "CoNLL 2003": BenchmarkLines(
        13, FittedForm(0.964359, 0.0168111, 0.418), FittedForm(8.591920, 0.504471, 0.412)
    ),
    "WMT14 En-Fr": BenchmarkLines(
        13, FittedForm(-0.031287, 0.0236901, 0.516), FittedForm(0.755401, 0.0855548, 0.486)
    ),
    "WMT14 En-De": BenchmarkLines(
        13, FittedForm(0.118619, 0.00230458, 0.003), FittedForm(1.275652, 0.0109877, 0.006)
    ),
}
"""Of WMT14 En-De the line all but lacks a slope (R^2 0.3%): no exponent and no demand follows."""

TABLE_DERIVED = {
    ("ImageNet", 0.115): (14.12, 14.81),
    ("ImageNet", 0.05): (19.06, 27.85),
    ("ImageNet", 0.01): (28.59, 120.13),
    ("MS COCO", 0.467): (14.58, 15.29),
    ("MS COCO", 0.30): (23.09, 29.30),
    ("MS COCO", 0.10): (44.22, 107.64),
    ("SQuAD 1.1", 0.04621): (13.07, 13.88),
    ("SQuAD 1.1", 0.02): (15.90, 23.37),
    ("SQuAD 1.1", 0.01): (18.24, 40.11),
    ("CoNLL 2003", 0.065): (13.25, 13.46),
    ("CoNLL 2003", 0.02): (43.70, 82.08),
    ("CoNLL 2003", 0.01): (61.60, 181.20),
    ("WMT14 En-Fr", 0.544): (12.48, 12.66),
    ("WMT14 En-Fr", 0.30): (23.39, 30.13),
    ("WMT14 En-Fr", 0.10): (43.53, 108.05),
}
"""(benchmark, error) -> log10 GFLOP that the polynomial and the exponential line demand: the paper prints the
whole part of 29 of these 30, and 107 for the last."""


@dataclasses.dataclass(frozen=True)
class Reached:
    """An error that has been reached after the paper's models.

    Attributes:
        benchmark: as in LINES.
        error: 1 less the score.
        model, year: what reached it, and when.
        extra: data beyond the benchmark that it was pretrained on.
        polynomial_low, exponential_low: lower ends of log10 GFLOP that the two lines demand.
        source: where the score stands.
    """

    benchmark: str
    error: float
    model: str
    year: int
    extra: str
    polynomial_low: float
    exponential_low: float
    source: str


REACHED = (
    Reached(
        "ImageNet",
        0.09,
        "CoCa, 91.0% top-1",
        2022,
        "web-scale alt-text and annotated images",
        13.49,
        15.17,
        "arXiv 2205.01917, abstract",
    ),
    Reached(
        "MS COCO",
        0.34,
        "Co-DETR ViT-L, 66.0 AP on test-dev",
        2023,
        "Objects365 (weights are released under that name)",
        16.04,
        18.12,
        "github.com/Sense-X/Co-DETR, docs/en/sota_release.md",
    ),
    Reached(
        "MS COCO",
        0.355,
        "Co-DETR, 64.5 AP on test-dev",
        2022,
        "ImageNet-1K only",
        15.58,
        17.33,
        "github.com/Sense-X/Co-DETR, README, 19 November 2022",
    ),
    Reached(
        "SQuAD 1.1",
        0.046,
        "LUKE large, F1 95.4",
        2020,
        "Wikipedia of December 2018, after RoBERTa",
        12.35,
        12.86,
        "model card studio-ousia/luke-large",
    ),
    Reached(
        "CoNLL 2003",
        0.054,
        "ACE, F1 94.6, document level",
        2021,
        "pretrained embeddings such as those of BERT",
        13.94,
        15.13,
        "github.com/Alibaba-NLP/ACE, README",
    ),
    Reached(
        "WMT14 En-Fr",
        0.536,
        "Transformer with ADMIN, 46.4 BLEU",
        2020,
        "back-translated text",
        11.81,
        11.93,
        "arXiv 2008.07772, abstract",
    ),
)

LARGEST_TRAINING_FLOPS = 5e25
"""The largest training run known up to 2023, the year of the last of these results, counted, by Epoch AI's
table [D]. Larger ones have followed (notable.py), and none of them made these results."""
ALLOWANCE = 10.0
"""By which the largest run is raised before it is compared: the paper's burden counts peak rates, of which
training reaches a third or less, and larger runs may be unknown."""
