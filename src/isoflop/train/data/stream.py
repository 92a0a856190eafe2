"""Endless batches of training images, in an order that is fixed by the seed and can be resumed anywhere."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from isoflop.train.data.augment import crop_flip, draw_crops
from isoflop.train.data.order import chunk_rows, generator, own_share, to_device
from isoflop.train.data.parts import ImageSet

BYTES_PER_PIXEL = 4
"""float32, as normalised."""


def batches(
    data: ImageSet,
    batch_size: int,
    seed: int,
    memory_format: torch.memory_format,
    *,
    start_step: int = 0,
    augment: str = "none",
    share: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of (float32 images [B, C, H, W], int64 labels [B]) from the training part, without end.

    Each epoch is a new permutation and, with augmentation, new crops; both depend on (seed, epoch) only,
    whatever the model, the device and the batch size. An epoch drops its last partial batch. Images are
    gathered, augmented and normalised many batches at a time, so a step does no indexing of its own; on a GPU
    nothing here waits for the device.

    Args:
        data: the data set, on the device.
        batch_size: images per step, of all processes together.
        seed: fixes order and crops.
        memory_format: layout of the images.
        start_step: the first batch is, bit for bit, the one met after iterating over that many.
        augment: "none" or "crop_flip".
        share: (rank, ranks): yield the rank-th of `ranks` equal parts of every batch.
    """
    assert augment in ("none", "crop_flip"), augment
    per_epoch = len(data.train) // batch_size
    assert per_epoch > 0, "the batch is larger than the data"
    own_size, rest = divmod(batch_size, share[1])
    assert not rest, "ranks must divide the batch"
    device = data.train.labels.device
    chunk = chunk_rows(BYTES_PER_PIXEL * data.train.images[0].numel(), own_size, device)
    epoch, step = divmod(start_step, per_epoch)
    while True:
        epoch_rows = slice(step * batch_size, per_epoch * batch_size)
        # The whole epoch is drawn even when it is entered in the middle: the order is that of the full epoch.
        drawn = torch.randperm(len(data.train), generator=generator(f"{seed}/{epoch}"))
        order = to_device(own_share(drawn[epoch_rows], share, own_size), device)
        crops = None
        if augment == "crop_flip":
            draws = generator(f"{seed}/{epoch}/{augment}")
            drawn = draw_crops(len(data.train), data.input_shape, data.name, draws)
            crops = to_device(own_share(drawn[:, epoch_rows], share, own_size), device)
        for at in range(0, len(order), chunk):
            picked = order[at : at + chunk]
            images, labels = data.train.images.index_select(0, picked), data.train.labels[picked]
            if crops is not None:
                images = crop_flip(images, crops[:, at : at + chunk])
            images = data.normalise(images, memory_format)
            yield from zip(torch.split(images, own_size), torch.split(labels, own_size), strict=True)
        epoch, step = epoch + 1, 0
