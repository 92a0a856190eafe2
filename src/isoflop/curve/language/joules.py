"""Joules a byte of each shape and batch, in all and net of idle power, or why they are unknown."""

from __future__ import annotations

import math

import pandas as pd

from isoflop.curve.language.result import ShapeJoules
from isoflop.table import target

JOULES, NET = "joules_per_example", "net_joules_per_example"
SIZE = target.TEXTS.size
KEYS = ["width", "depth", "batch_size"]
"""A batch is in it: steps of a small batch are mostly launches, and cost more a byte."""
GPU_ONLY = "power_limit_watts"
"""Column that a run on a GPU alone has."""


def joules_a_byte(rows: pd.DataFrame) -> tuple[ShapeJoules, ...]:
    """Return the joules a byte of each shape and batch, narrowest first; rows need the columns KEYS and SIZE.

    Medians over runs: a run that shared its GPU or was paused would pull a mean.
    """
    known = rows.dropna(subset=["width", "depth"])
    return tuple(_shape(group) for _, group in known.groupby(KEYS, sort=True, dropna=False))


def _shape(group: pd.DataFrame) -> ShapeJoules:
    first = group.iloc[0]
    joules, net = _median(group, JOULES), _median(group, NET)
    batch = float(first["batch_size"])
    return ShapeJoules(
        width=float(first["width"]),
        depth=float(first["depth"]),
        batch=None if math.isnan(batch) else batch,
        size=float(first[SIZE]),
        joules=joules,
        net_joules=net,
        on_gpu=GPU_ONLY in group and bool(group[GPU_ONLY].notna().any()),
        reason=_reason(group) if joules is None else "idle power was not measured" if net is None else None,
    )


def _median(group: pd.DataFrame, name: str) -> float | None:
    if name not in group:
        return None
    middle = float(pd.to_numeric(group[name]).median())
    return None if math.isnan(middle) else middle


def _reason(group: pd.DataFrame) -> str:
    """Return the reason that most runs of a shape give for unknown joules."""
    reasons = group["energy_reason"].dropna() if "energy_reason" in group else pd.Series(dtype=object)
    return str(reasons.mode().iloc[0]) if len(reasons) else "no reason recorded"
