"""Check of how often each training example was seen."""

from __future__ import annotations

import pandas as pd

from isoflop.curve.check import finding
from isoflop.curve.check.finding import Finding, Outcome
from isoflop.table import target

CHECK = "repetition"
OFTEN = 4.0
"""Up to about this many passes repeated data are nearly as good as fresh ones (Muennighoff et al. 2023,
arXiv 2305.16264, for language models)."""
TOLERANCE = 1.02
"""Passes are whole batches: within this ratio of OFTEN they are not more."""


def too_often(rows: pd.DataFrame) -> pd.Series[bool]:
    """Return for each row whether its examples were seen more than OFTEN times; False where not known."""
    if "train_n" not in rows:
        return pd.Series(False, index=rows.index)
    return rows["examples_seen"] / rows["train_n"] > OFTEN * TOLERANCE


def once(table: pd.DataFrame) -> bool:
    """Return whether the runs were trained on text of which no part was read twice."""
    rows = finding.known(table, "examples_seen", "train_n")
    if target.of(table).domain != target.TEXT or rows.empty:
        return False
    return bool((rows["examples_seen"] <= TOLERANCE * rows["train_n"]).all())


def check(table: pd.DataFrame) -> Outcome:
    """Return how often the training set was passed over, where that is more than OFTEN times."""
    for name in ("examples_seen", "train_n"):
        if finding.known(table, name).empty:
            return finding.needs(CHECK, name)
    rows = finding.known(table, "examples_seen", "train_n")
    if rows.empty:
        return finding.needs(CHECK, "examples_seen and train_n of the same runs")
    passes = rows["examples_seen"] / rows["train_n"]
    if target.of(table).domain == target.TEXT and float(passes.max()) <= OFTEN * TOLERANCE:
        return _of_text(rows, passes)
    low, high = float(passes.min()), float(passes.max())
    often = f"{high:.3g} times" if high <= 1.02 * low else f"{low:.3g} to {high:.3g} times"
    if high <= OFTEN * TOLERANCE:
        return Outcome(CHECK, passed=f"each training example was seen {often}")
    many = rows[too_often(rows)]
    which = (
        "by every run" if len(many) == len(rows) else f"({len(many)} of {len(rows)} runs more than {OFTEN:g})"
    )
    sentence = (
        f"each training example was seen {often} {which}: beyond about {OFTEN:g} passes repeated data are "
        "worth less than fresh ones, so that more training is not more data (Muennighoff et al. 2023)"
    )
    found = () if len(many) == len(rows) else finding.subjects(many)
    what = (
        "use a larger training set or fewer epochs where data should grow; judge training loss beside error"
    )
    return Outcome(CHECK, (Finding(CHECK, "note", found, sentence, what),))


def _of_text(rows: pd.DataFrame, passes: pd.Series[float]) -> Outcome:
    """Return the outcome for text that was read at most OFTEN times: one pass repeats nothing."""
    low, high = float(passes.min()), float(passes.max())
    if once(rows):
        share = f"{low:.2g} to {high:.2g}" if high > TOLERANCE * low else f"{high:.2g}"
        return Outcome(CHECK, passed=f"no byte was read twice: a run reads {share} of the training text")
    many = rows[passes > TOLERANCE]
    sentence = (
        f"{len(many)} of {len(rows)} runs read the training text more than once, up to {high:.3g} times: "
        f"up to about {OFTEN:g} passes repeated text is nearly as good as new (Muennighoff et al. 2023), but "
        "a law in data counts it as new"
    )
    what = "give a longer text, or leave these runs out where the law in data is to be exact"
    found = () if len(many) == len(rows) else finding.subjects(many)
    return Outcome(CHECK, (Finding(CHECK, "note", found, sentence, what),))
