"""Check of the design: does compute vary by size alone, so that data and size cannot be told apart?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from isoflop.curve.check import finding, repetition
from isoflop.curve.check.finding import Finding, Outcome

CHECK = "confounding"
TOGETHER = 0.98
"""Above this squared correlation of ln size with ln examples the two cannot be told apart."""
EQUAL = 1.02
"""Lengths within this ratio are one: steps are whole, so that equal epochs differ by part of a batch."""
VARY = "vary size and data apart: several training lengths and several data sizes for each shape"


def check(table: pd.DataFrame) -> Outcome:
    """Return whether compute is a function of size alone, or size and data rise together."""
    if finding.known(table, "examples_seen").empty:
        return finding.needs(CHECK, "examples_seen")
    size = next(
        (n for n in ("parameters", "width") if not finding.known(table, n, "examples_seen").empty), None
    )
    if size is None:
        return finding.needs(CHECK, "parameters or width")
    rows = finding.known(table, size, "examples_seen")
    seen, sizes = rows["examples_seen"].to_numpy(float), rows[size].to_numpy(float)
    sets = np.sort(finding.known(rows, "train_n")["train_n"].unique()) if "train_n" in rows else np.array([])
    # A text of which no part is read twice is no fixed training set: longer runs see new data.
    repeats = len(sets) == 1 and not repetition.once(table)
    fixed = f" of one training set of {sets[0]:,.0f}" if repeats else ""
    if sizes.min() == sizes.max():
        return Outcome(CHECK, passed=f"one size: compute varies by examples seen, {_range(seen)}")
    if seen.max() <= EQUAL * seen.min():
        sentence = (
            f"every run sees {seen.max():,.0f} examples{fixed}, so compute grows by size alone: the curve "
            "mixes "
            "what size does with what too little data does, and with fixed data a floor is to be expected "
            "(the paper's theory lets the data grow with the model)"
        )
        return Outcome(CHECK, (Finding(CHECK, "warning", (), sentence, VARY),))
    share = float(np.corrcoef(np.log(sizes), np.log(seen))[0, 1] ** 2)
    if share > TOGETHER:
        sentence = (
            f"size and examples seen rise together (R2 of their logarithms {share:.3g}): the curve is that "
            "of one path, on which what size does cannot be told from what data does"
        )
        return Outcome(CHECK, (Finding(CHECK, "note", (), sentence, VARY),))
    if fixed:
        sentence = (
            f"all runs draw on one training set of {sets[0]:,.0f}: longer training repeats it, and with "
            "fixed data a floor is to be expected (the paper's theory lets the data grow with the model)"
        )
        return Outcome(
            CHECK, (Finding(CHECK, "note", (), sentence, "vary the size of the training set too"),)
        )
    return Outcome(CHECK, passed=f"size and examples seen ({_range(seen)}) vary apart (R2 {share:.2g})")


def _range(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    return f"{values.min():,.0f} to {values.max():,.0f}"
