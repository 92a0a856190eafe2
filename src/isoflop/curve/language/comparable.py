"""Which runs of text one law may be fitted to: of one text and context, and at the best of their rates."""

from __future__ import annotations

import dataclasses

import pandas as pd

SETTING = ("width", "depth", "examples_seen", "batch_size")
"""Runs that agree in these and differ in RATE are trials of rates."""
RATE, VALIDATION = "base_lr", "val_bits_per_byte"
HASH_DIGITS = 64
ONE = {
    "data": "texts",
    "split_sha256": "splits of the text",
    "context": "context lengths",
    "family": "model families",
    "optimizer": "optimizers",
    "parametrization": "parametrizations",
}
"""Columns in which the runs of one law agree, and what their values are called."""


@dataclasses.dataclass(frozen=True)
class Comparable:
    """The runs that are compared, what is left out of them, and why they cannot be compared.

    Attributes:
        rows: the runs that are kept.
        note: what is left out, in one sentence; None where nothing is.
        refused: why no law holds for all of them; None where one may.
    """

    rows: pd.DataFrame
    note: str | None
    refused: str | None


def comparable(rows: pd.DataFrame) -> Comparable:
    """Return the runs of text that one law may be fitted to.

    Where RATE takes several values within a SETTING, the one with the least mean VALIDATION is kept: the test
    loss chooses nothing.
    """
    kept, note = _at_best_rates(rows)
    return Comparable(kept, note, _refused(rows))


def _refused(rows: pd.DataFrame) -> str | None:
    values = {name: sorted({_shown(each) for each in rows[name].dropna()}) for name in ONE if name in rows}
    several = [
        f"{len(found)} {ONE[name]} ({name}: {', '.join(found)})"
        for name, found in values.items()
        if len(found) > 1
    ]
    if not several:
        return None
    return (
        f"the runs are of {' and '.join(several)}, for which no one law holds: move the records of each "
        "into a folder of their own"
    )


def _shown(value: object) -> str:
    """Return a value as a message names it; a hash by its first digits, as elsewhere."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text[:8] if len(text) == HASH_DIGITS else text


def _at_best_rates(rows: pd.DataFrame) -> tuple[pd.DataFrame, str | None]:
    """Return the rows at the best rate of each setting, and what was left out.

    A setting with several rates none of which has a known validation loss is left out, as nothing but the
    test loss could choose.
    """
    if not {*SETTING, RATE, VALIDATION} <= set(rows.columns):
        return rows, None
    setting = rows.groupby(list(SETTING), dropna=False, sort=False).ngroup()
    several = rows.groupby(setting)[RATE].transform("nunique") > 1
    if not several.any():
        return rows, None
    mean = rows.groupby([setting, rows[RATE]], dropna=False)[VALIDATION].transform("mean")
    best = mean.groupby(setting).transform("min")
    kept = rows[~several | (mean == best)]
    tried = setting[several].nunique()
    note = (
        f"Several base learning rates were tried at {tried} of {setting.nunique()} settings (width, depth, "
        f"bytes and batch): the best by validation bits a byte is kept, {len(rows) - len(kept)} of "
        f"{len(rows)} runs are left out"
    )
    return kept, f"{note}."
