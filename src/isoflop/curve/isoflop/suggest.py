"""Suggest a sweep that gives IsoFLOP profiles of the model and data of a table's runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

WIDTHS = 6
"""Sizes that a budget needs: profiles.SPARE more than a parabola has coefficients."""
ACROSS = 8.0
"""The ratio of the largest width to the smallest."""
BUDGETS = (1 / 16, 1 / 4, 1.0)
"""Shares of the largest training compute of the table."""
FAMILIES = ("mlp", "resnet", "vit", "convmixer")


def command(rows: pd.DataFrame) -> str | None:
    """Return `isoflop sweep ...` with six widths at each of three budgets, within the table's range.

    None unless the runs are of one model family with a width and of one data set.
    """
    known = rows.dropna(subset=["width", "depth", "train_gflops"])
    family, data = _only(known, "family"), _only(known, "data")
    if family not in FAMILIES or data is None or not str(data).isidentifier():
        return None
    largest = float(known["train_gflops"].max())
    optimizer, rate, batch_size = (_only(known, name) for name in ("optimizer", "lr", "batch_size"))
    depth = int(known["depth"].median())
    budgets = [f"{float(format(share * largest, '.2g')):g}" for share in BUDGETS]
    arguments = [
        *("isoflop sweep", f"data={data}", f"model={family}", f"model.depth={depth}"),
        *([f"optim={optimizer}"] if optimizer else []),
        *([f"optim.lr={rate:g}"] if rate else []),
        *([f"optim.batch_size={batch_size:g}"] if batch_size else []),
        f"model.width={','.join(map(str, _widths(known['width'])))}",
        "schedule=budget",
        f"schedule.train_gflops={','.join(budgets)}",
        *("seed=0,1,2", f"sweep.name={data}-isoflop"),
    ]
    return " ".join(arguments)


def _only(rows: pd.DataFrame, name: str) -> Any:
    """Return the one known value of a column, or None if there are several or none."""
    values = rows[name].dropna().unique()
    return values[0] if len(values) == 1 else None


def _widths(seen: pd.Series[float]) -> list[int]:
    """Return six widths in steps of equal ratio up to the largest of the table.

    They are multiples of the greatest common divisor of the table's widths, as heads and groups divide a
    width. The largest is raised until there are six.
    """
    step, top = math.gcd(*(int(width) for width in seen.unique())), float(seen.max())
    while True:
        wanted = np.geomspace(top / ACROSS, top, WIDTHS) / step
        widths = sorted({max(1, round(width)) * step for width in wanted})
        if len(widths) == WIDTHS:
            return widths
        top *= 1.25
