"""Evaluation windows: cut within documents, and thinned evenly to about so many bytes."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Windows:
    """Windows of one part of a text.

    Attributes:
        starts: int64 [windows] on the device: index in the tokens of each window's first input.
        documents: number of each window's document, from 0 within the part.
    """

    starts: Tensor
    documents: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.documents)


def cut(
    marks: NDArray[np.int64],
    lengths: NDArray[np.int64],
    context: int,
    most_bytes: int,
    device: torch.device,
) -> Windows:
    """Return windows that predict bytes of one document each, no byte twice.

    A document's first window begins with its mark, so that its first byte can be predicted too. The bytes
    after its last whole window, fewer than a context, are not evaluated. All windows are kept if they predict
    at most `most_bytes`. Else they are shared among the documents in proportion to their lengths, at least
    one each where there are enough, evenly spaced in each document.

    Args:
        marks: int64 [documents]: index in the tokens of each document's mark.
        lengths: int64 [documents]: bytes.
        context: bytes that a window predicts.
        most_bytes: bytes to predict in all, at least one window's.
        device: where `starts` will be.
    """
    whole = lengths // context
    kept = _shared(whole, max(1, round(most_bytes / context)))
    documents = np.repeat(np.arange(len(kept)), kept)
    rank = np.arange(len(documents)) - np.repeat(np.cumsum(kept) - kept, kept)
    # The middle of each of `kept` equal stretches of the document's windows.
    window = (2 * rank + 1) * whole[documents] // (2 * kept[documents])
    starts = torch.from_numpy(marks[documents] + context * window).to(device)
    return Windows(starts, tuple(documents.tolist()))


def _shared(whole: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return how many of each document's `whole` windows to keep: `most` in all, or all if fewer."""
    if whole.sum() <= most:
        return whole
    kept = (whole > 0).astype(np.int64)
    with_windows = int(kept.sum())
    if with_windows >= most:
        chosen = np.flatnonzero(kept)[(2 * np.arange(most) + 1) * with_windows // (2 * most)]
        kept[:] = 0
        kept[chosen] = 1
        return kept
    # Rounding the running sum and not each share keeps the total at `most` exactly.
    further = np.maximum(whole - 1, 0)
    running = np.cumsum(further) * (most - with_windows) // further.sum()
    kept[0] += running[0]
    kept[1:] += running[1:] - running[:-1]
    return kept
