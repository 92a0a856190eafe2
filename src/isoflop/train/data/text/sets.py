"""A text on the device as bytes, whole, with the windows that training reads and those that are evaluated."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isoflop.config import DataConfig
from isoflop.train.data.parts import DataError
from isoflop.train.data.text import corpus
from isoflop.train.data.text.corpus import Corpus
from isoflop.train.data.text.windows import Windows, cut

PARTS = ("training", "validation", "test")


@dataclasses.dataclass(frozen=True)
class TextSources:
    """What a text was read from, and how it is split.

    Attributes:
        files: files read, those to validate and test on too.
        file_bytes: bytes in them, unpacked.
        train_documents: documents of the training part, of which the last may be cut.
        val_documents: documents to validate on.
        test_documents: documents to test on.
        train_bytes: bytes of the training part, after data.fraction.
        sha256: hash of all documents and of their split, before data.fraction.
        python_version: of the interpreter whose standard library this is; None for other text.
    """

    files: int
    file_bytes: int
    train_documents: int
    val_documents: int
    test_documents: int
    train_bytes: int
    sha256: str
    python_version: str | None


@dataclasses.dataclass(frozen=True)
class TextSet:
    """A text of bytes; an example is a byte that is predicted from up to `context` tokens before it.

    Attributes:
        name: text or python.
        tokens: [n] on the device: mark, document, mark, document: training documents first, then validation,
            then test. uint8, or int16 where all 256 bytes occur. On a CPU all sets of one text share them.
        document_mark: token before each document: a byte that does not occur, else 256.
        classes: tokens that there are: 256, or 257.
        context: bytes that a window predicts.
        train_tokens: how many of the tokens are trained on, the first.
        train: windows to evaluate the training part on.
        val: windows to validate on.
        test: windows to test on.
        sources: what was read.
        passes: how often a training byte may be read.
        split_sha256: hash of text, split and data.fraction; the same for every context.
        chance_error: of always predicting the test windows' most frequent byte.
    """

    name: str
    tokens: Tensor
    document_mark: int
    classes: int
    context: int
    train_tokens: int
    train: Windows
    val: Windows
    test: Windows
    sources: TextSources
    passes: float
    split_sha256: str
    chance_error: float

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The context."""
        return (self.context,)

    @property
    def train_windows(self) -> int:
        """Windows that one pass reads, wherever in the first context it begins."""
        return train_windows(self.train_tokens, self.context)

    @property
    def train_n(self) -> int:
        """Bytes that one pass predicts."""
        return self.train_windows * self.context

    @property
    def val_n(self) -> int:
        """Bytes predicted to validate."""
        return len(self.val) * self.context

    @property
    def test_n(self) -> int:
        """Bytes predicted to test."""
        return len(self.test) * self.context


def train_windows(tokens: int, context: int) -> int:
    """Return how many windows a pass reads: as many as fit if it begins late, at context - 1."""
    return max(0, (tokens - context) // context)


def load_text(config: DataConfig, context: int, device: torch.device) -> TextSet:
    """Read a text and put it on the device; on a CPU it serves plans too.

    Raises:
        DataError: text or table is missing, damaged or empty, a part has no window, or there are too few
            documents.
    """
    assert config.eval_bytes is not None
    assert config.passes is not None
    read = corpus.read(config)
    marks = [read.marks(part) for part in range(3)]
    lengths = list(read.lengths)
    # The first bytes of the fixed order: smaller fractions are the beginning of larger ones.
    train_bytes = max(1, round(config.fraction * int(lengths[0].sum())))
    begun = int(np.searchsorted(np.cumsum(lengths[0]), train_bytes)) + 1
    marks[0], lengths[0] = marks[0][:begun], lengths[0][:begun].copy()
    lengths[0][-1] -= lengths[0].sum() - train_bytes
    train, val, test = (
        cut(at, of, context, config.eval_bytes, device) for at, of in zip(marks, lengths, strict=True)
    )
    train_tokens = train_bytes + begun
    _check(config, context, lengths, (train, val, test), train_windows(train_tokens, context))
    return TextSet(
        name=config.name,
        tokens=torch.from_numpy(read.tokens).to(device),
        document_mark=read.mark,
        classes=257 if read.mark == 256 else 256,
        context=context,
        train_tokens=train_tokens,
        train=train,
        val=val,
        test=test,
        sources=TextSources(
            files=read.files,
            file_bytes=read.file_bytes,
            train_documents=begun,
            val_documents=len(lengths[1]),
            test_documents=len(lengths[2]),
            train_bytes=train_bytes,
            sha256=read.sha256,
            python_version=read.python_version,
        ),
        passes=config.passes,
        split_sha256=hashlib.sha256(f"{read.sha256}/{train_bytes}".encode()).hexdigest(),
        chance_error=_chance_error(read, test, context),
    )


def _check(
    config: DataConfig,
    context: int,
    lengths: list[NDArray[np.int64]],
    windows: tuple[Windows, ...],
    train_window_n: int,
) -> None:
    """Refuse a part without a window.

    Args:
        config: names the text.
        context: bytes that a window predicts.
        lengths: bytes of each document of each part.
        windows: of each part, to evaluate.
        train_window_n: windows that a pass trains on.

    Raises:
        DataError: names the part.
    """
    where = "data.path" if config.path is not None else "data"
    places = (where, *(["data.eval_path" if config.eval_path is not None else where] * 2))
    if not train_window_n:
        raise DataError(
            f"{where}: the training part has {lengths[0].sum()} bytes, fewer than two windows of "
            f"model.context={context}: lower model.context, give more text or raise data.fraction"
        )
    for part, place, of, evaluated in zip(PARTS, places, lengths, windows, strict=True):
        if not len(evaluated):
            raise DataError(
                f"{place}: the longest document of the {part} part has {of.max()} bytes, fewer than one "
                f"window of model.context={context}: lower model.context or give longer documents"
            )


def _chance_error(read: Corpus, test: Windows, context: int) -> float:
    targets = test.starts.cpu().numpy()[:, None] + 1 + np.arange(context)
    return 1.0 - int(np.bincount(read.tokens[targets].ravel()).max()) / targets.size
