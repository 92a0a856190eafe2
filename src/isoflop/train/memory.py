"""Memory of a process that trains: kept from step to step on a CPU, given back between shapes on a GPU.

On a CPU, glibc gives large freed blocks back to the system and asks for them again a moment later, and the
system then fills every page with zeros: 5% to 8% of a step of a wide convolutional network
(docs/performance.md).
"""

from __future__ import annotations

import ctypes
import functools
import gc

import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""
KEPT_BYTES = 2**31 - 1
"""Free memory at the heap's top that stays with the process: the largest int, which is what mallopt takes."""
FROM_HEAP_BYTES = (2**30, 2**25)
"""Sizes up to which blocks come from the heap, tried in turn: glibc may refuse more than 32 MiB."""


@functools.cache
def keep_freed() -> bool:
    """Make this process keep the memory that it frees; return whether the C library accepted the setting.

    It changes speed only, no result. Without glibc (musl, macOS) nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt  # of the C library that this process has loaded
    except (OSError, AttributeError):
        return False
    from_heap = any(mallopt(M_MMAP_THRESHOLD, size) for size in FROM_HEAP_BYTES)
    return bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)) and from_heap


def release(device: torch.device) -> None:
    """Give back the memory of a trainer that nothing refers to any more.

    Optimizers, compiled functions and their closures refer to each other in circles, which only the collector
    finds; torch then holds the freed blocks of a GPU, in sizes that fit the last shape, for itself.
    """
    gc.collect()
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.empty_cache()
