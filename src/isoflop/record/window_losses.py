"""Losses of single windows of the test text, in a file beside the record of a point: DIR/windows/RUN_ID.npy.

Two language models are compared on the same bytes, window by window: much of a loss is the text's own, and
cancels in the difference. The file is as long as the evaluation and not part of the record, which every fit
reads.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from isoflop.record.store import write_bytes

Array = npt.NDArray[np.float64]


def path_of(directory: Path, run_id: str) -> Path:
    """Return where the windows of a point stand in a sweep's folder."""
    return directory / "windows" / f"{run_id}.npy"


def write(window_nats: Sequence[float], directory: Path, run_id: str) -> Path:
    """Write the mean loss (W,) of each window, in nats a byte, as float32; atomically.

    Raises:
        OSError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    content = io.BytesIO()
    np.save(content, np.asarray(window_nats, np.float32), allow_pickle=False)
    path = path_of(directory, run_id)
    write_bytes(path, content.getvalue())
    return path


def read(directory: Path, run_id: str) -> Array | None:
    """Return the mean loss (W,) of each window in nats a byte; None without a file, or if it is damaged.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        return np.asarray(np.load(path_of(directory, run_id), allow_pickle=False), np.float64)
    except (FileNotFoundError, ValueError, EOFError):
        return None


def paired_difference(first: Array, second: Array) -> tuple[float, float]:
    """Return mean and standard error of `first` - `second` (W,), window by window.

    The standard error takes windows as drawn independently, which they are not within a document; what they
    share there mostly cancels in the difference.

    Raises:
        ValueError: the two were not evaluated on the same windows.
    """
    if first.shape != second.shape or len(first) < 2:
        raise ValueError(f"{len(first)} and {len(second)} windows: two runs are paired over the same windows")
    difference = first - second
    return float(difference.mean()), float(difference.std(ddof=1)) / math.sqrt(len(difference))
