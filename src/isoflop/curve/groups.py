"""Fits of the groups that a column divides a table into, as one result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from isoflop.curve.result import Excluded
from isoflop.table import columns, grouping


@dataclasses.dataclass(frozen=True)
class GroupFit:
    """The fit of one group: a FitFile, JointFit or Profiles of its `rows` rows alone."""

    value: str
    rows: int
    fit: Any


@dataclasses.dataclass(frozen=True)
class GroupedFits:
    """One fit for each value of a column.

    Attributes:
        by: the column.
        groups: those that could be fitted, in ascending order of numbers, else as they come.
        unfitted: the others, each with the reason.
        notes: about the table.
        excluded: rows that are in no group.
    """

    by: str
    groups: tuple[GroupFit, ...]
    unfitted: tuple[Excluded, ...]
    notes: tuple[str, ...]
    excluded: tuple[Excluded, ...]


def fit_each(
    table: pd.DataFrame,
    by: str,
    values: Sequence[str],
    fit: Callable[[np.ndarray[tuple[int], np.dtype[np.bool_]]], Any],
    *,
    notes: Sequence[str] = (),
    excluded: Sequence[Excluded] = (),
) -> GroupedFits:
    """Fit each group of a table by itself.

    Args:
        table: one row a run.
        by: name of the column.
        values: of the column, as labels; of one that no row has, that is the reason why it is not fitted.
        fit: the mask (n,) of a group's rows -> their fit; it raises ValueError where there is none.
        notes, excluded: about the table.

    Raises:
        ValueError: there is no such column, or no group can be fitted.
    """
    name = columns.find(table, by, "by")
    labels = np.array(grouping.labels(table, name), dtype=object)
    groups, unfitted = [], []
    for value in values:
        rows = labels == value
        try:
            if not rows.any():
                raise ValueError("no row of it is left")
            groups.append(GroupFit(value, int(rows.sum()), fit(rows)))
        except ValueError as error:
            unfitted.append(Excluded(f"{name} {value}", str(error)))
    if not groups:
        first = unfitted[0]
        raise ValueError(
            f"--by {by}: none of {len(unfitted)} groups can be fitted: {first.run_id}: {first.reason}"
        )
    ids = table["run_id"].astype(str) if "run_id" in table else pd.Series(table.index.astype(str))
    without = [
        Excluded(run, f"{name} is unknown: it is in no group")
        for run, label in zip(ids, labels, strict=True)
        if label is None
    ]
    return GroupedFits(name, tuple(groups), tuple(unfitted), tuple(notes), (*excluded, *without))
