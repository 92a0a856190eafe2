"""The page's sortable tables: configurations, runs, and what was left out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from isoflop.curve.result import FitFile
from isoflop.report.text.numerals import compact, padded
from isoflop.table.aggregate import RunTable


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a sortable table; `sorted` marks the one the rows come sorted by."""

    title: str
    numeric: bool
    sorted: bool = False


@dataclasses.dataclass(frozen=True)
class Grid:
    """A sortable table: its columns and its rows of text."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


_RUN_COLUMNS = (
    ("test_error", "Test error (%)", 100.0),
    ("test_loss", "Test loss (nats)", 1.0),
    ("train_gflops", "GFLOPs", 1.0),
    ("energy_joules", "Energy (J)", 1.0),
    ("net_joules", "Above idle (J)", 1.0),
    ("train_seconds", "Time (s)", 1.0),
    ("mfu", "MFU (%)", 100.0),
    ("dollars", "Cost (USD)", 1.0),
    ("lr", "Learning rate", 1.0),
)


def runs(rows: pd.DataFrame) -> Grid:
    """Return every run, ordered by configuration: label, seed, and the columns that any run knows."""
    known = [(name, title, scale) for name, title, scale in _RUN_COLUMNS if rows[name].notna().any()]
    columns = (
        Column("Configuration", False),
        Column("Seed", True),
        *(Column(title, True) for _, title, _ in known),
    )
    order = rows.groupby("place_id")["train_gflops"].transform("mean")
    ordered = rows.assign(order=order).sort_values(["order", "place_id", "seed"])
    texts = [
        ordered["label"].astype(str),
        ordered["seed"].map("{:.0f}".format),
        *((scale * ordered[name]).map(compact if name == "lr" else padded) for name, _, scale in known),
    ]
    return Grid(columns, tuple(zip(*texts, strict=True)))


def configs(rows: pd.DataFrame) -> Grid:
    """Return one row per configuration: arithmetic means over its seeds, and the seeds' range of error."""
    known = [entry for entry in _RUN_COLUMNS if rows[entry[0]].notna().any()]
    titles = ("Seeds", "Mean test error (%)", "Lowest (%)", "Highest (%)", *(t for _, t, _ in known[1:]))
    columns = (Column("Configuration", False), *(Column(t, True, t == "GFLOPs") for t in titles))
    keyed_rows = []
    for _, group in rows.groupby("place_id", sort=False):
        error = 100 * group["test_error"]
        means = [(name, scale * group[name].mean()) for name, _, scale in known[1:]]
        numbers = (error.mean(), error.min(), error.max(), *(mean for _, mean in means))
        texts = tuple(padded(float(v)) for v in numbers)
        keyed_rows.append(
            (group["train_gflops"].mean(), (str(group["label"].iloc[0]), str(len(group)), *texts))
        )
    keyed_rows.sort(key=lambda entry: (np.isnan(entry[0]), entry[0]))
    return Grid(columns, tuple(row for _, row in keyed_rows))


def left_out(table: RunTable, fits: FitFile) -> Grid:
    """Return records that gave no point, and rows that a fit did not use, each with its reason."""
    names = dict(zip(table.rows["run_id"], table.rows["label"] + " seed ", strict=True))
    seeds = dict(zip(table.rows["run_id"], table.rows["seed"], strict=True))
    rows = [(d.run_id, d.state, d.reason) for d in table.dropped]
    for report in fits.reports:
        for entry in report.excluded:
            label = f"{names[entry.run_id]}{seeds[entry.run_id]:.0f}: " if entry.run_id in names else ""
            rows.append((entry.run_id, f"not in {report.y} against {report.x}", label + entry.reason))
    return Grid((Column("Run", False), Column("What", False), Column("Reason", False)), tuple(rows))
