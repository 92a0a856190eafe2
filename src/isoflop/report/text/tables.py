"""The page's sortable tables: configurations, runs, and what was left out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from isoflop.curve.result import FitFile
from isoflop.report.text.numerals import compact, padded
from isoflop.table import target
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


_COMMON = (
    ("train_gflops", "GFLOPs", 1.0),
    ("energy_joules", "Energy (J)", 1.0),
    ("net_joules", "Above idle (J)", 1.0),
    ("train_seconds", "Time (s)", 1.0),
    ("mfu", "MFU (%)", 100.0),
    ("dollars", "Cost (USD)", 1.0),
    ("grams_co2", "CO2 (g)", 1.0),
    ("lr", "Learning rate", 1.0),
)


def _columns(rows: pd.DataFrame) -> list[tuple[str, str, float]]:
    """Return (column, title, scale) of what any run knows, what the sweep is judged on first."""
    judged_on = target.of(rows)
    of_text = judged_on.domain == target.TEXT
    second = ("examples_seen", "Read (MB)", 1e-6) if of_text else ("test_loss", "Test loss (nats)", 1.0)
    first = (judged_on.y, judged_on.quantity.axis_title, judged_on.quantity.scale)
    return [entry for entry in (first, second, *_COMMON) if rows[entry[0]].notna().any()]


def runs(rows: pd.DataFrame) -> Grid:
    """Return every run, ordered by configuration: label, seed, and the columns that any run knows."""
    known = _columns(rows)
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
    """Return one row per configuration: arithmetic means over its seeds, and the seeds' range of error or
    loss."""
    known, quantity = _columns(rows), target.of(rows).quantity
    titled = (f"Mean {quantity.title.lower()}", "Lowest", "Highest")
    titles = ("Seeds", *(f"{each} ({quantity.unit})" for each in titled), *(t for _, t, _ in known[1:]))
    columns = (Column("Configuration", False), *(Column(t, True, t == "GFLOPs") for t in titles))
    keyed_rows = []
    for _, group in rows.groupby("place_id", sort=False):
        error = quantity.scale * group[quantity.column]
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
