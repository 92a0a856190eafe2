"""Images or text by name: the data set, what a plan needs to know of it, and its batches."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from isoflop.config import Config, DataConfig
from isoflop.train.data import folder, sets, stream
from isoflop.train.data.dataset import DataSet, Facts
from isoflop.train.data.parts import ImageSet
from isoflop.train.data.text import TextSet, corpus, load_text, text_batches


def load(config: Config, device: torch.device) -> DataSet:
    """Read the data set, split it and put it on the device.

    Raises:
        DataError: a file is missing or damaged, or a text too short.
    """
    if config.data.is_text:
        assert config.model.context is not None
        return load_text(config.data, config.model.context, device)
    return sets.load(config.data, device)


def state_of_files(config: DataConfig) -> Hashable:
    """Return what differs if the user's files were changed: their names, sizes and times.

    None for data that are not the user's own: they are checked against a hash, or made.

    Raises:
        DataError: a file is missing.
    """
    if config.is_text:
        return corpus.sources(config)
    return folder.scan(Path(config.root)).state if config.name == "imagefolder" else None


def facts(config: Config) -> Facts:
    """Return the facts of a data set: without reading it where its size is known beforehand.

    Raises:
        DataError: it has to be read, and a file is missing or damaged.
    """
    if config.data.is_text:
        return facts_of(load(config, torch.device("cpu")))
    return sets.facts(config.data)


def facts_of(data: DataSet) -> Facts:
    """Return the facts of a data set that was read."""
    passes = data.passes if isinstance(data, TextSet) else None
    return Facts(data.train_n, data.input_shape, data.classes, passes)


def batches(
    data: DataSet,
    config: Config,
    memory_format: torch.memory_format,
    *,
    start_step: int = 0,
    share: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of a run without end: images and labels, or windows of bytes and of the bytes after them.

    Args:
        data: the data set, on the device.
        config: gives batch size, seed and augmentation.
        memory_format: layout of images.
        start_step: the first batch is, bit for bit, the one met after iterating over that many.
        share: (rank, ranks): yield the rank-th of `ranks` equal parts of every batch.
    """
    batch_size, seed = config.optim.batch_size, config.seed
    if isinstance(data, TextSet):
        return text_batches(data, batch_size, seed, start_step=start_step, share=share)
    assert isinstance(data, ImageSet)
    return stream.batches(
        *(data, batch_size, seed, memory_format),
        start_step=start_step,
        augment=config.data.augment,
        share=share,
    )
