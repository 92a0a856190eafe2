"""How the learning rates of each arm were chosen: how many trials, at what cost, whether inside the grid."""

from __future__ import annotations

import numpy as np
import pandas as pd

from isoflop.curve.levers.result import RateSearch
from isoflop.table import levers, rate_search


def search(rows: pd.DataFrame, trials: pd.DataFrame | None, name: str) -> RateSearch:
    """Return how the learning rates of one arm were chosen.

    Args:
        rows: of the arm.
        trials: of the searches of all arms (table.trials), None where no folder holds them.
        name: of the arm.
    """
    known = rows.drop_duplicates("config_id").reindex(
        columns=["config_id", "lr_interior", rate_search.COLUMN]
    )
    interior = known["lr_interior"].dropna().astype(float)
    spent = known[rate_search.COLUMN].to_numpy(float)
    return RateSearch(
        configurations=int(known["config_id"].nunique()),
        searched=len(interior),
        interior=int(interior.sum()),
        trials=None if trials is None else int((levers.arms(trials) == name).sum()),
        gflops=None if np.isnan(spent).any() else float(spent.sum()),
    )


def same_budget(searches: list[RateSearch]) -> bool | None:
    """Return whether all arms had as many trials a configuration; None where that is unknown."""
    each = [search.per_configuration for search in searches]
    if any(value is None for value in each):
        return None
    return len(set(each)) == 1
