"""How a command that fits uses the machine: no threads, a second process, and memory that it keeps."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator

from isoflop import beside

VERBS = ("fit", "forecast", "report", "compare")
"""Verbs that fit and train nothing."""
BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that say how many threads multiply NumPy's matrices, read when it is imported."""
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt (malloc.h)."""
KEPT_BYTES, LARGEST_BYTES = 1 << 28, 1 << 25
"""Free memory that the process keeps, and the largest array that is taken from it (glibc takes no more)."""


@contextlib.contextmanager
def fast_fits(*, alone: bool) -> Iterator[None]:
    """Use the machine as fits are fastest, for the length of one verb. What the user has set stays.

    Matrices of a fit are small: threads on them wait for each other more than they work.

    Args:
        alone: the process is this command's and has no threads, so that it may fork and keep memory.
    """
    one = {} if any(name in os.environ for name in BLAS_THREADS) else {BLAS_THREADS[0]: "1"}
    os.environ.update(one)
    try:
        if not alone:
            yield
            return
        _keep_memory()
        with beside.allowed():
            yield
    finally:
        for name in one:
            del os.environ[name]


def _keep_memory() -> None:
    """Let glibc keep what arrays free, for the next ones of the same size.

    By default each array of some 100 KB is given back to the system and asked for again, page by page.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if set_option is not None:
        set_option(TRIM_THRESHOLD, KEPT_BYTES)
        set_option(MMAP_THRESHOLD, LARGEST_BYTES)
