"""The order of training images, and batches of them, endless and seekable."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from isoflop.train.data.augment import crop_flip, draw_crops
from isoflop.train.data.parts import DataSet

CHUNK_BYTES = {"cpu": 2**20, "cuda": 32 * 2**20}
"""float32 bytes normalised at a time: a core's cache on a CPU, few launches a step on a GPU."""


def batches(
    data: DataSet,
    batch_size: int,
    seed: int,
    memory_format: torch.memory_format,
    *,
    start_step: int = 0,
    augment: str = "none",
    share: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of (float32 images [B, C, H, W], int64 labels [B]) from the training part.

    Each epoch is a new permutation and, with `augment` crop_flip, new crops; both depend on (seed, epoch)
    only, whatever the model, the device and the batch size. An epoch drops its last partial batch. The
    first batch is that of `start_step`, bit for bit the one met by iterating that far. Images are gathered,
    augmented and normalised many batches at a time, so a step does no indexing of its own; on a GPU nothing
    here waits for the device. `share` (rank, ranks) is the rank-th of `ranks` equal parts of every batch.
    """
    assert augment in ("none", "crop_flip"), augment
    per_epoch = len(data.train) // batch_size
    assert per_epoch > 0, "the batch is larger than the data"
    own_size, rest = divmod(batch_size, share[1])
    assert not rest, "the batch can be shared evenly"
    device = data.train.labels.device
    batch_bytes = 4 * data.train.images[0].numel() * own_size
    chunk = max(1, CHUNK_BYTES[device.type] // batch_bytes) * own_size
    epoch, step = divmod(start_step, per_epoch)
    while True:
        shown = slice(step * batch_size, per_epoch * batch_size)
        drawn = torch.randperm(len(data.train), generator=_generator(f"{seed}/{epoch}"))
        order = _move(_own(drawn[shown], share, own_size), device)
        crops = None
        if augment == "crop_flip":
            generator = _generator(f"{seed}/{epoch}/{augment}")
            drawn = draw_crops(len(data.train), data.image_shape, data.name, generator)
            crops = _move(_own(drawn[:, shown], share, own_size), device)
        for at in range(0, len(order), chunk):
            picked = order[at : at + chunk]
            images, labels = data.train.images.index_select(0, picked), data.train.labels[picked]
            if crops is not None:
                images = crop_flip(images, crops[:, at : at + chunk])
            images = data.normalise(images, memory_format)
            yield from zip(torch.split(images, own_size), torch.split(labels, own_size), strict=True)
        epoch, step = epoch + 1, 0


def _own(drawn: Tensor, share: tuple[int, int], own_size: int) -> Tensor:
    """The part of each batch along the last dimension that is this share's."""
    rank, ranks = share
    by_rank = drawn.reshape(*drawn.shape[:-1], -1, ranks, own_size)
    return by_rank[..., rank, :].flatten(-2)


def _move(drawn: Tensor, device: torch.device) -> Tensor:
    """To the device; through pinned memory, so that the host need not wait for a GPU."""
    return drawn.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else drawn


def _generator(purpose: str) -> torch.Generator:
    """A CPU generator, so that what is drawn does not depend on the device."""
    digest = hashlib.sha256(purpose.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
