"""Columns that follow from metered joules, and so are no better than the grade of their run's energy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from isoflop.table import derived, pricing

Bools = npt.NDArray[np.bool_]

JOULES = frozenset(
    {"energy_joules", "net_joules", "own_joules", "joules_per_example", "net_joules_per_example"}
)
"""Joules of the graded meter; host_joules are read by another, which has no grade."""
PRICED = frozenset(pricing.PRICED)
"""Columns that follow from joules, hours or FLOPs, by the factors in `NAME_factors`."""
MACHINE_DEPENDENT = JOULES | {"host_joules", "train_seconds", "device_seconds"}
"""Columns in which runs of different machines are not comparable; of PRICED see `on_machine`."""


def of_energy(table: pd.DataFrame, name: str) -> Bools:
    """Return for each row (n,) whether its value of a column, or of what an expression was calculated from,
    follows from metered joules. Dollars of a table without `dollars_factors` are taken as they are."""
    read = derived.behind(table, name)
    if read & JOULES:
        return np.ones(len(table), dtype=bool)
    follows = np.zeros(len(table), dtype=bool)
    for priced in read & PRICED:
        follows |= _factors(table, priced).str.contains(pricing.OF_ENERGY, regex=False).to_numpy(dtype=bool)
    return follows


def on_machine(table: pd.DataFrame, name: str) -> bool:
    """Return whether a column depends on the machine; a price per FLOP does not."""
    read = derived.behind(table, name)
    if read & MACHINE_DEPENDENT:
        return True
    priced = (_factors(table, each) for each in read & PRICED)
    return any(not factors.str.contains(pricing.OF_FLOPS, regex=False).all() for factors in priced)


def prices(table: pd.DataFrame, name: str) -> list[str]:
    """Return the different prices behind a column, each as its factors; none where it is no price."""
    read = derived.behind(table, name) & PRICED
    return sorted({text for each in read for text in _factors(table, each) if text})


def _factors(table: pd.DataFrame, name: str) -> pd.Series[str]:
    """Return the factors of each row, "" where they are unknown."""
    column = f"{name}_factors"
    if column not in table:
        return pd.Series("", table.index, dtype=object)
    return table[column].where(table[column].map(lambda value: isinstance(value, str)), "")
