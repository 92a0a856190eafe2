"""Published exponents of compute-optimal language models, each with its source and what it counts.

Marks: R read again while this table was written, in the paper, its code or as others quote it; M recalled.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

Mark = Literal["R", "M"]


@dataclasses.dataclass(frozen=True)
class PublishedExponents:
    """N* ~ C^size, D* ~ C^seen and loss ~ C^-loss of one study and method; None where it gives none.

    Attributes:
        study, method, source: who, how, and where to find it.
        mark: how the exponents are known.
        size, seen, loss: the exponents.
        unit: what data are counted in, tokens with the size of their vocabulary.
        counted: which parameters N and which FLOPs C hold.
        range: sizes or compute that they stand on.
    """

    study: str
    method: str
    source: str
    mark: Mark
    size: float
    seen: float | None
    loss: float | None
    unit: str
    counted: str
    range: str


_HOFFMANN = {
    "study": "Hoffmann et al. 2022",
    "source": "arXiv 2203.15556, table 2",
    "unit": "tokens of 32,000",
    "counted": "all; FLOPs with embeddings",
    "range": "70 million to 16 billion parameters, 5 to 500 billion tokens",
}
_PORIAN = {
    "study": "Porian et al. 2024",
    "source": "arXiv 2406.19146 and its code",
    "unit": "tokens of about 50,000",
    "range": "1.25 × 10¹⁶ to 2.56 × 10¹⁹ FLOPs",
}
_GEMSTONES = {
    "study": "McLeish et al. 2025 (Gemstones)",
    "source": "arXiv 2502.06857, at second hand; 0.46 to 0.80 by choice of data",
    "unit": "tokens",
    "counted": "all",
    "range": "50 million to 2 billion parameters, up to 350 billion tokens",
}

PUBLISHED = (
    PublishedExponents(
        study="Kaplan et al. 2020",
        method="one schedule, long warm-up",
        source="arXiv 2001.08361",
        mark="R",
        size=0.73,
        seen=0.27,
        loss=0.050,
        unit="tokens of 50,257",
        counted="no embeddings, no readout; 6 N D",
        range="768 to 1.5 billion parameters",
    ),
    PublishedExponents(
        **_HOFFMANN, method="1 envelope of loss curves", mark="R", size=0.50, seen=0.50, loss=None
    ),
    PublishedExponents(**_HOFFMANN, method="2 IsoFLOP parabolas", mark="M", size=0.49, seen=0.51, loss=None),
    PublishedExponents(**_HOFFMANN, method="3 joint law", mark="M", size=0.46, seen=0.54, loss=None),
    PublishedExponents(
        study="Besiroglu et al. 2024",
        method="joint law refitted, alpha 0.3478, beta 0.3658",
        source="arXiv 2404.10102",
        mark="M",
        size=0.513,
        seen=0.487,
        loss=None,
        unit=_HOFFMANN["unit"],
        counted=_HOFFMANN["counted"],
        range="240 of Hoffmann's runs, read off a figure",
    ),
    PublishedExponents(
        **_PORIAN,
        method="Kaplan's, reproduced",
        mark="M",
        size=0.88,
        seen=0.12,
        loss=None,
        counted="no embeddings, no readout; 6 N D",
    ),
    PublishedExponents(
        **_PORIAN,
        method="corrected: readout, warm-up, optimizer",
        mark="M",
        size=0.50,
        seen=0.50,
        loss=None,
        counted="no embedding table; 6 N D",
    ),
    PublishedExponents(**_GEMSTONES, method="1 convex hull", mark="R", size=0.458, seen=None, loss=None),
    PublishedExponents(**_GEMSTONES, method="3 joint law", mark="R", size=0.697, seen=None, loss=None),
)
"""In order of time. D* exponents of studies with C = 6 N D are 1 less that of N*."""
