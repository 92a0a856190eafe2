"""What a page is about: rows and what is known of them, whether records of a sweep or a table of one's own.

The page's builder asks a Subject and never where it came from: what is not known has no panel.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from isoflop import __version__
from isoflop.config.costs import Prices
from isoflop.curve.check import sweep_files
from isoflop.curve.check.sweep_files import SweepFiles
from isoflop.curve.result import Band, FitFile, FitReport
from isoflop.report.bill import BY_RATE
from isoflop.report.figures import views
from isoflop.report.figures.views import ChartView
from isoflop.report.rate import Rate
from isoflop.report.text import tables
from isoflop.report.text.numerals import plural
from isoflop.report.text.origins import Origin, origins
from isoflop.report.text.setting import setting
from isoflop.report.text.tables import Listed
from isoflop.table import aggregate, axis, levers, pricing, target
from isoflop.table.aggregate import Dropped, RunTable
from isoflop.table.axis import Axes
from isoflop.table.external import ExternalRuns
from isoflop.table.target import Target

NAMES = ("model", "model_name", "run", "run_name", "name", "architecture", "arch")
"""Columns, in small letters, that name the rows of a table of one's own where it gives no shape."""
TINTS = ("family", "architecture", "data")
MOST_TINTS = 9
"""Colours that can be told apart; a column of more values colours nothing."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a page is about.

    Attributes:
        name: the title of the page.
        lead: the sentence below it.
        rows: one row a run, under the names of a sweep's columns as far as they are known (the others are
            empty), and x in the unit that is shown.
        checked: the rows as the checks and fits see them.
        dropped: records that gave no row.
        judged_on: what the rows are judged on; of a table of one's own its domain is target.TABLE.
        views: the pairs of axes that are shown, that of the verdict first.
        listed: the columns of the page's tables.
        axes: x in the unit that is shown, and y, of a table of one's own; None for a sweep.
        factor: from the numbers of the column of x to those that are shown.
        scope: what the numbers are of, in a sentence; empty for a sweep, whose rows say it.
        counted: how compute, energy, time and y were counted.
        origins: where the numbers come from.
        files: what a sweep keeps beside its records for the checks.
        directory: the folder of a sweep's records; None without any.
        prices: by which the rows are priced; None without any.
        compared: the rows of all levers, where `rows` are the baseline's alone; else None.
    """

    name: str
    lead: str
    rows: pd.DataFrame
    checked: pd.DataFrame
    dropped: tuple[Dropped, ...]
    judged_on: Target
    views: tuple[ChartView, ...]
    listed: Listed
    axes: Axes | None
    factor: float
    scope: str
    counted: str
    origins: tuple[Origin, ...]
    files: SweepFiles
    directory: Path | None
    prices: Prices | None
    compared: pd.DataFrame | None = None

    @property
    def setting(self) -> str:
        """What was trained, on what and where, as far as it is known."""
        return setting(self.rows)

    @property
    def is_own(self) -> bool:
        """Whether the rows are of a table of the user's own."""
        return self.axes is not None

    @property
    def table(self) -> RunTable:
        """The rows with the records that gave none."""
        return RunTable(self.rows, self.dropped, self.prices)

    def shown(self, fits: FitFile) -> FitFile:
        """Return the fits with x in the unit that is shown."""
        axes = self.axes
        if axes is None:
            return fits
        return dataclasses.replace(
            fits, reports=tuple(_in_unit(report, self.factor, axes) for report in fits.reports)
        )


def of_sweep(directory: Path, table: RunTable) -> Subject:
    """Return what the page of a sweep is about: the rows of its records in a folder."""
    rows, judged_on = table.rows, target.of(table.rows)
    quantity = judged_on.quantity
    of_bytes = (
        " Test loss is the mean cross-entropy of a predicted byte in bits, that is nats over ln 2; an "
        "example is one byte."
    )
    return Subject(
        name=directory.resolve().name,
        lead=f"How {quantity.name} falls as training compute grows: {_counted_runs(rows)}."
        f"{_not_fitted(table)}",
        rows=rows,
        checked=rows,
        dropped=table.dropped,
        judged_on=judged_on,
        views=views.of(rows),
        listed=tables.of_sweep(rows),
        axes=None,
        factor=1.0,
        scope="",
        counted="Compute is training FLOPs: forward and backward of the examples seen, one "
        "multiply-accumulate (MAC) being 2 FLOPs; evaluation, the optimizer and recomputation are not in it. "
        "Energy is of the training window, idle power included. Time is from a monotonic clock, without "
        f"warm-up, evaluation and data preparation.{of_bytes if quantity.unit == target.BITS else ''}",
        origins=origins(rows, directory),
        files=sweep_files.read(directory, rows["run_id"]),
        directory=directory,
        prices=table.prices,
        compared=table.compared,
    )


