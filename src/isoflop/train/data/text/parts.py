"""Which documents train, validate and test: the same on every machine, whatever the model.

Without documents of their own to validate and test on, about 5% of the bytes are held out for each. Documents
of the same bytes are kept together, so that no training document is validated or tested on too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isoflop.train.data.parts import SPLIT_SEED, DataError
from isoflop.train.data.text.documents import Documents, Source

HELD_SHARE = 0.05
"""Of the bytes, for validation, and as much for the test."""


def divide(documents: Documents, source: Source) -> tuple[Documents, Documents, Documents]:
    """Return the training, validation and test part of one text.

    Training documents are in a fixed random order, of which data.fraction keeps the first bytes; the others
    are in the order of the text.

    Raises:
        DataError: fewer than three different documents.
    """
    order = _order(len(documents))
    groups: dict[bytes, list[int]] = {}
    for index, content in zip(order.tolist(), documents.take(order).contents(), strict=True):
        groups.setdefault(content, []).append(index)
    if len(groups) < 3:
        raise DataError(_too_few(len(groups), source))
    members = list(groups.values())
    sizes = np.array([len(content) * len(of) for content, of in groups.items()], np.int64)
    target = HELD_SHARE * sizes.sum()
    part = np.zeros(len(documents), np.int64)
    free = np.arange(len(members))
    for number in (1, 2):
        # Validation leaves half of what is small enough to the test.
        picked = _about(sizes[free], target, leave=0.5 if number == 1 else 0.0)
        for group in free[picked]:
            part[members[group]] = number
        free = np.delete(free, picked)
    train = documents.take(order[part[order] == 0])
    return train, documents.take(np.flatnonzero(part == 1)), documents.take(np.flatnonzero(part == 2))


def join(
    documents: Documents, held_out: Documents, held_source: Source
) -> tuple[Documents, Documents, Documents]:
    """Return all of `documents` to train on, and the two halves of `held_out` to validate and to test on.

    Raises:
        DataError: fewer than two documents are held out.
    """
    if len(held_out) < 2:
        raise DataError(
            f"{held_source.path} is one document: at least two are needed, to validate and to test on: "
            f"set {held_source.key} to a folder, or divide it by data.eval_offsets or data.separator"
        )
    half = len(held_out) // 2
    indices = np.arange(len(held_out))
    train = documents.take(_order(len(documents)))
    return train, held_out.take(indices[:half]), held_out.take(indices[half:])


def _order(n: int) -> NDArray[np.int64]:
    return np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(n)


def _about(sizes: NDArray[np.int64], target: float, leave: float) -> NDArray[np.int64]:
    """Return which of `sizes` to take to come close to `target` in sum: the first that are no larger.

    At least one is taken, the smallest where all are larger, and a share `leave` of those that fit stays.
    """
    small = np.flatnonzero(sizes <= target)
    if not len(small):
        return np.array([np.argmin(sizes)])
    nearest = int(np.argmin(np.abs(np.cumsum(sizes[small]) - target)))
    most = max(1, int((1 - leave) * len(small)))
    return small[: min(1 + nearest, most)]


def _too_few(n: int, source: Source) -> str:
    number = "one document only" if n == 1 else f"{n} different documents only"
    remedy = (
        "divide it by data.separator or data.offsets, or set data.eval_path to other text"
        if source.separator is None and source.table is None
        else "divide it otherwise, or set data.eval_path to other text"
    )
    return (
        f"{source.path} is {number}, and whole documents train, validate and test: give {source.key} "
        f"three or more, {remedy}"
    )
