"""Generators set for code of the user's own, which may draw from any of the global ones."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Set the global generators of torch (on the CPU), numpy and Python inside, and put them back after."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  (saved, not used)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002  (what the user's code may draw from)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
