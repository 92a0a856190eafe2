"""Data sets: what a reader returns, the split into parts, and the parts on the device."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

PartName = Literal["train", "val", "test"]
SPLIT_SEED = 20200710
VALIDATION_SHARE = 0.1
LEAST_IMAGES = 10
"""Of a training part, of which a tenth validates."""
DIGITS_SHARES = (0.5, 0.1, 0.4)
PIECE_BYTES = 8 * 2**20
"""Read at a time from a file."""
CACHED_PIXELS = 2**18
"""Summed at a time: as float64 they fit into a core's cache."""


class DataError(ValueError):
    """A data set is missing or damaged; the message says which file and what to do."""


@dataclasses.dataclass(frozen=True)
class Raw:
    """A data set as a reader returns it.

    Attributes:
        images: uint8 or float32 [N, C, H, W], possibly mapped from a file.
        labels: int64 [N].
        test_n: how many at the end are the test part; None for a set without a test part of its own.
        classes: number of classes.
        identity: goes into the split's hash where positions alone do not identify the images.
        val_n: how many before the test part are the validation part; None for a set without one of its own.
        flat: whether these are flat features, [N, F, 1, 1].
    """

    images: NDArray[np.uint8] | NDArray[np.float32]
    labels: NDArray[np.int64]
    test_n: int | None
    classes: int
    identity: bytes = b""
    val_n: int | None = None
    flat: bool = False


@dataclasses.dataclass(frozen=True)
class Part:
    """Part of a data set: `images` uint8 or float32 [N, C, H, W] and `labels` int64 [N], on one device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """The three parts, and per-channel `mean` and `std` of the training images, float32 [1, C, 1, 1].

    Flat features are kept as images of one pixel, and given to the model as [B, F].
    """

    name: str
    classes: int
    train: Part
    val: Part
    test: Part
    mean: Tensor
    std: Tensor
    split_sha256: str
    flat: bool = False

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Channels, height and width, or (features,)."""
        sizes = tuple(self.train.images.shape[1:])
        return sizes[:1] if self.flat else sizes

    @property
    def train_n(self) -> int:
        """Images of the training part."""
        return len(self.train)

    @property
    def val_n(self) -> int:
        """Images of the validation part."""
        return len(self.val)

    @property
    def test_n(self) -> int:
        """Images of the test part."""
        return len(self.test)

    def scored(self, part: PartName) -> Part:
        """Return what is evaluated of a part: of the training part as many images as the test part has."""
        if part == "train":
            shown = min(self.train_n, self.test_n)
            return Part(self.train.images[:shown], self.train.labels[:shown])
        return self.val if part == "val" else self.test

    @property
    def chance_error(self) -> float:
        """Test error of always predicting the most frequent test class."""
        return 1.0 - torch.bincount(self.test.labels).max().item() / len(self.test)

    def normalise(self, images: Tensor, memory_format: torch.memory_format) -> Tensor:
        """Return float32 images of zero mean and unit variance over the training part, or features [B, F].

        The layout is changed last: on a CPU three times faster than arithmetic on channels_last images.
        """
        # A copy, as the images of a part may be float32 themselves.
        normal = images.to(torch.float32, copy=True).sub_(self.mean).div_(self.std)
        if self.flat:
            return normal.flatten(1)
        if memory_format == torch.contiguous_format:
            return normal
        return torch.empty_like(normal, memory_format=memory_format).copy_(normal)


def split(
    n: int, test_n: int | None, fraction: float, val_n: int | None = None
) -> tuple[NDArray[np.int64], ...]:
    """Return the indices of the train, validation and test parts of `n` images, the same on every machine.

    With `test_n` the last `test_n` images are the test part, and with `val_n` that many before them the
    validation part. The first `fraction` of the training part is kept, so smaller fractions are subsets of
    larger ones; validation and test never change.
    """
    if val_n is not None:
        assert test_n is not None
        val, test = np.arange(n - test_n - val_n, n - test_n), np.arange(n - test_n, n)
        order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(n - test_n - val_n)
        return order[: max(1, round(fraction * len(order)))], val, test
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(n if test_n is None else n - test_n)
    if test_n is None:
        train_n, val_n = (round(share * n) for share in DIGITS_SHARES[:2])
        test = order[train_n + val_n :]
    else:
        train_n = len(order) - round(VALIDATION_SHARE * len(order))
        val_n = len(order) - train_n
        test = np.arange(n - test_n, n)
    return order[: max(1, round(fraction * train_n))], order[train_n : train_n + val_n], test


def gather_part(raw: Raw, indices: NDArray[np.int64], device: torch.device) -> Part:
    """Return the images and labels at `indices`, in that order, on the device.

    Images are read in the order they lie in, a piece at a time, so that a file larger than half the memory
    is neither read at random nor held twice.
    """
    dtype = torch.uint8 if raw.images.dtype == np.uint8 else torch.float32
    images = torch.empty((len(indices), *raw.images.shape[1:]), dtype=dtype, device=device)
    in_file_order = np.argsort(indices, kind="stable")
    for rows in _pieces(in_file_order, raw.images[0].nbytes):
        piece = torch.from_numpy(np.asarray(raw.images[indices[rows]]))
        images.index_copy_(0, torch.from_numpy(rows).to(device), piece.to(device))
    return Part(images, torch.from_numpy(raw.labels[indices]).to(device))


def statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel of images [N, C, H, W]: float32 [1, C, 1, 1].

    Of uint8 images from sums of integers, which float64 holds exactly below 2^53 in any order, hence the same
    on every device; of float32 images in float64 on the CPU, in one order. A constant channel gets the
    deviation 1.
    """
    if images.is_floating_point():
        return _statistics_of_reals(images)
    channels = images.shape[1]
    sums, squares = torch.zeros(2, channels, dtype=torch.float64, device=images.device)
    for piece in torch.split(images, max(1, CACHED_PIXELS // images[0].numel())):
        pixels = piece.flatten(2).double()
        sums += pixels.sum(2).sum(0)
        squares += pixels.square_().sum(2).sum(0)
    n = images.numel() // channels
    pairs = [(int(a), int(b)) for a, b in zip(sums.tolist(), squares.tolist(), strict=True)]
    means = [total / n for total, _ in pairs]
    deviations = [math.sqrt((n * square - total * total) / (n * n)) or 1.0 for total, square in pairs]
    mean, std = (
        torch.tensor(v, dtype=torch.float32, device=images.device).view(1, -1, 1, 1)
        for v in (means, deviations)
    )
    return mean, std


def _statistics_of_reals(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return `statistics` of float32 images: the squares are of differences from the mean, which may be large
    beside the deviation."""
    pieces = torch.split(images, max(1, CACHED_PIXELS // images[0].numel()))
    n = images.numel() // images.shape[1]
    mean = torch.zeros(images.shape[1], dtype=torch.float64)
    for piece in pieces:
        mean += piece.cpu().double().flatten(2).sum(2).sum(0) / n
    variance = torch.zeros_like(mean)
    for piece in pieces:
        variance += (piece.cpu().double().flatten(2) - mean.view(-1, 1)).square_().sum(2).sum(0) / n
    std = variance.sqrt()
    std[std == 0] = 1.0
    return tuple(v.float().view(1, -1, 1, 1).to(images.device) for v in (mean, std))  # type: ignore[return-value]


def _pieces(rows: NDArray[np.int64], bytes_each: int) -> list[NDArray[np.int64]]:
    each = max(1, PIECE_BYTES // bytes_each)
    return [rows[at : at + each] for at in range(0, len(rows), each)]
