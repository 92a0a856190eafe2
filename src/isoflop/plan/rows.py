"""Rows as the forecast of costs reads them: under the names of a sweep's columns, compute in GFLOPs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from isoflop.curve.result import FitReport
from isoflop.plan.sizes import GFLOPS


def prepared(checked: pd.DataFrame, table: pd.DataFrame, report: FitReport) -> pd.DataFrame:
    """Return the rows with the column of y, GFLOPS, and seconds of all devices.

    Args:
        checked: the rows under the names of a sweep's columns.
        table: the same with the columns x and y of the report, x in the unit of the fit.
        report: the fit, whose x is training compute in a known unit.
    """
    assert report.resource.flops is not None
    rows = checked.copy()
    rows[report.y] = table[report.y]
    rows[GFLOPS] = table[report.x] * report.resource.flops * 1e-9
    if "device_seconds" not in rows:
        devices = pd.Series(1.0, index=rows.index)
        if {"hardware_burden_gflops", "achieved_gflops_per_second", "mfu", "train_seconds"} <= set(rows):
            # As pricing: devices are the hardware burden over that of one device.
            one = rows["achieved_gflops_per_second"] / rows["mfu"] * rows["train_seconds"]
            devices = (rows["hardware_burden_gflops"] / one).round().clip(lower=1.0).fillna(1.0)
        rows["device_seconds"] = rows["train_seconds"] * devices if "train_seconds" in rows else np.nan
    place = rows["place_id"] if "place_id" in rows else rows["config_id"]
    rows["place"] = place.astype(str) + rows[GFLOPS].map("@{:.6g}".format)
    return rows


def fitted(rows: pd.DataFrame, report: FitReport) -> pd.DataFrame:
    """Return the prepared rows that the report's fit used."""
    return rows[~rows["run_id"].isin([each.run_id for each in report.excluded])]


def on_device(rows: pd.DataFrame, device: str | None) -> pd.DataFrame:
    """Return the rows of one device; all of them where none is named."""
    return rows if device is None else rows[rows["device"] == device]


def most_used(rows: pd.DataFrame) -> str | None:
    """Return the device of most rows, None where none says its own."""
    named = rows["device"].dropna().astype(str) if "device" in rows else pd.Series(dtype=str)
    return None if named.empty else str(named.value_counts().index[0])
