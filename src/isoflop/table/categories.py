"""Words in a table: columns in which rows differ, and rows that are one measurement under two labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import numpy as np
import pandas as pd

from isoflop.table import columns

MOST_WORDS = 4
"""Words of a column that the note names."""
MOST_NAMED = 3
FINE = 4
"""Significant digits of y from which on two equal values are no coincidence."""

_NO_CATEGORY = frozenset(
    {
        "run_id",
        "config_id",
        "trunk_id",
        "place_id",
        "label",
        "seed",
        "state",
        "name",
        "id",
        "run_name",
        "run id",
    }
    | {"git_commit", "isoflop_version", "device", "split_sha256", "started_at", "energy_grade", "domain"}
    | {"dollars_factors", "grams_co2_factors"}
    | {"lr_interior", "notes", "tags", "created", "createdat", "runtime"}
)
"""Columns, in lower case, of ids and circumstances; those that matter have notes of their own."""


def differing(rows: pd.DataFrame, known: Collection[str] = ()) -> tuple[str, ...]:
    """Return a note that names each column of words in which the rows differ, or nothing.

    A column counts where its words are fewer than half the rows, so that they name kinds and not rows.

    Args:
        rows: one row a run, those that are fitted.
        known: columns that other notes name, or that the rows are grouped by.
    """
    said = []
    for name in map(str, rows.columns):
        tail = name.lower().rpartition(".")[2]
        if name in known or tail in _NO_CATEGORY or tail.endswith("_reason"):
            continue
        if pd.api.types.is_numeric_dtype(rows[name]) and not pd.api.types.is_bool_dtype(rows[name]):
            continue
        words = Counter(rows[name].dropna().map(columns.label).dropna())
        if 2 <= len(words) <= len(rows) / 2 and not all(columns.number(word) is not None for word in words):
            said.append(f"{name} ({_counted(words)})")
    if not said:
        return ()
    return (
        f"rows differ in {', '.join(said)}: one law is fitted through all of them; --by or --where fits them "
        "apart",
    )


def _counted(words: Counter[str]) -> str:
    most = words.most_common(MOST_WORDS)
    more = f" and {len(words) - MOST_WORDS} more" if len(words) > MOST_WORDS else ""
    return ", ".join(f"{word} {times}" for word, times in most) + more


def same_numbers(table: pd.DataFrame, x: str, y: str, seed: str | None) -> tuple[str, ...]:
    """Return a note that names rows with the numbers of an earlier row under other words, or nothing.

    Args:
        table: one row a run, with the columns of its file; numbers as numbers.
        x, y: the columns that are fitted.
        seed: the column that repeats a configuration: rows of other seeds are no repetitions.
    """
    ids = {"run_id", "config_id", "place_id"}
    names = [name for name in table if name not in ids and not str(name).endswith("_reason")]
    of_numbers = [name for name in names if pd.api.types.is_numeric_dtype(table[name]) or name == seed]
    words = [name for name in names if name not in of_numbers]
    usable = table[x].notna() & table[y].notna()
    if not words or len(table.loc[usable, [x, y]]) < 2:
        return ()
    key = table.loc[usable, of_numbers]
    again = key.duplicated()
    varying = sum(len(key[name].unique()) > 1 for name in of_numbers)
    if varying < 4:  # x, y and what follows from them: equal values of a coarse y may be a coincidence
        again &= table.loc[usable, y].map(_digits) >= FINE
    if not again.any():
        return ()
    runs = table.loc[usable, "run_id"]
    same = key.groupby(of_numbers, dropna=False, sort=False).ngroup()
    earliest: dict[int, str] = {}
    pairs = [
        f"{run} and {earliest[group]}"
        for run, group, repeats in zip(runs, same.tolist(), again.tolist(), strict=True)
        if earliest.setdefault(group, run) != run and repeats
    ]
    more = f" and {len(pairs) - MOST_NAMED} more" if len(pairs) > MOST_NAMED else ""
    hold = "row holds" if len(pairs) == 1 else "rows hold"
    return (
        f"{len(pairs)} {hold} the numbers of another under other labels "
        f"({', '.join(map(str, words[:2]))}): "
        f"{', '.join(pairs[:MOST_NAMED])}{more}: if that is one measurement, leave one out, or intervals are "
        "too narrow",
    )


def _digits(value: float) -> int:
    """Return the significant digits of a number."""
    mantissa = np.format_float_scientific(value, trim="-").partition("e")[0]
    return sum(mark.isdigit() for mark in mantissa)
