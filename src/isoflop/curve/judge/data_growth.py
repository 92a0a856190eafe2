"""Did the training data grow with compute, as the paper's argument lets them?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from isoflop.curve.check import finding
from isoflop.curve.judge.answer import Reason

LEAST_GROWTH = 0.25
"""Distinct examples must grow at least as compute to this power: half of the 1/2 of the argument, in which
compute is data times parameters and both grow alike. Below it the data are all but fixed, and a slow fall
may be that of a training set that is used up."""


def exponent(rows: pd.DataFrame, x: str) -> float | None:
    """Return g of distinct training examples ~ x^g by least squares of the logarithms, None where unknown.

    A run sees no more distinct examples than its training set holds, nor than it reads.

    Args:
        rows: one row a run.
        x: the column of compute, above 0.
    """
    known = finding.known(rows, "train_n", x)
    if known.empty:
        return None
    known = known[(known["train_n"] > 0) & (known[x] > 0)]
    if len(known) < 2 or len(known) < len(rows):
        return None
    distinct = known["train_n"].to_numpy(float)
    if "examples_seen" in known:
        seen = pd.to_numeric(known["examples_seen"], errors="coerce").to_numpy(float)
        distinct = np.fmin(distinct, seen)
    log_x = np.log(known[x].to_numpy(float))
    if np.ptp(log_x) == 0:
        return None
    return float(np.polyfit(log_x - log_x.mean(), np.log(distinct), 1)[0])


def reason(rows: pd.DataFrame, x: str) -> Reason | None:
    """Return why the runs cannot speak of growing data, or None where the data grew with compute."""
    grown = exponent(rows, x)
    if grown is None:
        return Reason("fixed data", "it is not known whether the training set grew with compute")
    if grown >= LEAST_GROWTH:
        return None
    said = "does not grow" if abs(grown) < 0.005 else f"grows only as compute to the power {grown:.2g}"
    return Reason(
        "fixed data",
        f"the training set {said}, and the limit is of data that grow with compute (to the power 1/2)",
    )
