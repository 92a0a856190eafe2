"""Images, whole, as uint8 on the device, with one fixed train / validation / test split.

Choices are made on validation, the record reports test. Torchvision's test sets are the test part and a
fixed random tenth of its training sets is the validation part; digits, which has no split of its own, is
cut 50 / 10 / 40 so that its small test part resolves errors as finely as it can.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SPLIT_SEED = 20200710
VALIDATION_SHARE = 0.1
DIGITS_SHARES = (0.5, 0.1, 0.4)
CHUNK_BYTES = 32 * 2**20


class DataError(ValueError):
    """A data set is missing or damaged; the message says which file and what to do."""


@dataclasses.dataclass(frozen=True)
class Part:
    """`images`: uint8 [N, C, H, W]; `labels`: int64 [N]; both on one device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclasses.dataclass(frozen=True)
class DataSet:
    """The three parts, and per-channel `mean` and `std` of the training images, float32 [1, C, 1, 1]."""

    name: str
    classes: int
    train: Part
    val: Part
    test: Part
    mean: Tensor
    std: Tensor
    split_sha256: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def chance_error(self) -> float:
        """Error of always guessing the most frequent test class."""
        return 1.0 - torch.bincount(self.test.labels).max().item() / len(self.test)

    def normalise(self, images: Tensor, memory_format: torch.memory_format) -> Tensor:
        """uint8 images -> float32 with zero mean and unit variance over the training part."""
        return images.to(torch.float32, memory_format=memory_format).sub_(self.mean).div_(self.std)


@dataclasses.dataclass(frozen=True)
class _Raw:
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    test_n: int | None


def _digits(root: Path, download: bool) -> _Raw:
    from sklearn.datasets import load_digits

    found = load_digits()
    return _Raw(found.images.astype(np.uint8)[:, None], found.target.astype(np.int64), None)


_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_CIFAR10 = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")


def _torchvision(kind: str, folder: str, files: tuple[str, ...]) -> Callable[[Path, bool], _Raw]:
    """A reader of one of torchvision's sets, kept under ROOT/folder."""

    def read(root: Path, download: bool) -> _Raw:
        from torchvision import datasets

        missing = [name for name in files if not (root / folder / name).is_file()]
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                make = getattr(datasets, kind)
                parts = [
                    make(str(root), train=train, download=download and bool(missing))
                    for train in (True, False)
                ]
        except Exception as error:
            if missing:
                why = "and it could not be downloaded" if download else "and data.download is false"
                raise DataError(
                    f"{root / folder / missing[0]} is missing, {why}: put it there, or set data.root"
                ) from error
            raise DataError(
                f"{root / folder}: damaged ({error or type(error).__name__}): remove it and fetch it again"
            ) from error
        images = [np.asarray(part.data) for part in parts]
        if images[0].ndim == 3:
            images = [part[:, None] for part in images]
        else:
            images = [part.transpose(0, 3, 1, 2) for part in images]
        labels = [np.asarray(part.targets, dtype=np.int64) for part in parts]
        return _Raw(np.concatenate(images), np.concatenate(labels), len(labels[1]))

    return read


READERS: dict[str, Callable[[Path, bool], _Raw]] = {
    "digits": _digits,
    "mnist": _torchvision("MNIST", "MNIST/raw", _IDX),
    "fashion_mnist": _torchvision("FashionMNIST", "FashionMNIST/raw", _IDX),
    "cifar10": _torchvision("CIFAR10", "cifar-10-batches-py", _CIFAR10),
}


def split(n: int, test_n: int | None, fraction: float) -> tuple[NDArray[np.int64], ...]:
    """Indices of the train, validation and test parts of `n` images, the same on every machine.

    With `test_n` the last `test_n` images are the test part. The first `fraction` of the training part is
    kept, so smaller fractions are subsets of larger ones; validation and test never change.
    """
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(n if test_n is None else n - test_n)
    if test_n is None:
        train_n, val_n = (round(share * n) for share in DIGITS_SHARES[:2])
        test = order[train_n + val_n :]
    else:
        train_n = len(order) - round(VALIDATION_SHARE * len(order))
        val_n = len(order) - train_n
        test = np.arange(n - test_n, n)
    return order[: max(1, round(fraction * train_n))], order[train_n : train_n + val_n], test


def load(name: str, root: Path, *, fraction: float, download: bool, device: torch.device) -> DataSet:
    """Read a set and put it on the device.

    Raises:
        DataError: a file is missing or damaged.
    """
    raw = READERS[name](root, download)
    indices = split(len(raw.labels), raw.test_n, fraction)
    digest = hashlib.sha256()
    for part in indices:
        digest.update(len(part).to_bytes(8, "little") + part.astype("<i8").tobytes())
    train, val, test = (
        Part(torch.from_numpy(raw.images[part]).to(device), torch.from_numpy(raw.labels[part]).to(device))
        for part in indices
    )
    pixels = raw.images[indices[0]]
    mean, std = pixels.mean((0, 2, 3), dtype=np.float64), pixels.std((0, 2, 3), dtype=np.float64)
    statistics = (torch.tensor(v, dtype=torch.float32, device=device).view(1, -1, 1, 1) for v in (mean, std))
    mean_tensor, std_tensor = statistics
    classes = int(raw.labels.max()) + 1
    return DataSet(name, classes, train, val, test, mean_tensor, std_tensor, digest.hexdigest())


def batches(
    data: DataSet, batch_size: int, seed: int, memory_format: torch.memory_format
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of (float32 images [B, C, H, W], int64 labels [B]) from the training part.

    Each epoch is a new permutation that depends on (seed, epoch) only and drops its last partial batch.
    Images are gathered and normalised many batches at a time, so a step does no indexing of its own.
    """
    n = len(data.train) // batch_size * batch_size
    assert n > 0, "the batch is larger than the data"
    per_image = 4 * data.train.images[0].numel()
    chunk = max(1, CHUNK_BYTES // (per_image * batch_size)) * batch_size
    device, epoch = data.train.labels.device, 0
    while True:
        order = torch.randperm(len(data.train), generator=_generator(seed, epoch))[:n]
        if device.type == "cuda":
            order = order.pin_memory().to(device, non_blocking=True)
        for picked in torch.split(order, chunk):
            images = data.normalise(data.train.images[picked], memory_format)
            labels = data.train.labels[picked]
            yield from zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)
        epoch += 1


def _generator(seed: int, epoch: int) -> torch.Generator:
    """A CPU generator, so that the order of images does not depend on the device."""
    digest = hashlib.sha256(f"{seed}/{epoch}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