def _not_fitted(table: RunTable) -> str:
    """Return which runs with a lever the page compares and does not fit, as a sentence; empty without any."""
    if table.compared is None:
        return ""
    note = levers.note(table.compared, "below")
    return f" {note[:1].upper()}{note[1:]}."


def _counted_runs(rows: pd.DataFrame) -> str:
    """Return `resnet on digits, AMD EPYC; 45 runs of 15 configurations`."""
    runs = f"{plural(len(rows), 'run')} of {plural(rows['config_id'].nunique(), 'configuration')}"
    return "; ".join(part for part in (setting(rows), runs) if part)


def of_table(
    runs: ExternalRuns,
    checked: pd.DataFrame,
    axes: Axes,
    *,
    seed: str | None = None,
    command: str | None = None,
    prices: Prices | None = None,
    rate: Rate | None = None,
) -> Subject:
    """Return what the page of a table of one's own is about.

    Args:
        runs: its rows (external.read_runs).
        checked: the same under the names of a sweep's columns (canonical.canonical).
        axes: what x and y are (axis.describe, axis.describe_y).
        seed: the column that repeats a configuration, if one was chosen.
        command: that makes the page, for its provenance.
        prices: of --cost, by which the rows are priced.
        rate: of a GPU, which turns FLOPs into time and joules that the table does not hold.
    """
    x = runs.table[runs.x].to_numpy(float)
    known = x[np.isfinite(x) & (x > 0)]
    ends = (float(known.min()), float(known.max())) if len(known) else (1.0, 1.0)
    shown, factor = axis.prefixed(axes.x, *ends)
    of_page = Axes(shown, axes.y)
    name = Path(runs.source).name
    judged_on = Target(
        target.TABLE, axes.y, ((runs.x, runs.y),), "examples", target.PARAMETERS, target.VAL_ERROR.column
    )
    rows = _priced(_completed(checked, runs, axes, factor, seeded=seed is not None), prices, rate)
    return Subject(
        name=Path(runs.source).stem,
        lead=f"How {axes.y.name} falls as {axes.x.name} grows: {plural(len(rows), 'run')} of {name}.",
        rows=rows,
        checked=checked,
        dropped=(),
        judged_on=judged_on,
        views=(views.of_axes(of_page),),
        listed=tables.of_axes(of_page),
        axes=of_page,
        factor=factor,
        scope=_scope(axes, name),
        counted=_counted(axes, runs, shown.unit),
        origins=_origins(runs, command),
        files=sweep_files.NONE,
        directory=None,
        prices=prices,
    )


def _completed(
    checked: pd.DataFrame, runs: ExternalRuns, axes: Axes, factor: float, *, seeded: bool
) -> pd.DataFrame:
    """Return the rows with every column of a sweep's table, empty where nothing is known.

    Args:
        checked: the rows under the names of a sweep's columns.
        runs: the table that they are of.
        axes: what x and y are.
        factor: to the unit of x that is shown.
        seeded: whether a column of seeds was chosen; else what repeats a configuration is not known.
    """
    x = runs.table[runs.x].to_numpy(float)
    counted = axes.x.flops is not None and not axes.x.a_pass
    gflops = x * (axes.x.flops or 0.0) / 1e9 if counted else np.full(len(x), np.nan)
    rows = checked.assign(train_gflops=gflops)
    for name in aggregate.COLUMNS:
        if name not in rows or name == target.DOMAIN:
            empty = None if name in aggregate.TEXT else np.nan
            rows[name] = pd.Series([empty] * len(rows), rows.index, dtype=object if empty is None else float)
        elif name not in (*aggregate.TEXT, "seed", runs.y):
            rows[name] = pd.to_numeric(rows[name], errors="coerce")
    rows[runs.x] = factor * x
    if not seeded:
        rows["seed"] = np.nan
    rows["label"] = _labels(rows, runs.table)
    rows["architecture"] = _tint(rows)
    return rows.sort_values([runs.x, "run_id"], ignore_index=True)


