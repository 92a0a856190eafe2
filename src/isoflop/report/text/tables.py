"""The page's sortable tables: configurations, runs, and what was left out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from isoflop.curve.result import FitFile
from isoflop.report.text import units
from isoflop.report.text.numerals import UNKNOWN, padded
from isoflop.table import target
from isoflop.table.aggregate import RunTable
from isoflop.table.axis import Axes
from isoflop.table.target import Quantity


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a sortable table; `sorted` marks the one the rows come sorted by."""

    title: str
    numeric: bool
    sorted: bool = False


@dataclasses.dataclass(frozen=True)
class Grid:
    """A sortable table: its columns, its rows of text, and the run of each row, where each row is a run."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    run_ids: tuple[str, ...] = ()


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


@dataclasses.dataclass(frozen=True)
class Listed:
    """What the tables of runs list.

    Attributes:
        y: the quantity that the runs are judged on, the first column.
        x: the column by which configurations are sorted.
        columns: the further ones, as (column, title, scale); those that no run knows are not shown.
    """

    y: Quantity
    x: str
    columns: tuple[tuple[str, str, float], ...]

    def known(self, rows: pd.DataFrame) -> list[tuple[str, str, float]]:
        """Return the columns that any run knows, y first, amounts in the unit that suits them."""
        entries = ((self.y.column, self.y.axis_title, self.y.scale), *self.columns)
        return [
            (name, *units.of_column(name, rows[name].tolist(), title, scale))
            for name, title, scale in entries
            if rows[name].notna().any()
        ]


def of_sweep(rows: pd.DataFrame) -> Listed:
    """Return what is listed of a sweep's runs."""
    judged_on = target.of(rows)
    of_text = judged_on.domain == target.TEXT
    second = ("examples_seen", "Read (MB)", 1e-6) if of_text else ("test_loss", "Test loss (nats)", 1.0)
    return Listed(judged_on.quantity, "train_gflops", (second, *_COMMON))


def of_axes(axes: Axes) -> Listed:
    """Return what is listed of the runs of a user's own table."""
    first = (axes.x.column, axes.x.title, 1.0)
    others = (each for each in _COMMON[1:] if each[0] not in (axes.x.column, axes.y.column))
    return Listed(axes.y, axes.x.column, (first, *others))


def runs(rows: pd.DataFrame, listed: Listed | None = None) -> Grid:
    """Return every run, ordered by configuration: label, seed, and the columns that any run knows."""
    listed = listed or of_sweep(rows)
    known, seeded = listed.known(rows), bool(rows["seed"].notna().any())
    columns = (
        Column("Configuration", False),
        *([Column("Seed", True)] if seeded else []),
        *(Column(title, True) for _, title, _ in known),
    )
    order = rows.groupby("place_id")[listed.x].transform("mean")
    ordered = rows.assign(order=order).sort_values(["order", "place_id", "seed"])
    texts = [
        ordered["label"].astype(str),
        *([ordered["seed"].map(_seed)] if seeded else []),
        *((scale * ordered[name]).map(_rate if name == "lr" else padded) for name, _, scale in known),
    ]
    return Grid(columns, tuple(zip(*texts, strict=True)), tuple(ordered["run_id"].astype(str)))


def _seed(value: object) -> str:
    """Return a seed as it is written, a dash where it is unknown."""
    if value is None or value != value:
        return UNKNOWN
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def _rate(value: float) -> str:
    """Return a learning rate as it was chosen, without trailing zeros."""
    text = padded(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def configs(rows: pd.DataFrame, listed: Listed | None = None) -> Grid:
    """Return one row per configuration: arithmetic means over its seeds, and the seeds' range of error or
    loss."""
    listed = listed or of_sweep(rows)
    known, quantity = listed.known(rows), listed.y
    unit = f" ({quantity.unit})" if quantity.unit else ""
    titled = (f"Mean {quantity.name}", "Lowest", "Highest")
    titles = ("Seeds", *(f"{each}{unit}" for each in titled), *(t for _, t, _ in known[1:]))
    by = next((title for name, title, _ in known if name == listed.x), "")
    columns = (Column("Configuration", False), *(Column(t, True, t == by) for t in titles))
    keyed_rows = []
    for _, group in rows.groupby("place_id", sort=False):
        error = quantity.scale * group[quantity.column]
        means = [(name, scale * group[name].mean()) for name, _, scale in known[1:]]
        numbers = (error.mean(), error.min(), error.max(), *(mean for _, mean in means))
        texts = tuple(padded(float(v)) for v in numbers)
        keyed_rows.append((group[listed.x].mean(), (str(group["label"].iloc[0]), str(len(group)), *texts)))
    keyed_rows.sort(key=lambda entry: (np.isnan(entry[0]), entry[0]))
    return Grid(columns, tuple(row for _, row in keyed_rows))


def left_out(table: RunTable, fits: FitFile) -> Grid:
    """Return records that gave no point, and rows that a fit did not use, each with its reason.

    The page writes the name of a run for its id (run_links)."""
    rows = [(d.run_id, d.state, d.reason) for d in table.dropped]
    for report in fits.reports:
        rows += [(e.run_id, f"not in {report.y} against {report.x}", e.reason) for e in report.excluded]
    return Grid((Column("Run", False), Column("What", False), Column("Reason", False)), tuple(rows))
