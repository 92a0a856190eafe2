"""Two configurations on the same windows of the test text: what is the text's own cancels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.curve.language.result import PairedDifference
from isoflop.record import window_losses

Array = npt.NDArray[np.float64]

SAME = ("split_sha256", "context")
"""Columns that say which windows a run was evaluated on."""


def paired(
    shallow: pd.DataFrame, deep: pd.DataFrame, directory: Path
) -> tuple[PairedDifference | None, str | None]:
    """Return bits a byte of `deep` less `shallow` over the same windows, or why it is unknown.

    The losses of a window are means over the seeds of a configuration. The files do not say of which document
    a window is, so that the standard error is over windows.

    Args:
        shallow, deep: the runs of one configuration each, with run_id and the columns SAME.
        directory: folder of the sweep, which holds the losses of windows.
    """
    both = pd.concat([shallow, deep])
    for name in SAME:
        if name not in both or both[name].isna().any():
            return None, f"{name} is unknown"
        if len(set(both[name])) > 1:
            return None, f"{name} differs, so the windows do"
    first, second = (_mean_windows([str(each) for each in of["run_id"]], directory) for of in (deep, shallow))
    if first is None or second is None:
        return None, "no losses of single windows were kept, or of other windows"
    try:
        nats, error = window_losses.paired_difference(first, second)
    except ValueError as why:
        return None, str(why)
    bits = 1 / math.log(2)
    return PairedDifference(bits * nats, bits * error, len(first)), None


def _mean_windows(run_ids: Sequence[str], directory: Path) -> Array | None:
    """Return the mean over runs of the loss (W,) of each window; None if one has none or other windows."""
    each = [window_losses.read(directory, run_id) for run_id in run_ids]
    known = [losses for losses in each if losses is not None]
    if len(known) < len(each) or len({losses.shape for losses in known}) != 1:
        return None
    return np.asarray(np.mean(known, axis=0))
