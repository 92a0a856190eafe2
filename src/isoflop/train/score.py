"""What an evaluation gives: errors and losses of a model on one part of the data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class OverDocuments:
    """Standard errors of the mean loss (nats a byte) and of the error of text, over its `documents`."""

    documents: int
    loss_se_nats: float
    error_se: float

    @property
    def student_factor(self) -> float:
        """Student's factor of a 95% interval: standard errors to either side."""
        from scipy.special import stdtrit

        return float(stdtrit(self.documents - 1, 0.975))


@dataclasses.dataclass(frozen=True)
class Score:
    """Result of an evaluation: `wrong` of `n` examples predicted wrongly, cross-entropy `loss` in nats.

    An example is an image, or a byte of text.

    `brier` is the Brier score of images (Brier 1950): the mean over images of the sum over classes of
    (probability - indicator)^2, in [0, 2]; None for text, and in a checkpoint of a version that did not
    compute it. For text `over_documents` holds the standard errors of loss and error, where two documents or
    more were evaluated, and `window_nats` [W] the mean loss of each window of the test part.
    """

    wrong: int
    n: int
    loss: float
    brier: float | None = None
    over_documents: OverDocuments | None = None
    window_nats: tuple[float, ...] | None = None

    @property
    def error(self) -> float:
        """Fraction predicted wrongly, in [0, 1]."""
        return self.wrong / self.n

    @property
    def is_of_text(self) -> bool:
        """Whether this is the score of the test part of a text; other parts and images keep no windows."""
        return self.window_nats is not None


def over_documents(
    losses: NDArray[np.float64], wrong: NDArray[np.int64], documents: Sequence[int], examples: int
) -> OverDocuments | None:
    """Return the standard errors over documents, or None for a single document.

    Bytes of one document are alike, so that documents and not bytes are what was drawn at random. The means
    are ratios of two sums over documents, whose variance is the linearised one of cluster sampling (Cochran
    1977, section 11.8; no correction for a finite population).

    Args:
        losses: summed loss (W,) of each window, in nats.
        wrong: wrongly predicted bytes (W,) of each window.
        documents: the document (W,) of each window.
        examples: bytes of a window.
    """
    names, index = np.unique(np.asarray(documents), return_inverse=True)
    if len(names) < 2:
        return None
    sizes = examples * np.bincount(index).astype(float)

    def standard_error(sums: NDArray[np.float64]) -> float:
        totals = np.bincount(index, sums)
        residuals = totals - totals.sum() / sizes.sum() * sizes
        return math.sqrt(len(names) / (len(names) - 1) * float(residuals @ residuals)) / float(sizes.sum())

    return OverDocuments(len(names), standard_error(losses), standard_error(wrong.astype(float)))
