"""What a run needs to know of its data, be they images or text."""

from __future__ import annotations

import dataclasses
from typing import Protocol


class DataSet(Protocol):
    """Data on one device, in three parts.

    An example is an image, or a byte of text; a row of a batch is an image, or a window of text.
    """

    @property
    def name(self) -> str:
        """As in the configuration."""

    @property
    def classes(self) -> int:
        """Number of logits: of classes, or of byte values."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Sizes of a row: (channels, height, width), or (context,)."""

    @property
    def train_n(self) -> int:
        """Examples that one pass over the training part reads."""

    @property
    def val_n(self) -> int:
        """Examples of the validation part that are evaluated."""

    @property
    def test_n(self) -> int:
        """Examples of the test part that are evaluated."""

    @property
    def chance_error(self) -> float:
        """Test error of always predicting the most frequent class of the test part."""

    @property
    def split_sha256(self) -> str:
        """Hash of what is in which part."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a plan needs to know of a data set.

    Attributes:
        train_n: training examples.
        input_shape: sizes of a row: (channels, height, width), or (context,).
        classes: number of logits.
        passes: the most passes over the training examples that are allowed; None for any number.
    """

    train_n: int
    input_shape: tuple[int, ...]
    classes: int
    passes: float | None = None
