"""A comparison of levers as a data frame, a row a lever."""

from __future__ import annotations

from typing import Any

import pandas as pd

from isoflop.curve.levers.result import LeverRow, LeversReport, OnAxis

TEXTS = ("moved", "law")
NUMBERS = (
    *("gain", "low", "high", "gain_largest", "gain_least"),
    *("b", "b_low", "b_high", "b_p", "b_smallest_seen"),
)
"""Of each measure of work, as floats that are NaN where unknown."""


def table(report: LeversReport) -> pd.DataFrame:
    """Return a row a lever (api.levers.Levers.table)."""
    names = list(dict.fromkeys(each.column for row in report.levers for each in row.ratios))
    made = pd.DataFrame([_row(row, names) for row in report.levers])
    numbers = [f"{prefix}_{name}" for prefix in ("own", "total") for name in NUMBERS]
    ratios = [f"{name}_ratio{end}" for name in names for end in ("", "_low", "_high")]
    return made.astype(dict.fromkeys([*numbers, *ratios, "density", "prior_share"], float))


def _row(row: LeverRow, names: list[str]) -> dict[str, Any]:
    own, total = _on_axis("own", row.own), _on_axis("total", row.total)
    made: dict[str, Any] = {
        "lever": row.lever,
        "settings": row.settings,
        "runs": row.runs,
        "configurations": row.configurations,
        "in_common": row.in_common,
        "reason": row.reason,
        **own,
        **total,
        "density": row.density,
        "prior_share": row.prior_share,
        "trials": row.rates.trials,
    }
    for name in names:
        ratio = row.ratio(name)
        ends = (None, None, None) if ratio is None else (ratio.value, ratio.interval.low, ratio.interval.high)
        made |= dict(zip((f"{name}_ratio", f"{name}_ratio_low", f"{name}_ratio_high"), ends, strict=True))
    return made


def _on_axis(prefix: str, of: OnAxis | None) -> dict[str, Any]:
    if of is None:
        return {f"{prefix}_{name}": None for name in (*TEXTS, *NUMBERS)}
    middle = of.middle
    gains = (
        middle.gain if middle else None,
        middle.interval.low if middle else None,
        middle.interval.high if middle else None,
        of.largest.gain if of.largest else None,
        of.least.gain if of.least else None,
    )
    b = (of.b.value, of.b.interval.low, of.b.interval.high, of.b.p, of.b.smallest_seen)
    names = [f"{prefix}_{name}" for name in (*TEXTS, *NUMBERS)]
    return dict(zip(names, (of.moved, of.law, *gains, *b), strict=True))