def _priced(rows: pd.DataFrame, prices: Prices | None, rate: Rate | None) -> pd.DataFrame:
    """Return the rows with dollars and CO2 by prices, of amounts that they hold or that follow from FLOPs."""
    if prices is None:
        return rows
    flops = rows["train_gflops"] * 1e9
    seconds = rows["device_seconds"].fillna(rows["train_seconds"])
    joules = rows["energy_joules"]
    if rate is not None:
        seconds = seconds.fillna(flops / rate.flops_per_second)
        rows = rows.assign(energy_reason=rows["energy_reason"].where(joules.notna(), BY_RATE))
        joules = joules if rate.watts is None else joules.fillna(seconds * rate.watts)
    return pricing.price_rows(
        rows.assign(device_seconds=seconds, energy_joules=joules, own_share=1.0), prices
    )


def _labels(rows: pd.DataFrame, table: pd.DataFrame) -> pd.Series[str]:
    """Return the names of the configurations: by their shape, else by the column that names the rows."""
    if not (rows["label"].astype(str) == rows["config_id"].astype(str)).all():
        return rows["label"].astype(str)
    if rows["config_id"].nunique() < len(rows):
        return rows["config_id"].astype(str)
    by_name = {str(name).lower(): str(name) for name in table.columns}
    named = next((by_name[name] for name in NAMES if name in by_name), None)
    if named is None or table[named].isna().any():
        return rows["config_id"].astype(str)
    return table[named].astype(str)


def _tint(rows: pd.DataFrame) -> pd.Series[str]:
    """Return what colours the points where width and depth do not: the first column of a few words."""
    for name in TINTS:
        values = rows[name]
        if values.notna().all() and 1 < values.nunique() <= MOST_TINTS:
            return values.astype(str)
    return pd.Series([None] * len(rows), rows.index, dtype=object)


def _scope(axes: Axes, name: str) -> str:
    """Return what the numbers are of, and how they stand to what the paper claims."""
    x, y = axes.x, axes.y
    if not (x.is_compute and y.noun == "error"):
        return f"The numbers are those of {name}."
    if x.a_pass:
        return (
            f"The numbers are those of {name}. The paper fits such points, the error of published models "
            "against the compute of one pass, and finds alpha about 9 on ImageNet; its limit of 4 is of "
            "training compute and is not judged here."
        )
    taken = "" if x.of_training else f", which column {x.column} is taken for"
    return (
        f"The numbers are those of {name}. The paper's limit is of training compute{taken}; its ImageNet "
        "figure (alpha about 9) is per forward pass of published models."
    )


def _counted(axes: Axes, runs: ExternalRuns, shown: str) -> str:
    """Return how x and y are to be read."""
    x, y = axes.x, axes.y
    unit = f", in {x.unit}" if x.unit else ""
    as_shown = f", shown in {shown}" if shown != x.unit else ""
    macs = " One multiply-accumulate (MAC) is 2 FLOPs." if "MAC" in x.unit else ""
    share = " Errors are fractions in every law and per cent in text and figures." if y.unit == "%" else ""
    return f"x is column {runs.x}{unit}{as_shown}; y is column {runs.y}.{macs}{share}"


def _origins(runs: ExternalRuns, command: str | None) -> tuple[Origin, ...]:
    path = Path(runs.source)
    lines = [Origin("File", (f"{path.name}, {plural(len(runs.table), 'row')} read",))]
    if path.is_file():
        lines.append(Origin("SHA-256", (hashlib.sha256(path.read_bytes()).hexdigest(),), code=True))
    lines.append(Origin("isoflop", (__version__,)))
    return (*lines, *([Origin("Command", (command,), code=True)] if command else []))


def _in_unit(report: FitReport, factor: float, axes: Axes) -> FitReport:
    """Return a report with `factor` times its x, which is in the unit of `axes`; parameters stay."""
    fits = tuple(dataclasses.replace(fit, band=_scaled(fit.band, factor)) for fit in report.fits)
    ahead, held = report.forecast, report.held_out
    if ahead is not None:
        ahead = dataclasses.replace(ahead, band=_scaled(ahead.band, factor))
    if held is not None:
        rows = tuple(dataclasses.replace(row, x=factor * row.x) for row in held.rows)
        held = dataclasses.replace(held, rows=rows)
    return dataclasses.replace(
        report,
        x_min=factor * report.x_min,
        x_max=factor * report.x_max,
        fits=fits,
        forecast=ahead,
        held_out=held,
        axes=axes,
    )


def _scaled(band: Band, factor: float) -> Band:
    return dataclasses.replace(band, x=tuple(factor * x for x in band.x))
