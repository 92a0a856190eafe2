"""Check of points near chance, where error says little about a law."""

from __future__ import annotations

import numpy as np
import pandas as pd

from isoflop.curve.check import finding
from isoflop.curve.check.finding import Finding, Outcome
from isoflop.record.binomial import wilson
from isoflop.table import target

CHECK = "chance"
LEARNED = 0.1
"""A run that is less than this share of the way from chance to no error is near chance."""


def check(table: pd.DataFrame) -> Outcome:
    """Return the runs whose error is at or near that of guessing; a loss in bits has no such level."""
    if not target.of(table).quantity.counted:
        return Outcome(CHECK, not_checked="the loss of text has no level of guessing")
    for name, option in (("test_error", ""), ("chance_error", " (--chance)")):
        if finding.known(table, name).empty:
            return finding.needs(CHECK, name + option)
    rows = finding.known(table, "test_error", "chance_error")
    error, guess = (rows[name].to_numpy(float) for name in ("test_error", "chance_error"))
    near = error > (1 - LEARNED) * guess
    counted = finding.known(rows, "test_n")
    if len(counted) == len(rows):
        within = np.clip(error, 0.0, 1.0)
        near |= wilson(within, rows["test_n"].to_numpy(float))[1] >= guess
    if not near.any():
        return Outcome(CHECK, passed=f"no run is near the error of guessing, {_guess(guess)}")
    at = int((error >= guess).sum())
    found = finding.subjects(rows[near])
    sentence = (
        f"{int(near.sum())} of {len(rows)} runs are near the error of guessing ({_guess(guess)}), {at} of "
        f"them at or above it: {finding.names(s.name for s in found)}. A curve through them starts flat"
    )
    what = "train them longer or leave them out of the fit (--hold-out); runs at chance are left out by name"
    return Outcome(CHECK, (Finding(CHECK, "warning", found, sentence, what),))


def _guess(guess: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    low, high = float(guess.min()), float(guess.max())
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
