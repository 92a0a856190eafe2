"""What the orders of images and of text share: draws on the CPU, the ranks' shares, the copy to a device."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

CHUNK_BYTES = {"cpu": 2**20, "cuda": 32 * 2**20}
"""Of batches gathered at a time: a core's cache on a CPU, few launches a step on a GPU."""


def generator(purpose: str) -> torch.Generator:
    """Return a CPU generator, so that what is drawn does not depend on the device."""
    digest = hashlib.sha256(purpose.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))


def own_share(drawn: Tensor, share: tuple[int, int], own_size: int) -> Tensor:
    """Return what rank `share[0]` of `share[1]` reads: `own_size` of each batch along the last dimension."""
    rank, ranks = share
    by_rank = drawn.reshape(*drawn.shape[:-1], -1, ranks, own_size)
    return by_rank[..., rank, :].flatten(-2)


def chunk_rows(row_bytes: int, batch_rows: int, device: torch.device) -> int:
    """Return how many rows of `row_bytes` to gather at a time: some whole batches of `batch_rows`."""
    return max(1, CHUNK_BYTES[device.type] // (row_bytes * batch_rows)) * batch_rows


def to_device(drawn: Tensor, device: torch.device) -> Tensor:
    """Copy to the device; through pinned memory, so that the host does not wait for a GPU."""
    return drawn.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else drawn
