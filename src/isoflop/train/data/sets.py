"""Data sets by name: scikit-learn's digits, torchvision's image sets, image folders, synthetic data, and the
user's own."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isoflop import extras
from isoflop.config import DataConfig
from isoflop.train.data import custom, folder, synthetic
from isoflop.train.data.dataset import Facts
from isoflop.train.data.parts import DataError, ImageSet, Raw, gather_part, split, statistics
from isoflop.train.data.resize import at_resolution

_IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_CIFAR10 = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
_FILES = {
    "mnist": ("MNIST/raw", _IDX),
    "fashion_mnist": ("FashionMNIST/raw", _IDX),
    "cifar10": ("cifar-10-batches-py", _CIFAR10),
    "cifar100": ("cifar-100-python", ("train", "test", "meta")),
    "svhn": ("svhn", ("train_32x32.mat", "test_32x32.mat")),
}
"""Folder under the root, and its files. torchvision has no folder of its own for SVHN's two files."""

DIGITS_FILE = "datasets/data/digits.csv.gz"
"""Where scikit-learn keeps its digits: 64 pixels from 0 to 16 and the label, one image a line."""


def _digits(config: DataConfig) -> Raw:
    """Read the digits that scikit-learn ships; importing it would take as long as importing torch."""
    package = importlib.util.find_spec("sklearn")
    file = Path(package.origin).parent / DIGITS_FILE if package and package.origin else None
    if file is None or not file.is_file():  # another release may keep it elsewhere
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
    else:
        table = np.loadtxt(file, delimiter=",")
        pixels, labels = table[:, :-1], table[:, -1]
    return Raw(pixels.astype(np.uint8).reshape(-1, 1, 8, 8), labels.astype(np.int64), None, 10)


def _open(name: str, root: Path, download: bool) -> list[tuple[Any, Any]]:
    """Return (images, labels) of the training and the test part, as torchvision keeps them.

    torchvision checks the MD5 of CIFAR's pickles and SVHN's files before it loads them.
    """
    from torchvision import datasets

    if name == "svhn":
        folder_path = str(root / _FILES[name][0])
        svhn = [datasets.SVHN(folder_path, split=part, download=download) for part in ("train", "test")]
        return [(part.data, part.labels) for part in svhn]
    classes = {
        "mnist": datasets.MNIST,
        "fashion_mnist": datasets.FashionMNIST,
        "cifar10": datasets.CIFAR10,
        "cifar100": datasets.CIFAR100,
    }
    parts = [classes[name](str(root), train=train, download=download) for train in (True, False)]
    return [(part.data, part.targets) for part in parts]


def _torchvision(name: str, config: DataConfig) -> Raw:
    """Read one of torchvision's sets under the root; download missing files if data.download allows."""
    extras.check(f"data={name}", "torchvision")
    folder_name, files = _FILES[name]
    set_folder = Path(config.root) / folder_name
    missing = [file for file in files if not (set_folder / file).is_file()]
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            parts = _open(name, Path(config.root), config.download and bool(missing))
    except Exception as error:
        if missing:
            why = "and it could not be downloaded" if config.download else "and data.download is false"
            raise DataError(
                f"{set_folder / missing[0]} is missing, {why}: put it there, or set data.root"
            ) from error
        raise DataError(
            f"{set_folder}: damaged ({error or type(error).__name__}): remove it and download it again"
        ) from error
    images = np.concatenate([np.asarray(images) for images, _ in parts])
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[-1] == 3:
        images = images.transpose(0, 3, 1, 2)
    labels = [np.asarray(labels, dtype=np.int64) for _, labels in parts]
    joined = np.concatenate(labels)
    return Raw(images, joined, len(labels[1]), int(joined.max()) + 1)


READERS: dict[str, Callable[[DataConfig], Raw]] = {
    "digits": _digits,
    **{name: functools.partial(_torchvision, name) for name in _FILES},
    "imagefolder": folder.read_images,
    "synthetic": synthetic.generate,
    "custom": custom.read,
}


_SIZES = {
    "digits": (1797, None, (1, 8, 8), 10),
    "mnist": (70_000, 10_000, (1, 28, 28), 10),
    "fashion_mnist": (70_000, 10_000, (1, 28, 28), 10),
    "cifar10": (60_000, 10_000, (3, 32, 32), 10),
    "cifar100": (60_000, 10_000, (3, 32, 32), 100),
    "svhn": (99_289, 26_032, (3, 32, 32), 10),
}
"""Images in all and in the test part (None: it has none of its own), shape, classes of the public sets."""


def facts(config: DataConfig) -> Facts:
    """Return the facts of a data set: without reading its images where its size is known beforehand.

    Raises:
        DataError: images have to be read, and a file is missing or damaged.
    """
    if config.name == "synthetic":
        assert config.dimension is not None
        assert config.classes is not None
        assert config.examples is not None
        n, test_n, classes = config.examples, round(synthetic.TEST_SHARE * config.examples), config.classes
        return Facts(
            len(split(n, test_n, config.fraction)[0]), synthetic.image_shape(config.dimension), classes
        )
    if config.name not in _SIZES:
        data = load(config, torch.device("cpu"))
        return Facts(data.train_n, data.input_shape, data.classes)
    total, own_test, shape, classes = _SIZES[config.name]
    side = config.resolution
    return Facts(
        len(split(total, own_test, config.fraction)[0]),
        shape if side is None else (shape[0], side, side),
        classes,
    )


def load(config: DataConfig, device: torch.device) -> ImageSet:
    """Read the set, split it and put it on the device.

    Raises:
        DataError: a file is missing or damaged, or a function of the user's own returned no data set.
        ConfigError: that function cannot be imported or called.
    """
    raw = READERS[config.name](config)
    if config.name != "imagefolder":  # a folder's images are cached at their resolution
        raw = at_resolution(raw, config.resolution)
    indices = split(len(raw.labels), raw.test_n, config.fraction, raw.val_n)
    digest = hashlib.sha256(raw.identity)
    for part in indices:
        digest.update(len(part).to_bytes(8, "little") + part.astype("<i8").tobytes())
    train, val, test = (gather_part(raw, part, device) for part in indices)
    mean, std = statistics(train.images)
    return ImageSet(
        *(config.label, raw.classes, train, val, test, mean, std, digest.hexdigest()), flat=raw.flat
    )
