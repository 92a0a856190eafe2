"""Keep the memory of a CPU step for the next one.

glibc gives large freed blocks back to the system and asks for them again a moment later, and the system then
fills every page with zeros: 5% to 8% of a step of a wide convolutional network (docs/performance.md).
"""

from __future__ import annotations

import ctypes
import functools

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""The names of mallopt(3)."""
KEPT_BYTES = 2**31 - 1
"""Free memory at the heap's top that stays with the process: all mallopt's int can say."""
FROM_HEAP_BYTES = (2**30, 2**25)
"""Blocks up to this size come from the heap; glibc may refuse more than 32 MiB."""


@functools.cache
def keep_freed() -> bool:
    """From now on this process keeps what it frees; whether the C library could be told so.

    Speed only: no result changes. Without glibc (musl, macOS) nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    from_heap = any(mallopt(M_MMAP_THRESHOLD, size) for size in FROM_HEAP_BYTES)
    return bool(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)) and from_heap
